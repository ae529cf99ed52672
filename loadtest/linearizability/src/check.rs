//! The search: configurations of (what was linearized, the state), the furthest first, each tried once.
//!
//! Calls and returns are taken in the order of time. A call only makes an operation pending. At a return the operation must
//! have been linearized; if it was not, every pending one may be linearized now (just in time), until it is its turn.
//!
//! Three shortcuts, each without loss: what only observes is linearized as soon as it can be; an operation of unknown outcome
//! that would change nothing is left out; and a configuration fails if one failed that differs only in having used fewer
//! operations of unknown outcome, since those need not happen at all. So of those that are as far, the one that has used the
//! fewest is tried first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::bits::{Bits, Counts};
use crate::{CounterExample, Model, Operation, Outcome};

/// So many steps decide any history of thousands of operations of a dozen clients.
pub const STEPS_MAX: u64 = 20_000_000;

/// So many of the last possible states are told.
const STATES_TOLD_MAX: usize = 8;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// One object that does one thing at a time could have answered so.
    Linearizable,
    /// It could not.
    NotLinearizable(Box<CounterExample>),
    /// The search was given up after so many steps. Nothing is known: this is a failure of the run.
    Undecided {
        /// How many operations there are.
        operations: usize,
        /// How many steps were made.
        steps: u64,
    },
}

/// Searches an order of the operations that the model allows, in at most so many steps.
pub fn check<M: Model>(
    model: &M,
    operations: &[Operation<M::Input, M::Output>],
    steps_max: u64,
) -> Verdict {
    match search(model, operations, steps_max) {
        Found::Order => Verdict::Linearizable,
        Found::GivenUp { steps } => Verdict::Undecided {
            operations: operations.len(),
            steps,
        },
        Found::NoOrder { event, .. } => Verdict::NotLinearizable(Box::new(CounterExample::of(
            model, operations, event, steps_max,
        ))),
    }
}

/// What a search has come to.
pub(crate) enum Found {
    Order,
    /// No order gets past this event; before it, the object could have been in one of these states.
    NoOrder {
        event: usize,
        states: BTreeSet<String>,
    },
    GivenUp {
        steps: u64,
    },
}

/// A call or a return, of the operation of this index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Call(usize),
    Return(usize),
}

/// Calls and returns in the order of time; at the same time calls come first, and so operations overlap.
pub(crate) fn events<I, O>(operations: &[Operation<I, O>]) -> Vec<Event> {
    let mut timed = Vec::with_capacity(operations.len() * 2);
    for (index, operation) in operations.iter().enumerate() {
        timed.push((operation.called, 0, Event::Call(index)));
        if let Outcome::Known { returned, .. } = &operation.outcome {
            timed.push(((*returned).max(operation.called), 1, Event::Return(index)));
        }
    }
    timed.sort_by_key(|(at, kind, _)| (*at, *kind));
    timed.into_iter().map(|(_, _, event)| event).collect()
}

/// A place in the search.
struct Place<S> {
    event: usize,
    /// Pending operations that were linearized, by their slots.
    linearized: Bits,
    /// How many of each kind of operations of unknown outcome were linearized.
    used: Counts,
    state: S,
}

/// What failed or is being tried: event, linearized, state, and what was used of operations of unknown outcome.
type Tried<S> = HashMap<(usize, Bits, S), Vec<Counts>>;

/// What is yet to be tried, by how far it is and how many operations of unknown outcome it has used.
struct Agenda<S>(BTreeMap<(Reverse<usize>, usize), Vec<Place<S>>>);

impl<S> Agenda<S> {
    fn add(&mut self, place: Place<S>) {
        let rank = (Reverse(place.event), place.used.sum());
        self.0.entry(rank).or_default().push(place);
    }

    fn next(&mut self) -> Option<Place<S>> {
        let mut first = self.0.first_entry()?;
        let place = first.get_mut().pop();
        if first.get().is_empty() {
            first.remove();
        }
        place
    }
}

/// Operations of unknown outcome that are alike: it makes no difference which of them has an effect, so the first that was
/// called is taken first.
struct Kind<I> {
    input: I,
    /// The events that are their calls.
    calls: Vec<usize>,
}

struct Search<'a, M: Model> {
    model: &'a M,
    operations: &'a [Operation<M::Input, M::Output>],
    events: Vec<Event>,
    /// Of each event that is a return: the pending operations with a known outcome.
    pending: Vec<Vec<usize>>,
    kinds: Vec<Kind<M::Input>>,
    slots: Vec<usize>,
    steps: u64,
}

pub(crate) fn search<M: Model>(
    model: &M,
    operations: &[Operation<M::Input, M::Output>],
    steps_max: u64,
) -> Found {
    let mut search = Search::new(model, operations);
    let mut tried: Tried<M::State> = HashMap::new();
    let mut furthest = (0, BTreeSet::new());
    let mut agenda = Agenda(BTreeMap::new());
    agenda.add(Place {
        event: 0,
        linearized: Bits::default(),
        used: Counts::default(),
        state: model.initial(),
    });
    while let Some(mut place) = agenda.next() {
        search.go_on(&mut place);
        if place.event == search.events.len() {
            return Found::Order;
        }
        if search.steps > steps_max {
            let steps = search.steps;
            return Found::GivenUp { steps };
        }
        let key = (place.event, place.linearized.clone(), place.state.clone());
        let before = tried.entry(key).or_default();
        if before.iter().any(|used| used.is_within(&place.used)) {
            continue;
        }
        before.retain(|used| !place.used.is_within(used));
        before.push(place.used.clone());
        if place.event > furthest.0 {
            furthest = (place.event, BTreeSet::new());
        }
        if place.event == furthest.0 && furthest.1.len() < STATES_TOLD_MAX {
            furthest.1.insert(place.state.to_string());
        }
        search.branch(&place, &mut agenda);
    }
    Found::NoOrder {
        event: furthest.0,
        states: furthest.1,
    }
}

impl<'a, M: Model> Search<'a, M> {
    fn new(model: &'a M, operations: &'a [Operation<M::Input, M::Output>]) -> Self {
        let events = events(operations);
        let (mut pending, mut kinds) = (Vec::new(), Vec::<Kind<M::Input>>::new());
        let mut now = Vec::<usize>::new();
        let mut slots = vec![0; operations.len()];
        for (place, event) in events.iter().enumerate() {
            match *event {
                Event::Call(index) => {
                    pending.push(Vec::new());
                    if matches!(operations[index].outcome, Outcome::Unknown) {
                        let input = model.like(&operations[index].input);
                        match kinds.iter_mut().find(|kind| kind.input == input) {
                            Some(kind) => kind.calls.push(place),
                            None => kinds.push(Kind {
                                input,
                                calls: vec![place],
                            }),
                        }
                        continue;
                    }
                    let is_free =
                        |slot: &usize| now.iter().all(|other: &usize| slots[*other] != *slot);
                    slots[index] = (0..).find(is_free).expect("numbers do not end");
                    now.push(index);
                }
                Event::Return(index) => {
                    pending.push(now.clone());
                    now.retain(|other| *other != index);
                }
            }
        }
        Self {
            model,
            operations,
            events,
            pending,
            kinds,
            slots,
            steps: 0,
        }
    }

    fn apply(&mut self, state: &M::State, index: usize) -> Option<M::State> {
        self.steps += 1;
        let operation = &self.operations[index];
        let output = match &operation.outcome {
            Outcome::Known { output, .. } => Some(output),
            Outcome::Unknown => None,
        };
        self.model.apply(state, &operation.input, output)
    }

    /// Takes every event that leaves no choice.
    fn go_on(&mut self, place: &mut Place<M::State>) {
        while let Some(event) = self.events.get(place.event) {
            if let Event::Return(index) = *event {
                if !place.linearized.contains(self.slots[index]) {
                    self.observe(place);
                }
                if !place.linearized.contains(self.slots[index]) {
                    return;
                }
                place.linearized.remove(self.slots[index]);
            }
            place.event += 1;
        }
    }

    /// Linearizes what only observes and can be now.
    fn observe(&mut self, place: &mut Place<M::State>) {
        for position in 0..self.pending[place.event].len() {
            let index = self.pending[place.event][position];
            let operation = &self.operations[index];
            let Outcome::Known { output, .. } = &operation.outcome else {
                continue;
            };
            let observes = self.model.only_observes(&operation.input, output);
            if observes
                && !place.linearized.contains(self.slots[index])
                && self.apply(&place.state, index).is_some()
            {
                place.linearized.insert(self.slots[index]);
            }
        }
    }

    /// Every operation that may be linearized next; the likeliest is tried first, and so comes last.
    fn branch(&mut self, place: &Place<M::State>, agenda: &mut Agenda<M::State>) {
        for (number, kind) in self.kinds.iter().enumerate().rev() {
            let call = kind.calls.get(place.used.of(number));
            if call.is_none_or(|call| *call > place.event) {
                continue;
            }
            self.steps += 1;
            let Some(state) = self.model.apply(&place.state, &kind.input, None) else {
                continue;
            };
            if state != place.state {
                let mut used = place.used.clone();
                used.add(number);
                let linearized = place.linearized.clone();
                let event = place.event;
                agenda.add(Place {
                    event,
                    linearized,
                    used,
                    state,
                });
            }
        }
        let Event::Return(returning) = self.events[place.event] else {
            return;
        };
        let mut candidates = self.pending[place.event].clone();
        candidates.sort_by_key(|index| *index == returning);
        for index in candidates {
            if place.linearized.contains(self.slots[index]) {
                continue;
            }
            if let Some(state) = self.apply(&place.state, index) {
                let mut linearized = place.linearized.clone();
                linearized.insert(self.slots[index]);
                agenda.add(Place {
                    event: place.event,
                    linearized,
                    used: place.used.clone(),
                    state,
                });
            }
        }
    }
}
