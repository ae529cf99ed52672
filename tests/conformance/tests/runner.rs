//! The official conformance runner against `serve` with its defaults, and against three members and a gateway through HAProxy,
//! every request to another node; judged by its JUnit file.
//!
//! Nothing may fail, and nothing may be skipped: a registry that answers "unsupported" skips tests and looks well.
//! Source: distribution-spec, `conformance/README.md`.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use harness::{Cluster, HoldfastServer, tools};

/// Names the runner's program where Go cannot install it.
const RUNNER: &str = "HOLDFAST_CONFORMANCE_RUNNER";

/// What the development version of the specification adds, all of it on.
const EVERYTHING: &[&str] = &[
    "OCI_API_BLOBS_ATOMIC",
    "OCI_API_BLOBS_DIGEST_HEADER",
    "OCI_API_BLOBS_UPLOAD_CANCEL",
    "OCI_API_MANIFESTS_ATOMIC",
    "OCI_API_MANIFESTS_DIGEST_HEADER",
    "OCI_API_MANIFESTS_TAG_PARAM",
    "OCI_API_TAGS_ATOMIC",
    "OCI_DATA_SPARSE",
];

/// A version of the specification, and how it is tested.
struct Version {
    name: &'static str,
    switches: &'static [&'static str],
    /// Fewer would be a run in which something was left out.
    tests_min: u32,
}

const STABLE: Version = Version {
    name: "stable",
    switches: &[],
    tests_min: 850,
};

const DEVELOPMENT: Version = Version {
    name: "dev",
    switches: EVERYTHING,
    tests_min: 1030,
};

#[test]
fn published_specification_is_met() {
    let server = HoldfastServer::start().unwrap();
    judge(server.address(), &STABLE).unwrap();
}

#[test]
fn development_specification_is_met_with_everything_on() {
    let server = HoldfastServer::start().unwrap();
    judge(server.address(), &DEVELOPMENT).unwrap();
}

#[test]
fn both_are_met_through_a_cluster() {
    let cluster = Cluster::with().members(3).gateways(1).start().unwrap();
    judge(cluster.address(), &STABLE).unwrap();
    judge(cluster.address(), &DEVELOPMENT).unwrap();
    cluster.passed();
}

/// The totals of a run.
#[derive(Debug, PartialEq, Eq)]
struct Totals {
    tests: u32,
    failures: u32,
    errors: u32,
    skipped: u32,
}

fn judge(address: &str, version: &Version) -> anyhow::Result<()> {
    let results = tempfile::tempdir()?;
    let mut runner = Command::new(runner()?);
    runner
        .env("OCI_REGISTRY", address)
        .env("OCI_TLS", "disabled")
        .env("OCI_VERSION", version.name);
    runner
        .env("OCI_RESULTS_DIR", results.path())
        .envs(version.switches.iter().map(|switch| (switch, "true")));
    // It exits with 1 when a test failed; the file says which.
    let output = runner
        .current_dir(results.path())
        .stdin(Stdio::null())
        .output()?;
    let junit = std::fs::read_to_string(results.path().join("junit.xml")).with_context(|| {
        format!(
            "the runner wrote no results; it said:\n{}",
            String::from_utf8_lossy(&output.stderr)
        )
    })?;
    let (totals, failed) = read(&junit)?;
    println!("conformance, {}: {totals:?}", version.name);
    ensure!(
        totals.failures + totals.errors + totals.skipped == 0,
        "{totals:?}\n{}",
        failed.join("\n")
    );
    ensure!(
        totals.tests >= version.tests_min,
        "only {} tests ran, {} are there",
        totals.tests,
        version.tests_min
    );
    Ok(())
}

fn runner() -> anyhow::Result<PathBuf> {
    std::env::var_os(RUNNER).map_or_else(|| tools::find("conformance"), |path| Ok(path.into()))
}

/// The totals of a JUnit file, and a line for each test that did not pass.
fn read(junit: &str) -> anyhow::Result<(Totals, Vec<String>)> {
    let document = roxmltree::Document::parse(junit)?;
    let mut totals = Totals {
        tests: 0,
        failures: 0,
        errors: 0,
        skipped: 0,
    };
    for suite in document
        .descendants()
        .filter(|node| node.has_tag_name("testsuite"))
    {
        let number = |name: &str, absent: Option<&'static str>| -> anyhow::Result<u32> {
            let text = suite.attribute(name).or(absent);
            let text = text.with_context(|| format!("a testsuite without `{name}`"))?;
            text.parse()
                .with_context(|| format!("`{name}` is no number"))
        };
        totals.tests += number("tests", None)?;
        totals.failures += number("failures", None)?;
        totals.errors += number("errors", None)?;
        // The runner leaves this one out when it is zero.
        totals.skipped += number("skipped", Some("0"))?;
    }
    let mut failed = Vec::new();
    for case in document
        .descendants()
        .filter(|node| node.has_tag_name("testcase"))
    {
        let status = case.attribute("status").unwrap_or_default();
        if ["failure", "error", "skipped"].contains(&status) {
            let why: String = case
                .descendants()
                .filter(|node| node.is_text())
                .filter_map(|node| node.text())
                .collect();
            failed.push(format!(
                "{status}: {}: {}",
                case.attribute("name").unwrap_or_default(),
                why.trim()
            ));
        }
    }
    Ok((totals, failed))
}

#[test]
fn totals_and_failures_are_read_from_the_file() {
    let junit = r#"<testsuites><testsuite tests="3" failures="1" errors="0" skipped="1">
        <testcase name="a" status="passed"/>
        <testcase name="b" status="failure"><system-out>not 201 </system-out></testcase>
        <testcase name="c" status="skipped"><system-out>unsupported</system-out></testcase>
        </testsuite></testsuites>"#;
    let (totals, failed) = read(junit).unwrap();
    assert_eq!(
        totals,
        Totals {
            tests: 3,
            failures: 1,
            errors: 0,
            skipped: 1
        }
    );
    assert_eq!(failed, ["failure: b: not 201", "skipped: c: unsupported"]);
    assert!(
        read("<testsuites><testsuite tests=\"3\"/></testsuites>").is_err(),
        "absent numbers are no zeros"
    );
}
