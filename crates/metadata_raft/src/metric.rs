//! What a member counts and shows, beyond what every implementation of the port does. Labels are a few fixed words and the
//! ids of the group's nodes.
//!
//! Gauges are set by housekeeping, from what openraft tells; it must never wait for anybody.

use std::collections::BTreeSet;
use std::time::Duration;

use metadata::TableId;
use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use openraft::async_runtime::watch::WatchReceiver;
use openraft::{Instant, RaftMetrics, ServerState};
use ports::MetadataStore;
use ports::metadata_store::metric;

use crate::blocking::blocking;
use crate::member::Member;
use crate::types::{TypeConfig, vote_to_wire};

pub(crate) const FSYNC_SECONDS: &str = "holdfast_metadata_fsync_seconds";
pub(crate) const LOG_BYTES: &str = "holdfast_metadata_log_bytes_total";
pub(crate) const APPEND_BATCH: &str = "holdfast_metadata_append_batch_entries";
pub(crate) const APPLY_BATCH: &str = "holdfast_metadata_apply_batch_entries";
pub(crate) const APPLY_SECONDS: &str = "holdfast_metadata_apply_seconds";
pub(crate) const APPLIED_INDEX: &str = "holdfast_metadata_applied_index";
pub(crate) const DISK_FREE: &str = "holdfast_metadata_disk_free_bytes";
pub(crate) const SNAPSHOT_SECONDS: &str = "holdfast_metadata_snapshot_seconds";
const SNAPSHOT_BYTES: &str = "holdfast_metadata_snapshot_bytes";
const SNAPSHOTS: &str = "holdfast_metadata_snapshots_total";
const CONFIRMATIONS: &str = "holdfast_metadata_confirmations_total";
const CONFIRMATION_SECONDS: &str = "holdfast_metadata_confirmation_seconds";
const READS_PER_CONFIRMATION: &str = "holdfast_metadata_reads_per_confirmation";
const READS_BY_PEER: &str = "holdfast_metadata_reads_by_peer_total";
const TERM: &str = "holdfast_metadata_term";
const LEADER: &str = "holdfast_metadata_leader";
const IS_LEADER: &str = "holdfast_metadata_is_leader";
const LEADER_CHANGES: &str = "holdfast_metadata_leader_changes_total";
const ELECTIONS: &str = "holdfast_metadata_elections_started_total";
const LAST_LOG_INDEX: &str = "holdfast_metadata_last_log_index";
const COMMITTED_INDEX: &str = "holdfast_metadata_committed_index";
const SNAPSHOT_INDEX: &str = "holdfast_metadata_snapshot_index";
const PURGED_INDEX: &str = "holdfast_metadata_purged_index";
const VOTERS: &str = "holdfast_metadata_voters";
const LEARNERS: &str = "holdfast_metadata_learners";
const PEER_LAG: &str = "holdfast_metadata_peer_lag_entries";
const PEER_SILENCE: &str = "holdfast_metadata_peer_silence_seconds";
pub(crate) const CLOCK_OFFSET: &str = "holdfast_metadata_clock_offset_seconds";
pub(crate) const TIME_BEHIND: &str = "holdfast_metadata_time_behind_seconds";
pub(crate) const UPKEEP_SUSPENDED: &str = "holdfast_metadata_upkeep_suspended";
const UPLOADS_OPEN: &str = "holdfast_metadata_uploads_open";

/// How often open uploads are counted, and up to how many rows.
const UPLOADS_EVERY: Duration = Duration::from_secs(30);
const UPLOADS_COUNTED_MAX: usize = 1_000_000;

/// Tells the recorder what the metrics mean. Called once, after the recorder was installed.
pub fn describe() {
    describe_group();
    describe_log();
    describe_reads();
    describe_time();
}

fn describe_group() {
    describe_gauge!(TERM, "The term of the log");
    describe_gauge!(
        LEADER,
        "The id of the node that leads, as far as this one knows; 0 when it knows of none"
    );
    describe_gauge!(IS_LEADER, "1 on the member that leads, else 0");
    describe_counter!(
        LEADER_CHANGES,
        "How often this node has seen another one lead than before"
    );
    describe_counter!(ELECTIONS, "Elections that this node has started");
    describe_gauge!(VOTERS, "Nodes of the group that vote");
    describe_gauge!(LEARNERS, "Nodes of the group that learn");
    describe_gauge!(
        PEER_LAG,
        "On the leader, how many entries a `peer` does not have yet; NaN elsewhere"
    );
    describe_gauge!(
        PEER_SILENCE,
        Unit::Seconds,
        "On the leader, how long ago a `peer` last answered; NaN elsewhere, and before its first answer"
    );
}

fn describe_log() {
    describe_gauge!(LAST_LOG_INDEX, "The last entry of this member's log");
    describe_gauge!(
        COMMITTED_INDEX,
        "The last entry that this member knows to be committed"
    );
    describe_gauge!(APPLIED_INDEX, "The last entry that this member applied");
    describe_gauge!(SNAPSHOT_INDEX, "What the last snapshot covers");
    describe_gauge!(PURGED_INDEX, "The last entry that was purged from the log");
    describe_histogram!(
        FSYNC_SECONDS,
        Unit::Seconds,
        "How long the disk takes to make a write to the log durable"
    );
    describe_counter!(LOG_BYTES, Unit::Bytes, "Bytes written to the log");
    describe_histogram!(APPEND_BATCH, "Entries that one write to the log holds");
    describe_histogram!(APPLY_BATCH, "Entries that are applied together");
    describe_histogram!(APPLY_SECONDS, Unit::Seconds, "How long applying them takes");
    describe_gauge!(
        DISK_FREE,
        Unit::Bytes,
        "Free bytes of the disk that the log is on"
    );
    describe_counter!(
        SNAPSHOTS,
        "Snapshots by `kind`: `taken`, `received` from the leader or `sent` to a peer"
    );
    describe_gauge!(SNAPSHOT_BYTES, Unit::Bytes, "The size of the last snapshot");
    describe_histogram!(
        SNAPSHOT_SECONDS,
        Unit::Seconds,
        "How long taking a snapshot took"
    );
    describe_gauge!(
        UPLOADS_OPEN,
        "Uploads that were begun and have not ended; counted every 30 s"
    );
}

fn describe_time() {
    describe_gauge!(
        CLOCK_OFFSET,
        Unit::Seconds,
        "How far this member's clock is ahead of the median of the voters' clocks; beyond 5 s it is not believed. NaN while most of them are not known"
    );
    describe_gauge!(
        TIME_BEHIND,
        Unit::Seconds,
        "On the leader, how far the log's time is behind the clocks; NaN elsewhere"
    );
    describe_gauge!(
        UPKEEP_SUSPENDED,
        "1 for a day after a correction of the log's time, in which nothing is deleted that was queued before it; else 0"
    );
}

fn describe_reads() {
    describe_counter!(
        CONFIRMATIONS,
        "Attempts to have reads confirmed, by `outcome`: `confirmed` or `none`"
    );
    describe_histogram!(
        CONFIRMATION_SECONDS,
        Unit::Seconds,
        "How long a confirmation took"
    );
    describe_histogram!(
        READS_PER_CONFIRMATION,
        "How many reads shared one confirmation"
    );
    describe_counter!(
        READS_BY_PEER,
        "Reads that a peer answered because the leader could not be reached from here"
    );
}

pub(crate) fn confirmed(began: std::time::Instant, reads: usize) {
    counter!(CONFIRMATIONS, "outcome" => "confirmed").increment(1);
    histogram!(CONFIRMATION_SECONDS).record(began.elapsed());
    histogram!(READS_PER_CONFIRMATION).record(reads as f64);
}

pub(crate) fn not_confirmed() {
    counter!(CONFIRMATIONS, "outcome" => "none").increment(1);
}

pub(crate) fn read_by_peer() {
    counter!(READS_BY_PEER).increment(1);
}

pub(crate) fn snapshot(kind: &'static str) {
    counter!(SNAPSHOTS, "kind" => kind).increment(1);
}

pub(crate) fn snapshot_kept(bytes: u64) {
    gauge!(SNAPSHOT_BYTES).set(bytes as f64);
}

/// What was shown last, to find out what has changed.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    leader: Option<u64>,
    /// The last term in which this node asked for votes; `None` before the first look.
    own_term: Option<u64>,
    peers: BTreeSet<u64>,
    uploads_at: Option<std::time::Instant>,
}

impl Shown {
    /// Sets the gauges, and counts what has changed since the last time.
    pub(crate) fn show(&mut self, member: &Member) {
        metric::can_confirm(member.health().can_confirm);
        let metrics = member.raft.metrics();
        let metrics = metrics.borrow_watched();
        self.show_leader(&metrics);
        show_log(&metrics);
        self.show_peers(&metrics);
    }

    fn show_leader(&mut self, metrics: &RaftMetrics<TypeConfig>) {
        let leader = metrics.current_leader;
        if leader.is_some() && leader != self.leader {
            if self.leader.is_some() {
                counter!(LEADER_CHANGES).increment(1);
            }
            self.leader = leader;
        }
        let vote = vote_to_wire(&metrics.vote);
        let own_term = if vote.node == metrics.id {
            vote.term
        } else {
            self.own_term.unwrap_or_default()
        };
        if self.own_term.is_some_and(|before| own_term > before) {
            counter!(ELECTIONS).increment(1);
        }
        self.own_term = Some(own_term);
        let leads = metrics.state == ServerState::Leader;
        gauge!(TERM).set(metrics.current_term as f64);
        gauge!(LEADER).set(leader.unwrap_or_default() as f64);
        gauge!(IS_LEADER).set(if leads { 1.0 } else { 0.0 });
    }

    fn show_peers(&mut self, metrics: &RaftMetrics<TypeConfig>) {
        let membership = metrics.membership_config.membership();
        let voters = membership.voter_ids().count();
        gauge!(VOTERS).set(voters as f64);
        gauge!(LEARNERS).set(membership.nodes().count().saturating_sub(voters) as f64);
        let last = metrics.last_log_index.unwrap_or_default();
        let mut peers = BTreeSet::new();
        for (peer, matched) in metrics.replication.iter().flatten() {
            if *peer == metrics.id {
                continue;
            }
            peers.insert(*peer);
            let matched = matched.as_ref().map_or(0, |id| id.index);
            let answered = metrics.heartbeat.as_ref();
            let answered = answered.and_then(|answered| answered.get(peer).copied().flatten());
            let silence = answered.map_or(f64::NAN, |at| at.elapsed().as_secs_f64());
            set_peer(*peer, last.saturating_sub(matched) as f64, silence);
        }
        // A gauge cannot be taken back.
        for gone in self.peers.difference(&peers) {
            set_peer(*gone, f64::NAN, f64::NAN);
        }
        self.peers = peers;
    }

    /// Counts open uploads now and then, off the runtime's threads.
    pub(crate) fn count_uploads(&mut self, member: &Member) {
        if self
            .uploads_at
            .is_some_and(|at| at.elapsed() < UPLOADS_EVERY)
        {
            return;
        }
        self.uploads_at = Some(std::time::Instant::now());
        let view = member.tables.view();
        // Nobody waits for it: it ends by itself.
        drop(tokio::spawn(blocking(move || {
            let all = view.count(TableId::Upload, UPLOADS_COUNTED_MAX);
            let ended = view.count(TableId::FinishedUpload, UPLOADS_COUNTED_MAX);
            match (all, ended) {
                (Ok(all), Ok(ended)) => {
                    gauge!(UPLOADS_OPEN).set(all.saturating_sub(ended) as f64);
                }
                (Err(error), _) | (_, Err(error)) => {
                    tracing::warn!(%error, "open uploads cannot be counted");
                }
            }
        })));
    }
}

fn show_log(metrics: &RaftMetrics<TypeConfig>) {
    let index = |index: Option<u64>| index.unwrap_or_default() as f64;
    let committed = metrics.local_committed.as_ref().map(|id| id.index);
    gauge!(LAST_LOG_INDEX).set(index(metrics.last_log_index));
    gauge!(COMMITTED_INDEX).set(index(committed));
    gauge!(SNAPSHOT_INDEX).set(index(metrics.snapshot.map(|id| id.index)));
    gauge!(PURGED_INDEX).set(index(metrics.purged.map(|id| id.index)));
}

fn set_peer(peer: u64, lag: f64, silence: f64) {
    let peer = peer.to_string();
    gauge!(PEER_LAG, "peer" => peer.clone()).set(lag);
    gauge!(PEER_SILENCE, "peer" => peer).set(silence);
}
