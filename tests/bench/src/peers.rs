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
    settings: &[(String, String)],
) -> anyhow::Result<Server> {
    let [port] = ports::free()?;
    let mut command = Command::new(binaries.join("holdfast"));
    command
        .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data"])
        .arg(data);
    command.envs(settings.iter().map(|(name, value)| (name, value)));
    Server::start("holdfast", command, port)
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

/// Debian's docker-registry with its blobs in a Garage, by the configuration beside this crate's manifest.
pub fn docker_registry_in_garage(garage: &GarageServer, folder: &Path) -> anyhow::Result<Server> {
    std::fs::create_dir_all(folder)?;
    let [port] = ports::free()?;
    let configuration = folder.join("docker-registry.yml");
    std::fs::write(&configuration, include_str!("../docker-registry-s3.yml"))?;
    let mut command = Command::new("docker-registry");
    command.arg("serve").arg(configuration);
    let settings = [
        ("REGIONENDPOINT", &garage.endpoint),
        ("REGION", &garage.region),
        ("BUCKET", &garage.bucket),
        ("ACCESSKEY", &garage.access_key),
        ("SECRETKEY", &garage.secret_key),
    ];
    let variable = |(name, value)| (format!("REGISTRY_STORAGE_S3_{name}"), value);
    command.envs(settings.map(variable));
    command.env("REGISTRY_HTTP_ADDR", format!("127.0.0.1:{port}"));
    // Its AWS library ends the process when the machine names certificates of its own.
    command.env_remove("AWS_CA_BUNDLE");
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
