//! One upload, as the registry's begin, write, status, cancel and finish treat it (docs/protocols.md, section 1).
//!
//! A write has two moments: it *takes* the upload, which ends every earlier writer, and later its offset is acknowledged.
//! So it stands in a history as two operations with the same bar, `take` and `write`; [`write()`] makes both. In between, and
//! after a writer that died, the upload may have come any part of the way: what a status tells of that counts.

use std::fmt;

use crate::notation::Words;
use crate::{Model, Operation, Outcome};

/// Names a write within its upload.
pub type Writer = u32;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The upload is opened.
    Begin,
    /// A write begins: bytes from here to there.
    Take {
        /// Which write.
        writer: Writer,
        /// The offset of its first byte.
        from: u64,
        /// The offset after its last byte.
        to: u64,
    },
    /// A write is acknowledged.
    Write {
        /// Which.
        writer: Writer,
        /// The offset after its last byte.
        to: u64,
    },
    /// How far is it?
    Status,
    /// It is given up.
    Cancel,
    /// It becomes a blob of so many bytes.
    Finish {
        /// How many bytes the digest is of.
        total: u64,
        /// The write that came with it, if one did.
        writer: Option<Writer>,
    },
    /// Is there the blob?
    Fetch,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// It was done; a `take` by itself is never answered otherwise.
    Done,
    /// The upload has come to this offset.
    At(u64),
    /// Not from there: the upload stands at this offset.
    Refused(u64),
    /// The bytes are not those of the digest.
    Mismatch,
    /// There is no such upload, or no such blob.
    Gone,
}

/// The model.
#[derive(Debug, Clone, Copy, Default)]
pub struct Upload;

/// What an upload is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum State {
    /// It was not opened yet.
    Nothing,
    /// It takes bytes.
    Open {
        /// What was acknowledged.
        acknowledged: u64,
        /// How far the last writer may have come.
        reach: u64,
        /// Where the last writer began.
        started: u64,
        /// The last writer, if it was not acknowledged yet.
        writer: Option<Writer>,
    },
    /// It is a blob.
    Finished {
        /// Of so many bytes.
        total: u64,
    },
    /// It was given up.
    Cancelled,
}

use State::{Cancelled, Finished, Nothing, Open};

const fn standing(at: u64, started: u64) -> State {
    Open {
        acknowledged: at,
        reach: at,
        started,
        writer: None,
    }
}

impl Model for Upload {
    type State = State;
    type Input = Input;
    type Output = Output;

    fn initial(&self) -> State {
        Nothing
    }

    fn apply(&self, state: &State, input: &Input, output: Option<&Output>) -> Option<State> {
        let is_gone = matches!(state, Nothing | Cancelled | Finished { .. });
        if output == Some(&Output::Gone) && *input != Input::Fetch {
            let is_repeated = matches!((input, state), (Input::Finish { total, .. }, Finished { total: it }) if total == it);
            return (is_gone && !is_repeated).then(|| state.clone());
        }
        match input {
            Input::Begin => (*state == Nothing).then_some(standing(0, 0)),
            Input::Take { writer, from, to } => take(state, (*writer, *from, *to)),
            Input::Write { writer, to } => write_end(state, (*writer, *to), output),
            Input::Status => status(state, output),
            Input::Cancel => matches!(state, Open { .. }).then_some(Cancelled),
            Input::Finish { total, writer } => finish(state, (*total, *writer), output),
            Input::Fetch => {
                let is_there = matches!(state, Finished { .. });
                let is_true = output.is_none_or(|output| is_there == (*output == Output::Done));
                is_true.then(|| state.clone())
            }
        }
    }

    fn only_observes(&self, input: &Input, output: &Output) -> bool {
        *input == Input::Fetch || !matches!(output, Output::Done | Output::At(_))
    }
}

fn take(state: &State, (writer, from, to): (Writer, u64, u64)) -> Option<State> {
    let Open {
        acknowledged,
        reach,
        started,
        ..
    } = state
    else {
        return None;
    };
    let may_start = (*acknowledged..=*reach).contains(&from) || from == *started || from == 0;
    may_start.then(|| Open {
        acknowledged: from.min(*acknowledged),
        reach: to.max(from),
        started: from,
        writer: Some(writer),
    })
}

fn write_end(state: &State, (by, to): (Writer, u64), output: Option<&Output>) -> Option<State> {
    let Open {
        acknowledged,
        reach,
        started,
        writer,
    } = state
    else {
        return None;
    };
    let is_the_writer = *writer == Some(by);
    match output {
        None => is_the_writer.then_some(standing(to, *started)),
        Some(Output::At(at)) => (is_the_writer && *at == to).then_some(standing(to, *started)),
        Some(Output::Refused(at)) => {
            let is_true = !is_the_writer && (*acknowledged..=*reach).contains(at);
            is_true.then(|| state.clone())
        }
        Some(_) => None,
    }
}

fn status(state: &State, output: Option<&Output>) -> Option<State> {
    let (
        Open {
            acknowledged,
            reach,
            started,
            writer,
        },
        Some(Output::At(at)),
    ) = (state, output)
    else {
        return output.is_none().then(|| state.clone());
    };
    (*acknowledged..=*reach).contains(at).then_some(Open {
        acknowledged: *at,
        reach: *reach,
        started: *started,
        writer: *writer,
    })
}

fn finish(
    state: &State,
    (total, by): (u64, Option<Writer>),
    output: Option<&Output>,
) -> Option<State> {
    let is_repeated = *state == Finished { total };
    let (is_whole, is_open) = match state {
        Open {
            acknowledged,
            reach,
            writer,
            ..
        } => match by {
            // Nobody else can have taken it since, and what the write brings is the rest.
            Some(by) => (*writer == Some(by) && *reach == total, true),
            None => ((*acknowledged..=*reach).contains(&total), true),
        },
        Nothing | Finished { .. } | Cancelled => (false, false),
    };
    match output {
        Some(Output::Done) | None if is_whole => Some(Finished { total }),
        Some(Output::Done) | None if is_repeated => Some(state.clone()),
        Some(Output::Mismatch | Output::Refused(_)) => {
            let is_certain = match (state, by) {
                (
                    Open {
                        acknowledged,
                        reach,
                        ..
                    },
                    None,
                ) => *acknowledged != total || *reach != total,
                (Open { writer, .. }, by) => *writer != by,
                _ => false,
            };
            (is_open && is_certain).then(|| state.clone())
        }
        _ => None,
    }
}

/// The two operations that a write is. Refused, it may still have ended another writer; so its `take` is of unknown outcome.
pub fn write(
    client: &str,
    (writer, from, to): (Writer, u64, u64),
    called: u64,
    outcome: Outcome<Output>,
) -> [Operation<Input, Output>; 2] {
    let taken = match &outcome {
        Outcome::Known {
            output: Output::At(_),
            returned,
        } => Outcome::Known {
            output: Output::Done,
            returned: *returned,
        },
        _ => Outcome::Unknown,
    };
    let operation = |input, outcome| Operation {
        client: client.to_owned(),
        input,
        called,
        outcome,
    };
    [
        operation(Input::Take { writer, from, to }, taken),
        operation(Input::Write { writer, to }, outcome),
    ]
}

impl fmt::Display for State {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Nothing => to.write_str("not opened"),
            Cancelled => to.write_str("cancelled"),
            Finished { total } => write!(to, "a blob of {total}"),
            Open {
                acknowledged,
                reach,
                writer,
                ..
            } => {
                write!(to, "at {acknowledged}")?;
                match writer {
                    Some(writer) => write!(to, ", writer {writer} on the way to {reach}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Begin => out.write_str("begin"),
            Input::Take { writer, from, to } => write!(out, "take #{writer} {from}..{to}"),
            Input::Write { writer, to } => write!(out, "write #{writer} ..{to}"),
            Input::Status => out.write_str("status"),
            Input::Cancel => out.write_str("cancel"),
            Input::Finish {
                total,
                writer: None,
            } => write!(out, "finish {total}"),
            Input::Finish {
                total,
                writer: Some(writer),
            } => write!(out, "finish {total} with #{writer}"),
            Input::Fetch => out.write_str("fetch"),
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Output::Done => to.write_str("done"),
            Output::At(at) => write!(to, "at {at}"),
            Output::Refused(at) => write!(to, "refused {at}"),
            Output::Mismatch => to.write_str("mismatch"),
            Output::Gone => to.write_str("gone"),
        }
    }
}

fn number<T: std::str::FromStr>(words: &str) -> Result<T, String> {
    let digits = words.trim_start_matches('#');
    digits.parse().map_err(|_| format!("no number: {words}"))
}

impl Words for Input {
    fn parse(words: &str) -> Result<Self, String> {
        let parts: Vec<&str> = words.split_whitespace().collect();
        let unknown = || format!("nothing that an upload is asked: {words}");
        Ok(match parts.as_slice() {
            ["begin"] => Input::Begin,
            ["take", writer, range] => {
                let (from, to) = range.split_once("..").ok_or_else(unknown)?;
                Input::Take {
                    writer: number(writer)?,
                    from: number(from)?,
                    to: number(to)?,
                }
            }
            ["write", writer, to] => Input::Write {
                writer: number(writer)?,
                to: number(to.strip_prefix("..").ok_or_else(unknown)?)?,
            },
            ["status"] => Input::Status,
            ["cancel"] => Input::Cancel,
            ["finish", total] => Input::Finish {
                total: number(total)?,
                writer: None,
            },
            ["finish", total, "with", writer] => Input::Finish {
                total: number(total)?,
                writer: Some(number(writer)?),
            },
            ["fetch"] => Input::Fetch,
            _ => return Err(unknown()),
        })
    }
}

impl Words for Output {
    fn parse(words: &str) -> Result<Self, String> {
        let parts: Vec<&str> = words.split_whitespace().collect();
        Ok(match parts.as_slice() {
            ["done"] => Output::Done,
            ["at", at] => Output::At(number(at)?),
            ["refused", at] => Output::Refused(number(at)?),
            ["mismatch"] => Output::Mismatch,
            ["gone"] => Output::Gone,
            _ => return Err(format!("nothing that an upload answers: {words}")),
        })
    }
}
