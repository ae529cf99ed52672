//! The leader of a cluster keeps the copy of the log beside the blobs, and watches for a cluster that has taken this one's
//! place (rules 6.2 and 6.3).
//!
//! A member that has become the leader, or whose blobs went to another store, first asks the store whether there is a successor;
//! then it copies. While the store
//! does not answer, both are tried again, writes go on, and the lag is shown. Nothing is kept that another leader would miss.

use std::sync::Weak;
use std::time::Duration;

use log_copy::{Copier, CopySettings};
use metadata_raft::Member;
use parking_lot::Mutex;
use ports::BlobFailure;
use tokio::time::Instant;
use wire::nodes::LogCopyStatus;

use crate::node::{Cluster, Shared};

const LOOK_EVERY: Duration = Duration::from_millis(200);
/// After a failure.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Entries wait so long for others to share their segment.
const GATHERED_FOR: Duration = Duration::from_secs(2);
/// So many entries wait for no others.
const GATHERED_ENTRIES: u64 = 2_000;
/// A failure that goes on is told so often.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// Nothing is collected while the copy lacks more than this. What is due was forgotten an hour ago, when the longest read of
/// it may have begun, so that the copy has forgotten it too.
const COLLECT_LAG_MAX: Duration = Duration::from_secs(30 * 60);

/// How far the copy of this leader is; nothing on other nodes.
#[derive(Default)]
pub(crate) struct Progress(Mutex<Option<Reached>>);

#[derive(Default, Clone)]
struct Reached {
    /// The last entry of the copy, once that is known.
    index: Option<u64>,
    /// An entry that the copy lacks, and since when.
    lacks: Option<(u64, Instant)>,
    problem: Option<String>,
}

impl Reached {
    fn note(&mut self, applied: u64, index: Option<u64>) {
        self.index = index;
        let has = |wanted: u64| index.is_some_and(|index| index >= wanted);
        if has(applied) {
            self.lacks = None;
        } else if self.lacks.is_none_or(|(lacking, _)| has(lacking)) {
            self.lacks = Some((applied, Instant::now()));
        }
    }

    fn lag(&self) -> Duration {
        self.lacks
            .map_or(Duration::ZERO, |(_, since)| since.elapsed())
    }
}

impl Progress {
    fn reset(&self) {
        *self.0.lock() = None;
        log_copy::show(None);
    }

    fn change(&self, change: impl FnOnce(&mut Reached)) -> Reached {
        let mut reached = self.0.lock();
        let reached = reached.get_or_insert_default();
        change(reached);
        reached.clone()
    }

    /// For other nodes and people.
    pub(crate) fn status(&self, applied: u64) -> Option<LogCopyStatus> {
        let reached = self.0.lock().clone()?;
        let index = reached.index.unwrap_or(0);
        Some(LogCopyStatus {
            index,
            lag_entries: applied.saturating_sub(index),
            lag_ms: u64::try_from(reached.lag().as_millis()).unwrap_or(u64::MAX),
            problem: reached.problem,
        })
    }

    fn has_all_before(&self, lag: Duration) -> bool {
        let reached = self.0.lock();
        reached
            .as_ref()
            .is_some_and(|reached| reached.index.is_some() && reached.lag() < lag)
    }
}

/// The copying of one term, into one store.
struct Copying {
    term: u64,
    /// How often the blobs had gone to another store.
    blob_moves: u64,
    /// Whether the store said whether there is a successor.
    asked: bool,
    copier: Option<Copier>,
    /// Whether the last step was one.
    more: bool,
    said: Option<Instant>,
}

/// Copies as long as the node lives.
pub(crate) async fn serve(shared: Weak<Shared>) {
    let mut copying: Option<Copying> = None;
    while let Some(shared) = shared.upgrade() {
        let pause = pass(&shared, &mut copying).await;
        drop(shared);
        tokio::time::sleep(pause).await;
    }
}

async fn pass(shared: &Shared, copying: &mut Option<Copying>) -> Duration {
    let Some(member) = shared.member().filter(|member| member.leads()) else {
        if copying.take().is_some() {
            shared.copy().reset();
        }
        return LOOK_EVERY;
    };
    let term = member.group().term;
    let blob_moves = shared.blob_moves();
    let is_same = |copying: &Copying| copying.term == term && copying.blob_moves == blob_moves;
    if !copying.as_ref().is_some_and(is_same) {
        shared.copy().reset();
        *copying = None;
    }
    let copying = copying.get_or_insert_with(|| Copying {
        term,
        blob_moves,
        asked: false,
        copier: None,
        more: true,
        said: None,
    });
    match copying.step(shared, member).await {
        Ok(pause) => pause,
        Err(problem) => {
            if copying.said.is_none_or(|at| at.elapsed() > SAY_EVERY) {
                copying.said = Some(Instant::now());
                tracing::warn!(
                    problem,
                    "the log is not copied beside the blobs now; it is tried again, and writes go on"
                );
            }
            shared
                .copy()
                .change(|reached| reached.problem = Some(problem));
            RETRY_AFTER
        }
    }
}

impl Copying {
    async fn step(&mut self, shared: &Shared, member: &Member) -> Result<Duration, String> {
        let applied = member.applied().map_or(0, |id| id.index);
        let known = self.copier.as_ref().and_then(Copier::reached);
        let reached = shared.copy().change(|reached| reached.note(applied, known));
        let index = reached.index.unwrap_or(0);
        let entries = applied.saturating_sub(index);
        log_copy::show(Some((index, entries, reached.lag())));
        if !self.asked {
            let asked = shared.has_successor().await;
            asked.map_err(|failure| failure.to_string())?;
            self.asked = true;
        }
        if let Some(why) = shared.succeeded() {
            let why = why.to_owned();
            shared.copy().change(|reached| reached.problem = Some(why));
            return Ok(RETRY_AFTER);
        }
        let due = self.more || entries >= GATHERED_ENTRIES || reached.lag() >= GATHERED_FOR;
        if !due {
            return Ok(LOOK_EVERY);
        }
        if self.copier.is_none() {
            let key = shared.signer().key();
            let key = key.ok_or("this member does not have the key of the cluster's secrets")?;
            let copier = Copier::new(shared.cluster(), (*key).clone(), CopySettings::default());
            self.copier = Some(copier);
        }
        let copier = self.copier.as_mut().expect("it was made above");
        let stepped = copier.step(member, shared.blobs()).await;
        self.more = stepped.map_err(|failure| failure.to_string())?;
        let known = copier.reached();
        let was = shared.copy().change(|reached| {
            reached.note(applied, known);
            reached.problem = None;
        });
        if self.said.take().is_some() {
            tracing::info!(
                index = was.index,
                "the log is copied beside the blobs again"
            );
        }
        Ok(match self.more {
            true => Duration::ZERO,
            false => LOOK_EVERY,
        })
    }
}

impl Shared {
    /// Whether another cluster has taken this one's place. Once one has, this member takes no more commands.
    pub(crate) async fn has_successor(&self) -> Result<bool, BlobFailure> {
        if self.succeeded().is_some() {
            return Ok(true);
        }
        let Some(by) = log_copy::successor(self.blobs(), self.cluster()).await? else {
            return Ok(false);
        };
        let why = format!(
            "cluster {by} was restored in the place of this one, {}: this one takes no more writes and deletes nothing; stop its nodes",
            self.cluster()
        );
        if self.succeed(&why) {
            tracing::error!("{why}");
        }
        if let Some(member) = self.member() {
            member.refuse_commands(&why);
        }
        Ok(true)
    }
}

impl Cluster {
    /// Whether objects may be deleted now: asked before each step of the collection. Never after another cluster has taken
    /// this one's place, nor while the copy of the log lacks what is to be deleted; a node that is alone has no copy.
    pub async fn may_collect(&self) -> bool {
        let shared = self.shared();
        if shared.member().is_none() || shared.credentials().is_none() {
            return true;
        }
        match shared.has_successor().await {
            Ok(true) => false,
            Ok(false) => {
                let may = shared.copy().has_all_before(COLLECT_LAG_MAX);
                if !may {
                    tracing::debug!("nothing is deleted: the copy of the log lacks too much");
                }
                may
            }
            Err(failure) => {
                tracing::debug!(%failure, "nothing is deleted: the store does not answer");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_lag_is_that_of_the_oldest_entry_that_is_missing() {
        let second = Duration::from_secs(1);
        let mut reached = Reached::default();
        reached.note(10, None);
        tokio::time::advance(second).await;
        reached.note(20, None);
        assert_eq!(reached.lag(), second);
        // What was missing came, and more is missing since.
        reached.note(20, Some(12));
        assert_eq!(reached.lag(), Duration::ZERO);
        tokio::time::advance(second).await;
        reached.note(20, Some(19));
        assert_eq!(reached.lag(), second);
        reached.note(20, Some(20));
        tokio::time::advance(second).await;
        assert_eq!(reached.lag(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_known_to_be_copied_is_not_collected() {
        let progress = Progress::default();
        assert!(!progress.has_all_before(COLLECT_LAG_MAX));
        assert_eq!(progress.status(5), None);
        progress.change(|reached| reached.note(5, None));
        assert!(!progress.has_all_before(COLLECT_LAG_MAX));
        progress.change(|reached| reached.note(7, Some(5)));
        assert!(progress.has_all_before(COLLECT_LAG_MAX));
        let status = progress.status(9).expect("it leads");
        assert_eq!((status.index, status.lag_entries), (5, 4));
        tokio::time::advance(COLLECT_LAG_MAX).await;
        assert!(!progress.has_all_before(COLLECT_LAG_MAX));
    }
}
