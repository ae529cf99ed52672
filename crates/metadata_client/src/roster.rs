//! Who the members are, and whom to call first.

use parking_lot::Mutex;

/// A member and where it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberAddress {
    /// Its id.
    pub node: u64,
    /// Its address, as its peers use it.
    pub address: String,
}

/// The members; the one at the front is called next.
pub(crate) struct Roster(Mutex<State>);

struct State {
    members: Vec<MemberAddress>,
    /// Who was last said to lead, and answered since.
    leader: Option<u64>,
}

impl Roster {
    pub(crate) fn new(members: Vec<MemberAddress>) -> Roster {
        Roster(Mutex::new(State {
            members,
            leader: None,
        }))
    }

    pub(crate) fn replace(&self, members: Vec<MemberAddress>) {
        let mut state = self.0.lock();
        state.members = members;
    }

    /// Whom to ask next; each call begins with another one, so that questions are spread.
    pub(crate) fn next(&self) -> Option<MemberAddress> {
        let mut state = self.0.lock();
        if state.members.is_empty() {
            return None;
        }
        state.members.rotate_left(1);
        state.members.last().cloned()
    }

    /// The leader as far as is known, else anyone.
    pub(crate) fn leader(&self) -> Option<MemberAddress> {
        let known = {
            let state = self.0.lock();
            let leads = |member: &&MemberAddress| Some(member.node) == state.leader;
            state.members.iter().find(leads).cloned()
        };
        known.or_else(|| self.next())
    }

    /// Remembers who leads; `None` when whoever was thought to lead does not, or does not answer.
    pub(crate) fn set_leader(&self, leader: Option<u64>) {
        self.0.lock().leader = leader;
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
