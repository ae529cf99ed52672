//! The S3 store against the suite of its port and against a service that fails, on a light server in this process.
#![expect(clippy::unwrap_used, reason = "a test that finds no value has failed")]

mod check;
mod light_s3;
mod settings;
mod trouble;

use std::sync::Arc;

use blobs::{S3Settings, S3Store};
use light_s3::LightS3;
use ports::blob_store::suite::Subject;

async fn light_server() -> Subject {
    let server = LightS3::start().await;
    let settings = S3Settings {
        prefix: "some/where".to_owned(),
        memory_mib: 32,
        ..server.settings()
    };
    Subject::new(Arc::new(S3Store::open(&settings).await.unwrap())).keeping(server)
}

ports::blob_store_suite!(light_server);
