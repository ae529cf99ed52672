//! `cargo xtask test`: installs what the suites need, builds everything once, runs the suites and counts.
//!
//! The table of suites is here. A suite that could not run has failed: nothing is left out silently, and the only way to
//! leave one out is `--without`, which the last table shows.

mod build;
pub mod chaos;
pub mod cluster;
mod libtest;
mod long;
mod report;

use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;

use crate::check::{SELECTION, cargo};
use crate::install::{self, Cache, Need};
use build::{Built, TestBinary};
use libtest::Counts;
use report::{Line, Outcome, Report};

/// What `cargo xtask test` may be told.
#[derive(Args, Default)]
pub struct Options {
    /// Leaves a suite out; may be repeated.
    #[arg(long, value_name = "SUITE")]
    without: Vec<String>,
    /// Runs this suite alone; may be repeated.
    #[arg(long, value_name = "SUITE")]
    only: Vec<String>,
}

/// One suite: what it is called, where its tests are, what it needs, and when it has hung.
struct Suite {
    name: &'static str,
    tests: Tests,
    needs: &'static [Need],
    deadline_minutes: u64,
}

/// The suite that upgrades nodes: it needs a program of the earlier format, too.
const UPGRADING: &str = "cluster";

/// Where a suite's tests are.
enum Tests {
    /// Beside the code: every test binary that no other suite claims.
    Crates,
    /// The examples in the documentation.
    Docs,
    /// All test binaries of the package in this folder.
    Folder(&'static str),
}

const CONFORMANCE: Need = Need::GoProgram {
    name: "conformance",
    package: "github.com/opencontainers/distribution-spec/conformance",
    revision: "967efdc",
    // What the runner's own go.mod asks for.
    go: (1, 24),
    instead: "HOLDFAST_CONFORMANCE_RUNNER",
};

/// The S3-compatible server.
pub const GARAGE: Need = Need::CargoProgram {
    name: "garage",
    version: "2.5.0",
    features: "lmdb,bundled-libs",
};

const CLIENTS: Need = Need::Debian(&[
    "buildah",
    "ca-certificates",
    "containerd",
    "crun",
    "debootstrap",
    "docker.io",
    "podman",
    "runc",
    "skopeo",
    "umoci",
]);

const BALANCERS: Need = Need::Debian(&["haproxy", "nginx-light"]);

const HAPROXY: Need = Need::Debian(&["haproxy", "iproute2"]);

/// OpenLDAP's server, and what fills it.
const DIRECTORY: Need = Need::Debian(&["ldap-utils", "slapd"]);

/// An OpenID provider.
const PROVIDER: Need = Need::PythonProgram {
    name: "oidc-provider-mock",
    version: "0.3.4",
};

const REDIS: Need = Need::Debian(&["redis-sentinel", "redis-server"]);

const FAKETIME: Need = Need::Debian(&["libfaketime"]);

const SUITES: &[Suite] = &[
    Suite {
        name: "unit",
        tests: Tests::Crates,
        needs: &[],
        deadline_minutes: 15,
    },
    Suite {
        name: "docs",
        tests: Tests::Docs,
        needs: &[],
        deadline_minutes: 5,
    },
    Suite {
        name: "garage",
        tests: Tests::Folder("tests/storage"),
        needs: &[GARAGE],
        deadline_minutes: 10,
    },
    Suite {
        name: "redis",
        tests: Tests::Folder("tests/sessions"),
        needs: &[REDIS],
        deadline_minutes: 10,
    },
    Suite {
        name: "conformance",
        tests: Tests::Folder("tests/conformance"),
        needs: &[CONFORMANCE, GARAGE, HAPROXY],
        deadline_minutes: 10,
    },
    Suite {
        name: "clients",
        tests: Tests::Folder("tests/clients"),
        needs: &[CLIENTS],
        deadline_minutes: 15,
    },
    Suite {
        name: "replay",
        tests: Tests::Folder("tests/replay"),
        needs: &[],
        deadline_minutes: 5,
    },
    Suite {
        name: "balancers",
        tests: Tests::Folder("tests/balancers"),
        needs: &[BALANCERS],
        deadline_minutes: 5,
    },
    Suite {
        name: "logins",
        tests: Tests::Folder("tests/logins"),
        needs: &[DIRECTORY, PROVIDER],
        deadline_minutes: 5,
    },
    Suite {
        name: "up",
        tests: Tests::Folder("tests/up"),
        needs: &[GARAGE],
        deadline_minutes: 10,
    },
    Suite {
        name: "faults",
        tests: Tests::Folder("tests/faults"),
        needs: &[GARAGE],
        deadline_minutes: 20,
    },
    Suite {
        name: "sim",
        tests: Tests::Folder("tests/sim"),
        needs: &[],
        deadline_minutes: 10,
    },
    Suite {
        name: "fuzz",
        tests: Tests::Folder("tests/fuzz"),
        needs: &[],
        deadline_minutes: 10,
    },
    Suite {
        name: "cluster",
        tests: Tests::Folder("tests/cluster"),
        needs: &[GARAGE, HAPROXY, CLIENTS],
        deadline_minutes: 15,
    },
    Suite {
        name: "chaos",
        tests: Tests::Folder("tests/chaos"),
        needs: &[GARAGE, HAPROXY, CLIENTS, FAKETIME],
        deadline_minutes: 10,
    },
];

/// Runs the chosen suites and prints the table; any failure fails the command.
pub fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let chosen = choose(options)?;
    let cache = Cache::find()?;
    let needs: Vec<&Need> = chosen.iter().flat_map(|suite| suite.needs).collect();
    let unmet = install::all(&cache, &needs);
    let binaries = build_for(root, &chosen)?;
    let mut report = Report::default();
    for suite in SUITES {
        let line = if !chosen.iter().any(|other| other.name == suite.name) {
            Line::left_out(suite.name)
        } else if let Some((_, why)) = unmet.iter().find(|(need, _)| suite.needs.contains(need)) {
            Line::could_not_run(suite.name, why)
        } else {
            println!("\n== suite {} ==", suite.name);
            run_suite(root, suite, &binaries, &cache)
        };
        report.add(line);
    }
    report.write(&root.join("target/test-report.json"))?;
    report.print();
    if report.failed() {
        bail!("some suites failed")
    } else {
        Ok(())
    }
}

/// Builds what these suites run.
fn build_for(root: &Path, suites: &[&Suite]) -> anyhow::Result<Built> {
    let upgrades = suites.iter().any(|suite| suite.name == UPGRADING);
    let earlier_format = upgrades.then(|| build::earlier_format(root)).transpose()?;
    let mut built = build::all(root)?;
    built.earlier_format = earlier_format;
    Ok(built)
}

/// The suites that the options leave; a name that is no suite is an error that lists them.
fn choose(options: &Options) -> anyhow::Result<Vec<&'static Suite>> {
    for name in options.only.iter().chain(&options.without) {
        if !SUITES.iter().any(|suite| suite.name == name) {
            let names: Vec<_> = SUITES.iter().map(|suite| suite.name).collect();
            bail!(
                "no suite is called `{name}`; there are {}",
                names.join(", ")
            );
        }
    }
    let named = |names: &[String], suite: &Suite| names.iter().any(|name| name == suite.name);
    let wanted = |suite: &&Suite| {
        (options.only.is_empty() || named(&options.only, suite)) && !named(&options.without, suite)
    };
    Ok(SUITES.iter().filter(wanted).collect())
}

fn run_suite(root: &Path, suite: &Suite, binaries: &Built, cache: &Cache) -> Line {
    let start = Instant::now();
    let deadline = start + Duration::from_secs(suite.deadline_minutes * 60);
    let mut outcome = Outcome::default();
    for mut command in commands(root, suite, binaries) {
        cache.put_on_path(&mut command);
        outcome.add(run_one(&mut command, deadline));
    }
    if outcome.binaries == 0 {
        outcome.broken("the suite has no tests");
    }
    Line {
        name: suite.name,
        outcome,
        seconds: start.elapsed().as_secs_f64(),
        ran: true,
    }
}

/// The commands that together are the suite.
fn commands(root: &Path, suite: &Suite, binaries: &Built) -> Vec<Command> {
    if matches!(suite.tests, Tests::Docs) {
        let mut doc = cargo(root, &["test", "--quiet", "--doc"]);
        doc.args(SELECTION);
        return vec![doc];
    }
    let belonging = binaries
        .tests
        .iter()
        .filter(|binary| belongs(suite, binary));
    let mut commands: Vec<Command> = belonging.map(TestBinary::command).collect();
    for command in &mut commands {
        command.env("HOLDFAST_BIN", binaries.program("holdfast"));
        if let Some(earlier) = &binaries.earlier_format {
            command.env("HOLDFAST_EARLIER_FORMAT_BIN", earlier);
        }
    }
    commands
}

/// Whether the binary is one of the suite's. Each binary belongs to exactly one suite.
fn belongs(suite: &Suite, binary: &TestBinary) -> bool {
    match suite.tests {
        Tests::Docs => false,
        Tests::Folder(folder) => binary.folder == folder,
        Tests::Crates => {
            let claimed =
                |other: &Suite| !matches!(other.tests, Tests::Crates) && belongs(other, binary);
            !SUITES.iter().any(claimed)
        }
    }
}

/// Runs one test program, its output going through, and counts what it reports.
fn run_one(command: &mut Command, deadline: Instant) -> Result<Counts, String> {
    let shown = crate::run::shown(command);
    let (status, counts) =
        watch(command, deadline).map_err(|error| format!("{shown}: {error:#}"))?;
    match counts {
        // A program that dies without a last word has failed once, whatever it said before.
        None => Err(format!("{shown}: ended without a result ({status})")),
        Some(counts) if !status.success() && counts.failed == 0 => {
            Err(format!("{shown}: {status}"))
        }
        Some(counts) => Ok(counts),
    }
}

/// Passes the output on, line by line, and ends the program's whole process group at the deadline.
fn watch(command: &mut Command, deadline: Instant) -> anyhow::Result<(ExitStatus, Option<Counts>)> {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::os::unix::process::CommandExt as _;

    let mut child = command
        .stdout(std::process::Stdio::piped())
        .process_group(0)
        .spawn()
        .context("cannot start")?;
    let output = BufReader::new(child.stdout.take().context("standard output is piped")?);
    let (ended, end) = std::sync::mpsc::channel::<()>();
    let group = rustix::process::Pid::from_child(&child);
    let guard = std::thread::spawn(move || {
        let left = deadline.saturating_duration_since(Instant::now());
        let hung = end.recv_timeout(left) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
        if hung {
            // The child is not reaped before this thread is joined, so the group is still its own.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        hung
    });
    let mut counts: Option<Counts> = None;
    for line in output.lines() {
        let line = line.unwrap_or_default();
        let _ = writeln!(std::io::stdout(), "{line}");
        if let Some(more) = libtest::result_line(&line) {
            counts.get_or_insert_default().add(more);
        }
    }
    drop(ended);
    let hung = guard.join().unwrap_or(false);
    let status = child.wait()?;
    if hung {
        bail!("ran into the suite's deadline and was ended");
    }
    Ok((status, counts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_has_its_own_name() {
        let mut names: Vec<_> = SUITES.iter().map(|suite| suite.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SUITES.len());
    }

    #[test]
    fn unknown_suite_is_refused_with_the_names() {
        let options = Options {
            only: vec!["unti".into()],
            without: vec![],
        };
        let error = choose(&options)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(
            error.contains("`unti`") && error.contains("unit"),
            "{error}"
        );
    }

    #[test]
    fn only_and_without_choose() {
        let names = |only: &[&str], without: &[&str]| -> Vec<&str> {
            let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            let options = Options {
                only: owned(only),
                without: owned(without),
            };
            choose(&options)
                .unwrap()
                .iter()
                .map(|suite| suite.name)
                .collect()
        };
        assert_eq!(names(&["unit"], &[]), ["unit"]);
        assert_eq!(names(&["unit"], &["unit"]), [""; 0]);
        assert_eq!(names(&[], &["unit"]).len(), SUITES.len() - 1);
    }

    #[test]
    fn hung_program_is_ended_at_the_deadline_with_its_children() {
        let mut command = crate::run::command("sh", ["-c", "sleep 600 & sleep 600"]);
        let error = run_one(&mut command, Instant::now() + Duration::from_millis(200)).unwrap_err();
        assert!(error.contains("deadline"), "{error}");
    }

    #[test]
    fn program_without_a_result_has_failed() {
        let mut command = crate::run::command("sh", ["-c", "exit 0"]);
        let error = run_one(&mut command, Instant::now() + Duration::from_secs(60)).unwrap_err();
        assert!(error.contains("without a result"), "{error}");
    }
}
