//! Who is on the way in: connections that have not yet said who they are, bounded in number.
//!
//! When there are too many, the oldest of whoever has the most goes, so that callers that say nothing keep nobody out. Nobody
//! waits here for a place.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// Connections on the way in.
#[derive(Debug)]
pub(crate) struct Handshakes {
    at_most: usize,
    under_way: Mutex<UnderWay>,
}

#[derive(Debug, Default)]
struct UnderWay {
    next: u64,
    /// By the order in which they came.
    of: BTreeMap<u64, (IpAddr, CancellationToken)>,
}

/// One connection on its way in, until it is dropped.
pub(crate) struct Entering {
    number: u64,
    among: Arc<Handshakes>,
    ended: CancellationToken,
}

impl Handshakes {
    pub(crate) fn new(at_most: usize) -> Handshakes {
        Handshakes {
            at_most,
            under_way: Mutex::default(),
        }
    }

    /// Takes up one from there, and ends another one if there are too many.
    pub(crate) fn enter(self: &Arc<Self>, from: IpAddr) -> Entering {
        let ended = CancellationToken::new();
        let mut under_way = self.under_way.lock();
        if under_way.of.len() >= self.at_most {
            under_way.end_one();
        }
        let number = under_way.next;
        under_way.next += 1;
        under_way.of.insert(number, (from, ended.clone()));
        Entering {
            number,
            among: Arc::clone(self),
            ended,
        }
    }
}

impl UnderWay {
    fn end_one(&mut self) {
        let mut counts = HashMap::<IpAddr, usize>::new();
        for (from, _) in self.of.values() {
            *counts.entry(*from).or_default() += 1;
        }
        let greediest = counts.into_iter().max_by_key(|(_, count)| *count);
        let oldest = self
            .of
            .iter()
            .find(|(_, (from, _))| greediest.is_some_and(|(greedy, _)| greedy == *from));
        if let Some(number) = oldest.map(|(number, _)| *number)
            && let Some((_, end)) = self.of.remove(&number)
        {
            end.cancel();
        }
    }
}

impl Entering {
    /// Waits until it has to make room for others.
    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

impl Drop for Entering {
    fn drop(&mut self) {
        self.among.under_way.lock().of.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_of_the_greediest_makes_room_and_who_is_in_counts_no_more() {
        let [client, flood] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
        let handshakes = Arc::new(Handshakes::new(4));
        let patient = handshakes.enter(client);
        let mut silent: Vec<Entering> = (0..3).map(|_| handshakes.enter(flood)).collect();
        let late = handshakes.enter(client);
        assert!(silent[0].ended.is_cancelled());
        assert!(!patient.ended.is_cancelled() && !silent[1].ended.is_cancelled());
        silent.remove(1);
        let another = handshakes.enter(flood);
        for entering in [&patient, &late, &another, &silent[1]] {
            assert!(!entering.ended.is_cancelled());
        }
        drop((patient, late, another, silent));
        assert!(handshakes.under_way.lock().of.is_empty());
    }
}
