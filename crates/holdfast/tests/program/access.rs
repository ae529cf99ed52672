//! The start that switches access on, what it shows and what it never does, and lost passwords at the machine.

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;

use rustix::process::Signal;

use crate::{Running, holdfast, read_all, run, serve};

const CONFIG_DIGEST: &str =
    "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
const SHOWN_ONCE: &str = "the password of admin, shown this once: ";

fn ask(address: &str, method: &str, path: &str, kind: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).expect("it reads");
    read_all(stream)
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).expect("a line with a status")
}

/// Pushes an image without layers.
fn push(address: &str, repository: &str) {
    let upload = format!("/v2/{repository}/blobs/uploads/?digest={CONFIG_DIGEST}");
    let stored = ask(address, "POST", &upload, "application/octet-stream", "{}");
    assert_eq!(status(&stored), "201", "{stored}");
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{kind}","config":{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{CONFIG_DIGEST}","size":2}},"layers":[]}}"#
    );
    let path = format!("/v2/{repository}/manifests/v1");
    let tagged = ask(address, "PUT", &path, kind, &manifest);
    assert_eq!(status(&tagged), "201", "{tagged}");
}

fn pulls(address: &str, repository: &str) -> String {
    let path = format!("/v2/{repository}/manifests/v1");
    let answer = ask(address, "GET", &path, "text/plain", "");
    status(&answer).to_owned()
}

fn shown(running: &Running) -> Option<String> {
    let mut lines = running.greeting.iter();
    lines.find_map(|line| Some(line.strip_prefix(SHOWN_ONCE)?.to_owned()))
}

fn at_machine(data: &Path, arguments: &[&str]) -> String {
    let output = run(holdfast(arguments).arg("--data").arg(data));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Files below `folder` that hold `secret`.
fn holding(folder: &Path, secret: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.append(&mut holding(&path, secret));
        } else if path.is_file() {
            let bytes = fs::read(&path).expect("it is read");
            let secret = secret.as_bytes();
            if bytes.windows(secret.len()).any(|part| part == secret) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

#[test]
fn first_start_shows_a_password_once_and_closes_what_was_pushed_before() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    let open = Running::start(&mut serve(&data, &[]));
    for repository in ["team/app", "alone"] {
        push(&open.address, repository);
        assert_eq!(pulls(&open.address, repository), "200");
    }
    open.signal(Signal::INT);
    assert!(open.wait().success());

    let told = File::create(&log).expect("a file");
    let more = ["--access", "--set", "log.level=trace"];
    let first = Running::start_telling(&mut serve(&data, &more), told.into());
    let password = shown(&first).expect("the password is shown");
    assert_eq!(password.len(), 24);
    for repository in ["team/app", "alone", "nobody/knows"] {
        assert_eq!(pulls(&first.address, repository), "401", "{repository}");
    }
    first.signal(Signal::INT);
    assert!(first.wait().success());
    let log = fs::read_to_string(&log).expect("the log");
    assert!(log.contains("started") && !log.contains(&password));
    assert_eq!(holding(&data, &password), Vec::<String>::new());

    // The log of the metadata rules, whatever a start says.
    let again = Running::start(&mut serve(&data, &["--access"]));
    assert_eq!(shown(&again), None, "{:?}", again.greeting);
    again.signal(Signal::INT);
    assert!(again.wait().success());
    let off = Running::start(&mut serve(&data, &[]));
    assert_eq!(pulls(&off.address, "team/app"), "401");
}

#[test]
fn owner_of_the_machine_mends_a_password_and_switches_access() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let running = Running::start_telling(&mut serve(&data, &[]), Stdio::null());
    push(&running.address, "team/app");
    let status = at_machine(&data, &["access", "status"]);
    assert!(status.starts_with("rights are asked for: no\n"), "{status}");
    let on = at_machine(&data, &["access", "on"]);
    let first = on.lines().find_map(|line| line.strip_prefix(SHOWN_ONCE));
    let first = first.expect("the password is shown");
    assert_eq!(pulls(&running.address, "team/app"), "401");
    assert_eq!(
        at_machine(&data, &["access", "on"]),
        "rights are asked for already\n"
    );

    let reset = at_machine(&data, &["user", "reset", "admin"]);
    let second = reset.lines().find_map(|line| line.strip_prefix(SHOWN_ONCE));
    assert!(second.is_some_and(|second| second != first), "{reset}");
    let json = at_machine(&data, &["user", "reset", "ann", "--admin", "--json"]);
    assert!(
        json.contains(r#""is_made":true"#) && json.contains(r#""is_on":true"#),
        "{json}"
    );
    let unknown = run(holdfast(&["user", "reset", "bob"]).arg("--data").arg(&data));
    assert_eq!(unknown.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&unknown.stderr),
        "holdfast: there is no user `bob`\n"
    );

    let set = at_machine(&data, &["access", "set", "--auto-create-projects", "true"]);
    assert!(
        set.ends_with("a push makes the project that is missing: yes\n"),
        "{set}"
    );
    let careless = run(holdfast(&["access", "off"]).arg("--data").arg(&data));
    assert_eq!(careless.status.code(), Some(1));
    assert_eq!(pulls(&running.address, "team/app"), "401");
    let off = at_machine(&data, &["access", "off", "--yes"]);
    assert_eq!(off, "nobody's rights are asked for any more\n");
    assert_eq!(pulls(&running.address, "team/app"), "200");
}
