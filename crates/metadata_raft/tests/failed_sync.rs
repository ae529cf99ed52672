//! A sync that fails stops the member, is never tried again, and loses nothing that was acknowledged.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use metadata::{Answer, ClusterId, Command, Query};
use metadata_raft::{Member, MemberConfig};
use ports::{Deadline, MetadataFailure, MetadataStore};

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_stops_the_member() {
    let folder = tempfile::tempdir().unwrap();
    let config = MemberConfig {
        segment_bytes: 64 * 1024,
        free_bytes_min: 0,
        ..MemberConfig::new(folder.path().into(), 1)
    };
    let member = Member::open(config.clone()).await.unwrap();
    let deadline = Deadline::now() + Duration::from_secs(30);
    let Answer::Cluster(before) = member.read(Query::Cluster, deadline).await.unwrap().answer
    else {
        panic!("no answer about the cluster");
    };

    fail::cfg("metadata.append.sync", "1*return").unwrap();
    let command = || Command::InitializeCluster {
        cluster: ClusterId(1),
    };
    let first = member.propose(command(), deadline).await;
    assert!(
        matches!(first, Err(MetadataFailure::OutcomeUnknown { .. })),
        "{first:?}"
    );
    let reason = tokio::time::timeout_at(deadline, member.failed())
        .await
        .unwrap();
    assert!(reason.contains("the disk failed"), "{reason}");
    // The fail point is spent: a second sync would succeed, and nothing may come of that.
    let second = member.propose(command(), deadline).await;
    assert!(second.is_err(), "{second:?}");
    assert!(member.read(Query::Cluster, deadline).await.is_err());
    let health = member.health();
    assert!(!health.can_confirm && !health.leader);
    member.shutdown().await;

    let member = Member::open(config).await.unwrap();
    let Answer::Cluster(after) = member.read(Query::Cluster, deadline).await.unwrap().answer else {
        panic!("no answer about the cluster");
    };
    assert_eq!(after.cluster, before.cluster);
    member.shutdown().await;
}
