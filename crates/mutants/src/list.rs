//! Every mutant: its name, the promise that it breaks, and what it does. The guarded line is found by searching for the name.

/// A bug that can be switched on.
#[derive(Debug, Clone, Copy)]
pub struct Mutant {
    /// What the guarded line calls it.
    pub name: &'static str,
    /// The number of the promise that it breaks: 1 for P1.
    pub promise: u8,
    /// Which simulation finds it.
    pub by: By,
    /// What it does, in a few words.
    pub what: &'static str,
}

/// Which simulation finds a mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The one over the pure log: everything but `metadata_raft` is real.
    PureLog,
    /// The one over the real consensus.
    RealLog,
}

const fn mutant(name: &'static str, promise: u8, by: By, what: &'static str) -> Mutant {
    Mutant {
        name,
        promise,
        by,
        what,
    }
}

/// All of them, in the order of promises.
pub const ALL: &[Mutant] = &[
    mutant(
        "acknowledge_without_the_tail",
        1,
        By::PureLog,
        "an offset is acknowledged whose last bytes were never stored",
    ),
    mutant(
        "answer_without_the_entry",
        1,
        By::PureLog,
        "a push is answered as done whether its entry was decided or not",
    ),
    mutant(
        "call_unknown_success",
        1,
        By::PureLog,
        "an acknowledgement whose outcome is unknown counts as done",
    ),
    mutant(
        "take_a_failed_completion_for_one",
        1,
        By::PureLog,
        "a blob is recorded though the store did not complete it",
    ),
    mutant(
        "forget_the_dedup",
        2,
        By::PureLog,
        "a command that is sent again is executed again",
    ),
    mutant(
        "take_a_new_id_for_each_attempt",
        2,
        By::PureLog,
        "a command has another id when it is sent again",
    ),
    mutant(
        "say_no_effect_when_unknown",
        2,
        By::PureLog,
        "a command that may have had an effect is said to have had none",
    ),
    mutant(
        "read_without_a_confirmation",
        2,
        By::PureLog,
        "any member's last state is taken for the latest",
    ),
    mutant(
        "ignore_the_precondition",
        2,
        By::PureLog,
        "a compare-and-swap does not compare",
    ),
    mutant(
        "ignore_the_idempotency_key",
        2,
        By::PureLog,
        "a push that a balancer sends again is done again",
    ),
    mutant(
        "forget_what_was_refused",
        2,
        By::PureLog,
        "a push that was refused to a balancer has an effect when the node goes on to which it was sent first",
    ),
    mutant(
        "answer_with_an_effect_undone",
        2,
        By::PureLog,
        "a repeated conditional push is answered by its first effect, which was undone since",
    ),
    mutant(
        "leave_tags_of_a_deleted_manifest",
        2,
        By::PureLog,
        "the tags of a deleted manifest stay",
    ),
    mutant(
        "skip_the_digest",
        3,
        By::PureLog,
        "a blob may have other bytes than those of its digest",
    ),
    mutant(
        "skip_the_writer_epoch",
        3,
        By::PureLog,
        "an earlier writer of an upload is not fenced",
    ),
    mutant(
        "use_part_numbers_again",
        3,
        By::PureLog,
        "a new writer uses part numbers that an earlier one may still write to",
    ),
    mutant(
        "complete_another_list",
        3,
        By::PureLog,
        "a part list is completed that was not sealed",
    ),
    mutant(
        "delete_bytes_before_the_record",
        3,
        By::PureLog,
        "an object is queued for its deletion while a blob is recorded there",
    ),
    mutant(
        "delete_a_blob_in_use",
        3,
        By::PureLog,
        "a blob is deleted that a manifest names",
    ),
    mutant(
        "link_without_the_blobs",
        3,
        By::PureLog,
        "a manifest is linked whose blobs are not there",
    ),
    mutant(
        "checkpoint_drops_what_was_acknowledged",
        5,
        By::PureLog,
        "a checkpoint takes the acknowledged offset back",
    ),
    mutant(
        "go_back_for_a_late_writer",
        5,
        By::PureLog,
        "a request that was long on its way takes back what a later one was acknowledged",
    ),
    mutant(
        "tell_what_may_be_taken_back",
        5,
        By::PureLog,
        "an offset is told that an earlier request, decided later, may still take back",
    ),
    mutant(
        "tell_a_checkpoint_without_an_entry",
        5,
        By::PureLog,
        "an offset is told that no entry acknowledges",
    ),
    mutant(
        "hash_again_what_is_stored",
        5,
        By::PureLog,
        "stored bytes are read back to be hashed",
    ),
    mutant(
        "count_beside_the_tables",
        6,
        By::PureLog,
        "a tag's version counts in the process",
    ),
    mutant(
        "take_rows_in_hash_order",
        6,
        By::PureLog,
        "one of several rows is taken in the order of a hash map",
    ),
    mutant(
        "take_a_followers_clock",
        6,
        By::PureLog,
        "an entry is applied at the time of the member's clock",
    ),
    mutant(
        "decide_by_an_old_generation",
        8,
        By::PureLog,
        "what was proved before a lock, a log-out or another password goes on counting",
    ),
    mutant(
        "keep_a_role_that_was_taken",
        8,
        By::PureLog,
        "a role that is taken is said to be gone and stays",
    ),
    mutant(
        "drop_the_key_that_signs",
        8,
        By::PureLog,
        "the key that signs tokens can be dropped",
    ),
    mutant(
        "ask_once_for_keys",
        8,
        By::PureLog,
        "a node never hears of keys of tokens that came after those it knows",
    ),
    mutant(
        "take_tokens_of_a_dropped_key",
        8,
        By::PureLog,
        "a token goes on counting whose key was dropped",
    ),
    mutant(
        "record_what_was_denied",
        8,
        By::PureLog,
        "a change that was denied stands in the audit as if it had been made",
    ),
    mutant(
        "forget_to_record",
        8,
        By::PureLog,
        "a change of rights does not stand in the audit",
    ),
    mutant(
        "acknowledge_before_fsync",
        1,
        By::RealLog,
        "entries of the log count as durable before they are",
    ),
    mutant(
        "forget_the_votes_fsync",
        1,
        By::RealLog,
        "a vote is answered before it is durable",
    ),
    mutant(
        "forget_the_name_of_a_segment",
        1,
        By::RealLog,
        "a new segment of the log takes entries before its name is durable",
    ),
    mutant(
        "lose_the_tail",
        1,
        By::RealLog,
        "a start forgets the last entry of the log",
    ),
    mutant(
        "vote_with_an_old_disk",
        1,
        By::RealLog,
        "a member votes and takes entries before its start is recorded",
    ),
    mutant(
        "speak_before_peers_know",
        1,
        By::RealLog,
        "a member votes and takes entries with others that have not recorded its start",
    ),
    mutant(
        "forget_the_truncation",
        1,
        By::RealLog,
        "entries that another leader replaced are not taken out of the log on the disk",
    ),
    mutant(
        "read_without_read_index",
        2,
        By::RealLog,
        "a member answers from what it has applied, whatever others have decided",
    ),
    mutant(
        "confirm_who_came_later",
        2,
        By::RealLog,
        "a confirmation serves reads that came after it had begun",
    ),
    mutant(
        "retry_under_another_id",
        2,
        By::RealLog,
        "a command that may be decided is sent again as another one",
    ),
    mutant(
        "call_unknown_unavailable",
        2,
        By::RealLog,
        "a command that may yet take effect is said to have none",
    ),
    mutant(
        "apply_before_commit",
        6,
        By::RealLog,
        "a start applies all of its log, decided or not",
    ),
    mutant(
        "snapshot_without_the_last_row",
        6,
        By::RealLog,
        "a snapshot lacks a row of the state that it names",
    ),
    mutant(
        "take_a_clock_that_is_off",
        6,
        By::RealLog,
        "the log's time follows a clock that most clocks contradict",
    ),
];
