//! The programs that are compared: Holdfast, Debian's docker-registry, and nginx.

use std::path::Path;
use std::process::Command;

use anyhow::Context;

use crate::process::{Server, free_port};

/// Holdfast with the defaults of `serve`, but for its address and its folder; `settings` are environment variables.
pub fn holdfast(
    binaries: &Path,
    data: &Path,
    settings: &[(&str, String)],
) -> anyhow::Result<Server> {
    let port = free_port()?;
    let mut command = Command::new(binaries.join("holdfast"));
    command
        .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data"])
        .arg(data);
    command.envs(settings.iter().map(|(name, value)| (name, value)));
    Server::start(command, port, &data.with_extension("log"))
}

/// Debian's docker-registry by the configuration beside this crate's manifest.
pub fn docker_registry(data: &Path) -> anyhow::Result<Server> {
    std::fs::create_dir_all(data)?;
    let port = free_port()?;
    let configuration = data.with_extension("yml");
    std::fs::write(&configuration, include_str!("../docker-registry.yml"))?;
    let mut command = Command::new("docker-registry");
    command.arg("serve").arg(configuration);
    command.env("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", data);
    command.env("REGISTRY_HTTP_ADDR", format!("127.0.0.1:{port}"));
    Server::start(command, port, &data.with_extension("log"))
        .context("is the package docker-registry installed?")
}

/// nginx in one process, serving `root/files`.
pub fn nginx(root: &Path) -> anyhow::Result<Server> {
    std::fs::create_dir_all(root.join("files"))?;
    let port = free_port()?;
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
    Server::start(command, port, &root.join("nginx.log")).context("is the package nginx installed?")
}
