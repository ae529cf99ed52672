//! Debian's packages, by apt-get as root.
//!
//! Packages of servers start them when they are installed; the suites start their own, on their own ports. A temporary
//! `policy-rc.d` keeps the package's servers from starting, and goes when the installation ends.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::run;

/// Where Debian asks whether a service may be started (invoke-rc.d(8)).
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs those of the packages that are missing.
pub fn install(packages: &[&str]) -> anyhow::Result<()> {
    let missing: Vec<&str> = packages
        .iter()
        .copied()
        .filter(|package| !is_installed(package))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if run::output_of(&mut run::command("apt-get", ["--version"])).is_err() {
        bail!("this machine has no apt-get; install by other means what Debian calls: {names}");
    }
    if !rustix::process::geteuid().is_root() {
        bail!(
            "Debian packages are missing; as root: apt-get install --no-install-recommends {names}"
        );
    }
    println!("installing Debian packages: {names}");
    let _quiet = Policy::deny()?;
    // Lists may be old in part (a foreign source may be down); what matters is whether the packages install.
    let _ = run::succeed(&mut apt(&["update"]));
    run::succeed(apt(&["install", "--no-install-recommends"]).args(&missing))
}

fn apt(arguments: &[&str]) -> Command {
    let mut apt = run::command(
        "apt-get",
        [
            "-qq",
            "-y",
            "-o",
            "Dpkg::Use-Pty=0",
            "-o",
            "DPkg::Lock::Timeout=300",
        ],
    );
    apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    apt
}

fn is_installed(package: &str) -> bool {
    let asked = run::output_of(&mut run::command(
        "dpkg-query",
        ["-W", "-f", "${db:Status-Status}", package],
    ));
    asked.is_ok_and(|status| status == "installed")
}

/// While this lives, installed services are not started. A policy that the machine has already is left alone.
struct Policy {
    ours: bool,
}

impl Policy {
    fn deny() -> anyhow::Result<Self> {
        let path = Path::new(POLICY);
        if path.exists() {
            return Ok(Self { ours: false });
        }
        std::fs::write(path, "#!/bin/sh\nexit 101\n")
            .with_context(|| format!("cannot write {POLICY}"))?;
        let policy = Self { ours: true };
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
        Ok(policy)
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        if self.ours {
            // Nothing better can be done than to say so.
            if let Err(error) = std::fs::remove_file(POLICY) {
                eprintln!("remove {POLICY} by hand: {error}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_debian_has_is_installed_and_nonsense_is_not() {
        // On another distribution neither is, which is right too.
        let debian = Path::new("/var/lib/dpkg/status").exists();
        assert_eq!(is_installed("dpkg"), debian);
        assert!(!is_installed("no-such-package-anywhere"));
    }
}
