//! Docker against three nodes behind HAProxy where rights are asked for: users, robots and personal access tokens log in, push,
//! pull and log out; who may not is told why.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use clients::engines::docker;
use clients::{Bench, Image, Program, text};
use harness::cluster::Cluster;

const ADMIN_PASSWORD: &str = "planted-admin-password";
const ANNA_PASSWORD: &str = "planted-password-of-anna";

/// Three members that make the administrator by a file which only they read.
fn closed_cluster(folder: &Path) -> anyhow::Result<Cluster> {
    let file = folder.join("admin-password");
    let mut options = std::fs::OpenOptions::new();
    let mut written = options.write(true).create(true).mode(0o600).open(&file)?;
    std::io::Write::write_all(&mut written, ADMIN_PASSWORD.as_bytes())?;
    Cluster::with()
        .members(3)
        .env("HOLDFAST_ACCESS_MODE", "on")
        .env("HOLDFAST_ADMIN_PASSWORD_FILE", &text(&file))
        .start()
}

/// The command line of somebody who has logged in.
fn logged_in(bench: &Bench, user: &str, password: &str) -> anyhow::Result<Program> {
    let program = Program::holdfast()?.env("XDG_CONFIG_HOME", bench.path(user));
    let url = format!("http://{}", bench.address);
    program.run_with_input(
        &["login", &url, "--user", user, "--password-stdin"],
        password,
    )?;
    Ok(program)
}

/// The project `team` of which anna is a developer, the project `open` that everybody may pull from, and a robot of `team`.
/// Gives the robot's secret.
fn people(bench: &Bench) -> anyhow::Result<String> {
    let admin = logged_in(bench, "admin", ADMIN_PASSWORD)?;
    admin.run_with_input(
        &["user", "create", "anna", "--password-stdin"],
        ANNA_PASSWORD,
    )?;
    admin.run(&["project", "create", "team"])?;
    admin.run(&["project", "create", "open", "--visibility", "public"])?;
    for project in ["team", "open"] {
        admin.run(&["project", "grant", project, "anna", "--role", "developer"])?;
    }
    let robot = ["robot", "create", "ci", "--project", "team", "--json"];
    let made = admin.run(&[&robot[..], &["--grant", "team/*:pull,push"]].concat())?;
    secret_in(&made)
}

fn secret_in(made: &str) -> anyhow::Result<String> {
    let made: serde_json::Value = serde_json::from_str(made)?;
    Ok(made["secret"].as_str().unwrap_or_default().to_owned())
}

/// Has the engine know a small image under `name`.
fn load(bench: &Bench, docker: &Program, name: &str) -> anyhow::Result<()> {
    let folder = bench.path(&name.replace(['/', ':'], "-"));
    std::fs::create_dir(&folder)?;
    let image = Image::fresh(&folder, 2, 1 << 20)?;
    let archive = text(&folder.join("archive.tar"));
    let to = format!("docker-archive:{archive}:{name}");
    Program::debian("skopeo")?.run(&["copy", &image.reference(), &to])?;
    docker.run(&["load", "-q", "-i", &archive])?;
    Ok(())
}

#[tokio::test]
async fn docker_logs_in_as_a_user_a_robot_and_by_a_token_and_is_denied_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = closed_cluster(folder.path()).unwrap();
    let bench = Bench::of(cluster.address(), Box::new(())).unwrap();
    let robot_secret = people(&bench).unwrap();
    let anna = logged_in(&bench, "anna", ANNA_PASSWORD).unwrap();
    let token = anna.run(&["token", "create", "laptop", "--json"]).unwrap();
    let token = secret_in(&token).unwrap();
    let (_engine, docker) = docker(bench.folder()).unwrap();
    let [private, open, missing] =
        ["team/app:v1", "open/app:v1", "missing/app:v1"].map(|name| bench.image(name));

    load(&bench, &docker, &private).unwrap();
    docker.run(&["tag", &private, &open]).unwrap();
    docker.run(&["tag", &private, &missing]).unwrap();
    for (user, secret) in [
        ("anna", ANNA_PASSWORD),
        ("robot$team+ci", robot_secret.as_str()),
        ("anna", token.as_str()),
    ] {
        let login = ["login", "-u", user, "-p", secret, bench.address.as_str()];
        docker.run(&login).unwrap();
        docker.run(&["push", &private]).unwrap();
        // By a tag docker asks the registry, whatever it has itself.
        docker.run(&["pull", "-q", &private]).unwrap();
        docker.run(&["logout", &bench.address]).unwrap();
        docker.complains(&["pull", "-q", &private]).unwrap();
    }

    let wrong = [
        "login",
        "-u",
        "anna",
        "-p",
        "not-her-password",
        &bench.address,
    ];
    docker.complains(&wrong).unwrap();
    let login = ["login", "-u", "anna", "-p", ANNA_PASSWORD, &bench.address];
    docker.run(&login).unwrap();
    docker.run(&["push", &open]).unwrap();
    let why = docker.complains(&["push", &missing]).unwrap();
    assert!(why.contains("denied"), "{why}");
    assert!(why.contains("holdfast project create missing"), "{why}");
    docker.run(&["logout", &bench.address]).unwrap();

    // Nobody in particular.
    docker
        .run(&["rmi", "--force", &open, &private, &missing])
        .unwrap();
    docker.run(&["pull", "-q", &open]).unwrap();
    docker.complains(&["pull", "-q", &private]).unwrap();
    docker.complains(&["push", &open]).unwrap();
    cluster.passed();
}
