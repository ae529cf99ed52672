//! A leader whose disk is full takes no commands, so it hands the lead to a member that does.
//!
//! It asks the others first: a group whose disks are all full keeps its leader, which at least confirms reads.

use std::sync::Weak;
use std::time::Duration;

use futures::future::join_all;
use metadata_raft::Member;
use ports::Deadline;

use crate::node::Shared;
use crate::status;

const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A voter that has not answered for so long does not lead.
const LIVE_WITHIN: Duration = Duration::from_secs(1);
/// How long it may take to take over.
const TAKE_OVER_TIME_MAX: Duration = Duration::from_secs(1);

/// Serves as long as the node lives.
pub(crate) async fn serve(shared: Weak<Shared>) {
    while let Some(shared) = shared.upgrade() {
        if let Some(member) = shared.member()
            && !member.has_room()
            && member.leads()
        {
            hand_over(&shared, member).await;
        }
        drop(shared);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Hands the lead to the voter with room that has the most of the log, if there is one.
async fn hand_over(shared: &Shared, member: &Member) {
    let group = member.group();
    let others = group.nodes.iter().filter(|(node, peer)| {
        let is_live = peer.silent_for.is_some_and(|silent| silent < LIVE_WITHIN);
        **node != group.node && peer.votes && is_live
    });
    let asked = others.map(async |(node, peer)| {
        let account = status::ask_at(shared, *node, &peer.address).await;
        let is_able = account.is_ok_and(|status| !status.disk_full && !status.draining);
        is_able.then_some((peer.matched, *node))
    });
    let able = join_all(asked).await.into_iter().flatten().max();
    let Some((_, next)) = able else {
        return;
    };
    tracing::info!(next, "this node's disk is full: handing the lead over");
    let deadline = Deadline::now() + TAKE_OVER_TIME_MAX;
    if let Err(failure) = member.transfer_leader(next, deadline).await {
        tracing::warn!(%failure, "the lead was not taken over; it is tried again");
    }
}
