//! Who the members are, and whom to call first.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

/// A member that did not answer in time is passed over for so long, while there are others.
const PASSED_OVER_FOR: Duration = Duration::from_secs(1);

/// A member and where it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberAddress {
    /// Its id.
    pub node: u64,
    /// Its address, as its peers use it.
    pub address: String,
}

/// The members; the one at the front is called next.
pub(crate) struct Roster {
    state: Mutex<State>,
    /// Who last proved that it led, and when.
    proved: watch::Sender<Option<(u64, Instant)>>,
}

struct State {
    members: Vec<MemberAddress>,
    /// Who was last said to lead, and answered since.
    leader: Option<u64>,
    /// Who did not answer in time, and until when nobody waits for it.
    silent: BTreeMap<u64, Instant>,
}

impl Roster {
    pub(crate) fn new(members: Vec<MemberAddress>) -> Roster {
        Roster {
            state: Mutex::new(State {
                members,
                leader: None,
                silent: BTreeMap::new(),
            }),
            proved: watch::Sender::new(None),
        }
    }

    pub(crate) fn replace(&self, members: Vec<MemberAddress>) {
        let mut state = self.state.lock();
        state
            .silent
            .retain(|node, _| members.iter().any(|member| member.node == *node));
        state.members = members;
    }

    /// Every member.
    pub(crate) fn all(&self) -> Vec<MemberAddress> {
        self.state.lock().members.clone()
    }

    /// Whom to ask next; each call begins with another one, so that questions are spread. Who was silent of late is passed
    /// over, unless all were.
    pub(crate) fn next(&self) -> Option<MemberAddress> {
        let mut state = self.state.lock();
        if state.members.is_empty() {
            return None;
        }
        let now = Instant::now();
        state.silent.retain(|_, until| now < *until);
        let State {
            members, silent, ..
        } = &mut *state;
        let speaks = members
            .iter()
            .position(|member| !silent.contains_key(&member.node));
        members.rotate_left(speaks.unwrap_or(0) + 1);
        members.last().cloned()
    }

    /// Remembers that a member did not answer in time.
    pub(crate) fn was_silent(&self, node: u64) {
        let until = Instant::now() + PASSED_OVER_FOR;
        let State {
            members, silent, ..
        } = &mut *self.state.lock();
        // One that is a member no more is never called, and would be remembered until somebody else is.
        if members.iter().any(|member| member.node == node) {
            silent.insert(node, until);
        }
        marks::note("silent members", silent.len(), members.len());
    }

    /// The leader as far as is known, else anyone.
    pub(crate) fn leader(&self) -> Option<MemberAddress> {
        let known = {
            let state = self.state.lock();
            let leads = |member: &&MemberAddress| Some(member.node) == state.leader;
            state.members.iter().find(leads).cloned()
        };
        known.or_else(|| self.next())
    }

    /// Remembers who leads; `None` when whoever was thought to lead does not, or does not answer.
    pub(crate) fn set_leader(&self, leader: Option<u64>) {
        self.state.lock().leader = leader;
    }

    /// Remembers that this one does not lead, or does not answer.
    pub(crate) fn forget_leader(&self, node: u64) {
        let mut state = self.state.lock();
        state.leader = state.leader.filter(|leader| *leader != node);
    }

    /// Remembers who has confirmed a read, which only a leader can.
    pub(crate) fn has_led(&self, node: u64) {
        self.set_leader(Some(node));
        self.proved.send_replace(Some((node, Instant::now())));
    }

    /// Completes when another one than `node` has proved that it leads, since `began`.
    pub(crate) async fn another_leads(&self, node: u64, began: Instant) {
        let mut proved = self.proved.subscribe();
        let is_another = |proved: &Option<(u64, Instant)>| {
            proved.is_some_and(|(leader, at)| leader != node && at > began)
        };
        // The sender lives as long as this.
        let _ = proved.wait_for(is_another).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roster() -> Roster {
        let member = |node| MemberAddress {
            node,
            address: format!("{node}:1"),
        };
        Roster::new([1, 2, 3].map(member).into())
    }

    #[test]
    fn everyone_is_asked_in_turn() {
        let roster = roster();
        let asked: Vec<u64> = (0..6).filter_map(|_| Some(roster.next()?.node)).collect();
        assert_eq!(asked, [1, 2, 3, 1, 2, 3]);
        assert_eq!(Roster::new(Vec::new()).next(), None);
    }

    #[test]
    fn silent_member_is_passed_over_unless_all_are() {
        let roster = roster();
        roster.was_silent(2);
        let asked: Vec<u64> = (0..4).filter_map(|_| Some(roster.next()?.node)).collect();
        assert_eq!(asked, [1, 3, 1, 3]);
        roster.was_silent(1);
        roster.was_silent(3);
        let mut asked: Vec<u64> = (0..3).filter_map(|_| Some(roster.next()?.node)).collect();
        asked.sort_unstable();
        assert_eq!(asked, [1, 2, 3]);
    }

    #[test]
    fn silence_of_a_node_that_is_a_member_no_more_is_not_remembered() {
        let roster = roster();
        roster.was_silent(9);
        assert!(roster.state.lock().silent.is_empty());
        roster.was_silent(2);
        assert_eq!(roster.state.lock().silent.len(), 1);
    }

    #[tokio::test]
    async fn only_later_proofs_of_others_count() {
        let roster = roster();
        roster.has_led(1);
        let began = Instant::now();
        let another = roster.another_leads(2, began);
        tokio::pin!(another);
        assert!(futures::poll!(&mut another).is_pending());
        roster.has_led(2);
        assert!(futures::poll!(&mut another).is_pending());
        roster.has_led(3);
        another.await;
    }

    #[test]
    fn known_leader_is_called_until_it_is_none_any_more() {
        let roster = roster();
        roster.set_leader(Some(3));
        assert_eq!(roster.leader().map(|member| member.node), Some(3));
        roster.set_leader(None);
        assert_eq!(roster.leader().map(|member| member.node), Some(1));
        // A leader that is not in the list cannot be called.
        roster.set_leader(Some(9));
        assert_eq!(roster.leader().map(|member| member.node), Some(2));
    }
}
