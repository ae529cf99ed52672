//! Power failures: after the process's death everything that was not synced is taken from the disk, or a part of it. What was
//! acknowledged is there byte for byte, and a mutant that acknowledges before fsync shows that this would be noticed.
//!
//! The process is the one that ships, with `powerloss` loaded before it. It dies at a random moment, or right before one of its
//! writes or syncs, of those of its start, too.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use faults::Crew;
use faults::content::Dice;
use faults::crew::{Death, seed, times};
use harness::HoldfastServer;
use powerloss::{
    DIE_AFTER_VARIABLE, FORGETS_VARIABLE, JOURNAL_VARIABLE, ROOT_VARIABLE, Survives, lose_power,
};

const FAILURES: usize = 20;
/// Sets another number of power failures, for longer runs.
const FAILURES_VARIABLE: &str = "FAULTS_POWER_FAILURES";
/// With the mutant, each failure loses something: of so many runs one loses a push, and not only what was under way.
const RUNS_WITH_MUTANT: u64 = 10;
/// A server that dies by itself does so at one of its first changes of the disk.
const CHANGES_MAX: usize = 1_500;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_by_power_failures() {
    let seed = seed();
    let failures = times(FAILURES_VARIABLE, FAILURES);
    let mut run = Run::new(seed).unwrap();
    for failure in 0..failures {
        let checked = run.fail_and_check(failure).await;
        let told = || format!("seed {seed}, failure {failure}");
        checked.with_context(told).unwrap();
    }
    run.end()
        .await
        .with_context(|| format!("seed {seed}, at the end"))
        .unwrap();
    let (known, lost) = (run.crew.known(), run.lost);
    assert!(lost > 0, "no failure took anything: nothing was tried");
    println!("{failures} power failures took {lost} writes and names; {known} facts checked");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_acknowledges_before_fsync_loses_what_was_acknowledged() {
    let seed = seed();
    for attempt in 0..RUNS_WITH_MUTANT {
        let mut run = Run::new(seed + attempt).unwrap();
        // What was acknowledged before is durable, or the log would be gone whole, and nobody could be asked for anything.
        run.work(Death::Killed).await.unwrap();
        run.start(&[("HOLDFAST_MUTANT", "acknowledge_before_fsync")])
            .unwrap();
        run.crew.settle(&run.server.client()).await.unwrap();
        run.work(Death::Killed).await.unwrap();
        run.lose_power(0).unwrap();
        run.start(&[]).unwrap();
        let client = run.server.client();
        for lost in run.crew.complaints(&client).await {
            let lost = format!("{lost:#}");
            let lost = lost.lines().next().unwrap_or_default();
            println!("run {attempt} of {seed}: {lost}");
            if lost.contains("was acknowledged") {
                return;
            }
        }
    }
    panic!("nothing that was acknowledged was lost");
}

/// What the library does not see it cannot take back, and a test with it would prove less than it says.
#[tokio::test(flavor = "multi_thread")]
async fn every_byte_below_the_folder_is_written_through_the_library() {
    let mut run = Run::new(seed()).unwrap();
    run.work(Death::Killed).await.unwrap();
    lose_power(&run.root, &run.journal, Survives::Nothing).unwrap();
    let before = files(&run.root).unwrap();
    for _ in 0..3 {
        run.start(&[(FORGETS_VARIABLE, "1")]).unwrap();
        run.crew.settle(&run.server.client()).await.unwrap();
        run.work(Death::Killed).await.unwrap();
    }
    run.server.kill();
    let grown = files(&run.root).unwrap();
    assert_ne!(grown, before, "it wrote nothing");
    // With every name kept, what is left in a file is what was there, or was written past the library.
    lose_power(&run.root, &run.journal, Survives::Names).unwrap();
    let mut looked_at = 0;
    for (inode, (path, bytes)) in files(&run.root).unwrap() {
        let was = before.get(&inode).map_or(&[][..], |(_, bytes)| bytes);
        assert!(
            bytes == was,
            "{} has {} bytes in place of {}: something writes past the library",
            path.display(),
            bytes.len(),
            was.len()
        );
        looked_at += 1;
    }
    println!("{looked_at} files are as they were");
}

/// Each file below a folder, by its number.
fn files(folder: &Path) -> anyhow::Result<BTreeMap<u64, (PathBuf, Vec<u8>)>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let (path, kind) = entry.map(|entry| (entry.path(), entry.file_type()))?;
            let kind = kind?;
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                let inode = path.metadata()?.ino();
                found.insert(inode, (path.clone(), std::fs::read(path)?));
            }
        }
    }
    Ok(found)
}

struct Run {
    server: HoldfastServer,
    crew: Crew,
    dice: Dice,
    root: PathBuf,
    journal: PathBuf,
    environment: Vec<(&'static str, String)>,
    lost: usize,
    /// Whether the server dies by itself.
    death: Death,
    _folder: tempfile::TempDir,
}

impl Run {
    fn new(seed: u64) -> anyhow::Result<Run> {
        let mut dice = Dice::new(seed);
        let library = powerloss::library(&std::env::current_exe()?);
        let library = library.context("libpowerloss.so was not built")?;
        let folder = tempfile::tempdir()?;
        let (root, journal) = (folder.path().join("data"), folder.path().join("journal"));
        std::fs::create_dir(&root)?;
        let text = |path: &Path| path.display().to_string();
        let environment = vec![
            ("LD_PRELOAD", text(&library)),
            (ROOT_VARIABLE, text(&root)),
            (JOURNAL_VARIABLE, text(&journal)),
            ("HOLDFAST_METADATA_SNAPSHOT_AFTER", "1MiB".to_owned()),
            ("HOLDFAST_UPLOADS_PART_SIZE", "5MiB".to_owned()),
        ];
        let mut settings = HoldfastServer::with().data(&root);
        for (name, value) in &environment {
            settings = settings.env(name, value);
        }
        Ok(Run {
            server: settings.start()?,
            crew: Crew::new(&mut dice),
            dice,
            root,
            journal,
            environment,
            lost: 0,
            death: Death::Killed,
            _folder: folder,
        })
    }

    fn start(&mut self, more: &[(&str, &str)]) -> anyhow::Result<()> {
        let usual = self.environment.iter();
        let usual = usual.map(|(name, value)| (*name, value.as_str()));
        let environment: Vec<(&str, &str)> = usual.chain(more.iter().copied()).collect();
        self.server.restart_with_env(&environment)
    }

    async fn work(&mut self, death: Death) -> anyhow::Result<()> {
        self.crew
            .work(&mut self.server, &mut self.dice, death)
            .await
    }

    fn lose_power(&mut self, failure: usize) -> anyhow::Result<()> {
        let survives = match failure % 2 {
            0 => Survives::Nothing,
            _ => Survives::Some(self.dice.next()),
        };
        let taken = lose_power(&self.root, &self.journal, survives)?;
        self.lost += taken.writes + taken.names;
        Ok(())
    }

    /// Lets the server work until its power fails, and starts it again; half of the times it will die by itself.
    async fn fail_and_check(&mut self, failure: usize) -> anyhow::Result<()> {
        self.work(self.death).await?;
        self.lose_power(failure)?;
        self.death = Death::Killed;
        if self.dice.below(2) == 0 && self.start_to_die(failure).await? {
            self.death = Death::Its;
            return Ok(());
        }
        self.start_and_check().await
    }

    /// Starts a server that dies at one of its changes; gives whether it lives so far. It may die while it starts, or while
    /// it is asked what became of the operations that were under way.
    async fn start_to_die(&mut self, failure: usize) -> anyhow::Result<bool> {
        let changes = self.dice.below(CHANGES_MAX).to_string();
        let started = self.start(&[(DIE_AFTER_VARIABLE, &changes)]);
        let settled = match started {
            Ok(()) => self.crew.settle(&self.server.client()).await,
            Err(died) => Err(died),
        };
        let Err(problem) = settled else {
            return Ok(true);
        };
        let ended = self.server.process().wait(Duration::from_secs(5));
        let id = self.server.process().id();
        let state = || std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        ended.map_err(|lives| problem.context(lives).context(state()))?;
        self.lose_power(failure)?;
        Ok(false)
    }

    async fn start_and_check(&mut self) -> anyhow::Result<()> {
        self.start(&[])?;
        let client = self.server.client();
        self.crew.settle(&client).await?;
        self.crew.verify(&client).await
    }

    /// What the last of the failures left.
    async fn end(&mut self) -> anyhow::Result<()> {
        self.server.kill();
        self.lose_power(0)?;
        self.start_and_check().await
    }
}
