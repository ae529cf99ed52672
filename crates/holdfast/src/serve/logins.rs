//! Logins that others check, as the file of `access.logins` has them: read at the start, followed until the end, told in
//! `/readyz?verbose`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use auth::outside::{Outside, OutsideSettings};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// How often files of keys and passwords are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What the file has; nothing without one.
///
/// # Errors
/// One line that names the file and what is wrong with it: whoever has configured a way in wants it open.
pub async fn open(file: Option<&Path>) -> Result<Option<Arc<Outside>>, Failure> {
    let Some(file) = file.map(Path::to_owned) else {
        return Ok(None);
    };
    let opening = move || OutsideSettings::read(&file).and_then(Outside::open);
    let opened = tokio::task::spawn_blocking(opening).await;
    let failed = |why: String| Failure {
        lines: vec![format!("access.logins: {why}")],
        exit_code: 2,
    };
    let outside = opened.map_err(|error| failed(error.to_string()))?;
    let outside = outside.map_err(|error| failed(error.to_string()))?;
    Ok(Some(Arc::new(outside)))
}

/// Reads files again that have changed, until `stop`.
pub fn follow(outside: &Arc<Outside>, stop: CancellationToken) {
    let outside = Arc::clone(outside);
    let following = async move {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let outside = Arc::clone(&outside);
            if let Err(error) = tokio::task::spawn_blocking(move || outside.refresh()).await {
                tracing::error!(%error, "files of logins were not looked at");
            }
        }
    };
    tokio::spawn(stop.run_until_cancelled_owned(following));
}

/// What `/readyz?verbose` tells of a directory.
pub fn report(outside: &Arc<Outside>) -> Option<api::Report> {
    outside.ldap.as_ref()?;
    let outside = Arc::clone(outside);
    let tell = move || match outside.ldap.as_ref().is_some_and(|ldap| ldap.is_away()) {
        true => "the directory does not answer: who logs in by it cannot".to_owned(),
        false => "the directory is asked".to_owned(),
    };
    Some(api::Report {
        name: "ldap",
        tell: Arc::new(tell),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn file_that_cannot_be_as_it_is_ends_the_start() {
        assert!(open(None).await.unwrap().is_none());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("logins.toml");
        for (text, told) in [
            (None, "cannot be read"),
            (
                Some("[ldap]\nurl = \"ldaps://x\"\nuser_bas = \"x\"\n"),
                "user_bas",
            ),
            (
                Some("[htpasswd]\nfile = \"/nowhere/users\"\n"),
                "/nowhere/users",
            ),
        ] {
            if let Some(text) = text {
                std::fs::write(&file, text).unwrap();
            }
            let Err(failure) = open(Some(&file)).await else {
                panic!("{text:?} was taken");
            };
            assert_eq!(failure.exit_code, 2);
            assert!(
                failure.lines[0].starts_with("access.logins: ") && failure.lines[0].contains(told),
                "{:?}",
                failure.lines
            );
        }
    }
}
