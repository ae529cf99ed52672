//! Join tokens: issued, used once, and forgotten when they have expired. Rule 5.7.

use metadata::{
    Command, JOIN_TOKEN_LIFE_MS_MAX, JOIN_TOKENS_MAX, JoinProof, JoinTokenId, LogTime, NodeId,
    NodeRole, Refusal, Reply, TableId,
};

use crate::roster::{DAY_MS, FIRST, HOUR_MS, by_secret, by_token, secret_hash};
use crate::world::World;

const MEMBER: NodeRole = NodeRole::Member;
const GATEWAY: NodeRole = NodeRole::Gateway;

fn is_invalid(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Invalid { .. })
}

#[test]
fn token_lets_one_node_in() {
    let mut world = World::founded();
    world.issue(5, GATEWAY);
    let row = world.token_row(5).expect("it was issued");
    assert_eq!(
        (row.hash, row.role, row.used),
        (secret_hash(5), GATEWAY, None)
    );
    let node = world.join(by_token(5, GATEWAY, 2));
    assert_eq!(node, NodeId(2));
    assert_eq!(world.token_row(5).and_then(|row| row.used), Some(node));
    let refusal = world.join_refused(by_token(5, GATEWAY, 3));
    assert_eq!(refusal, Refusal::TokenUsed { node });
    assert_eq!(world.nodes().len(), 2);
}

#[test]
fn token_is_known_by_its_secret_only() {
    let mut world = World::founded();
    world.issue(5, MEMBER);
    let unknown = by_token(6, MEMBER, 2);
    assert_eq!(world.join_refused(unknown), Refusal::TokenUnknown);
    let mut guessed = by_token(5, MEMBER, 2);
    guessed.proof = JoinProof::Token {
        token: JoinTokenId(5),
        hash: secret_hash(6),
    };
    assert_eq!(world.join_refused(guessed.clone()), Refusal::TokenUnknown);
    // Whoever does not know the secret learns nothing else of it.
    world.join(by_token(5, MEMBER, 2));
    guessed.role = GATEWAY;
    assert_eq!(world.join_refused(guessed), Refusal::TokenUnknown);
}

#[test]
fn token_makes_what_it_was_issued_for() {
    let mut world = World::founded();
    world.issue(5, MEMBER);
    let refusal = world.join_refused(by_token(5, GATEWAY, 2));
    assert_eq!(refusal, Refusal::TokenRole { role: MEMBER });
    let node = world.join(by_token(5, MEMBER, 2));
    assert_eq!(world.node(node).map(|row| row.role), Some(MEMBER));
}

#[test]
fn token_ends_at_its_time() {
    let mut world = World::founded();
    world.issue(5, MEMBER);
    world.issue(6, MEMBER);
    world.now += HOUR_MS - 1;
    world.join(by_token(5, MEMBER, 2));
    world.now += 1;
    let refusal = world.join_refused(by_token(6, MEMBER, 3));
    assert_eq!(refusal, Refusal::TokenExpired);
    // That it was used says more than that it is over.
    let refusal = world.join_refused(by_token(5, MEMBER, 3));
    assert_eq!(refusal, Refusal::TokenUsed { node: NodeId(2) });
}

#[test]
fn joiner_that_died_gets_its_id_again() {
    let mut world = World::founded();
    world.issue(5, MEMBER);
    let node = world.join(by_token(5, MEMBER, 2));
    let first = world.node(node).expect("it joined");
    world.now += HOUR_MS + 5;
    let mut again = by_token(5, MEMBER, 2);
    again.announcement.peer_address = "10.9.9.9:7070".to_owned();
    assert_eq!(world.join(again.clone()), node, "used and expired by now");
    let row = world.node(node).expect("it is there");
    assert_eq!(row.announcement, again.announcement);
    assert_eq!(
        (row.joined, row.announced),
        (first.joined, LogTime(world.now))
    );
    assert_eq!(world.nodes().len(), 2);

    // Another token is as good, and is not used up.
    world.issue(6, GATEWAY);
    assert_eq!(world.join(by_token(6, MEMBER, 2)), node);
    assert_eq!(world.token_row(6).and_then(|row| row.used), None);
    assert_eq!(world.join(by_secret(MEMBER, 2)), node);
    // One that nobody knows any more is none: issuing has forgotten the first.
    assert_eq!(world.join_refused(again), Refusal::TokenUnknown);
}

#[test]
fn key_of_a_node_makes_no_second_one_of_another_role() {
    let mut world = World::founded();
    world.issue(5, GATEWAY);
    let refusal = world.join_refused(by_token(5, GATEWAY, 1));
    assert!(is_invalid(&refusal), "{refusal:?}");
    let refusal = world.join_refused(by_secret(GATEWAY, 1));
    assert!(is_invalid(&refusal), "{refusal:?}");
    assert_eq!(world.join(by_secret(MEMBER, 1)), FIRST);
}

#[test]
fn token_lives_at_most_thirty_days() {
    let mut world = World::founded();
    assert_eq!(JOIN_TOKEN_LIFE_MS_MAX, 30 * DAY_MS);
    let expired = Command::IssueJoinToken {
        token: JoinTokenId(1),
        hash: secret_hash(1),
        role: MEMBER,
        expires: LogTime(world.now - 1),
    };
    for bad in [
        world.token(1, MEMBER, 0),
        world.token(1, MEMBER, JOIN_TOKEN_LIFE_MS_MAX + 1),
        expired,
    ] {
        let refusal = world.refused(bad);
        assert!(is_invalid(&refusal), "{refusal:?}");
    }
    for (token, life_ms) in [(1, 1), (2, JOIN_TOKEN_LIFE_MS_MAX)] {
        let command = world.token(token, MEMBER, life_ms);
        assert_eq!(world.apply(command), Reply::Done);
    }
}

#[test]
fn id_of_a_token_is_not_taken_twice() {
    let mut world = World::founded();
    world.issue(5, MEMBER);
    let refusal = world.refused(world.token(5, GATEWAY, HOUR_MS));
    assert!(is_invalid(&refusal), "{refusal:?}");
    assert_eq!(world.token_row(5).map(|row| row.role), Some(MEMBER));
}

#[test]
fn expired_tokens_are_forgotten_a_hundred_at_a_time() {
    let mut world = World::founded();
    for token in 0..250 {
        world.issue(token, MEMBER);
    }
    world.join(by_token(7, MEMBER, 2));
    let lasting = world.token(1_000, MEMBER, DAY_MS);
    world.apply(lasting);
    world.now += HOUR_MS;
    for (token, left) in [(1_001, 251 - 100 + 1), (1_002, 253 - 200), (1_003, 4)] {
        world.issue(token, MEMBER);
        assert_eq!(world.count(TableId::JoinToken), left);
    }
    assert_eq!(world.token_row(7), None, "a used one is forgotten, too");
    assert!(world.token_row(1_000).is_some());
    let refusal = world.join_refused(by_token(7, MEMBER, 3));
    assert_eq!(refusal, Refusal::TokenUnknown);
}

#[test]
fn used_token_is_kept_until_it_expires() {
    let mut world = World::founded();
    world.issue(5, MEMBER);
    let node = world.join(by_token(5, MEMBER, 2));
    world.now += HOUR_MS - 1;
    world.issue(6, MEMBER);
    let refusal = world.join_refused(by_token(5, MEMBER, 3));
    assert_eq!(refusal, Refusal::TokenUsed { node });
}

#[test]
fn a_thousand_tokens_live_at_once() {
    let mut world = World::founded();
    world.checks_invariants = false;
    for token in 0..JOIN_TOKENS_MAX as u128 {
        world.issue(token, MEMBER);
    }
    world.checks_invariants = true;
    let refusal = world.refused(world.token(5_000, MEMBER, HOUR_MS));
    assert!(is_invalid(&refusal), "{refusal:?}");
    world.now += HOUR_MS;
    world.issue(5_000, MEMBER);
    assert_eq!(world.count(TableId::JoinToken), JOIN_TOKENS_MAX - 100 + 1);
}
