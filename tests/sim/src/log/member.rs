//! A member of the pure log as a thing that runs: its timer, its disk's syncs, the messages that it sends, and what it has
//! applied.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use metadata::{LogTime, Query, Reply, answer};
use parking_lot::Mutex;
use ports::metadata_store::freshness::Freshness;
use ports::{Answered, Deadline};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::core::{Core, Decision};
use super::disk::{Content, Disk};
use super::messages::Message;
use super::time::TimeKeeper;
use crate::census::Kind;
use crate::life::Life;
use crate::world::World;

/// A confirmation of a read that takes longer is begun again.
const CONFIRM_TIME_MAX: Duration = Duration::from_millis(500);
/// Between two tries to confirm.
const CONFIRM_AGAIN_AFTER: Duration = Duration::from_millis(15);

/// See the module.
pub struct Member {
    /// Where it lives.
    pub world: Arc<World>,
    /// Until when.
    pub life: Arc<Life>,
    /// Nobody locks it across a wait.
    core: Mutex<Core>,
    retimed: Notify,
    applied: watch::Sender<u64>,
    /// When a read was last confirmed here.
    pub freshness: Freshness,
    syncing: Mutex<bool>,
    time: Mutex<TimeKeeper>,
}

impl Member {
    /// Starts a member from its disk.
    #[must_use]
    pub fn start(world: &Arc<World>, life: &Arc<Life>, disk: Disk) -> Arc<Member> {
        let dice = world.dice(&format!("member {} {}", life.node, life.number));
        let core = Core::new(life.node, disk, dice, Instant::now());
        let member = Arc::new(Member {
            world: Arc::clone(world),
            life: Arc::clone(life),
            applied: watch::Sender::new(core.applied),
            core: Mutex::new(core),
            retimed: Notify::new(),
            freshness: Freshness::new(),
            syncing: Mutex::new(false),
            time: Mutex::new(TimeKeeper::new()),
        });
        life.spawn(Arc::clone(&member).keep_time());
        member
    }

    /// Looks at the member's state.
    pub fn look<T>(&self, look: impl FnOnce(&Core) -> T) -> T {
        look(&self.core.lock())
    }

    /// Has the member do something, applies what is decided then, and sends what is to be sent.
    pub fn act<T>(self: &Arc<Self>, act: impl FnOnce(&mut Core, Instant) -> T) -> T {
        let now = Instant::now();
        let (result, outgoing, led) = {
            let core = &mut *self.core.lock();
            core.set_clock(self.world.wall_clock(self.life.node));
            let before = core.next_tick();
            let led = core.leads();
            let result = act(core, now);
            self.apply_all(core);
            if core.next_tick() < before {
                self.retimed.notify_one();
            }
            let began = (core.leads() && !led).then_some(core.disk.term);
            (result, std::mem::take(&mut core.outgoing), began)
        };
        if let Some(term) = led {
            let node = self.life.node;
            self.world
                .trace
                .note(format_args!("member {node} leads in term {term}"));
        }
        for (to, message) in outgoing {
            self.world.post(&self.life, to, message);
        }
        self.sync_if_needed();
        result
    }

    fn apply_all(&self, core: &mut Core) {
        while !self.world.is_apply_stalled(self.life.node) {
            match core.apply_next() {
                Ok(Some(applied)) => {
                    let log = core.machine.time;
                    self.time.lock().note_log(log);
                    self.world.applied(self.life.node, &applied, &core.machine);
                    let share = |index, machine: &_| self.world.shared(index, machine);
                    if core.compact(self.world.plan.snapshot_after, share) {
                        self.world.census.count(Kind::Fault, "snapshot taken");
                    }
                }
                Ok(None) => break,
                Err(reason) => {
                    let node = self.life.node;
                    self.world
                        .breach("P6", format!("member {node} has to stop: {reason}"));
                    break;
                }
            }
        }
        self.applied.send_if_modified(|applied| {
            let is_new = *applied != core.applied;
            *applied = core.applied;
            is_new
        });
    }

    fn sync_if_needed(self: &Arc<Self>) {
        let mut syncing = self.syncing.lock();
        if *syncing {
            return;
        }
        let (last, synced, truncations) =
            self.look(|core| (core.disk.last(), core.disk.synced, core.truncations));
        if last <= synced {
            return;
        }
        *syncing = true;
        let member = Arc::clone(self);
        let takes = self.world.sync_time(self.life.node);
        self.life.spawn(async move {
            tokio::time::sleep(takes).await;
            *member.syncing.lock() = false;
            member.act(|core, _| core.synced(last, truncations));
        });
    }

    async fn keep_time(self: Arc<Self>) {
        loop {
            let at = self.look(Core::next_tick);
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(at) => self.act(Core::tick),
                () = self.retimed.notified() => {}
            }
        }
    }

    /// A message has come.
    pub fn receive(self: &Arc<Self>, from: u64, message: Message) {
        if let Message::Install { .. } = message {
            self.world.census.count(Kind::Fault, "snapshot sent");
        }
        self.act(|core, now| core.receive(from, message, now));
    }

    /// Has an entry decided, if this member leads.
    ///
    /// # Errors
    /// Who leads, as far as is known.
    pub async fn propose(
        self: &Arc<Self>,
        content: Content,
        deadline: Deadline,
    ) -> Result<Option<Decision>, Option<u64>> {
        let decided = self.act(|core, now| core.propose(content, now))?;
        Ok(match tokio::time::timeout_at(deadline, decided).await {
            Ok(Ok(decision)) => Some(decision),
            Ok(Err(_)) | Err(_) => None,
        })
    }

    /// The time that a command proposed now carries.
    #[must_use]
    pub fn stamp(&self) -> LogTime {
        let clock = LogTime(self.world.wall_clock(self.life.node));
        let (log, term, others, read) = self.look(|core| {
            let voters = core.members().voters.iter().copied();
            let others: BTreeSet<u64> = voters.filter(|node| *node != core.id).collect();
            let log = core.machine.time;
            (log, core.disk.term, others, core.clocks.clone())
        });
        self.time.lock().stamp(clock, log, term, others, &read)
    }

    /// Has a read confirmed by this member as the leader.
    ///
    /// # Errors
    /// Who leads, as far as is known.
    pub async fn confirm_here(self: &Arc<Self>) -> Result<Option<u64>, Option<u64>> {
        let confirmed = self.act(|core, now| core.read_index(now))?;
        let index = tokio::time::timeout(CONFIRM_TIME_MAX, confirmed).await;
        Ok(index.ok().and_then(Result::ok))
    }

    /// The index that answers a read that begins now: confirmed here, or by the leader.
    async fn confirmed(self: &Arc<Self>) -> u64 {
        loop {
            match self.confirm_here().await {
                Ok(Some(index)) => return index,
                Ok(None) | Err(None) => {}
                Err(Some(leader)) => {
                    let asked = self.world.ask_to_confirm(&self.life, leader);
                    if let Ok(Some(index)) = tokio::time::timeout(CONFIRM_TIME_MAX, asked).await {
                        return index;
                    }
                }
            }
            tokio::time::sleep(CONFIRM_AGAIN_AFTER).await;
        }
    }

    /// Answers a question from a confirmed state.
    ///
    /// # Errors
    /// When nothing was confirmed, or applied, before the deadline.
    pub async fn read(
        self: &Arc<Self>,
        query: &Query,
        deadline: Deadline,
    ) -> Result<Answered, String> {
        let caught_up = async {
            let index = self.confirmed().await;
            let mut applied = self.applied.subscribe();
            // The sender lives as long as this.
            let _ = applied.wait_for(|applied| *applied >= index).await;
        };
        if tokio::time::timeout_at(deadline, caught_up).await.is_err() {
            return Err("nothing was confirmed before the deadline".to_owned());
        }
        self.freshness.confirmed();
        self.last_state(query, false)
    }

    /// Answers a question from what was applied, whatever that is.
    ///
    /// # Errors
    /// When nothing was.
    pub fn last_state(&self, query: &Query, stale: bool) -> Result<Answered, String> {
        let answered =
            self.look(|core| (core.applied > 0).then(|| answer(&core.machine.tables, query)));
        match answered {
            Some(Ok(answer)) => Ok(Answered { answer, stale }),
            Some(Err(failure)) => Err(failure.to_string()),
            None => Err("this member has no state yet".to_owned()),
        }
    }

    /// Applies what was held up.
    pub fn go_on(self: &Arc<Self>) {
        self.act(|_, _| ());
    }

    /// What its disk holds now: for a crash.
    #[must_use]
    pub fn disk(&self) -> Disk {
        self.look(|core| core.disk.clone())
    }
}

/// What a proposal came to, in the words of the nodes.
#[must_use]
pub fn proposed(outcome: Result<Option<Decision>, Option<u64>>) -> wire::peer::ProposeReply {
    use wire::peer::ProposeReply;
    match outcome {
        Ok(Some(Some(reply))) => ProposeReply::Reply(encoded(&reply)),
        Ok(Some(None)) => ProposeReply::Unknown("another entry took its place".to_owned()),
        Ok(None) => ProposeReply::Unknown("the log did not decide it in time".to_owned()),
        Err(leader) => ProposeReply::NotLeader(leader),
    }
}

fn encoded(reply: &Reply) -> bytes::Bytes {
    wire::encode_reply(reply).into()
}
