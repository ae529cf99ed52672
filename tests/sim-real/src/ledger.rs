//! What the clients of a run asked and were told, in the order in which it happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use linearizability::tag::{Input, Output, When};
use linearizability::{History, Ticket};
use metadata::{Refusal, Reply};
use oci::Digest;
use parking_lot::Mutex;

use crate::commands::{Condition, Content, digest};
use crate::trace::Trace;

/// A history of tags.
pub type TagHistory = History<u64, Input, Output>;

#[derive(Default)]
struct Inner {
    clock: u64,
    tags: TagHistory,
    contents: Content,
    digests: BTreeMap<Digest, Content>,
    acknowledged: BTreeMap<Content, u64>,
    without_effect: BTreeSet<Content>,
    seen: BTreeSet<Content>,
    broken: Vec<String>,
    counts: BTreeMap<(&'static str, &'static str), u64>,
}

/// See the module. Shared by every client.
pub struct Ledger {
    inner: Mutex<Inner>,
    trace: Arc<Trace>,
}

/// What came of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Came {
    /// An answer of the log.
    Reply(Reply),
    /// What was found.
    Found(Option<Content>),
    /// It had no effect, and never will.
    Nothing,
    /// Nobody can tell.
    Unknown,
}

fn name(content: Content) -> Arc<str> {
    content.to_string().into()
}

impl Inner {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn count(&mut self, what: &'static str, came: &'static str) {
        *self.counts.entry((what, came)).or_default() += 1;
    }

    fn current(&self, digest: Option<&Digest>) -> Option<Content> {
        self.digests.get(digest?).copied()
    }

    fn output(&self, reply: &Reply) -> Option<Output> {
        match reply {
            Reply::ManifestPut { .. } | Reply::Done => Some(Output::Done),
            Reply::Refused(Refusal::TagUnknown | Refusal::RepositoryUnknown) => {
                Some(Output::Absent)
            }
            Reply::Refused(Refusal::PreconditionFailed { current, .. }) => Some(Output::Refused {
                current: self.current(current.as_ref()).map(name),
            }),
            _ => None,
        }
    }
}

impl Ledger {
    /// An empty one.
    #[must_use]
    pub fn new(trace: Arc<Trace>) -> Ledger {
        Ledger {
            inner: Mutex::default(),
            trace,
        }
    }

    /// A content that nobody has pushed.
    pub fn fresh_content(&self) -> Content {
        let mut inner = self.inner.lock();
        inner.contents += 1;
        let content = inner.contents;
        inner.digests.insert(digest(content), content);
        content
    }

    /// A content that was acknowledged, chosen by a number.
    #[must_use]
    pub fn some_acknowledged(&self, number: u64) -> Option<Content> {
        let inner = self.inner.lock();
        let count = inner.acknowledged.len() as u64;
        let at = usize::try_from(number.checked_rem(count)?).ok()?;
        inner.acknowledged.keys().nth(at).copied()
    }

    /// A client pushes.
    pub fn pushes(&self, client: &str, tag: u64, to: Content, condition: Condition) -> Ticket {
        let when = match condition {
            Condition::Always => None,
            Condition::Absent => Some(When::Absent),
            Condition::Is(content) => Some(When::Is(name(content))),
        };
        let input = Input::Push {
            to: name(to),
            when,
            key: None,
        };
        self.calls(client, tag, input)
    }

    /// A client reads a tag.
    pub fn reads(&self, client: &str, tag: u64) -> Ticket {
        self.calls(client, tag, Input::Read)
    }

    /// A client deletes a tag.
    pub fn deletes(&self, client: &str, tag: u64) -> Ticket {
        self.calls(client, tag, Input::Delete { when: None })
    }

    fn calls(&self, client: &str, tag: u64, input: Input) -> Ticket {
        let mut inner = self.inner.lock();
        let at = inner.tick();
        self.trace.line(format!("{client}: v{tag} {input}"));
        inner.tags.called(at, client, tag, input)
    }

    /// What came of it. `pushed` is what a push was of.
    pub fn came(
        &self,
        client: &str,
        what: &'static str,
        ticket: Ticket,
        pushed: Option<Content>,
        came: &Came,
    ) {
        let mut inner = self.inner.lock();
        let at = inner.tick();
        self.trace.line(format!("{client}: {came:?}"));
        let output = match came {
            Came::Reply(reply) => inner.output(reply),
            Came::Found(Some(content)) => Some(Output::Is {
                target: name(*content),
                version: None,
            }),
            Came::Found(None) => Some(Output::Absent),
            Came::Nothing => {
                inner.count(what, "without effect");
                inner.tags.never_happened(ticket);
                inner.without_effect.extend(pushed);
                return;
            }
            Came::Unknown => {
                inner.count(what, "unknown");
                return;
            }
        };
        if let Came::Found(Some(content)) = came {
            inner.seen.insert(*content);
        }
        inner.count(
            what,
            match &output {
                Some(Output::Done) => "done",
                Some(Output::Refused { .. }) => "refused",
                Some(Output::Is { .. }) => "found",
                Some(Output::Absent) => "absent",
                None => "no answer",
            },
        );
        match output {
            Some(output) => {
                if output == Output::Done
                    && let Some(content) = pushed
                {
                    inner.acknowledged.insert(content, at);
                }
                inner.tags.returned(at, ticket, output);
            }
            None => {
                let odd = format!("{client}: no reply to that: {came:?}");
                if !matches!(came, Came::Reply(Reply::Refused(Refusal::OutcomeUnknown))) {
                    inner.broken.push(odd);
                }
            }
        }
    }

    /// An operator was answered.
    pub fn operated(&self, client: &str, what: &'static str, came: &Came) {
        self.trace.line(format!("{client}: {what}: {came:?}"));
        let outcome = match came {
            Came::Reply(reply) => match crate::commands::decided(reply) {
                crate::commands::Decided::Done => "done",
                crate::commands::Decided::Refused => "refused",
                crate::commands::Decided::Unknown => "unknown",
            },
            Came::Nothing => "without effect",
            Came::Found(_) | Came::Unknown => "unknown",
        };
        self.inner.lock().count(what, outcome);
    }

    /// The number of the moment, to be given to [`Ledger::found_by_digest`].
    pub fn now(&self) -> u64 {
        self.inner.lock().tick()
    }

    /// Somebody asked for a content by its digest since `asked`.
    pub fn found_by_digest(&self, client: &str, content: Content, asked: u64, is_there: bool) {
        let mut inner = self.inner.lock();
        inner.count("read by digest", if is_there { "found" } else { "absent" });
        if is_there {
            inner.seen.insert(content);
            return;
        }
        let acknowledged = inner.acknowledged.get(&content).copied();
        if acknowledged.is_some_and(|at| at < asked) {
            let what = format!("P1: {client} does not find {content}, which was acknowledged");
            inner.broken.push(what);
        }
    }

    /// Something that must not be.
    pub fn breaks(&self, what: String) {
        self.trace.line(format!("BROKEN {what}"));
        self.inner.lock().broken.push(what);
    }

    /// Whether anything was seen that must not be.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        !self.inner.lock().broken.is_empty()
    }

    /// Whatever must not be and was so far, and pushes of no effect that somebody saw.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        let inner = self.inner.lock();
        let mut broken = inner.broken.clone();
        for content in inner.without_effect.intersection(&inner.seen) {
            broken.push(format!(
                "P2: the push of {content} was said to have no effect, and was seen"
            ));
        }
        broken
    }

    /// Every content that was acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> Vec<Content> {
        self.inner.lock().acknowledged.keys().copied().collect()
    }

    /// The histories of the tags.
    #[must_use]
    pub fn tags(&self) -> TagHistory {
        self.inner.lock().tags.clone()
    }

    /// How often what came.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        self.inner.lock().counts.clone()
    }
}
