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
