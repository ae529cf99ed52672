//! The rows of access: what it costs to know who asks and what they may, beside the same program that asks nobody.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::figure::Figure;
use crate::peers;
use crate::process::Server;
use crate::rows::{Bench, Goal, Row};

/// The administrator, whose password is hashed once and known then.
const USER: &str = "admin:correct horse battery";
/// Few tags, so that what is pushed before costs next to nothing.
const TAGS: &str = "8";
/// Reads of a run.
const READS: usize = 20_000;
/// The key that signs tokens comes soon after the first start.
const KEY_TIME_MAX: Duration = Duration::from_secs(20);
/// The most microseconds of processor for a token.
const TOKEN_COST_MAX: f64 = 300.0;

/// A read with a token that the node has seen, beside a read of a node that asks nobody.
pub fn seen(bench: &Bench) -> anyhow::Result<Row> {
    let (own, open) = reads(bench, "seen", 1)?;
    Ok(row(
        "a manifest read with a token seen before",
        own,
        open,
        10.0,
    ))
}

/// A read with a token that the node has not seen, beside a read of a node that asks nobody.
pub fn unseen(bench: &Bench) -> anyhow::Result<Row> {
    let (own, open) = reads(bench, "unseen", READS)?;
    Ok(row(
        "a manifest read with a token not seen before",
        own,
        open,
        200.0,
    ))
}

fn row(name: &'static str, holdfast: Figure, peer: Figure, more: f64) -> Row {
    let aside = format!("{:.1} µs more", holdfast.median() - peer.median());
    Row {
        name,
        unit: "µs of processor",
        holdfast,
        peer_name: "without access control",
        peer,
        aside,
        goal: Goal::AtMost(1.0, more),
    }
}

/// A token, but for the hash of a password.
pub fn issued(bench: &Bench) -> anyhow::Result<Row> {
    let server = Guarded::start(bench, "issued")?;
    let mut own = Figure::default();
    for _ in 0..bench.runs {
        let before = server.server.cpu_seconds()?;
        server.tokens(bench, READS)?;
        own.push((server.server.cpu_seconds()? - before) * 1e6 / READS as f64);
    }
    let mut bound = Figure::default();
    bound.push(TOKEN_COST_MAX);
    Ok(Row {
        name: "a token is issued",
        unit: "µs of processor",
        holdfast: own,
        peer_name: "the bound",
        peer: bound,
        aside: "to whoever has signed in before".to_owned(),
        goal: Goal::AtMost(1.0, 0.0),
    })
}

/// Microseconds of processor for a read, with `tokens` tokens in turn that are new in each run, and without access control.
fn reads(bench: &Bench, name: &str, tokens: usize) -> anyhow::Result<(Figure, Figure)> {
    let guarded = Guarded::start(bench, name)?;
    let open = peers::holdfast(&bench.binaries, &bench.folder(&format!("{name}-open")), &[])?;
    let (mut own, mut peer) = (Figure::default(), Figure::default());
    for _ in 0..bench.runs {
        let file = guarded.tokens(bench, tokens)?;
        let file = file
            .to_str()
            .context("the temporary folder's name is text")?;
        own.push(cost(
            bench,
            &guarded.server,
            &["--user", USER, "--tokens", file],
        )?);
        peer.push(cost(bench, &open, &[])?);
    }
    Ok((own, peer))
}

fn cost(bench: &Bench, server: &Server, shown: &[&str]) -> anyhow::Result<f64> {
    let count = READS.to_string();
    let mut arguments = vec![
        "manifest", "--tags", TAGS, "-c", "16", "-n", &count, "-d", "60s",
    ];
    arguments.extend(shown);
    let before = server.cpu_seconds()?;
    let report = bench.load(server, &arguments)?;
    anyhow::ensure!(report["failures"] == 0, "{report}");
    let done = report["operations"][0]["count"].as_f64();
    let done = done.context("the report has a count")?;
    Ok((server.cpu_seconds()? - before) * 1e6 / done)
}

/// A server that asks who is there.
struct Guarded {
    server: Server,
    tokens: PathBuf,
}

impl Guarded {
    fn start(bench: &Bench, name: &str) -> anyhow::Result<Guarded> {
        let (_, password) = USER.split_once(':').context("a name and a password")?;
        let file = bench.folder(&format!("{name}-password"));
        std::fs::write(&file, password)?;
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let settings = [
            setting("HOLDFAST_ACCESS_MODE", "on"),
            setting("HOLDFAST_ACCESS_AUTO_CREATE_PROJECTS", "true"),
            setting(
                "HOLDFAST_ACCESS_ADMIN_PASSWORD_FILE",
                &file.to_string_lossy(),
            ),
        ];
        let data = bench.folder(&format!("{name}-guarded"));
        let guarded = Guarded {
            server: peers::holdfast(&bench.binaries, &data, &settings)?,
            tokens: bench.folder(&format!("{name}-tokens")),
        };
        let deadline = Instant::now() + KEY_TIME_MAX;
        while let Err(error) = guarded.tokens(bench, 1) {
            anyhow::ensure!(Instant::now() < deadline, "no token is given: {error:#}");
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(guarded)
    }

    /// A file of tokens that were not shown yet.
    fn tokens(&self, bench: &Bench, count: usize) -> anyhow::Result<PathBuf> {
        let (file, count) = (self.tokens.to_string_lossy(), count.to_string());
        let arguments = [
            "token", "--user", USER, "--into", &file, "-c", "16", "-n", &count, "-d", "120s",
        ];
        let report = bench.load(&self.server, &arguments)?;
        anyhow::ensure!(report["failures"] == 0, "{report}");
        Ok(self.tokens.clone())
    }
}
