//! Container engines with folders of their own, so that they meet nothing of the machine's.

use std::path::Path;
use std::time::Duration;

use harness::Process;

use crate::{Program, text};

const START_MAX: Duration = Duration::from_secs(90);

/// dockerd without networks (nothing runs in it), and the command line that talks to it.
pub fn docker(folder: &Path) -> anyhow::Result<(Process, Program)> {
    let path = |name: &str| text(&folder.join(name));
    let socket = format!("unix://{}", path("docker.sock"));
    let daemon = Program::debian("dockerd")?;
    let daemon = daemon.always([
        "--host",
        &socket,
        "--data-root",
        &path("data"),
        "--exec-root",
        &path("exec"),
    ]);
    let daemon = daemon.always([
        "--pidfile",
        &path("pid"),
        "--config-file",
        &path("daemon.json"),
    ]);
    std::fs::write(path("daemon.json"), "{}")?;
    let without = ["--bridge=none", "--iptables=false", "--ip6tables=false"];
    let mut process = Process::start("dockerd", &mut daemon.command(&without))?;
    let docker = Program::debian("docker")?.always(["--host", &socket]);
    let docker = docker.env("DOCKER_CONFIG", folder.join("docker-config"));
    let up = || docker.run(&["info"]).is_ok();
    process.wait_until("an answer on its socket", START_MAX, up)?;
    Ok((process, docker))
}

/// podman with storage of its own.
pub fn podman(folder: &Path) -> anyhow::Result<Program> {
    let [root, run] = ["podman-root", "podman-run"].map(|name| text(&folder.join(name)));
    let program = Program::debian("podman")?;
    Ok(program.always([
        "--root",
        &root,
        "--runroot",
        &run,
        "--storage-driver=overlay",
        "--events-backend=file",
    ]))
}

/// The digest in `v1: digest: sha256:… size: 943`, as docker ends a push.
pub fn pushed_digest(said: &str) -> &str {
    said.split("digest: ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .expect("docker push tells the digest")
}
