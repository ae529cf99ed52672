//! The commands that manage a registry, against a real server: everything that they say is done is done, and nothing that they
//! say is not allowed is.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::{Running, holdfast, read_all, serve};

const SHOWN_ONCE: &str = "the password of admin, shown this once: ";
const MIAS: &str = "planted password of mia";

/// A registry that asks for rights, and somebody's folder with credentials.
struct Site {
    running: Running,
    folder: tempfile::TempDir,
    admins: String,
}

impl Site {
    /// One where `admin` is signed in.
    fn new() -> Site {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let running = Running::start(&mut serve(&folder.path().join("data"), &["--access"]));
        let mut lines = running.greeting.iter();
        let admins = lines.find_map(|line| line.strip_prefix(SHOWN_ONCE));
        let admins = admins.expect("the password is shown").to_owned();
        let site = Site {
            running,
            folder,
            admins,
        };
        site.sign_in("admin", &site.admins);
        site
    }

    fn url(&self) -> String {
        format!("http://{}", self.running.address)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = holdfast(arguments);
        command.env("XDG_CONFIG_HOME", self.folder.path().join("config"));
        command
    }

    fn output(&self, arguments: &[&str], stdin: Option<&str>) -> Output {
        let mut command = self.command(arguments);
        if stdin.is_some() {
            command.stdin(Stdio::piped());
        }
        let mut child = command.spawn().expect("the program starts");
        if let Some(text) = stdin {
            let mut stdin = child.stdin.take().expect("it is piped");
            stdin.write_all(text.as_bytes()).expect("it reads");
        }
        child.wait_with_output().expect("it ends")
    }

    /// What a command that does its work prints.
    fn told(&self, arguments: &[&str]) -> String {
        self.told_when_given(arguments, None)
    }

    fn told_when_given(&self, arguments: &[&str], stdin: Option<&str>) -> String {
        let output = self.output(arguments, stdin);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).expect("text")
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        let text = self.told(&arguments);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
    }

    /// The exit code and the words of a command that refuses.
    fn refused(&self, arguments: &[&str], stdin: Option<&str>) -> (i32, String) {
        let output = self.output(arguments, stdin);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{arguments:?} did its work");
        (output.status.code().expect("it ends by itself"), errors)
    }

    fn sign_in(&self, user: &str, password: &str) {
        let login = ["login", &self.url(), "--user", user, "--password-stdin"];
        let told = self.told_when_given(&login, Some(password));
        assert!(told.starts_with("signed in to "), "{told}");
        assert!(!told.contains(password), "{told}");
    }

    /// The status that the registry answers with to a name and a secret.
    fn status(&self, path: &str, pair: &str) -> String {
        let pair = STANDARD.encode(pair);
        let mut stream = std::net::TcpStream::connect(&self.running.address).expect("it listens");
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Basic {pair}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("it reads");
        let answer = read_all(stream);
        answer.split(' ').nth(1).expect("a status").to_owned()
    }

    fn create_mia(&self) {
        let create = ["user", "create", "mia", "--password-stdin"];
        let told = self.told_when_given(&create, Some(MIAS));
        assert_eq!(told, "user mia was made\n");
    }
}

fn names(list: &Value) -> Vec<&str> {
    let list = list.as_array().expect("a list");
    list.iter()
        .map(|entry| entry["name"].as_str().expect("a name"))
        .collect()
}

#[test]
fn nobody_manages_a_registry_that_asks_for_no_rights() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = Running::start(&mut serve(&folder.path().join("data"), &[]));
    let url = format!("http://{}", running.address);
    for arguments in [
        &["user", "list"][..],
        &["project", "create", "team"],
        &["audit", "list"],
    ] {
        let mut command = holdfast(arguments);
        command.args(["--url", &url]).env("HOME", folder.path());
        let output = command.output().expect("the program starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(errors.contains("access.mode = \"on\""), "{errors}");
    }
}

#[test]
fn who_signs_in_is_kept_for_them_alone_and_forgotten() {
    let site = Site::new();
    let file = site.folder.path().join("config/holdfast/credentials.toml");
    let mode = fs::metadata(&file).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let login = ["login", &site.url(), "--user", "admin", "--password-stdin"];
    let (code, errors) = site.refused(&login, Some("planted wrong one"));
    assert_eq!(code, 1);
    assert!(
        errors.contains("the name or the secret is wrong"),
        "{errors}"
    );
    assert!(!errors.contains("planted"), "{errors}");
    assert!(names(&site.json(&["user", "list"])).contains(&"admin"));
    site.told(&["logout"]);
    let (_, errors) = site.refused(&["user", "list"], None);
    assert!(errors.contains("holdfast login"), "{errors}");
    let list = ["user", "list", "--url", &site.url()];
    let (_, errors) = site.refused(&list, None);
    assert!(errors.contains("sign in first"), "{errors}");
}

#[test]
fn users_and_groups_come_change_and_go() {
    let site = Site::new();
    site.create_mia();
    let me = format!("mia:{MIAS}");
    assert_eq!(site.status("/v2/", &me), "200");
    site.told(&["user", "change", "mia", "--email", "mia@example.com"]);
    let shown = site.json(&["user", "show", "mia"]);
    assert_eq!(shown["email"], "mia@example.com");
    let table = site.told(&["user", "list"]);
    assert!(table.contains("mia@example.com"), "{table}");

    site.told(&["group", "create", "devs"]);
    site.told(&["group", "create", "devs"]);
    site.told(&["group", "add", "devs", "mia", "admin"]);
    let members = site.told(&["group", "members", "devs"]);
    assert!(
        members.contains("mia") && members.contains("admin"),
        "{members}"
    );
    site.told(&["group", "remove", "devs", "admin"]);
    assert_eq!(site.json(&["user", "show", "mia"])["groups"][0], "devs");

    site.told(&["user", "change", "mia", "--disable"]);
    assert_eq!(site.status("/v2/", &me), "401");
    site.told(&["user", "change", "mia", "--enable"]);
    assert_eq!(site.status("/v2/", &me), "200");
    let password = ["user", "password", "mia", "--password-stdin"];
    site.told_when_given(&password, Some("another password"));
    assert_eq!(site.status("/v2/", &me), "401");
    assert_eq!(site.status("/v2/", "mia:another password"), "200");
    site.told(&["user", "log-out", "mia"]);

    site.sign_in("mia", "another password");
    assert_eq!(site.json(&["user", "show"])["name"], "mia");
    let (code, errors) = site.refused(&["user", "list"], None);
    assert_eq!(code, 1);
    assert!(errors.contains("you may not do this"), "{errors}");
    site.sign_in("admin", &site.admins);
    site.told(&["group", "delete", "devs"]);
    site.told(&["user", "delete", "mia"]);
    assert_eq!(names(&site.json(&["user", "list"])), ["admin"]);
    assert_eq!(site.status("/v2/", "mia:another password"), "401");
}

#[test]
fn projects_have_members_robots_and_tokens() {
    let site = Site::new();
    site.create_mia();
    let create = ["project", "create", "team", "--visibility", "internal"];
    site.told(&create);
    site.told(&["project", "grant", "team", "mia", "--role", "maintainer"]);
    let members = site.told(&["project", "members", "team"]);
    assert!(
        members.contains("mia") && members.contains("maintainer"),
        "{members}"
    );
    site.told(&["project", "visibility", "team", "public"]);
    let shown = site.json(&["project", "show", "team"]);
    assert_eq!(shown["visibility"], "public");
    assert!(names(&site.json(&["project", "list"])).contains(&"team"));

    site.sign_in("mia", MIAS);
    let robot = |name, form| {
        let grant = ["--project", "team", "--grant", "team/*:pull,push"];
        let mut arguments = vec!["robot", "create", name];
        arguments.extend(grant);
        arguments.extend(["--output", form]);
        let told = site.told(&arguments);
        serde_json::from_str::<Value>(&told).expect("JSON")
    };
    let config = robot("ci", "docker-config");
    let auth = config["auths"][&site.running.address]["auth"].as_str();
    let auth = STANDARD.decode(auth.expect("a secret")).expect("base64");
    let auth = String::from_utf8(auth).expect("text");
    assert!(auth.starts_with("robot$team+ci:"), "{auth}");
    assert_eq!(site.status("/v2/", &auth), "200");
    let secret = robot("pull", "k8s-secret");
    assert_eq!(secret["kind"], "Secret");
    let inner = secret["data"][".dockerconfigjson"].as_str();
    let inner = STANDARD.decode(inner.expect("a config")).expect("base64");
    assert!(String::from_utf8_lossy(&inner).contains(&site.running.address));
    site.told(&["robot", "renew", "robot$team+ci"]);
    assert_eq!(site.status("/v2/", &auth), "401");
    let robots = site.json(&["robot", "list", "--project", "team"]);
    assert_eq!(names(&robots), ["robot$team+ci", "robot$team+pull"]);
    site.told(&["robot", "delete", "robot$team+pull"]);

    let token = site.json(&["token", "create", "laptop"]);
    let text = |field: &str| token[field].as_str().expect("text").to_owned();
    let with_token = format!("mia:{}", text("secret"));
    assert_eq!(site.status("/v2/", &with_token), "200");
    assert!(site.told(&["token", "list"]).contains("laptop"));
    site.sign_in("mia", &text("secret"));
    assert_eq!(site.json(&["user", "show"])["name"], "mia");
    site.sign_in("mia", MIAS);
    site.told(&["token", "delete", &text("id")]);
    assert_eq!(site.status("/v2/", &with_token), "401");

    let (_, errors) = site.refused(&["project", "delete", "team"], None);
    assert!(errors.contains("you may not do this"), "{errors}");
    site.sign_in("admin", &site.admins);
    site.told(&["project", "revoke", "team", "mia"]);
    site.told(&["project", "delete", "team"]);
    let (_, errors) = site.refused(&["project", "show", "team"], None);
    assert!(errors.contains("no such project"), "{errors}");
}

#[test]
fn the_audit_is_listed_exported_and_proved_whole() {
    let site = Site::new();
    for project in ["a", "b", "c"] {
        site.told(&["project", "create", project]);
    }
    site.create_mia();
    let list = site.json(&["audit", "list", "--action", "project.", "--limit", "2"]);
    let list = list.as_array().expect("a list");
    assert_eq!(list.len(), 2);
    assert_eq!(list[0]["target"], "c");
    assert_eq!(list[0]["by"], "admin");
    assert_eq!(list[0]["from"], "127.0.0.1");
    assert!(site.told(&["audit", "list"]).contains("project.create"));

    let whole = site.told(&["audit", "verify"]);
    assert!(whole.starts_with("whole: "), "{whole}");
    let mark = whole.lines().nth(1).expect("a second line");
    let mark = mark.strip_prefix("last: ").expect("the last record");
    site.told(&["project", "create", "d"]);
    site.told(&["audit", "verify", "--known", mark]);

    let export = site.told(&["audit", "export"]);
    assert!(!export.contains(MIAS) && !export.contains(&site.admins));
    let lines: Vec<&str> = export.lines().collect();
    let number = |line: &str| -> u64 {
        let record: Value = serde_json::from_str(line).expect("JSON");
        record["number"].as_u64().expect("a number")
    };
    assert_eq!(number(lines[lines.len() - 1]), 1);
    let verify = |text: &str| {
        let arguments = ["audit", "verify", "--file", "-"];
        site.refused(&arguments, Some(text)).1
    };
    site.told_when_given(&["audit", "verify", "--file", "-"], Some(&export));
    let removed = number(lines[2]);
    let text = export.replace(&format!("{}\n", lines[2]), "");
    let found = verify(&text);
    assert!(
        found.contains(&format!("record {removed} is missing")),
        "{found}"
    );
    let changed = export.replace(
        lines[2],
        &lines[2].replace("\"by\":\"admin\"", "\"by\":\"eve\""),
    );
    let found = verify(&changed);
    assert!(
        found.contains(&format!("record {removed} was changed")),
        "{found}"
    );
}

const FILE: &str = r#"
groups:
  - name: devs
    members: [mia]
projects:
  - name: team
    visibility: internal
    members:
      - {group: devs, role: developer}
    robots:
      - name: deploy
        grants: [{repositories: "team/*", rights: [pull]}]
"#;

#[test]
fn a_file_is_shown_applied_and_then_no_difference() {
    let site = Site::new();
    site.create_mia();
    let path = site.folder.path().join("team.yaml");
    fs::write(&path, FILE).expect("a file");
    let apply = |path: &Path, how: &str| {
        let path = path.to_str().expect("text");
        site.output(&["apply", "-f", path, how], None)
    };
    let shown = apply(&path, "--dry-run");
    assert_eq!(shown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&shown.stdout).contains("+ group devs"));
    site.refused(&["project", "show", "team"], None);

    let done = apply(&path, "--yes");
    let told = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{told}");
    assert!(told.contains("robot$team+deploy"), "{told}");
    assert_eq!(
        site.json(&["project", "show", "team"])["visibility"],
        "internal"
    );
    for how in ["--dry-run", "--yes"] {
        let again = apply(&path, how);
        assert_eq!(again.status.code(), Some(0), "{how}");
    }
    fs::write(&path, FILE.replace("developer", "guest")).expect("a file");
    assert_eq!(apply(&path, "--dry-run").status.code(), Some(2));
    assert!(apply(&path, "--yes").status.success());
    assert_eq!(apply(&path, "--dry-run").status.code(), Some(0));
}
