//! What every implementation of the metadata log counts, members and gateways alike. Never labelled with what clients
//! choose.

use std::time::Instant;

use metadata::Reply;
use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use super::{Answered, MetadataFailure};

const READS: &str = "holdfast_metadata_reads_total";
const READ_SECONDS: &str = "holdfast_metadata_read_seconds";
const PROPOSALS: &str = "holdfast_metadata_proposals_total";
const PROPOSE_SECONDS: &str = "holdfast_metadata_propose_seconds";
const CAN_CONFIRM: &str = "holdfast_metadata_can_confirm";

/// Tells the recorder what the metrics mean. Called once, after the recorder was installed.
pub fn describe() {
    describe_counter!(
        READS,
        "Reads of the metadata, by `answer`: `confirmed`, `stale` (from the last state, without a quorum) or `none`"
    );
    describe_histogram!(
        READ_SECONDS,
        Unit::Seconds,
        "From a read to its answer, confirmation included"
    );
    describe_counter!(
        PROPOSALS,
        "Commands for the log, by `outcome`: `reply` (a refusal is one), `unavailable`, `unknown` or `stopped`"
    );
    describe_histogram!(
        PROPOSE_SECONDS,
        Unit::Seconds,
        "From a command to its reply, elections and repeated attempts included"
    );
    describe_gauge!(
        CAN_CONFIRM,
        "1 while this node had a read confirmed within the last 2 s, as `/readyz` wants it; else 0"
    );
}

/// A read has ended that began then.
pub fn read_ended(began: Instant, outcome: &Result<Answered, MetadataFailure>) {
    // Labels that are literals cost no allocation, and there are many reads.
    let reads = match outcome {
        Ok(Answered { stale: false, .. }) => counter!(READS, "answer" => "confirmed"),
        Ok(Answered { stale: true, .. }) => counter!(READS, "answer" => "stale"),
        Err(_) => counter!(READS, "answer" => "none"),
    };
    reads.increment(1);
    histogram!(READ_SECONDS).record(began.elapsed());
}

/// A command has ended that was proposed then.
pub fn proposal_ended(began: Instant, outcome: &Result<Reply, MetadataFailure>) {
    let proposals = match outcome {
        Ok(_) => counter!(PROPOSALS, "outcome" => "reply"),
        Err(MetadataFailure::Unavailable { .. }) => {
            counter!(PROPOSALS, "outcome" => "unavailable")
        }
        Err(MetadataFailure::OutcomeUnknown { .. }) => counter!(PROPOSALS, "outcome" => "unknown"),
        Err(MetadataFailure::Stopped { .. }) => counter!(PROPOSALS, "outcome" => "stopped"),
    };
    proposals.increment(1);
    histogram!(PROPOSE_SECONDS).record(began.elapsed());
}

/// Whether the node can confirm reads.
pub fn can_confirm(can: bool) {
    gauge!(CAN_CONFIRM).set(if can { 1.0 } else { 0.0 });
}
