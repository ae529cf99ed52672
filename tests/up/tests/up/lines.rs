//! What it says about its processes, and what it does when it is told.

use std::collections::BTreeSet;

use rustix::process::Signal;
use up::{Up, is_node, signal, wait_until_gone};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_process_has_its_line_when_it_is_ready() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut up = Up::start(folder.path(), &["--gateways", "1"])?;
    let processes = up.processes()?;
    let roles: Vec<(&str, &str)> = processes
        .values()
        .map(|line| (line.name.as_str(), line.role.as_str()))
        .collect();
    assert_eq!(
        roles,
        [
            ("balancer", "balancer"),
            ("gateway-1", "gateway"),
            ("member-1", "member"),
            ("member-2", "member"),
            ("member-3", "member"),
        ]
    );
    let pids: BTreeSet<u32> = processes.values().map(|line| line.pid).collect();
    assert_eq!(pids.len(), 5, "{processes:?}");
    for (name, line) in &processes {
        match name.as_str() {
            "balancer" => assert_eq!(line.pid, up.id()),
            _ => assert!(is_node(line.pid), "{line:?}"),
        }
        up.client(name)?.get("/v2/").send().await?.expect(200)?;
        up.client(name)?.get("/readyz").send().await?.expect(200)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_dies_is_started_again_when_asked_and_not_before() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut up = Up::start(folder.path(), &["--nodes", "1"])?;
    let first = up.process("member-1")?;
    let ended = up.kill("member-1")?;
    assert_eq!(
        (ended.pid, ended.how.as_str()),
        (first.pid, "killed by signal 9")
    );
    let failed = up
        .client("balancer")?
        .get("/v2/")
        .send()
        .await?
        .expect(503)?;
    assert_eq!(failed.error_code().as_deref(), Some("UNAVAILABLE"));

    up.wish("start member-1")?;
    let started = up.wait_for("started", "member-1")?;
    let second = up.wait_for("ready", "member-1")?;
    assert_eq!(started.pid, second.pid);
    assert_ne!(second.pid, first.pid);
    // It comes back where it was.
    assert_eq!(second.address, first.address);
    up.client("balancer")?
        .get("/v2/")
        .send()
        .await?
        .expect(200)?;

    up.wish("kill member-1")?;
    assert_eq!(up.wait_for("ended", "member-1")?.pid, second.pid);
    let starts = up.seen()?.iter().filter(|line| line.event == "started");
    assert_eq!(starts.count(), 1);
    Ok(())
}

#[test]
fn wishes_that_cannot_be_granted_are_refused_with_the_reason() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut up = Up::start(folder.path(), &["--nodes", "1"])?;
    for (wish, reason) in [
        ("start member-1", "member-1 runs already"),
        ("start member-9", "there is no `member-9`, only member-1"),
        ("dance", "`dance` is neither `start NAME` nor `kill NAME`"),
    ] {
        up.wish(wish)?;
        assert_eq!(up.wait_for("refused", "")?.message, reason);
    }
    Ok(())
}

#[test]
fn all_nodes_end_when_it_is_told_to_stop() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    for how in [Signal::TERM, Signal::INT] {
        let mut up = Up::start(folder.path(), &["--nodes", "1"])?;
        let node = up.process("member-1")?.pid;
        signal(up.id(), how)?;
        assert_eq!(up.wait_for("ended", "member-1")?.how, "ended");
        let (status, errors) = up.wait()?;
        assert!(status.success() && errors.is_empty(), "{status} {errors}");
        wait_until_gone(&[node])?;
    }
    Ok(())
}

#[test]
fn people_get_sentences_and_what_to_try() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let command = up::command(folder.path(), &["--nodes", "1"])?;
    let mut process = harness::Process::start("up", &mut { command })?;
    let balancer =
        process.wait_for_line("the balancer is ready: listening on http://", up::PATIENCE)?;
    process.wait_for_line("to try it:  docker tag IMAGE localhost:", up::PATIENCE)?;
    let said = process.said();
    assert!(
        said.contains("member-1 is ready: member, process "),
        "{said}"
    );
    assert!(balancer.starts_with("127.0.0.1:"), "{said}");
    process.terminate()?;
    assert!(process.wait(up::PATIENCE)?.success());
    Ok(())
}
