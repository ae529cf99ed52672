//! The audit: who did what with what, recorded by the entry that did it, each record chained to the one before. Rule 8.4.

use std::net::IpAddr;
use std::sync::Arc;

use oci::{Algorithm, Digest};

use super::state::{State, Stop};
use crate::AUDIT_RECORDS_MAX;
use crate::access::AuditRow;
use crate::ids::{LogTime, PrincipalName};
use crate::keys;

/// What is recorded of one thing that somebody did.
pub(super) struct Deed {
    /// In one word.
    pub(super) action: &'static str,
    /// With what.
    pub(super) target: String,
    /// The particulars; empty when there are none.
    pub(super) detail: String,
}

/// Whoever did something without being asked who they are: the cluster itself, or an operator on a member's machine.
pub(super) fn system() -> PrincipalName {
    PrincipalName(Arc::from("system"))
}

/// Records a deed, and drops the oldest record when there are too many.
pub(super) fn record(
    state: &mut State<'_>,
    by: PrincipalName,
    from: Option<IpAddr>,
    deed: Deed,
) -> Result<(), Stop> {
    let mut access = super::access::row(state)?;
    let mut row = AuditRow {
        time: state.now(),
        by,
        from,
        action: Arc::from(deed.action),
        target: deed.target.into(),
        detail: deed.detail.into(),
        chain: [0; 32],
    };
    row.chain = chained(access.audit_chain, &row);
    access.audit_chain = row.chain;
    access.audit_last += 1;
    access.audit_first = access.audit_first.max(1);
    state.put(&keys::audit(access.audit_last), row)?;
    if access.audit_last - access.audit_first >= AUDIT_RECORDS_MAX {
        state.remove(&keys::audit(access.audit_first))?;
        access.audit_first += 1;
    }
    state.put(&keys::access(), access)
}

/// The chain's value after `row`, which follows a record after which it was `before` (zeros: none). Each field goes in with its
/// length, so that no two records are alike.
#[must_use]
pub fn chained(before: [u8; 32], row: &AuditRow) -> [u8; 32] {
    let LogTime(time) = row.time;
    let from = match row.from {
        None => Vec::new(),
        Some(IpAddr::V4(from)) => from.octets().to_vec(),
        Some(IpAddr::V6(from)) => from.octets().to_vec(),
    };
    let mut bytes = before.to_vec();
    bytes.extend_from_slice(&time.to_be_bytes());
    let texts = [&*row.by.0, &row.action, &row.target, &row.detail];
    for field in texts.map(str::as_bytes).into_iter().chain([&*from]) {
        bytes.extend_from_slice(&(field.len() as u64).to_be_bytes());
        bytes.extend_from_slice(field);
    }
    let digest = Digest::of(Algorithm::Sha256, &bytes);
    digest.bytes().try_into().expect("a SHA-256 has 32 bytes")
}
