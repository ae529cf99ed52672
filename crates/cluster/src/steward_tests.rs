//! What the steward does, table by table and group by group.

use metadata::{LogTime, NodeAnnouncement};

use super::*;

fn view(node: u64, role: Role, removed: bool) -> NodeView {
    NodeView {
        node: NodeId(node),
        role,
        key_hash: [0; 32],
        announcement: NodeAnnouncement {
            name: format!("n{node}"),
            peer_address: format!("h{node}:1"),
            client_address: String::new(),
            version: "1".to_owned(),
            format_max: 1,
        },
        joined: LogTime(1),
        announced: LogTime(1),
        removed: removed.then_some(LogTime(2)),
        trust: metadata::NodeTrust::default(),
        storage: metadata::StorageWord::default(),
    }
}

fn peer(node: u64, votes: bool, matched: u64) -> (u64, PeerView) {
    let peer = PeerView {
        address: format!("h{node}:1"),
        votes,
        matched: Some(matched),
        silent_for: Some(Duration::from_millis(30)),
    };
    (node, peer)
}

/// A group that node 1 leads, with 1,000 entries.
fn group(peers: impl IntoIterator<Item = (u64, PeerView)>) -> GroupView {
    GroupView {
        node: 1,
        leader: Some(1),
        term: 1,
        last_log: Some(1_000),
        nodes: peers.into_iter().collect(),
    }
}

#[test]
fn nothing_is_done_before_the_cluster_is_founded() {
    assert_eq!(next_change(&group([peer(1, true, 1_000)]), &[]), None);
}

#[test]
fn who_joined_learns_first_and_votes_when_it_has_caught_up() {
    let nodes = [
        view(1, Role::Member, false),
        view(2, Role::Member, false),
        view(3, Role::Gateway, false),
    ];
    let change = next_change(&group([peer(1, true, 1_000)]), &nodes);
    assert_eq!(change, Some(Change::TakeIn(2, "h2:1".to_owned())));
    let behind = group([peer(1, true, 1_000), peer(2, false, 10)]);
    assert_eq!(next_change(&behind, &nodes), None);
    let ready = group([peer(1, true, 1_000), peer(2, false, 990)]);
    let voters = BTreeSet::from([1, 2]);
    assert_eq!(next_change(&ready, &nodes), Some(Change::Voters(voters)));
}

#[test]
fn learner_that_is_silent_does_not_vote() {
    let nodes = [view(1, Role::Member, false), view(2, Role::Member, false)];
    let mut silent = group([peer(1, true, 1_000), peer(2, false, 1_000)]);
    silent.nodes.get_mut(&2).expect("it is there").silent_for = Some(Duration::from_secs(3));
    assert_eq!(next_change(&silent, &nodes), None);
}

#[test]
fn who_was_removed_leaves_and_a_leader_hands_over_first() {
    let nodes = [view(1, Role::Member, false), view(2, Role::Member, true)];
    let voting = group([peer(1, true, 1_000), peer(2, true, 1_000)]);
    let voters = BTreeSet::from([1]);
    assert_eq!(next_change(&voting, &nodes), Some(Change::Voters(voters)));
    let learning = group([peer(1, true, 1_000), peer(2, false, 1_000)]);
    assert_eq!(next_change(&learning, &nodes), Some(Change::Forget(2)));
    let nodes = [view(1, Role::Member, true), view(2, Role::Member, false)];
    assert_eq!(next_change(&voting, &nodes), Some(Change::StepDown));
}

#[test]
fn who_moved_is_called_elsewhere() {
    let mut nodes = [view(1, Role::Member, false), view(2, Role::Member, false)];
    nodes[1].announcement.peer_address = "elsewhere:2".to_owned();
    let group = group([peer(1, true, 1_000), peer(2, true, 1_000)]);
    let change = Change::Move(2, "elsewhere:2".to_owned());
    assert_eq!(next_change(&group, &nodes), Some(change));
}

#[test]
fn members_beyond_five_are_spares() {
    let nodes: Vec<NodeView> = (1..=6).map(|n| view(n, Role::Member, false)).collect();
    let group = group((1..=6).map(|n| peer(n, n <= 5, 1_000)));
    assert_eq!(next_change(&group, &nodes), None);
}

#[tokio::test(start_paused = true)]
async fn dead_voter_is_replaced_by_a_spare_and_not_too_soon() {
    let alive = group((1..=4).map(|n| peer(n, n <= 3, 1_000)));
    let mut dead = alive.clone();
    dead.nodes.get_mut(&2).expect("it is there").silent_for = Some(Duration::from_secs(9));
    let mut steward = Steward::default();
    steward.note_silence(&alive);
    assert_eq!(steward.replacement(&alive), None);
    steward.note_silence(&dead);
    tokio::time::advance(DEAD_AFTER - Duration::from_secs(1)).await;
    assert_eq!(steward.replacement(&dead), None);
    tokio::time::advance(Duration::from_secs(2)).await;
    // A second one that is silent, or a spare that is behind: nobody is replaced.
    let mut two = dead.clone();
    two.nodes.get_mut(&3).expect("it is there").silent_for = Some(Duration::from_secs(9));
    steward.note_silence(&two);
    assert_eq!(steward.replacement(&two), None);
    steward.note_silence(&dead);
    let mut behind = dead.clone();
    behind.nodes.get_mut(&4).expect("it is there").matched = Some(1);
    assert_eq!(steward.replacement(&behind), None);
    assert_eq!(steward.replacement(&dead), Some((2, 4)));
}

#[tokio::test(start_paused = true)]
async fn voter_that_comes_back_is_not_replaced() {
    let alive = group((1..=4).map(|n| peer(n, n <= 3, 1_000)));
    let mut dead = alive.clone();
    dead.nodes.get_mut(&2).expect("it is there").silent_for = None;
    let mut steward = Steward::default();
    steward.note_silence(&dead);
    tokio::time::advance(DEAD_AFTER).await;
    steward.note_silence(&alive);
    steward.note_silence(&dead);
    assert_eq!(steward.replacement(&dead), None);
}
