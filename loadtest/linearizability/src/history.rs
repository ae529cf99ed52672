//! What clients asked and were told, and when.

use std::collections::BTreeMap;

/// What came of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<O> {
    /// Somebody was told this, at this time.
    Known {
        /// What was answered.
        output: O,
        /// When.
        returned: u64,
    },
    /// Nobody was told anything: it may take effect at any later time, or never.
    Unknown,
}

/// One operation of one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation<I, O> {
    /// Who; only for people who read it.
    pub client: String,
    /// What was asked.
    pub input: I,
    /// When, in any unit that all operations share.
    pub called: u64,
    /// What came of it. What returns at the time at which another is called was done beside it.
    pub outcome: Outcome<O>,
}

/// Names an operation that has been called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(usize);

/// The history of many objects, each with a key, in the order in which things were called.
///
/// Every operation that was called and has not returned is of unknown outcome, as when its client had died.
#[derive(Debug, Clone)]
pub struct History<K, I, O> {
    operations: Vec<Option<(K, Operation<I, O>)>>,
}

impl<K, I, O> Default for History<K, I, O> {
    fn default() -> Self {
        Self {
            operations: Vec::new(),
        }
    }
}

impl<K: Ord + Clone, I: Clone, O: Clone> History<K, I, O> {
    /// Empty.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes down that a client asks something of an object. Call it before the request leaves.
    pub fn called(&mut self, at: u64, client: &str, key: K, input: I) -> Ticket {
        let operation = Operation {
            client: client.to_owned(),
            input,
            called: at,
            outcome: Outcome::Unknown,
        };
        self.operations.push(Some((key, operation)));
        Ticket(self.operations.len() - 1)
    }

    /// Takes down what it was answered. Call it after the answer has come.
    pub fn returned(&mut self, at: u64, ticket: Ticket, output: O) {
        if let Some(Some((_, operation))) = self.operations.get_mut(ticket.0) {
            let returned = at.max(operation.called);
            operation.outcome = Outcome::Known { output, returned };
        }
    }

    /// It is certain that it never had, and never will have, an effect: as if it had not been called.
    pub fn never_happened(&mut self, ticket: Ticket) {
        if let Some(operation) = self.operations.get_mut(ticket.0) {
            *operation = None;
        }
    }

    /// How many operations there are.
    pub fn len(&self) -> usize {
        self.operations.iter().flatten().count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many have an outcome that nobody knows.
    pub fn unknown(&self) -> usize {
        let operations = self.operations.iter().flatten();
        operations
            .filter(|(_, operation)| matches!(operation.outcome, Outcome::Unknown))
            .count()
    }

    /// The history of each object.
    pub fn by_key(&self) -> BTreeMap<K, Vec<Operation<I, O>>> {
        let mut parts: BTreeMap<K, Vec<Operation<I, O>>> = BTreeMap::new();
        for (key, operation) in self.operations.iter().flatten() {
            parts
                .entry(key.clone())
                .or_default()
                .push(operation.clone());
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_is_split_by_object_and_what_did_not_return_is_unknown() {
        let mut history = History::new();
        let first = history.called(1, "a", "x", "push");
        let second = history.called(2, "b", "y", "push");
        let third = history.called(3, "a", "x", "read");
        history.returned(4, first, "done");
        history.never_happened(second);
        assert_eq!((history.len(), history.unknown()), (2, 1));
        let parts = history.by_key();
        assert_eq!(parts.keys().copied().collect::<Vec<_>>(), ["x"]);
        assert_eq!(parts["x"][1].outcome, Outcome::Unknown);
        history.returned(2, third, "late");
        let parts = history.by_key();
        let returned = 3;
        assert_eq!(
            parts["x"][1].outcome,
            Outcome::Known {
                output: "late",
                returned
            }
        );
    }
}
