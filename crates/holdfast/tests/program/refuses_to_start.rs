//! Each reason not to start is one line that names the fix, and an exit code other than 0.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use crate::{Running, complaints, holdfast, run, serve};

/// A user that owns nothing.
const NOBODY: u32 = 65_534;

#[test]
fn when_the_port_is_taken() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it listens").to_string();
    let data = folder.path().join("data");
    let output = run(holdfast(&["serve", "--listen", &address, "--data"]).arg(&data));
    assert_eq!(output.status.code(), Some(1));
    let port = address.rsplit_once(':').expect("a port").1;
    assert_eq!(
        complaints(&output),
        [format!(
            "holdfast: port {port} of 127.0.0.1 is taken by another program: stop it (`ss -ltnp` shows which), or choose another with --listen ADDR:PORT"
        )]
    );
    assert!(!data.exists(), "nothing is made by a start that fails");
}

#[test]
fn when_others_reach_it_without_tls_and_users_and_nobody_meant_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let output = run(holdfast(&["serve", "--listen", "0.0.0.0:0", "--data"]).arg(&data));
    assert_eq!(output.status.code(), Some(2));
    let told = complaints(&output);
    assert_eq!(told.len(), 2, "{told:?}");
    for (line, way_out) in [
        (0, "--tls self-signed"),
        (0, "--listen 127.0.0.1"),
        (0, "--allow-plain-http"),
        (1, "--access"),
        (1, "--listen 127.0.0.1"),
        (1, "--allow-open"),
    ] {
        assert!(told[line].contains(way_out), "{told:?}");
    }
    assert!(!data.exists(), "nothing is made by a start that fails");
    let check = ["config", "check", "--listen", "0.0.0.0:5000"];
    assert_eq!(run(&mut holdfast(&check)).status.code(), Some(2));
}

#[test]
fn when_another_process_uses_the_folder() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let first = Running::start(&mut serve(folder.path(), &[]));
    let output = run(&mut serve(folder.path(), &[]));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        complaints(&output),
        [format!(
            "holdfast: the data folder {} is in use by another holdfast (process {}): stop it, or choose another folder with --data DIR",
            folder.path().display(),
            first.child.id()
        )]
    );
}

#[test]
fn when_the_folder_cannot_be_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    fs::create_dir(&data).expect("a folder");
    let mut command = serve(&data, &[]);
    if rustix::process::geteuid().is_root() {
        // Root may write everywhere: another user has to try, with a copy of the program that it may run.
        let copy = folder.path().join("holdfast");
        fs::copy(env!("CARGO_BIN_EXE_holdfast"), &copy).expect("a copy");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("open to all");
        command = crate::Command::new(&copy);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(&data);
        command.uid(NOBODY).gid(NOBODY).env_clear();
    }
    fs::set_permissions(&data, fs::Permissions::from_mode(0o555)).expect("not to be written");
    let output = run(&mut command);
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).expect("to be removed");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        complaints(&output),
        [format!(
            "holdfast: the data folder {} cannot be written by this user: give it to the user that runs holdfast (chown), or choose another with --data DIR",
            data.display()
        )]
    );
}

#[test]
fn when_the_disk_is_nearly_full() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = run(&mut serve(
        folder.path(),
        &["--set", "server.free_space_min=1000TiB"],
    ));
    assert_eq!(output.status.code(), Some(1));
    let complaints = complaints(&output);
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(
        complaints[0].contains("is nearly full: ") && complaints[0].contains("1000TiB are wanted"),
        "{complaints:?}"
    );
}

#[test]
fn when_the_configuration_is_wrong_in_two_places() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("holdfast.toml");
    fs::write(&file, "[uploads]\npart_sise = \"8MiB\"\n").expect("write");
    let mut command = serve(folder.path(), &["--config"]);
    let output = run(command.arg(&file).env("HOLDFAST_SERVER_HOLD_TIME", "1h"));
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        complaints(&output),
        [
            format!(
                "holdfast: there is no setting uploads.part_sise ({} line 2); the nearest is uploads.part_size",
                file.display()
            ),
            "holdfast: server.hold_time = \"1h\" (HOLDFAST_SERVER_HOLD_TIME): must be between 1s and 5m".to_owned(),
        ]
    );
}
