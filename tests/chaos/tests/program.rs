//! `holdfast-chaos` as people run it: by the command line, with a file of commands, against a server that is not its own.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::ensure;
use harness::{HoldfastServer, holdfast};

/// Runs it for a few seconds, in which the server's process stands still once.
fn run(server: &mut HoldfastServer, folder: &Path, class: &str) -> anyhow::Result<Output> {
    let process = server.process().id();
    let schedule = format!(
        "rest = \"500ms\"\n[[fault]]\nkind = \"pause\"\nclass = \"{class}\"\nstart = \"kill -STOP {process}\"\n\
         end = \"kill -CONT {process}\"\nlasts = \"2500ms\"\n"
    );
    std::fs::write(folder.join("faults.toml"), schedule)?;
    let url = format!("http://{}", server.address());
    let mut command = Command::new(holdfast::program()?.with_file_name("holdfast-chaos"));
    command.args([
        "--url",
        &url,
        "--node",
        &url,
        "--duration",
        "6s",
        "--seed",
        "1",
    ]);
    command.args(["--also", "test -n \"$HOLDFAST_CHAOS_REGISTRY\""]);
    command.arg("--faults").arg(folder.join("faults.toml"));
    command.arg("--report").arg(folder.join(class));
    Ok(command.output()?)
}

#[test]
fn it_says_by_its_exit_code_whether_a_promise_broke() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut server = HoldfastServer::start()?;
    let excused = run(&mut server, folder.path(), "outage")?;
    let said = String::from_utf8_lossy(&excused.stdout).into_owned();
    ensure!(excused.status.code() == Some(0), "{excused:?}");
    ensure!(
        !said.contains("BROKEN") && said.contains("1 outages"),
        "{said}"
    );
    let broken = run(&mut server, folder.path(), "covered")?;
    let said = String::from_utf8_lossy(&broken.stdout).into_owned();
    ensure!(broken.status.code() == Some(1), "{broken:?}");
    ensure!(
        said.contains("BROKEN  no time without an answer is longer than the limit"),
        "{said}"
    );
    let page = std::fs::read_to_string(folder.path().join("covered/report.html"))?;
    ensure!(
        page.contains("A promise broke") && page.contains("<svg"),
        "an odd page"
    );
    ensure!(
        !page.contains("<script") && !page.contains("src="),
        "the page needs something else"
    );
    let json = std::fs::read_to_string(folder.path().join("covered/report.json"))?;
    ensure!(json.contains("\"kind\": \"pause\""), "an odd report");
    Ok(())
}

#[test]
fn it_says_what_it_could_not_find_out() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = HoldfastServer::start()?;
    let url = format!("http://{}", server.address());
    let schedule = folder.path().join("faults.toml");
    std::fs::write(&schedule, "[[fault]]\nkind = \"no start\"\n")?;
    let mut command = Command::new(holdfast::program()?.with_file_name("holdfast-chaos"));
    command.args(["--url", &url, "--faults"]).arg(&schedule);
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code() == Some(2), "{output:?}");
    ensure!(
        said.contains("faults.toml") && said.contains("start"),
        "{said}"
    );
    Ok(())
}
