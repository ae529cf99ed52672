//! Why a history cannot be linearized: its shortest prefix that cannot, as a timeline.

use std::collections::BTreeSet;
use std::fmt;

use crate::check::{Event, Found, events, search};
use crate::{Model, Operation, Outcome, timeline};

/// So many operations are shown at most; those that are pending at the end always are.
const SHOWN_MAX: usize = 24;

/// The shortest prefix of a history that cannot be linearized.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterExample {
    /// How many operations the prefix has.
    pub operations: usize,
    /// How many of them, the first ones, the timeline leaves out.
    pub left_out: usize,
    /// The operation whose return has no explanation.
    pub unexplained: String,
    /// In which states the object could have been just before that.
    pub possible_states: Vec<String>,
    /// The end of the prefix, one operation a line, in the notation of [`crate::notation`].
    pub timeline: String,
}

impl CounterExample {
    /// Of a history that a search could not bring past the event `furthest`.
    pub(crate) fn of<M: Model>(
        model: &M,
        operations: &[Operation<M::Input, M::Output>],
        furthest: usize,
        steps_max: u64,
    ) -> Self {
        let all = events(operations);
        let returns: Vec<usize> = (furthest..all.len())
            .filter(|event| matches!(all[*event], Event::Return(_)))
            .collect();
        // A prefix of what can be linearized can be, too: so the shortest is found by halving.
        let (mut low, mut high) = (0, returns.len().saturating_sub(1));
        while low < high {
            let middle = low.midpoint(high);
            let (part, _) = prefix(operations, &all, returns[middle]);
            match search(model, &part, steps_max) {
                Found::NoOrder { .. } => high = middle,
                Found::Order | Found::GivenUp { .. } => low = middle + 1,
            }
        }
        let last = returns.get(low).copied().unwrap_or(furthest);
        let (part, unexplained) = prefix(operations, &all, last);
        let states = match search(model, &part, steps_max) {
            Found::NoOrder { states, .. } => states,
            Found::Order | Found::GivenUp { .. } => BTreeSet::new(),
        };
        let shown = shown(&part);
        let line = |operation: &Operation<M::Input, M::Output>| {
            format!("{}: {}", operation.client, timeline::said(operation))
        };
        Self {
            operations: part.len(),
            left_out: part.len() - shown.len(),
            unexplained: unexplained
                .map(|index| line(&operations[index]))
                .unwrap_or_default(),
            possible_states: states.into_iter().collect(),
            timeline: timeline::draw(&shown),
        }
    }
}

/// What had been called up to an event, and what was known then; and the operation that the event is about.
fn prefix<I: Clone, O: Clone>(
    operations: &[Operation<I, O>],
    all: &[Event],
    last: usize,
) -> (Vec<Operation<I, O>>, Option<usize>) {
    let returned: BTreeSet<usize> = all[..=last]
        .iter()
        .filter_map(|event| match event {
            Event::Return(index) => Some(*index),
            Event::Call(_) => None,
        })
        .collect();
    let called = all[..=last].iter().filter_map(|event| match event {
        Event::Call(index) => Some(*index),
        Event::Return(_) => None,
    });
    let part = called.map(|index| {
        let mut operation = operations[index].clone();
        if !returned.contains(&index) {
            operation.outcome = Outcome::Unknown;
        }
        operation
    });
    let about = match all.get(last) {
        Some(Event::Return(index) | Event::Call(index)) => Some(*index),
        None => None,
    };
    (part.collect(), about)
}

/// The last operations, those of unknown outcome before them that were not long ago included.
fn shown<I: Clone, O: Clone>(part: &[Operation<I, O>]) -> Vec<Operation<I, O>> {
    let mut sorted: Vec<&Operation<I, O>> = part.iter().collect();
    sorted.sort_by_key(|operation| match operation.outcome {
        Outcome::Known { returned, .. } => returned,
        Outcome::Unknown => operation.called,
    });
    let first = sorted.len().saturating_sub(SHOWN_MAX);
    let mut shown: Vec<Operation<I, O>> = sorted[first..].iter().map(|it| (*it).clone()).collect();
    shown.sort_by_key(|operation| operation.called);
    shown
}

impl fmt::Display for CounterExample {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            to,
            "no order of the first {} operations explains `{}`",
            self.operations, self.unexplained
        )?;
        let states = self.possible_states.join("; or ");
        writeln!(to, "before it, the object could have been: {states}")?;
        if self.left_out > 0 {
            writeln!(to, "({} earlier operations are left out)", self.left_out)?;
        }
        to.write_str(&self.timeline)
    }
}
