//! The programs that are compared: Holdfast, Debian's docker-registry, and nginx.

use std::path::Path;
use std::process::Command;

use anyhow::Context;
use harness::{GarageServer, ports};

use crate::process::Server;

/// Holdfast with the defaults of `serve`, but for its address and its folder; `settings` are environment variables.
pub fn holdfast(
    binaries: &Path,
    data: &Path,
    settings: &[(&str, String)],
) -> anyhow::Result<Server> {
    let [port] = ports::free()?;
    let mut command = Command::new(binaries.join("holdfast"));
    command
        .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data"])
        .arg(data);
    command.envs(settings.iter().map(|(name, value)| (name, value)));
    Server::start("holdfast", command, port)
}

/// The environment that puts Holdfast's blobs into a Garage.
pub fn in_garage(garage: &GarageServer) -> Vec<(&'static str, String)> {
    vec![
        ("HOLDFAST_STORAGE_KIND", "s3".to_owned()),
        ("HOLDFAST_STORAGE_S3_ENDPOINT", garage.endpoint.clone()),
        ("HOLDFAST_STORAGE_S3_REGION", garage.region.clone()),
        ("HOLDFAST_STORAGE_S3_BUCKET", garage.bucket.clone()),
        ("HOLDFAST_STORAGE_S3_PATH_STYLE", "true".to_owned()),
        (
            "HOLDFAST_STORAGE_S3_ACCESS_KEY_ID",
            garage.access_key.clone(),
        ),
        (
            "HOLDFAST_STORAGE_S3_SECRET_ACCESS_KEY",
            garage.secret_key.clone(),
        ),
    ]
}

/// Debian's docker-registry by the configuration beside this crate's manifest.
pub fn docker_registry(data: &Path) -> anyhow::Result<Server> {
    std::fs::create_dir_all(data)?;
    let [port] = ports::free()?;
    let configuration = data.with_extension("yml");
    std::fs::write(&configuration, include_str!("../docker-registry.yml"))?;
    let mut command = Command::new("docker-registry");
    command.arg("serve").arg(configuration);
    command.env("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", data);
    command.env("REGISTRY_HTTP_ADDR", format!("127.0.0.1:{port}"));
    Server::start("docker-registry", command, port)
        .context("is the package docker-registry installed?")
}

/// nginx in one process, serving `root/files`.
pub fn nginx(root: &Path) -> anyhow::Result<Server> {
    std::fs::create_dir_all(root.join("files"))?;
    let [port] = ports::free()?;
    let text = include_str!("../nginx.conf")
        .replace("PORT", &port.to_string())
        .replace(
            "ROOT",
            root.to_str()
                .context("the temporary folder's name is text")?,
        );
    let configuration = root.join("nginx.conf");
    std::fs::write(&configuration, text)?;
    let mut command = Command::new("/usr/sbin/nginx");
    command.arg("-c").arg(&configuration).arg("-p").arg(root);
    Server::start("nginx", command, port).context("is the package nginx installed?")
}
