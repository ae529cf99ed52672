//! Clients of one member: they push, read, compare and swap, and delete tags, one thing after the other, as long as the
//! member's process lives.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metadata_raft::Member;
use ports::{Deadline, MetadataFailure, MetadataStore};

use crate::commands::{self, Condition, Content};
use crate::dice::Dice;
use crate::ledger::{Came, Ledger};

/// How many tags there are.
const TAGS: u64 = 3;

/// One client.
pub struct Client {
    /// How it is called in the trace.
    pub name: String,
    /// What it talks to.
    pub member: Arc<Member>,
    /// Where it writes down what it does.
    pub ledger: Arc<Ledger>,
    /// What it does.
    pub dice: Dice,
    /// The disk of its member: what the member says after that failed, nobody hears.
    pub disk: PathBuf,
    /// Between two operations at most, in milliseconds.
    pub pause_max: u64,
    /// Whether it shall end.
    pub stop: Arc<AtomicBool>,
    /// What it saw last.
    pub saw: Option<(u64, Content)>,
}

impl Client {
    /// Works until its process ends.
    pub async fn run(mut self) {
        loop {
            let pause = self.dice.within(1, self.pause_max);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let patience = self.dice.within(100, 3_000);
            let deadline = Deadline::now() + Duration::from_millis(patience);
            let tag = self.dice.within(1, TAGS + 1);
            match self.dice.within(0, 40) {
                0..16 => self.push(tag, deadline).await,
                16..32 => self.read(tag, deadline).await,
                32..36 => self.delete(tag, deadline).await,
                36..39 => self.read_by_digest(deadline).await,
                _ => self.operate(deadline).await,
            }
            if self.is_dead() || self.stop.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    fn is_dead(&self) -> bool {
        powerloss::has_crashed(&self.disk)
    }

    async fn push(&mut self, tag: u64, deadline: Deadline) {
        let condition = match (self.dice.within(0, 4), self.saw) {
            (0, _) => Condition::Absent,
            (1, Some((seen, content))) if seen == tag => Condition::Is(content),
            _ => Condition::Always,
        };
        let content = self.ledger.fresh_content();
        let ticket = self.ledger.pushes(&self.name, tag, content, condition);
        let command = commands::push(tag, content, condition);
        let came = decided(self.member.propose(command, deadline).await);
        if !self.is_dead() {
            let what = match condition {
                Condition::Always => "push",
                Condition::Absent | Condition::Is(_) => "push on a condition",
            };
            self.ledger
                .came(&self.name, what, ticket, Some(content), &came);
        }
    }

    async fn delete(&mut self, tag: u64, deadline: Deadline) {
        let ticket = self.ledger.deletes(&self.name, tag);
        let came = decided(self.member.propose(commands::delete(tag), deadline).await);
        if !self.is_dead() {
            self.ledger.came(&self.name, "delete", ticket, None, &came);
        }
    }

    /// Nobody asks for what came of it but the members' states, which have to be equal.
    async fn operate(&mut self, deadline: Deadline) {
        let (what, command) = commands::operator(self.dice.draw());
        let came = self.member.propose(command, deadline).await;
        if !self.is_dead() {
            self.ledger.operated(&self.name, what, &decided(came));
        }
    }

    async fn read(&mut self, tag: u64, deadline: Deadline) {
        let ticket = self.ledger.reads(&self.name, tag);
        let answered = self.member.read(commands::by_tag(tag), deadline).await;
        if self.is_dead() {
            return;
        }
        let came = match answered {
            Ok(answered) if answered.stale => {
                self.ledger.breaks("P2: an answer may be stale".to_owned());
                Came::Nothing
            }
            Ok(answered) => match commands::found(&answered.answer) {
                Ok(found) => {
                    self.saw = found.map(|content| (tag, content)).or(self.saw);
                    Came::Found(found)
                }
                Err(problem) => {
                    self.ledger.breaks(format!("P1: {problem}"));
                    Came::Nothing
                }
            },
            Err(_) => Came::Nothing,
        };
        self.ledger.came(&self.name, "read", ticket, None, &came);
    }

    async fn read_by_digest(&mut self, deadline: Deadline) {
        let Some(content) = self.ledger.some_acknowledged(self.dice.draw()) else {
            return;
        };
        let asked = self.ledger.now();
        let query = commands::by_digest(content);
        if let Ok(answered) = self.member.read(query, deadline).await
            && !self.is_dead()
        {
            match commands::found(&answered.answer) {
                Ok(found) => {
                    let is_there = found == Some(content);
                    self.ledger
                        .found_by_digest(&self.name, content, asked, is_there);
                }
                Err(problem) => self.ledger.breaks(format!("P1: {problem}")),
            }
        }
    }
}

fn decided(outcome: Result<metadata::Reply, MetadataFailure>) -> Came {
    match outcome {
        Ok(reply) => Came::Reply(reply),
        Err(MetadataFailure::Unavailable { .. }) => Came::Nothing,
        Err(MetadataFailure::OutcomeUnknown { .. }) => Came::Unknown,
        // The member ends: whether the command was in its log is not said.
        Err(MetadataFailure::Stopped { .. }) => Came::Unknown,
    }
}
