//! One tag, as the registry's pushes, reads, compare-and-swaps and deletions treat it.
//!
//! A conditional push that was sent again after its first effect gets the first answer while that effect stands; one that is
//! named by an idempotency key gets it in any case (docs/protocols.md, rule 3.2). Answers that say that they may be stale
//! (`Warning: 299`) are no part of a history (rule 4.3).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::notation::Words;
use crate::{Model, Operation, Outcome};

/// What a tag points at: a digest, or any name for one.
pub type Target = Arc<str>;

/// What must hold before a tag is changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum When {
    /// `If-Match` with a digest: it points there.
    Is(Target),
    /// `If-Match: *`: it exists.
    Exists,
    /// `If-None-Match: *`: it does not exist.
    Absent,
    /// `If-None-Match` with a digest: it does not point there.
    IsNot(Target),
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A manifest is pushed under the tag.
    Push {
        /// The manifest.
        to: Target,
        /// On this condition.
        when: Option<When>,
        /// The client's own idempotency key.
        key: Option<Arc<str>>,
    },
    /// Where does it point?
    Read,
    /// The tag is deleted.
    Delete {
        /// On this condition.
        when: Option<When>,
    },
    /// The manifest is deleted, and with it every tag that points at it.
    DeleteManifest {
        /// The manifest.
        target: Target,
    },
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// It was done.
    Done,
    /// It points there.
    Is {
        /// Where.
        target: Target,
        /// How often it has moved since it was made, for who can see that.
        version: Option<u64>,
    },
    /// There is no such tag, or no such manifest.
    Absent,
    /// The condition did not hold, since it points there.
    Refused {
        /// Where; `None`: it does not exist.
        current: Option<Target>,
    },
}

/// The model. What no operation of a history can tell apart it does not remember: see [`Tag::of`].
#[derive(Debug, Clone, Default)]
pub struct Tag {
    repeated: BTreeSet<Request>,
    repeated_keys: BTreeSet<Arc<str>>,
    versions: bool,
    /// Targets that nothing but one push names, if that is known: what they are called makes no difference.
    unobserved: BTreeSet<Target>,
}

/// What every target is called that nobody observed.
const UNOBSERVED: &str = "(unobserved)";

type Request = (When, Target);

/// What a tag is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct State {
    target: Option<Target>,
    version: u64,
    /// Conditional pushes that had their effect, of those that come more than once.
    done: BTreeSet<Request>,
    keys: BTreeSet<Arc<str>>,
}

impl Tag {
    /// The model for this history: it remembers which conditional pushes were done only if one of them is repeated, and
    /// counts versions only if somebody saw one.
    pub fn of(operations: &[Operation<Input, Output>]) -> Self {
        let (mut once, mut keys_once) = (BTreeSet::new(), BTreeSet::new());
        let mut model = Self::default();
        for operation in operations {
            if let Input::Push { to, when, key } = &operation.input {
                if let Some(when) = when {
                    let request = (when.clone(), to.clone());
                    if !once.insert(request.clone()) {
                        model.repeated.insert(request);
                    }
                }
                if let Some(key) = key
                    && !keys_once.insert(key.clone())
                {
                    model.repeated_keys.insert(key.clone());
                }
            }
            if let Outcome::Known { output, .. } = &operation.outcome {
                let versioned = matches!(output, Output::Is { version, .. } if version.is_some());
                model.versions |= versioned;
            }
        }
        if !model.versions {
            model.unobserved = named_once(operations);
        }
        model
    }

    fn moved(&self, state: &State, to: Option<&Target>) -> State {
        let mut after = state.clone();
        after.version = match (to.is_some(), self.versions) {
            (true, true) if state.target.as_ref() != to => state.version + 1,
            (true, true) => state.version,
            _ => 0,
        };
        after.target = to.cloned();
        after
    }

    fn push(
        &self,
        state: &State,
        (to, when, key): (&Target, Option<&When>, Option<&Arc<str>>),
        output: Option<&Output>,
    ) -> Option<State> {
        let request = when.map(|when| (when.clone(), to.clone()));
        let is_known = |request: &Request| state.done.contains(request);
        let is_first_answer = key.is_some_and(|key| state.keys.contains(key))
            || (state.target.as_ref() == Some(to) && request.as_ref().is_some_and(is_known));
        let holds = when.is_none_or(|when| when.holds(state.target.as_ref()));
        match output {
            Some(Output::Done) if is_first_answer => Some(state.clone()),
            None if is_first_answer => Some(state.clone()),
            Some(Output::Done) | None if holds => {
                let mut after = self.moved(state, Some(to));
                after
                    .done
                    .extend(request.filter(|request| self.repeated.contains(request)));
                let named = key.filter(|key| self.repeated_keys.contains(*key));
                after.keys.extend(named.cloned());
                Some(after)
            }
            Some(Output::Refused { current }) => {
                let is_true = !holds && !is_first_answer && *current == state.target;
                is_true.then(|| state.clone())
            }
            _ => None,
        }
    }

    fn delete(&self, state: &State, when: Option<&When>, output: Option<&Output>) -> Option<State> {
        let holds = when.is_none_or(|when| when.holds(state.target.as_ref()));
        match output {
            Some(Output::Done) | None if state.target.is_some() && holds => {
                Some(self.moved(state, None))
            }
            Some(Output::Absent) if state.target.is_none() => Some(state.clone()),
            Some(Output::Refused { current }) => {
                let is_true = state.target.is_some() && !holds && *current == state.target;
                is_true.then(|| state.clone())
            }
            _ => None,
        }
    }
}

fn named_once(operations: &[Operation<Input, Output>]) -> BTreeSet<Target> {
    let mut named: BTreeMap<&Target, usize> = BTreeMap::new();
    for operation in operations {
        let (when, target) = match &operation.input {
            Input::Push { to, when, .. } => (when.as_ref(), Some(to)),
            Input::Delete { when } => (when.as_ref(), None),
            Input::DeleteManifest { target } => (None, Some(target)),
            Input::Read => (None, None),
        };
        let condition = match when {
            Some(When::Is(target) | When::IsNot(target)) => Some(target),
            Some(When::Exists | When::Absent) | None => None,
        };
        let told = match &operation.outcome {
            Outcome::Known {
                output: Output::Is { target, .. },
                ..
            } => Some(target),
            Outcome::Known {
                output: Output::Refused { current },
                ..
            } => current.as_ref(),
            Outcome::Known { .. } | Outcome::Unknown => None,
        };
        for target in [target, condition, told].into_iter().flatten() {
            *named.entry(target).or_default() += 1;
        }
    }
    let once = named.into_iter().filter(|(_, count)| *count == 1);
    once.map(|(target, _)| target.clone()).collect()
}

impl When {
    fn holds(&self, current: Option<&Target>) -> bool {
        match self {
            When::Is(target) => current == Some(target),
            When::Exists => current.is_some(),
            When::Absent => current.is_none(),
            When::IsNot(target) => current != Some(target),
        }
    }
}

impl Model for Tag {
    type State = State;
    type Input = Input;
    type Output = Output;

    fn initial(&self) -> State {
        State::default()
    }

    fn apply(&self, state: &State, input: &Input, output: Option<&Output>) -> Option<State> {
        match input {
            Input::Push { to, when, key } => {
                self.push(state, (to, when.as_ref(), key.as_ref()), output)
            }
            Input::Delete { when } => self.delete(state, when.as_ref(), output),
            Input::Read => {
                let is_true = match output {
                    None => true,
                    Some(Output::Absent) => state.target.is_none(),
                    Some(Output::Is { target, version }) => {
                        state.target.as_ref() == Some(target)
                            && version.is_none_or(|version| version == state.version)
                    }
                    Some(Output::Done | Output::Refused { .. }) => false,
                };
                is_true.then(|| state.clone())
            }
            Input::DeleteManifest { target } => {
                let is_here = state.target.as_ref() == Some(target);
                match output {
                    Some(Output::Done) | None if is_here => Some(self.moved(state, None)),
                    Some(Output::Done) | None => Some(state.clone()),
                    Some(Output::Absent) if !is_here => Some(state.clone()),
                    _ => None,
                }
            }
        }
    }

    fn like(&self, input: &Input) -> Input {
        match input {
            Input::Push { to, when, key } => Input::Push {
                to: match self.unobserved.contains(to) {
                    true => UNOBSERVED.into(),
                    false => to.clone(),
                },
                when: when.clone(),
                key: key.clone().filter(|key| self.repeated_keys.contains(key)),
            },
            other => other.clone(),
        }
    }

    fn only_observes(&self, input: &Input, output: &Output) -> bool {
        *input == Input::Read || *output != Output::Done
    }
}

impl fmt::Display for State {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            None => to.write_str("absent"),
            Some(target) if self.version > 0 => write!(to, "{target} v{}", self.version),
            Some(target) => write!(to, "{target}"),
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            When::Is(target) => write!(to, " if {target}"),
            When::Exists => write!(to, " if exists"),
            When::Absent => write!(to, " if absent"),
            When::IsNot(target) => write!(to, " unless {target}"),
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |when: &Option<When>| when.as_ref().map(When::to_string).unwrap_or_default();
        match self {
            Input::Push {
                to: target,
                when,
                key,
            } => {
                write!(to, "push {target}{}", shown(when))?;
                match key {
                    Some(key) => write!(to, " key {key}"),
                    None => Ok(()),
                }
            }
            Input::Read => to.write_str("read"),
            Input::Delete { when } => write!(to, "delete{}", shown(when)),
            Input::DeleteManifest { target } => write!(to, "delete-manifest {target}"),
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Output::Done => to.write_str("done"),
            Output::Is {
                target,
                version: None,
            } => write!(to, "{target}"),
            Output::Is {
                target,
                version: Some(version),
            } => write!(to, "{target} v{version}"),
            Output::Absent => to.write_str("absent"),
            Output::Refused { current } => {
                write!(to, "refused {}", current.as_deref().unwrap_or("absent"))
            }
        }
    }
}

impl Words for Input {
    fn parse(words: &str) -> Result<Self, String> {
        let (words, key) = match words.split_once(" key ") {
            Some((words, key)) => (words, Some(key.into())),
            None => (words, None),
        };
        let parts: Vec<&str> = words.split_whitespace().collect();
        let when = |parts: &[&str]| {
            Ok(match parts {
                [] => None,
                ["if", "exists"] => Some(When::Exists),
                ["if", "absent"] => Some(When::Absent),
                ["if", target] => Some(When::Is((*target).into())),
                ["unless", target] => Some(When::IsNot((*target).into())),
                _ => return Err(format!("no condition: {words}")),
            })
        };
        Ok(match parts.as_slice() {
            ["push", to, rest @ ..] => Input::Push {
                to: (*to).into(),
                when: when(rest)?,
                key,
            },
            ["read"] => Input::Read,
            ["delete", rest @ ..] => Input::Delete { when: when(rest)? },
            ["delete-manifest", target] => Input::DeleteManifest {
                target: (*target).into(),
            },
            _ => return Err(format!("nothing that a tag is asked: {words}")),
        })
    }
}

impl Words for Output {
    fn parse(words: &str) -> Result<Self, String> {
        let parts: Vec<&str> = words.split_whitespace().collect();
        Ok(match parts.as_slice() {
            ["done"] => Output::Done,
            ["absent"] => Output::Absent,
            ["refused", "absent"] => Output::Refused { current: None },
            ["refused", target] => Output::Refused {
                current: Some((*target).into()),
            },
            [target] => Output::Is {
                target: (*target).into(),
                version: None,
            },
            [target, version] => {
                let number = version.strip_prefix('v').and_then(|it| it.parse().ok());
                Output::Is {
                    target: (*target).into(),
                    version: Some(number.ok_or(format!("no version: {words}"))?),
                }
            }
            _ => return Err(format!("nothing that a tag answers: {words}")),
        })
    }
}
