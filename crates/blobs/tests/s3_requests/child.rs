//! A test that runs again in a process of its own, with an environment of its own: a process has only one, and tests run
//! beside each other.

use std::ffi::OsString;
use std::path::Path;

use blobs::S3Settings;
use ports::BlobFailure;
use tokio::process::Command;

use crate::stub::Stub;

/// In the child: the address of the service.
const SERVICE: &str = "BLOBS_TEST_SERVICE";

/// In a child: settings without keys, for the service that the parent runs. `None`: this is the parent.
pub(crate) fn settings() -> Option<S3Settings> {
    let service = std::env::var(SERVICE).ok()?;
    Some(S3Settings {
        access_key_id: None,
        secret_access_key: None,
        ..crate::settings(&service)
    })
}

/// Puts an object, in a child.
pub(crate) async fn put(settings: S3Settings) {
    crate::put(&settings).await.unwrap();
}

/// Puts no object, in a child, for want of credentials.
pub(crate) async fn put_in_vain(settings: S3Settings) {
    let settings = S3Settings {
        deadline_ms: 1_000,
        ..settings
    };
    let failed = crate::put(&settings).await;
    assert!(
        matches!(failed, Err(BlobFailure::Denied { .. })),
        "{failed:?}"
    );
}

/// Runs this test again, as a child with this environment and no other, and this home.
pub(crate) async fn run(test: &str, stub: &Stub, home: &Path, environment: &[(&str, &str)]) {
    let own: [(&str, OsString); 2] = [(SERVICE, stub.url().into()), ("HOME", home.into())];
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env_clear()
        .envs(own)
        .envs(environment.iter().copied())
        .kill_on_drop(true)
        .output();
    let output = child.await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
