//! What the commands print that do not serve.

use std::fs;

use crate::{complaints, holdfast, run};

fn printed(arguments: &[&str]) -> String {
    let output = run(&mut holdfast(arguments));
    assert_eq!(
        output.status.code(),
        Some(0),
        "{arguments:?}: {:?}",
        complaints(&output)
    );
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_version_tells_the_revision() {
    let version = printed(&["--version"]);
    let revision = version
        .trim_end()
        .strip_prefix(concat!(
            "holdfast ",
            env!("CARGO_PKG_VERSION"),
            " (revision "
        ))
        .and_then(|rest| rest.strip_suffix(')'));
    let revision = revision.unwrap_or_else(|| panic!("{version}"));
    let is_commit = revision.len() == 12 && revision.chars().all(|c| c.is_ascii_hexdigit());
    assert!(is_commit || revision == "unknown", "{version}");
}

#[test]
fn what_is_in_effect_is_shown_with_its_source_and_without_secrets() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("holdfast.toml");
    fs::write(
        &file,
        "[storage.s3]\naccess_key_id = \"id\"\nsecret_access_key = \"hunter2\"\n",
    )
    .expect("write");
    let mut command = holdfast(&["config", "show", "--data", "elsewhere", "--config"]);
    let output = run(command.arg(&file).env("HOLDFAST_UPLOADS_GRACE", "2h"));
    let shown = String::from_utf8(output.stdout).expect("text");
    for line in [
        "data = \"elsewhere\"  # --data".to_owned(),
        "grace = \"2h\"  # HOLDFAST_UPLOADS_GRACE".to_owned(),
        format!("access_key_id = \"id\"  # {} line 2", file.display()),
        format!("# secret_access_key is hidden  # {} line 3", file.display()),
        "part_size = \"8MiB\"  # default".to_owned(),
    ] {
        assert!(
            shown.lines().any(|shown| shown == line),
            "{line}\nis not in\n{shown}"
        );
    }
    assert!(!shown.contains("hunter2"));
}

#[test]
fn a_right_configuration_is_called_right_and_a_wrong_one_is_not() {
    assert_eq!(
        printed(&["config", "check"]),
        "the configuration is right\n"
    );
    let output = run(&mut holdfast(&[
        "config",
        "check",
        "--listen",
        "localhost:5000",
    ]));
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        complaints(&output),
        [
            "holdfast: server.listen = \"localhost:5000\" (--listen): has `localhost:5000`, which is no address such as 127.0.0.1:5000 or [::1]:5000"
        ]
    );
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(
            printed(&["completions", shell]).contains("storage"),
            "{shell}"
        );
    }
}

#[test]
fn a_folder_that_works_is_called_good() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().to_str().expect("text");
    let table = printed(&["storage", "check", "--data", data]);
    assert!(table.ends_with("\nall calls worked\n"), "{table}");
    assert!(
        table.contains("| put an object") && table.contains("| abort an upload"),
        "{table}"
    );
    assert!(
        !table.contains("FAILED") && !table.contains("not tried"),
        "{table}"
    );
}

#[test]
fn a_store_that_does_not_answer_is_told_with_what_to_look_at() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a free port")
        .local_addr()
        .expect("it listens");
    let mut command = holdfast(&["storage", "check"]);
    for (name, value) in [
        ("KIND", "s3"),
        ("S3_BUCKET", "b"),
        ("S3_ENDPOINT", &format!("http://{free}")),
        ("S3_ACCESS_KEY_ID", "id"),
        ("S3_SECRET_ACCESS_KEY", "hunter2"),
        ("S3_DEADLINE", "1s"),
    ] {
        command.env(format!("HOLDFAST_STORAGE_{name}"), value);
    }
    let output = run(&mut command);
    assert_eq!(output.status.code(), Some(1));
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &complaints(&output).join("\n");
    assert!(
        said.contains("| FAILED ")
            && said.contains("storage.s3.endpoint")
            && said.contains("1 did not work and 10 could not be tried"),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
}
