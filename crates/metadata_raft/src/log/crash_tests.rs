//! The log after crashes and damage: every prefix of the last writes, a flipped byte anywhere.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use openraft::EntryPayload;
use openraft::impls::leader_id_adv::LeaderId;
use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
use openraft::{OptionalSend, RaftLogReader};

use super::recovery::{Recovered, recover};
use super::segment::{HEADER_BYTES, SegmentHeader, frame_at};
use super::{DiskSpace, LogSettings, LogStore};
use crate::types::{LogId, Membership, RaftEntry, Vote};

const CACHE_BYTES: usize = 64;

fn id(term: u64, index: u64) -> LogId {
    LogId::new(LeaderId { term, node_id: 1 }, index)
}

/// Entries of different lengths, so that frames end at odd places.
fn entry(term: u64, index: u64) -> RaftEntry {
    let voters = (0..=index % 5).collect::<std::collections::BTreeSet<u64>>();
    let membership = Membership::new_with_defaults(vec![voters], []);
    RaftEntry {
        log_id: id(term, index),
        payload: EntryPayload::Membership(membership),
    }
}

fn open(folder: &Path, segment_bytes: u64) -> LogStore {
    let settings = LogSettings {
        segment_bytes,
        cached_bytes_max: CACHE_BYTES,
    };
    LogStore::open(folder, settings, Arc::new(DiskSpace::default())).unwrap()
}

async fn append(
    log: &mut LogStore,
    entries: impl IntoIterator<Item = RaftEntry, IntoIter: OptionalSend> + OptionalSend,
) {
    log.blocking_append(entries).await.unwrap();
}

async fn ids(log: &mut LogStore) -> Vec<LogId> {
    log.try_get_log_entries(..)
        .await
        .unwrap()
        .into_iter()
        .map(|entry| entry.log_id)
        .collect()
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "segment")
        })
        .collect();
    paths.sort();
    paths
}

/// Where the frames of a segment begin, and where the last one ends.
fn frames(bytes: &[u8]) -> Vec<usize> {
    let salt = SegmentHeader::decode(bytes).unwrap().salt;
    let mut starts = vec![HEADER_BYTES];
    while let Some((_, _, next)) = frame_at(bytes, *starts.last().unwrap(), salt) {
        starts.push(next);
    }
    starts
}

fn last_index(recovered: &Recovered) -> Option<u64> {
    recovered.index.last().map(|id| id.index)
}

/// A log of twelve frames with one entry each in a single segment, as a kill leaves it.
async fn killed_log(closed: bool) -> (tempfile::TempDir, PathBuf, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path(), 8192);
    for index in 0..12 {
        append(&mut log, [entry(1, index)]).await;
    }
    if closed {
        log.close().await.unwrap();
    }
    let path = segments(folder.path()).remove(0);
    let bytes = std::fs::read(&path).unwrap();
    (folder, path, bytes)
}

#[tokio::test]
async fn every_prefix_of_the_last_writes_opens_with_what_was_whole() {
    let (folder, path, whole) = killed_log(false).await;
    let starts = frames(&whole);
    assert_eq!(starts.len(), 13);
    for cut in starts[8]..=starts[12] {
        let mut torn = whole.clone();
        torn[cut..].fill(0);
        std::fs::write(&path, &torn).unwrap();
        let recovered =
            recover(folder.path(), CACHE_BYTES).unwrap_or_else(|e| panic!("cut at {cut}: {e}"));
        // The padding of a frame is no part of it: a cut there loses nothing.
        let found = last_index(&recovered).unwrap() + 1;
        let wholly = starts.iter().filter(|start| **start <= cut).count() as u64 - 1;
        assert!(
            found == wholly || found == wholly + 1,
            "cut at {cut}: {found} entries, {wholly} whole frames"
        );
        if found == wholly + 1 {
            assert!(
                whole[cut..starts[usize::try_from(found).unwrap()]]
                    .iter()
                    .all(|byte| *byte == 0),
                "cut at {cut}"
            );
        }
        let cleared = std::fs::read(&path).unwrap();
        let end = usize::try_from(recovered.tail.unwrap().position).unwrap();
        assert!(
            cleared[end..].iter().all(|byte| *byte == 0),
            "what was torn is cleared"
        );
    }
}

#[tokio::test]
async fn a_last_write_whose_pages_came_out_of_order_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path(), 64 * 1024);
    append(&mut log, (0..10).map(|index| entry(1, index))).await;
    append(&mut log, (10..300).map(|index| entry(1, index))).await;
    let path = segments(folder.path()).remove(0);
    let whole = std::fs::read(&path).unwrap();
    let starts = frames(&whole);
    for sector in (starts[1] / 512 + 1)..(starts[2] / 512) {
        let mut torn = whole.clone();
        torn[sector * 512..(sector + 1) * 512].fill(0);
        std::fs::write(&path, &torn).unwrap();
        let recovered = recover(folder.path(), CACHE_BYTES).unwrap();
        assert_eq!(last_index(&recovered), Some(9), "sector {sector}");
    }
}

#[tokio::test]
async fn a_flipped_byte_stops_the_node_wherever_good_entries_follow() {
    let (folder, path, whole) = killed_log(true).await;
    let starts = frames(&whole);
    // The last frame says that the log was closed, so that every entry before it is known to have been durable.
    let last = starts[starts.len() - 2];
    for at in 0..last {
        let padding = starts
            .iter()
            .any(|start| *start > at && whole[at..*start].iter().all(|byte| *byte == 0));
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        std::fs::write(&path, &damaged).unwrap();
        match recover(folder.path(), CACHE_BYTES) {
            Err(error) => {
                let message = error.to_string();
                assert!(
                    message.contains("is damaged") && message.contains("restore"),
                    "{message}"
                );
            }
            Ok(recovered) => {
                assert!(
                    padding && last_index(&recovered) == Some(11),
                    "byte {at} was passed over"
                );
            }
        }
    }
    for at in last..last + 24 {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        std::fs::write(&path, &damaged).unwrap();
        assert_eq!(
            last_index(&recover(folder.path(), CACHE_BYTES).unwrap()),
            Some(11),
            "byte {at}"
        );
    }
}

#[tokio::test]
async fn damage_in_an_older_segment_stops_the_node() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path(), 1024);
    for index in 0..60 {
        append(&mut log, [entry(1, index)]).await;
    }
    log.close().await.unwrap();
    let paths = segments(folder.path());
    assert!(paths.len() > 3);
    let whole = std::fs::read(&paths[1]).unwrap();
    for start in frames(&whole).into_iter().rev().skip(1) {
        let mut damaged = whole.clone();
        damaged[start + 30] ^= 1;
        std::fs::write(&paths[1], &damaged).unwrap();
        assert!(
            recover(folder.path(), CACHE_BYTES).is_err(),
            "frame at {start}"
        );
    }
    std::fs::remove_file(&paths[1]).unwrap();
    assert!(
        recover(folder.path(), CACHE_BYTES).is_err(),
        "a segment is missing"
    );
    std::fs::write(&paths[1], &whole).unwrap();
    std::fs::remove_file(&paths[0]).unwrap();
    assert!(
        recover(folder.path(), CACHE_BYTES).is_err(),
        "the oldest segment is missing"
    );
}

#[tokio::test]
async fn truncations_and_purges_are_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path(), 1024);
    append(&mut log, (0..40).map(|index| entry(1, index))).await;
    log.truncate_after(Some(id(1, 29))).await.unwrap();
    append(&mut log, (30..50).map(|index| entry(2, index))).await;
    log.save_vote(&Vote {
        leader_id: LeaderId {
            term: 2,
            node_id: 1,
        },
        committed: true,
    })
    .await
    .unwrap();
    let before = segments(folder.path()).len();
    for index in 50..80 {
        append(&mut log, [entry(2, index)]).await;
    }
    log.purge(id(2, 60)).await.unwrap();
    assert!(
        segments(folder.path()).len() < before + 4,
        "whole segments were deleted"
    );
    let wanted: Vec<_> = (61..80).map(|index| id(2, index)).collect();
    assert_eq!(ids(&mut log).await, wanted);
    drop(log);

    let mut log = open(folder.path(), 1024);
    assert_eq!(
        ids(&mut log).await,
        wanted,
        "entries are read from the disk"
    );
    let state = log.get_log_state().await.unwrap();
    assert_eq!(
        (state.last_purged_log_id, state.last_log_id),
        (Some(id(2, 60)), Some(id(2, 79)))
    );
    assert_eq!(log.read_vote().await.unwrap().unwrap().leader_id.term, 2);
    append(&mut log, [entry(3, 80)]).await;
    log.purge(id(3, 200)).await.unwrap();
    drop(log);

    let mut log = open(folder.path(), 1024);
    assert_eq!(
        log.get_log_state().await.unwrap().last_log_id,
        Some(id(3, 200)),
        "a snapshot skipped what was missing"
    );
    append(&mut log, [entry(3, 201)]).await;
    assert_eq!(ids(&mut open_copy(folder.path())).await, [id(3, 201)]);
}

/// Opens what another process would find if this one were killed now.
fn open_copy(folder: &Path) -> LogStore {
    let copy = tempfile::tempdir().unwrap().keep();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
    }
    let log = open(&copy, 1024);
    std::fs::remove_dir_all(copy).unwrap();
    log
}

#[tokio::test]
async fn an_entry_larger_than_a_segment_gets_one_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path(), 1024);
    append(&mut log, [entry(1, 0)]).await;
    let voters = (0..5_000).collect::<std::collections::BTreeSet<u64>>();
    let large = Membership::new_with_defaults(vec![voters], []);
    append(
        &mut log,
        [RaftEntry {
            log_id: id(1, 1),
            payload: EntryPayload::Membership(large),
        }],
    )
    .await;
    append(&mut log, [entry(1, 2)]).await;
    drop(log);
    let mut log = open(folder.path(), 1024);
    assert_eq!(ids(&mut log).await, [id(1, 0), id(1, 1), id(1, 2)]);
}

#[tokio::test]
async fn a_log_without_its_vote_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path(), 1024);
    append(&mut log, [entry(1, 0)]).await;
    log.close().await.unwrap();
    std::fs::remove_file(folder.path().join("vote")).unwrap();
    let settings = LogSettings {
        segment_bytes: 1024,
        cached_bytes_max: CACHE_BYTES,
    };
    let refused = LogStore::open(folder.path(), settings, Arc::new(DiskSpace::default()));
    assert!(refused.is_err_and(|e| e.to_string().contains("no vote")));
}

#[tokio::test]
async fn who_reads_from_what_was_purged_is_not_given_what_follows() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path(), 64 * 1024);
    log.save_vote(&Vote {
        leader_id: LeaderId {
            term: 1,
            node_id: 1,
        },
        committed: false,
    })
    .await
    .unwrap();
    append(&mut log, (0..20).map(|index| entry(1, index))).await;
    log.purge(id(1, 9)).await.unwrap();
    assert!(log.limited_get_log_entries(5, 15).await.unwrap().is_empty());
    let whole = log.limited_get_log_entries(10, 15).await.unwrap();
    assert_eq!(whole.first().map(|entry| entry.log_id), Some(id(1, 10)));
}
