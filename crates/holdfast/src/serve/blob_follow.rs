//! Every node follows the log as the blobs move: it opens the new store beside the old one, writes there when all have it
//! open, leaves the old one when the log has switched, and says each time that it has done so. The node that leads moves them.
//!
//! A step is confirmed only once nobody in this process works by the step before it. It must never go back, and never write
//! before it has heard from the log where blobs are.

use std::sync::Arc;
use std::time::Duration;

use cluster::Cluster;
use metadata::{ClusterView, Command, STORAGE_PROBLEM_BYTES_MAX};
use ports::{BlobStore, MetadataStore};
use registry::{MoveBegin, marks};

use super::blob_move::{BlobMove, Work, check, propose, view};
use super::blob_place::remind;
use crate::s3_place::S3Place;

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// While blobs move.
const LOOK_OFTEN: Duration = Duration::from_millis(100);

/// How far this node has followed.
#[derive(Default)]
pub(super) struct Followed {
    /// How often the blobs had been moved.
    pub(super) generation: u64,
    /// The store that they go to, and what the log calls it.
    pub(super) new: Option<(String, Arc<dyn BlobStore>)>,
    /// Whether what goes with a switch is done, too.
    is_settled_in: bool,
    /// The last step that the log knows this node to have taken.
    confirmed: u64,
    /// What the log knows of why it cannot.
    complained: Option<(u64, String)>,
}

impl BlobMove {
    /// Follows `log` until the node stops. Comes before anybody uses a blob: returns when it has heard once, or cannot.
    pub async fn follow(&self, cluster: &Cluster, log: Arc<dyn MetadataStore>) {
        self.shared.store.set_known(false);
        self.shared.followed.lock().await.is_settled_in = true;
        let moves = self.clone();
        cluster.show_move(move || moves.progress().filter(|_| moves.is_at_work()));
        let is_moving = self.look(cluster, &log).await;
        let (moves, cluster) = (self.clone(), cluster.clone());
        let follower = tokio::spawn(async move {
            let mut is_moving = is_moving;
            loop {
                let pause = if is_moving { LOOK_OFTEN } else { LOOK_EVERY };
                tokio::select! {
                    () = moves.shared.stop.cancelled() => return,
                    () = moves.shared.hurry.notified() => {}
                    () = tokio::time::sleep(pause) => {}
                }
                tokio::select! {
                    () = moves.shared.stop.cancelled() => return,
                    now = moves.look(&cluster, &log) => is_moving = now,
                }
            }
        });
        *self.shared.follower.lock() = Some(follower);
    }

    /// Takes the steps that are due; tells whether blobs move.
    async fn look(&self, cluster: &Cluster, log: &Arc<dyn MetadataStore>) -> bool {
        let view = match view(&**log).await {
            Ok(view) => view,
            Err(failure) => {
                tracing::debug!(failure, "it is not known now where the blobs are");
                return false;
            }
        };
        let row = &view.storage;
        let mut followed = self.shared.followed.lock().await;
        let taken = self.take(&mut followed, &view).await;
        let problem = taken.clone().err();
        let before = std::mem::replace(&mut *self.shared.problem.lock(), problem.clone());
        if let Some(problem) = problem.filter(|problem| before.as_ref() != Some(problem)) {
            tracing::warn!(
                problem,
                "this node cannot follow the log to where the blobs are; it is tried again"
            );
        }
        if taken.is_ok() {
            self.shared.store.set_known(true);
        }
        if !followed.is_settled_in {
            match cluster.blobs_moved().await {
                Ok(()) => followed.is_settled_in = true,
                Err(failure) => tracing::debug!(%failure, "the new store does not answer"),
            }
        }
        let is_moving = row.moving_to.is_some();
        if is_moving && cluster.check_alone().is_err() {
            self.say(&mut followed, cluster, &**log, row.step, taken)
                .await;
        }
        self.lead(&followed, &view);
        is_moving || !followed.is_settled_in
    }

    /// Does as the log says.
    async fn take(&self, followed: &mut Followed, view: &ClusterView) -> Result<(), String> {
        let (row, store) = (&view.storage, &self.shared.store);
        if row.generation > followed.generation {
            self.switch(followed, view).await?;
        }
        if row.generation < followed.generation {
            // It was started with the new store when only the entry was missing.
            return Ok(());
        }
        match (&row.moving_to, &followed.new) {
            (Some(to), Some((known, _))) if to == known => {}
            (None, None) => {}
            (None, Some(_)) => {
                store.drop_new();
                followed.new = None;
            }
            (Some(to), _) => {
                store.drop_new();
                followed.new = None;
                let place: S3Place = to.parse()?;
                let new = self.open(&place).await?;
                if !row.writes_to_new {
                    check(&*new, &place).await?;
                }
                let from = store.describe_present();
                tracing::info!(%from, to = %place, "the blobs move: both stores are open");
                *self.shared.from.lock() = Some(from);
                store.open_new(Arc::clone(&new));
                followed.new = Some((to.clone(), new));
            }
        }
        if row.writes_to_new {
            store.fill_new();
        }
        Ok(())
    }

    /// The log has switched.
    async fn switch(&self, followed: &mut Followed, view: &ClusterView) -> Result<(), String> {
        let (row, store) = (&view.storage, &self.shared.store);
        let (Some(cluster), Some(place)) = (view.cluster, &row.place) else {
            return Err("the log does not say where the blobs are".to_owned());
        };
        let named: S3Place = place.parse()?;
        match &followed.new {
            Some((to, _)) if to == place && row.generation == followed.generation + 1 => {
                store.close_old();
            }
            _ => {
                let new = self.open(&named).await?;
                let marks = marks(&*new, cluster).await.map_err(|f| f.to_string())?;
                if !marks.is_here(row.generation) {
                    return Err(format!("{named} is not where the blobs are"));
                }
                store.replace(new);
            }
        }
        followed.new = None;
        followed.generation = row.generation;
        followed.is_settled_in = false;
        remind(&named);
        Ok(())
    }

    /// Tells the log that this node has taken the step, or why it cannot.
    async fn say(
        &self,
        followed: &mut Followed,
        cluster: &Cluster,
        log: &dyn MetadataStore,
        step: u64,
        taken: Result<(), String>,
    ) {
        let problem = taken.err().map(|problem| shortened(&problem));
        let is_known = match &problem {
            None => followed.confirmed == step || !self.shared.store.earlier_writers_ended(),
            Some(problem) => followed
                .complained
                .as_ref()
                .is_some_and(|(at, said)| *at == step && said == problem),
        };
        if is_known {
            return;
        }
        let command = Command::ConfirmStorage {
            node: cluster.node(),
            step,
            problem: problem.clone(),
        };
        match (propose(log, command).await, problem) {
            (Ok(()), None) => followed.confirmed = step,
            (Ok(()), Some(problem)) => {
                followed.complained = Some((step, problem));
            }
            (Err(failure), _) => tracing::debug!(failure, "a step is not confirmed yet"),
        }
    }

    /// The node that leads works, and no other.
    fn lead(&self, followed: &Followed, view: &ClusterView) {
        let (shared, row) = (&self.shared, &view.storage);
        let is_due = row.moving_to.is_some() && shared.registry.health().leader;
        let mut work = shared.work.lock();
        // What has switched is shown until the next move begins.
        let is_over = |work: &mut Work| match is_due {
            true => work.task.is_finished() || row.moving_to.as_deref() != Some(&*work.to),
            false => !work.watch.status().switched,
        };
        if let Some(over) = work.take_if(is_over) {
            over.stop.cancel();
        }
        let Some((to, new)) = followed.new.as_ref().filter(|_| is_due && work.is_none()) else {
            return;
        };
        let begin = MoveBegin {
            registry: shared.registry.clone(),
            store: shared.store.clone(),
            new: Arc::clone(new),
            to: to.clone(),
            uploads_idle_max: Duration::ZERO,
        };
        match begin.resume(view) {
            Ok(mover) => {
                tracing::info!(to, "this node moves the blobs");
                let stop = shared.stop.child_token();
                *work = Some(Work {
                    to: to.clone(),
                    watch: mover.watch(),
                    stop: stop.clone(),
                    task: tokio::spawn(async move {
                        mover.run(stop).await;
                    }),
                });
            }
            Err(error) => tracing::warn!(%error, "the blobs cannot be moved"),
        }
    }
}

/// As much of a problem as the log takes.
fn shortened(problem: &str) -> String {
    let mut text: String = problem
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let mut end = text.len().min(STORAGE_PROBLEM_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problem_is_cut_to_what_the_log_takes() {
        assert_eq!(shortened("no\ncredentials"), "no credentials");
        let long = "ü".repeat(STORAGE_PROBLEM_BYTES_MAX);
        assert!(shortened(&format!("x{long}")).len() <= STORAGE_PROBLEM_BYTES_MAX);
    }
}
