//! The network between nodes. Messages and calls are late, lost, doubled and out of order; links break in one direction or in
//! both; what breaks on the way back has had its effect.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use peers::{CallNetwork, Caller, PeerConnection, PeerTransport, WholeAnswer, WholeCall};

use crate::census::Kind;
use crate::dice::Dice;
use crate::life::Life;
use crate::log::Message;
use crate::world::World;

/// A connection on which nothing comes any more is given up after this.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// A call that comes twice comes the second time within so many milliseconds: at once, or late.
const AGAIN_MS: [std::ops::Range<u64>; 2] = [1..10, 10..4_000];

/// How one direction of a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Link {
    /// Nothing gets through.
    pub blocked: bool,
    /// Everything is so much later, in milliseconds.
    pub slow_ms: u64,
}

/// The state of the network.
#[derive(Debug)]
pub struct Network {
    dice: Dice,
    links: Mutex<BTreeMap<(u64, u64), Link>>,
    /// Of a thousand messages and calls, so many are lost, doubled or late each.
    trouble_per_mille: Mutex<u64>,
}

/// What becomes of something that is sent.
enum Fate {
    Arrives,
    Lost,
}

impl Network {
    /// A network without trouble.
    #[must_use]
    pub fn new(dice: Dice) -> Network {
        Network {
            dice,
            links: Mutex::default(),
            trouble_per_mille: Mutex::new(0),
        }
    }

    /// Of a thousand messages and calls, so many are lost, doubled or late each.
    pub fn set_trouble(&self, per_mille: u64) {
        *self.trouble_per_mille.lock() = per_mille;
    }

    /// Changes one direction of a link.
    pub fn set_link(&self, from: u64, to: u64, change: impl FnOnce(&mut Link)) {
        change(self.links.lock().entry((from, to)).or_default());
    }

    /// All links are as new.
    pub fn heal(&self) {
        self.links.lock().clear();
        self.set_trouble(0);
    }

    fn link(&self, from: u64, to: u64) -> Link {
        self.links
            .lock()
            .get(&(from, to))
            .copied()
            .unwrap_or_default()
    }

    fn trouble(&self) -> bool {
        self.dice.hits(*self.trouble_per_mille.lock())
    }
}

impl World {
    /// The way from one node to another.
    async fn carry(&self, from: u64, to: u64) -> Fate {
        let network = &self.network;
        if from == to {
            return Fate::Arrives;
        }
        let link = network.link(from, to);
        if link.blocked {
            self.census.count(Kind::Fault, "message in a partition");
            return Fate::Lost;
        }
        let mut delay = network.dice.ms(1..3) + Duration::from_millis(link.slow_ms);
        if network.trouble() {
            self.census.count(Kind::Fault, "late message");
            delay += network.dice.ms(20..800);
        }
        let is_lost = network.trouble();
        tokio::time::sleep(delay).await;
        if is_lost {
            self.census.count(Kind::Fault, "lost message");
        }
        if is_lost || network.link(from, to).blocked {
            return Fate::Lost;
        }
        Fate::Arrives
    }

    /// Sends a message of the log. Whether it arrives, nobody is told.
    pub fn post(self: &Arc<Self>, from: &Arc<Life>, to: u64, message: Message) {
        let copies = if self.network.trouble() {
            self.census.count(Kind::Fault, "doubled message");
            2
        } else {
            1
        };
        for _ in 0..copies {
            let (world, from, message) = (Arc::clone(self), Arc::clone(from), message.clone());
            tokio::spawn(async move {
                from.goes_on().await;
                let Fate::Arrives = world.carry(from.node, to).await else {
                    return;
                };
                let Some(life) = world.life(to) else { return };
                life.goes_on().await;
                if let Some(member) = world.member_of(&life) {
                    member.receive(from.node, message);
                }
            });
        }
    }

    /// Asks the leader to confirm a read, on behalf of a member.
    pub async fn ask_to_confirm(self: &Arc<Self>, from: &Arc<Life>, leader: u64) -> Option<u64> {
        let Fate::Arrives = self.carry(from.node, leader).await else {
            return std::future::pending().await;
        };
        let life = self.life(leader)?;
        life.goes_on().await;
        let index = self.member_of(&life)?.confirm_here().await.ok().flatten();
        match self.carry(leader, from.node).await {
            Fate::Arrives => index,
            Fate::Lost => std::future::pending().await,
        }
    }
}

/// How one life of a node reaches others.
pub struct NodeNetwork {
    /// In which world.
    pub world: Arc<World>,
    /// Of whom.
    pub life: Arc<Life>,
}

impl NodeNetwork {
    /// Has a call answered by whoever is there; the answer lies in no way back yet.
    async fn answered(&self, to: u64, call: WholeCall) -> io::Result<WholeAnswer> {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let life = self.world.life(to).ok_or_else(refused)?;
        life.goes_on().await;
        let calls = self.world.calls_of(&life).ok_or_else(refused)?;
        let caller = Caller {
            node: self.life.node,
            is_member: self.life.is_member,
        };
        let serving = Arc::clone(&life);
        // Whoever asked may be gone: what was begun goes on, as long as the node lives.
        let answer = tokio::spawn(async move {
            tokio::select! {
                biased;
                () = serving.ends() => None,
                answer = calls.answer(caller, call) => Some(answer),
            }
        });
        let broken = || io::Error::from(io::ErrorKind::ConnectionReset);
        let answer = answer.await.ok().flatten().ok_or_else(broken)?;
        life.goes_on().await;
        Ok(answer)
    }

    async fn silence<T>(&self) -> io::Result<T> {
        tokio::time::sleep(SILENCE_MAX).await;
        Err(io::ErrorKind::TimedOut.into())
    }

    /// The same call comes again, some time later, unless it is answered by then: what was answered once, a connection does not
    /// deliver again. Nobody waits for the second answer.
    fn call_again(&self, to: u64, call: WholeCall, is_answered: Arc<AtomicBool>) {
        let again = NodeNetwork {
            world: Arc::clone(&self.world),
            life: Arc::clone(&self.life),
        };
        let dice = &self.world.network.dice;
        let late = dice.ms(dice.pick(&AGAIN_MS).clone());
        tokio::spawn(async move {
            tokio::time::sleep(late).await;
            if is_answered.load(Relaxed) {
                return;
            }
            again.world.census.count(Kind::Fault, "doubled call");
            if let Fate::Arrives = again.world.carry(again.life.node, to).await {
                drop(again.answered(to, call).await);
            }
        });
    }
}

#[async_trait]
impl CallNetwork for NodeNetwork {
    async fn call(&self, node: u64, _address: &str, call: WholeCall) -> io::Result<WholeAnswer> {
        self.life.goes_on().await;
        let from = self.life.node;
        self.world.watch.marks.called(&self.world, call.body.len());
        let is_answered = Arc::new(AtomicBool::new(false));
        if self.world.network.trouble() {
            self.call_again(node, call.clone(), Arc::clone(&is_answered));
        }
        let Fate::Arrives = self.world.carry(from, node).await else {
            return self.silence().await;
        };
        let answer = self.answered(node, call).await;
        let Fate::Arrives = self.world.carry(node, from).await else {
            self.world.census.count(Kind::Fault, "lost answer");
            return self.silence().await;
        };
        self.life.goes_on().await;
        is_answered.store(true, Relaxed);
        answer
    }
}

/// Connections of nodes that make calls whole.
pub struct NodeTransport(pub Arc<NodeNetwork>);

#[async_trait]
impl PeerTransport for NodeTransport {
    async fn connect(&self, _node: u64, _address: &str) -> io::Result<PeerConnection> {
        Err(io::Error::other("calls are delivered whole"))
    }

    fn whole_calls(&self) -> Option<Arc<dyn CallNetwork>> {
        let network: Arc<dyn CallNetwork> = self.0.clone();
        Some(network)
    }
}
