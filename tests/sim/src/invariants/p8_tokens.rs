//! P8 and P4 of tokens: a key that was dropped, as somebody was told, lets nobody in; and once the faults are over, every node takes
//! the tokens of every key that counts, whatever went on while the keys were rotated. The newest key is always among them.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use metadata::{ReadTables, Row, TableId};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::census::Kind;
use crate::clients::{Client, Signed, keys_of, signed};
use crate::log::{Applied, Change, Machine};
use crate::world::World;

/// A token of a key that was dropped is refused.
pub const ENDED: &str = "P8 token of a dropped key";
/// A token of a key that counts is taken by a node.
pub const TAKEN: &str = "P8 token of a key that counts";

/// The key that signs is among those that count.
pub const NEWEST: &str = "P8 key that signs is kept";

/// Every node takes it within this.
const TAKEN_WITHIN: Duration = Duration::from_secs(4);

/// What became of a token that was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// Somebody was believed.
    Taken,
    /// Nobody was.
    Refused,
    /// Nobody can tell.
    Unknown,
}

/// What is known of the keys of tokens.
#[derive(Debug, Default)]
pub struct Tokens(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// How many keys were used of those from this one on.
    used: BTreeMap<usize, usize>,
    /// When somebody was told that the key was dropped.
    dropped: BTreeMap<Bytes, Instant>,
}

impl Tokens {
    /// How many keys were used of those from `from` on.
    pub fn used(&self, from: usize) -> usize {
        self.0.lock().used.get(&from).copied().unwrap_or(0)
    }

    /// Another one is used.
    pub fn use_another(&self, from: usize) {
        *self.0.lock().used.entry(from).or_default() += 1;
    }

    /// Somebody was told that this key was dropped.
    pub fn dropped(&self, public: &Bytes) {
        let now = Instant::now();
        self.0.lock().dropped.entry(public.clone()).or_insert(now);
    }

    fn was_dropped(&self, public: &Bytes, before: Instant) -> bool {
        let dropped = self.0.lock().dropped.get(public).copied();
        dropped.is_some_and(|at| at < before)
    }
}

/// A token was shown to a node at a time: after its key was dropped nobody is believed.
pub fn check_shown(world: &World, key: &Signed, (node, began): (u64, Instant), shown: Shown) {
    if !world.watch.tokens.was_dropped(&key.public, began) || !world.plan.access.is_always_on() {
        return;
    }
    world.census.count(Kind::Invariant, ENDED);
    if shown == Shown::Taken {
        let said = format!("node {node} takes a token of a key that was dropped");
        world.breach("P8", said);
    }
}

/// Shows the tokens of every key to every node, after the heal.
pub async fn check(world: &Arc<World>, auditor: &Client, state: &Machine) {
    let kept = keys_of(state);
    let signed = signed();
    for node in world.all_nodes() {
        if node.is_removed() || node.alive().is_none() {
            continue;
        }
        for key in &signed {
            if kept.iter().any(|known| known.public == key.public) {
                world.census.count(Kind::Invariant, TAKEN);
                if !auditor.show_until_taken(node.id, key, TAKEN_WITHIN).await {
                    let node = node.id;
                    let said = format!("node {node} does not take the token of a key that counts");
                    world.breach("P8", said);
                }
            } else if world.watch.tokens.was_dropped(&key.public, Instant::now()) {
                let began = Instant::now();
                let shown = auditor.show(node.id, key).await;
                check_shown(world, key, (node.id, began), shown);
            }
        }
    }
}

/// An entry was applied, for the first time: the key that signs, the one that came last, is there.
pub fn check_newest(world: &World, applied: &Applied, state: &Machine) {
    let is_about_keys = |change: &Change| change.table == TableId::TokenKey;
    if !applied.changes.iter().any(is_about_keys) {
        return;
    }
    world.census.count(Kind::Invariant, NEWEST);
    let mut signs = 0;
    let found = state
        .tables
        .scan(TableId::Access, &[], None, &mut |_, row| {
            if let Row::Access(row) = row {
                signs = row.last_token_key;
            }
            ControlFlow::Continue(())
        });
    let newest = keys_of(state).last().map_or(0, |key| key.number);
    if found.is_err() || newest != signs {
        let said = format!("key {signs} signs, and the newest that is kept is {newest}");
        world.breach("P8", said);
    }
}
