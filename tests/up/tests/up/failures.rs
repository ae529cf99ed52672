//! What keeps it from starting: one line each that names the fix, and no node left behind.

use std::net::TcpListener;

use up::{Up, command};

/// The exit code and the first line of standard error of one that does not start.
fn refused(data: &std::path::Path, arguments: &[&str]) -> anyhow::Result<(Option<i32>, String)> {
    let (status, errors) = Up::spawn(&command(data, arguments)?)?.wait()?;
    Ok((status.code(), errors))
}

#[test]
fn port_that_is_taken_is_told() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let taken = listener.local_addr()?;
    let (code, errors) = refused(folder.path(), &["--listen", &taken.to_string()])?;
    assert_eq!(code, Some(1));
    assert_eq!(
        errors,
        format!(
            "holdfast: port {} of 127.0.0.1 is taken by another program: stop it (`ss -ltnp` shows which), or choose another with --listen ADDR:PORT",
            taken.port()
        )
    );
    Ok(())
}

#[test]
fn folder_in_use_is_told() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let up = Up::start(folder.path(), &["--nodes", "1"])?;
    let (code, errors) = refused(folder.path(), &["--nodes", "1"])?;
    assert_eq!(code, Some(1));
    let shown = folder.path().display();
    assert_eq!(
        errors,
        format!(
            "holdfast: the data folder {shown} is in use by another holdfast (process {}): stop it, or choose another folder with --data DIR",
            up.id()
        )
    );
    Ok(())
}

#[test]
fn fewer_members_than_there_are_is_refused() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::write(
        folder.path().join("up.json"),
        r#"{"version":1,"store":"its folder","is_founded":true,"nodes":[
            {"name":"member-1","role":"member","address":null,"peer_address":null,"has_joined":true},
            {"name":"member-2","role":"member","address":null,"peer_address":null,"has_joined":true}]}"#,
    )?;
    let (code, errors) = refused(folder.path(), &["--nodes", "1"])?;
    assert_eq!(code, Some(1));
    assert!(
        errors.contains("has 2 members, and 1 would not be all"),
        "{errors}"
    );
    assert!(errors.contains("--data DIR"), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    Ok(())
}

#[test]
fn node_that_does_not_start_is_told_with_the_last_that_it_said() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    drop(Up::start(folder.path(), &["--nodes", "1"])?);
    let node = folder.path().join("member-1");
    std::fs::write(node.join("metadata/member"), b"nonsense")?;
    let (code, errors) = refused(folder.path(), &["--json"])?;
    assert_eq!(code, Some(1));
    let mut lines = errors.lines();
    let first = lines.next().unwrap_or_default();
    let log = node.join("log/node.log");
    assert!(
        first.starts_with("holdfast: member-1 could not be started: failed with exit code 1")
            && first.contains(&log.display().to_string()),
        "{errors}"
    );
    let last = lines.next_back().unwrap_or_default();
    assert!(last.contains("holdfast: "), "{errors}");
    assert!(std::fs::read_to_string(log)?.contains(last.trim_start_matches("holdfast:   ")));
    Ok(())
}

#[test]
fn wrong_arguments_are_refused() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    for arguments in [
        ["--nodes", "0"],
        ["--nodes", "100"],
        ["--s3", "nowhere"],
        ["--s3", "s3://key:secret@bucket"],
        ["--listen", "5000"],
    ] {
        let (code, errors) = refused(folder.path(), &arguments)?;
        assert_eq!(code, Some(2), "{arguments:?}: {errors}");
    }
    Ok(())
}
