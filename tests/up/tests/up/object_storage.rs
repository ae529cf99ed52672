//! Blobs in object storage instead of the shared folder.

use harness::GarageServer;
use up::{Up, command};

use crate::{pull, push};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blobs_are_kept_in_a_bucket_and_nowhere_else() -> anyhow::Result<()> {
    let garage = GarageServer::start()?;
    let folder = tempfile::tempdir()?;
    let place = format!(
        "{}/{}/trial?region={}",
        garage.endpoint, garage.bucket, garage.region
    );
    let start = |arguments: &[&str]| -> anyhow::Result<Up> {
        let mut command = command(folder.path(), arguments)?;
        command
            .env("AWS_ACCESS_KEY_ID", &garage.access_key)
            .env("AWS_SECRET_ACCESS_KEY", &garage.secret_key);
        Up::spawn(&command)
    };
    let mut up = start(&["--json", "--s3", &place])?;
    up.wait_for("ready", "balancer")?;
    let manifest = push(&up.client("balancer")?, "kept/app", "v1").await?;
    for name in ["member-1", "member-2", "member-3"] {
        pull(&up.client(name)?, "kept/app", "v1", &manifest).await?;
    }
    assert!(!folder.path().join("blobs").exists());
    drop(up);
    // A cluster that looked for its blobs elsewhere would find none.
    let (status, errors) = start(&["--json"])?.wait()?;
    assert_eq!(status.code(), Some(1));
    assert!(errors.contains("start it with the same --s3"), "{errors}");
    assert!(!errors.contains(&garage.secret_key), "{errors}");
    Ok(())
}
