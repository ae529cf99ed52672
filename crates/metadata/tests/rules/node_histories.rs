//! Random histories of nodes: every invariant holds after each entry (the world checks them), the log decides as a simple
//! model does, and the same log makes the same tables. Promise P6, rules 3.3, 3.7, 5.6, 5.7, 5.15 and 5.16.

use std::collections::{BTreeMap, BTreeSet};

use metadata::{
    Command, CommandId, Entry, FORMAT_MAX, LogIndex, LogTime, MemoryTables, NodeId, NodeRole,
    NodeTrust, Refusal, Reply, apply,
};
use proptest::prelude::*;

use crate::roster::{DAY_MS, HOUR_MS, announcement, by_secret, by_token, found, key_hash};
use crate::world::{CLUSTER, World};

#[derive(Debug, Clone)]
enum Wish {
    Found(u8),
    Issue(u8, NodeRole, u64),
    JoinByToken(u8, NodeRole, u8, u32),
    JoinBySecret(NodeRole, u8, u32),
    Announce(u64, u8, u32),
    Remove(u64),
    Raise(u32),
    Label,
    Correct(u64),
    RaiseInTime(u32),
    Gone(u64),
    Replace(u64, u64),
    AddAuthority(u8),
    Trust(u64, u32, u32),
    SignWithNext,
    DropAuthority,
    Wait(u64),
}

fn wish() -> impl Strategy<Value = Wish> {
    let role = || prop::sample::select(vec![NodeRole::Member, NodeRole::Gateway]);
    let (key, token, node) = (1..8_u8, 0..6_u8, 0..9_u64);
    // Never more than this build knows, lest it stop as it should.
    let format = 0..=FORMAT_MAX;
    prop_oneof![
        1 => key.clone().prop_map(Wish::Found),
        4 => (token.clone(), role(), 0..3 * HOUR_MS).prop_map(|(t, r, life)| Wish::Issue(t, r, life)),
        6 => (token, role(), key.clone(), format.clone()).prop_map(|(t, r, k, f)| Wish::JoinByToken(t, r, k, f)),
        3 => (role(), key.clone(), format.clone()).prop_map(|(r, k, f)| Wish::JoinBySecret(r, k, f)),
        3 => (node.clone(), key, format).prop_map(|(n, k, f)| Wish::Announce(n, k, f)),
        2 => node.clone().prop_map(Wish::Remove),
        1 => prop::sample::select(vec![1, HOUR_MS, 3 * DAY_MS]).prop_map(Wish::Correct),
        1 => (0..4_u32).prop_map(Wish::RaiseInTime),
        1 => node.clone().prop_map(Wish::Gone),
        1 => (node.clone(), node.clone()).prop_map(|(dead, spare)| Wish::Replace(dead, spare)),
        2 => (0..9_u8).prop_map(Wish::AddAuthority),
        4 => (node, 0..4_u32, 0..4_u32).prop_map(|(n, b, s)| Wish::Trust(n, b, s)),
        2 => Just(Wish::SignWithNext),
        2 => Just(Wish::DropAuthority),
        1 => (0..4_u32).prop_map(Wish::Raise),
        1 => Just(Wish::Label),
        2 => prop::sample::select(vec![1, HOUR_MS / 2, HOUR_MS, 500 * DAY_MS]).prop_map(Wish::Wait),
    ]
}

fn command(wish: &Wish, world: &World) -> Option<Command> {
    let joining = |mut join: metadata::JoinNode, format: u32| {
        join.announcement.format_max = format;
        Command::JoinNode(Box::new(join))
    };
    Some(match *wish {
        Wish::Found(key) => {
            let mut found = found();
            found.node = NodeId(u64::from(key % 4));
            found.key_hash = key_hash(key);
            Command::FoundCluster(Box::new(found))
        }
        Wish::Issue(token, role, life_ms) => world.token(u128::from(token), role, life_ms),
        Wish::JoinByToken(token, role, key, format) => {
            joining(by_token(u128::from(token), role, key), format)
        }
        Wish::JoinBySecret(role, key, format) => joining(by_secret(role, key), format),
        Wish::Announce(node, key, format) => {
            let mut announcement = announcement(key);
            announcement.format_max = format;
            let node = NodeId(node);
            Command::AnnounceNode { node, announcement }
        }
        Wish::Remove(node) => Command::RemoveNode { node: NodeId(node) },
        Wish::Raise(to) => Command::RaiseFormat { to },
        Wish::Correct(ms) => Command::CorrectTime {
            to: LogTime(world.now + ms),
        },
        Wish::RaiseInTime(to) => Command::RaiseFormatInTime { to },
        Wish::Gone(node) => Command::RemoveGoneGateway {
            gateway: NodeId(node),
        },
        Wish::Replace(dead, spare) => Command::ReplaceVoter {
            dead: NodeId(dead),
            spare: NodeId(spare),
        },
        Wish::AddAuthority(number) => Command::AddAuthority {
            certificate: vec![number].into(),
            sealed_key: vec![number].into(),
        },
        Wish::Trust(node, believes, signed_by) => Command::NoteTrust {
            node: NodeId(node),
            trust: NodeTrust {
                believes,
                signed_by,
            },
        },
        Wish::SignWithNext => Command::SignWithNextAuthority,
        Wish::DropAuthority => Command::DropAuthority,
        Wish::Label => Command::SetLabel {
            label: "Blue".to_owned(),
        },
        Wish::Wait(_) => return None,
    })
}

/// What must hold over a whole history, however it went.
#[derive(Default)]
struct Witness {
    given: BTreeSet<NodeId>,
    keys: BTreeMap<NodeId, [u8; 32]>,
    removed: BTreeSet<NodeId>,
    let_in: BTreeMap<u128, u64>,
    format: u32,
    time: u64,
}

impl Witness {
    fn saw(&mut self, world: &World, command: &Command, reply: &Reply, before: u64) {
        let last = || {
            world
                .row(&metadata::keys::cluster())
                .map_or(0, |row| row.last_node)
        };
        match (command, reply) {
            (Command::FoundCluster(found), Reply::Founded { node }) => {
                assert!(self.given.is_empty(), "founded twice");
                self.given.insert(*node);
                self.keys.insert(*node, found.key_hash);
            }
            (Command::JoinNode(join), Reply::NodeJoined { node }) => {
                assert!(!self.removed.contains(node), "a removed node is back");
                let is_new = self.given.insert(*node);
                assert_eq!(is_new, last() == before + 1);
                let key = *self.keys.entry(*node).or_insert(join.key_hash);
                assert_eq!(key, join.key_hash, "an id of two keys");
                if let (true, metadata::JoinProof::Token { token, .. }) = (is_new, join.proof) {
                    // A token is known by its id for as long as it lives; each life lets one in.
                    let row = world.row(&metadata::keys::join_token(token));
                    let row = row.expect("it was known");
                    assert_eq!((row.used, row.role), (Some(*node), join.role));
                    let lives = self.let_in.insert(token.0, row.expires.0);
                    assert_ne!(lives, Some(row.expires.0), "one token, two nodes");
                }
            }
            (Command::RemoveNode { node }, Reply::Done) => {
                self.removed.insert(*node);
            }
            (Command::RemoveGoneGateway { gateway }, Reply::Done) => {
                self.removed.insert(*gateway);
            }
            (Command::SetLabel { .. }, Reply::Refused(refusal)) => {
                let is_early = matches!(refusal, Refusal::FormatTooLow { .. });
                assert_eq!(is_early, self.format < 2);
            }
            _ => {}
        }
        let row = world.row(&metadata::keys::cluster());
        let time = row.as_ref().map_or(0, |row| row.time.0);
        assert!(time >= self.time, "time went back");
        self.time = time;
        let format = row.map_or(1, |row| row.format);
        assert!(format >= self.format, "the format was lowered");
        self.format = format;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_history_of_nodes_keeps_the_invariants_and_repeats_itself(wishes in prop::collection::vec(wish(), 1..60)) {
        let mut world = World::unnamed();
        let mut witness = Witness { format: 1, ..Witness::default() };
        let (mut log, mut replies) = (Vec::new(), Vec::new());
        let naming = Command::InitializeCluster { cluster: CLUSTER };
        let founding = Command::FoundCluster(Box::new(found()));
        let commands = [Some(naming), (wishes.len() % 4 > 0).then_some(founding)];
        let wishes = commands.into_iter().flatten().map(Ok).chain(wishes.iter().map(Err));
        for wish in wishes {
            if let Err(Wish::Wait(ms)) = wish {
                world.now += ms;
            }
            let Some(command) = wish.map_or_else(|wish| command(wish, &world), Some) else {
                continue;
            };
            let entry = Entry {
                id: CommandId { incarnation: 1, sequence: log.len() as u64 },
                seen: LogIndex(world.index),
                stamped: LogTime(world.now),
                command,
            };
            let before = world.row(&metadata::keys::cluster()).map_or(0, |row| row.last_node);
            let reply = world.apply_entry(&entry);
            witness.saw(&world, &entry.command, &reply, before);
            log.push(entry);
            replies.push(reply);
        }
        let mut tables = MemoryTables::default();
        for (position, entry) in log.iter().enumerate() {
            let index = LogIndex(position as u64 + 1);
            let reply = apply(&mut tables, index, entry).expect("the tables are sound");
            prop_assert_eq!(&reply, &replies[position]);
        }
        prop_assert_eq!(&tables, &world.tables);
    }
}
