//! The log's format: what it does not have never comes into it, and it is raised while the member runs.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use metadata::{
    Answer, ClusterView, Command, FORMAT, FORMAT_MAX, FoundCluster, NodeAnnouncement, NodeId,
    Query, Refusal, Reply,
};
use metadata_raft::{Member, MemberConfig};
use ports::{Deadline, MetadataStore};

fn soon() -> Deadline {
    Deadline::now() + Duration::from_secs(20)
}

fn config(folder: &std::path::Path) -> MemberConfig {
    MemberConfig {
        segment_bytes: 64 * 1024,
        free_bytes_min: 0,
        ..MemberConfig::new(folder.into(), 1)
    }
}

fn announcement(format_max: u32) -> NodeAnnouncement {
    NodeAnnouncement {
        name: "one".to_owned(),
        peer_address: "127.0.0.1:7070".to_owned(),
        client_address: String::new(),
        version: "0.1.0".to_owned(),
        format_max,
    }
}

async fn propose(member: &Member, command: Command) -> Reply {
    member.propose(command, soon()).await.unwrap()
}

/// A member whose node says that it knows `format_max`.
async fn founded(folder: &std::path::Path, format_max: u32) -> Arc<Member> {
    let member = Member::open(config(folder)).await.unwrap();
    let found = FoundCluster {
        node: NodeId(1),
        key_hash: [1; 32],
        announcement: announcement(format_max),
        authority_certificate: Bytes::from_static(b"certificate"),
        sealed_authority_key: Bytes::from_static(b"sealed"),
    };
    let reply = propose(&member, Command::FoundCluster(Box::new(found))).await;
    assert_eq!(reply, Reply::Founded { node: NodeId(1) });
    member
}

async fn view(member: &Member) -> ClusterView {
    match member.read(Query::Cluster, soon()).await.unwrap().answer {
        Answer::Cluster(view) => view,
        other => panic!("{other:?}"),
    }
}

fn label() -> Command {
    Command::SetLabel {
        label: "Blue".to_owned(),
    }
}

#[tokio::test]
async fn command_of_a_later_format_does_not_come_into_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let member = founded(folder.path(), FORMAT_MAX).await;
    assert_eq!(view(&member).await.format, FORMAT);
    let before = member.health().last_log;
    let refusal = Refusal::FormatTooLow {
        needed: 2,
        current: 1,
    };
    assert_eq!(propose(&member, label()).await, Reply::Refused(refusal));
    assert_eq!(member.health().last_log, before);
    // An older build would not start over it.
    member.shutdown().await;
    let member = Member::open(config(folder.path())).await.unwrap();
    assert_eq!(view(&member).await.label, None);
}

#[tokio::test]
async fn format_that_a_node_does_not_know_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let member = founded(folder.path(), FORMAT).await;
    let raise = Command::RaiseFormat { to: FORMAT + 1 };
    let nodes = vec![NodeId(1)];
    let refused = Reply::Refused(Refusal::FormatUnsupported { nodes });
    assert_eq!(propose(&member, raise).await, refused);
}

#[cfg(feature = "next-format")]
#[tokio::test]
async fn format_is_raised_while_the_member_runs() {
    let folder = tempfile::tempdir().unwrap();
    let member = founded(folder.path(), FORMAT).await;
    let announce = Command::AnnounceNode {
        node: NodeId(1),
        announcement: announcement(FORMAT_MAX),
    };
    assert_eq!(propose(&member, announce).await, Reply::Done);
    let raise = Command::RaiseFormat { to: 2 };
    assert_eq!(propose(&member, raise).await, Reply::Done);
    assert_eq!(propose(&member, label()).await, Reply::Done);
    assert_eq!(view(&member).await.label.as_deref(), Some("Blue"));
    member.shutdown().await;
    let member = Member::open(config(folder.path())).await.unwrap();
    let view = view(&member).await;
    assert_eq!((view.format, view.label.as_deref()), (2, Some("Blue")));
}

/// The node said that it knows more than its build does: it was replaced by an older one.
#[cfg(not(feature = "next-format"))]
#[tokio::test]
async fn build_that_does_not_know_the_format_stops() {
    let folder = tempfile::tempdir().unwrap();
    let member = founded(folder.path(), FORMAT + 1).await;
    let raise = Command::RaiseFormat { to: FORMAT + 1 };
    member.propose(raise, soon()).await.unwrap_err();
    let reason = member.failed().await;
    assert!(reason.contains("run the newer Holdfast"), "{reason}");
    member.shutdown().await;
    // Nor does it begin again with what it cannot understand.
    let again = Member::open(config(folder.path())).await;
    let reason = again.err().unwrap().to_string();
    assert!(reason.contains("run the newer Holdfast"), "{reason}");
}
