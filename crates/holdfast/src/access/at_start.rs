//! The start of a node with `access.mode = "on"`: rights are asked for before anybody is served.
//!
//! The log decides which of several members that start at once has made the administrator: the one whose hash is kept prints
//! the password. A crash between the entry and the printing loses it; `holdfast user reset admin` mends that. A gateway waits for
//! a member, and so does a member without a quorum whose last known state is open: nobody is served meanwhile.

use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use super::first_admin::FirstAdmin;
use super::machine::{AccessFailure, MachineAccess, SettingsChange};
use crate::config::{Access, AccessMode};
use crate::failure::Failure;

/// How long to wait before the log is asked again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// After how many tries a line of the log tells again what is waited for.
const TOLD_EVERY: u32 = 60;

/// What the start has done.
#[derive(Debug)]
pub enum Switched {
    /// Nothing: it was not to, or access was on.
    Nothing,
    /// Access was switched on, and the account `admin` was there already.
    OldAdmin,
    /// Access was switched on, with a password that is to be shown once.
    Drawn(Zeroizing<String>),
    /// Access was switched on, with the password of this file.
    FromFile(PathBuf),
}

/// Waits until rights are asked for, and has them asked for if nobody else has, as the settings say. May be dropped at any time.
///
/// # Errors
/// The password of the administrator cannot be had.
pub async fn at_start(access: &MachineAccess, settings: &Access) -> Result<Switched, Failure> {
    if settings.mode == AccessMode::Off {
        return Ok(Switched::Nothing);
    }
    let mut admin = None;
    for tries in 0_u32.. {
        match step(access, settings, &mut admin).await {
            Ok(Some(switched)) => return Ok(switched),
            Ok(None) if tries % TOLD_EVERY == 0 => tracing::warn!(
                "access.mode is `on`, and access is not switched on yet: nobody is served until a member has done so"
            ),
            Ok(None) => {}
            Err(AccessFailure::Wrong(line)) => return Err(Failure::new(line)),
            Err(failure @ AccessFailure::Refused(_)) if tries % TOLD_EVERY == 0 => {
                tracing::error!(%failure, "access cannot be switched on, and nobody is served until it is");
            }
            Err(failure) if tries % TOLD_EVERY == 0 => {
                tracing::warn!(%failure, "nobody is served until the log says who may do what");
            }
            Err(_) => {}
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
    Ok(Switched::Nothing)
}

/// One try. `None`: access is off, and somebody else has to do something about it.
async fn step(
    access: &MachineAccess,
    settings: &Access,
    admin: &mut Option<FirstAdmin>,
) -> Result<Option<Switched>, AccessFailure> {
    let is_on = access.last_known_state().await?.is_on;
    if is_on && admin.is_none() {
        return Ok(Some(Switched::Nothing));
    }
    if !access.is_member() {
        return Ok(None);
    }
    // A try before this one may have had an effect: it is known by its hash.
    let first = match admin.take() {
        Some(first) => first,
        None => match &settings.admin_password_file {
            Some(file) => FirstAdmin::in_file(file).await?,
            None => FirstAdmin::draw().await?,
        },
    };
    let first = admin.insert(first);
    let change = SettingsChange {
        auto_create_projects: settings.auto_create_projects.then_some(true),
        ..SettingsChange::default()
    };
    let is_ours = access.switch_on(first, change).await?;
    let first = admin.take().filter(|_| is_ours);
    Ok(Some(match (first, &settings.admin_password_file) {
        (None, _) => Switched::OldAdmin,
        (Some(_), Some(file)) => Switched::FromFile(file.clone()),
        (Some(first), None) => match first.drawn() {
            Some(password) => Switched::Drawn(password),
            None => Switched::OldAdmin,
        },
    }))
}

/// Tells in the log of the program when rights are asked for though the settings of this node do not say so: the log rules.
pub async fn note_what_the_log_says(access: MachineAccess) {
    if let Ok(state) = access.last_known_state().await
        && state.is_on
    {
        tracing::warn!(
            "access.mode is `off` here, and rights are asked for all the same, since access is switched on in the metadata log: set access.mode to `on`, or run `holdfast access off` on a member"
        );
    }
}
