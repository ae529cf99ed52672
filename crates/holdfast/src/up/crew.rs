//! The nodes as processes: started in the order in which a cluster grows, watched, killed and started again when asked.
//!
//! What dies stays dead until somebody wants it back. Nothing here decides anything about the cluster: that is between the
//! nodes.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use balancer::{Balancer, Condition};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;

use super::cluster::{Cluster, Invitation};
use super::log_file::LogFile;
use super::plan::{self, Plan, Role};
use super::ports;
use super::process::{self, NodeProcess};
use super::state::{Event, Happened, Seen, State};
use crate::failure::Failure;

/// How long a node may take until it is ready. A debug build that replays a long log is slow.
const READY_MAX: Duration = Duration::from_secs(120);

/// How long nodes may take to finish what they do at the end.
const END_MAX: Duration = Duration::from_secs(5);

/// How many events may wait to be shown.
pub const EVENTS_MAX: usize = 256;

/// What is asked of a running process.
#[derive(Debug, Clone, Copy)]
enum Order {
    Kill,
    Interrupt,
}

/// How all nodes are started.
pub struct Setup {
    /// This program.
    pub program: PathBuf,
    /// The folder of everything.
    pub folder: PathBuf,
    /// Settings that all nodes have: names and values.
    pub settings: Vec<(&'static str, String)>,
    /// Who is told where nodes are.
    pub balancer: Balancer,
    /// Where events go.
    pub events: mpsc::Sender<Event>,
}

/// The nodes. Clones are the same.
#[derive(Clone)]
pub struct Crew {
    shared: Arc<Shared>,
}

struct Shared {
    setup: Setup,
    plan: Mutex<Plan>,
    /// In the order of the plan.
    slots: Vec<Slot>,
    tasks: TaskTracker,
}

struct Slot {
    name: String,
    role: Role,
    state: watch::Sender<State>,
    orders: Mutex<Option<mpsc::Sender<Order>>>,
    log: LogFile,
    /// Held by whoever starts it.
    turn: tokio::sync::Mutex<()>,
}

impl Crew {
    /// The nodes of a plan, none of which runs yet.
    ///
    /// # Errors
    /// When a log cannot be written.
    pub fn new(setup: Setup, plan: Plan) -> Result<Crew, Failure> {
        let slot = |node: &plan::Planned| {
            let folder = plan::folder_of(&setup.folder, &node.name);
            let log = LogFile::open(&folder).map_err(|error| {
                Failure::new(format!(
                    "the log of {} cannot be written to {}: {error}; choose another folder with --data DIR",
                    node.name,
                    folder.display()
                ))
            })?;
            Ok(Slot {
                name: node.name.clone(),
                role: node.role,
                state: watch::Sender::new(State::Off),
                orders: Mutex::default(),
                log,
                turn: tokio::sync::Mutex::default(),
            })
        };
        let slots: Result<Vec<Slot>, Failure> = plan.nodes.iter().map(slot).collect();
        Ok(Crew {
            shared: Arc::new(Shared {
                slots: slots?,
                setup,
                plan: Mutex::new(plan),
                tasks: TaskTracker::new(),
            }),
        })
    }

    /// The nodes as they are now.
    pub fn seen(&self) -> Vec<Seen> {
        let slots = self.shared.slots.iter();
        slots
            .map(|slot| Seen {
                name: slot.name.clone(),
                role: slot.role,
                state: slot.state.borrow().clone(),
            })
            .collect()
    }

    /// Starts all of them, and returns when all are ready: the old ones together, since a majority of them is needed, then
    /// the new ones one after the other.
    ///
    /// # Errors
    /// One node's, with the last that it said.
    pub async fn bring_up(&self) -> Result<(), Failure> {
        let old: Vec<usize> = {
            let plan = self.shared.plan.lock();
            let joined = plan.nodes.iter().map(|node| node.has_joined);
            (0..)
                .zip(joined)
                .filter(|(_, joined)| *joined)
                .map(|(index, _)| index)
                .collect()
        };
        for index in &old {
            self.spawn(*index, None).await?;
        }
        for index in &old {
            self.ready(*index).await?;
        }
        for index in 0..self.shared.slots.len() {
            if !old.contains(&index) {
                self.join(index).await?;
            }
        }
        Ok(())
    }

    /// Remembers that rights are asked for, and that their first administrator is known.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn note_access(&self) -> Result<(), Failure> {
        self.shared.remember(|plan| plan.is_access_on = true)
    }

    /// Starts one that has ended, or was never started. Returns when its process runs.
    ///
    /// # Errors
    /// When there is none of this name, it runs, or it cannot be started.
    pub async fn start(&self, name: &str) -> Result<(), Failure> {
        let index = self.index(name)?;
        if !self.shared.plan.lock().nodes[index].has_joined {
            return self.join(index).await;
        }
        let event = self.spawn(index, None).await?;
        self.shared.tell(event).await;
        Ok(())
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// When there is none of this name, or it does not run.
    pub async fn kill(&self, name: &str) -> Result<(), Failure> {
        let index = self.index(name)?;
        match self.order(index, Order::Kill).await {
            true => Ok(()),
            false => Err(Failure::new(format!("{name} does not run"))),
        }
    }

    /// Ends all of them, politely at first.
    pub async fn end(&self) {
        for index in 0..self.shared.slots.len() {
            self.order(index, Order::Interrupt).await;
        }
        self.shared.tasks.close();
        if tokio::time::timeout(END_MAX, self.shared.tasks.wait())
            .await
            .is_err()
        {
            for index in 0..self.shared.slots.len() {
                self.order(index, Order::Kill).await;
            }
            self.shared.tasks.wait().await;
        }
    }

    /// The cluster, asked of a node that is ready or has been; of the first one if there is none.
    pub fn cluster(&self) -> Cluster {
        let reports = self.shared.setup.balancer.nodes();
        let answers = |slot: &&Slot| {
            let mut reports = reports.iter();
            reports.any(|report| report.name == slot.name && report.condition == Condition::Ready)
        };
        let was_ready = |slot: &&Slot| {
            matches!(
                *slot.state.borrow(),
                State::Running {
                    was_ready: true,
                    ..
                }
            )
        };
        let slots = &self.shared.slots;
        let best = slots.iter().find(answers);
        let slot = best
            .or_else(|| slots.iter().find(was_ready))
            .unwrap_or(&slots[0]);
        Cluster(plan::folder_of(&self.shared.setup.folder, &slot.name))
    }

    fn index(&self, name: &str) -> Result<usize, Failure> {
        let slots = &self.shared.slots;
        let found = slots.iter().position(|slot| slot.name == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = slots.iter().map(|slot| &*slot.name).collect();
            Failure::new(format!("there is no `{name}`, only {}", names.join(", ")))
        })
    }

    /// Whether there was somebody to hear it.
    async fn order(&self, index: usize, order: Order) -> bool {
        let orders = self.shared.slots[index].orders.lock().clone();
        match orders {
            Some(orders) => orders.send(order).await.is_ok(),
            None => false,
        }
    }

    /// Makes a new node a part of the cluster, and returns when it is ready.
    async fn join(&self, index: usize) -> Result<(), Failure> {
        let invitation = match index {
            0 => None,
            _ => Some(self.invitation(self.shared.slots[index].role).await?),
        };
        self.spawn(index, invitation).await?;
        self.ready(index).await?;
        self.shared
            .remember(|plan| plan.nodes[index].has_joined = true)
    }

    /// What lets another node in. The first one is why the first member becomes a cluster.
    async fn invitation(&self, role: Role) -> Result<Invitation, Failure> {
        let cluster = self.cluster();
        let (is_founded, first) = {
            let plan = self.shared.plan.lock();
            (plan.is_founded, plan.nodes[0].peer_address)
        };
        let (false, Some(first)) = (is_founded, first) else {
            return cluster.invite(role).await;
        };
        let invitation = match cluster.found(first).await {
            Ok(founded) => {
                super::recovery_key::keep(&self.shared.setup.folder, &founded.recovery_key)?;
                cluster.invite(role).await?
            }
            // It may have been founded by a run that could not write that down any more.
            Err(failure) => cluster.invite(role).await.map_err(|_| failure)?,
        };
        self.shared.remember(|plan| plan.is_founded = true)?;
        Ok(invitation)
    }

    /// Waits until a node that was started is ready.
    async fn ready(&self, index: usize) -> Result<(), Failure> {
        let slot = &self.shared.slots[index];
        let mut state = slot.state.subscribe();
        let settled = state.wait_for(|state| match state {
            State::Running { was_ready, .. } => *was_ready,
            State::Off | State::Ended(_) => true,
        });
        let settled = tokio::time::timeout(READY_MAX, settled).await;
        let why = match settled.ok().and_then(Result::ok).as_deref() {
            Some(State::Running { .. }) => return Ok(()),
            Some(State::Ended(how)) => how.clone(),
            Some(State::Off) | None => {
                format!("it is not ready after {} s", READY_MAX.as_secs())
            }
        };
        Err(slot.failure(&why))
    }

    async fn spawn(&self, index: usize, invitation: Option<Invitation>) -> Result<Event, Failure> {
        let shared = &self.shared;
        let slot = &shared.slots[index];
        let _turn = slot.turn.lock().await;
        if matches!(*slot.state.borrow(), State::Running { .. }) {
            return Err(Failure::new(format!("{} runs already", slot.name)));
        }
        let cannot = |error: &dyn std::fmt::Display| {
            Failure::new(format!("{} cannot be started: {error}", slot.name))
        };
        super::left_over::wait(&plan::folder_of(&shared.setup.folder, &slot.name)).await?;
        let known = shared.plan.lock().nodes[index].address;
        let address = ports::free(known).map_err(|error| cannot(&error))?;
        let peer_address = shared.peer_address(index)?;
        shared.remember(|plan| plan.nodes[index].address = Some(address))?;
        let arguments = shared.arguments(index, address, peer_address, invitation.as_ref());
        let token = invitation.map(|invitation| invitation.token);
        let process = NodeProcess::start(&shared.setup.program, &arguments, token, &slot.log)
            .map_err(|error| cannot(&error))?;
        let pid = process.id();
        slot.state.send_replace(State::Running {
            pid,
            address,
            was_ready: false,
        });
        let (orders, taken) = mpsc::channel(4);
        *slot.orders.lock() = Some(orders);
        let condition = shared.setup.balancer.put(&slot.name, address);
        let event = Event {
            what: Happened::Started,
            name: slot.name.clone(),
            role: slot.role,
            pid,
            address,
        };
        let watched = watch_over(
            Arc::clone(shared),
            index,
            process,
            taken,
            condition,
            event.clone(),
        );
        shared.tasks.spawn(watched);
        Ok(event)
    }
}

/// Follows a process to its end, does what is ordered, and tells what happens.
async fn watch_over(
    shared: Arc<Shared>,
    index: usize,
    mut process: NodeProcess,
    mut orders: mpsc::Receiver<Order>,
    mut condition: watch::Receiver<Condition>,
    event: Event,
) {
    let slot = &shared.slots[index];
    let mut is_awaited = true;
    let status = loop {
        tokio::select! {
            biased;
            status = process.ended() => break status,
            Some(order) = orders.recv() => match order {
                Order::Kill => process.kill(),
                Order::Interrupt => process.interrupt(),
            },
            is_ready = became_ready(&mut condition), if is_awaited => {
                is_awaited = false;
                if is_ready {
                    // Told first: whoever waits for the state finds it told.
                    shared.tell(Event { what: Happened::Ready, ..event.clone() }).await;
                    slot.state.send_replace(State::Running {
                        pid: event.pid,
                        address: event.address,
                        was_ready: true,
                    });
                }
            }
        }
    };
    let how = match status {
        Ok(status) => process::how(status),
        Err(error) => format!("lost: {error}"),
    };
    process.last_words().await;
    *slot.orders.lock() = None;
    slot.state.send_replace(State::Ended(how.clone()));
    let what = Happened::Ended(how);
    shared.tell(Event { what, ..event }).await;
}

/// Waits until the balancer finds a node ready; no when it no longer looks.
async fn became_ready(condition: &mut watch::Receiver<Condition>) -> bool {
    let is_ready = |condition: &Condition| *condition == Condition::Ready;
    condition.wait_for(is_ready).await.is_ok()
}

impl Shared {
    async fn tell(&self, event: Event) {
        // Whoever shows them has ended only when the program does.
        let _ = self.setup.events.send(event).await;
    }

    /// Changes the plan and writes it down.
    fn remember(&self, change: impl FnOnce(&mut Plan)) -> Result<(), Failure> {
        let mut plan = self.plan.lock();
        change(&mut plan);
        plan.save(&self.setup.folder)
    }

    /// Where other nodes reach this one.
    fn peer_address(&self, index: usize) -> Result<SocketAddr, Failure> {
        let known = self.plan.lock().nodes[index].peer_address;
        let address = ports::free(known)
            .map_err(|error| Failure::new(format!("no port is free for the nodes: {error}")))?;
        self.remember(|plan| plan.nodes[index].peer_address = Some(address))?;
        Ok(address)
    }

    /// How a node is started. A new one is told whom to join.
    fn arguments(
        &self,
        index: usize,
        address: SocketAddr,
        peer_address: SocketAddr,
        invitation: Option<&Invitation>,
    ) -> Vec<OsString> {
        let (is_founded, first, node) = {
            let plan = self.plan.lock();
            (
                plan.is_founded,
                plan.nodes[0].peer_address,
                plan.nodes[index].clone(),
            )
        };
        let folder = plan::folder_of(&self.setup.folder, &node.name);
        let mut arguments: Vec<OsString> = vec![
            "serve".into(),
            "--end-with-stdin".into(),
            "--listen".into(),
            address.to_string().into(),
            "--data".into(),
            folder.into(),
        ];
        arguments.extend(["--set".into(), format!("cluster.name={}", node.name).into()]);
        for (name, value) in &self.setup.settings {
            arguments.extend(["--set".into(), format!("{name}={value}").into()]);
        }
        if is_founded && (node.has_joined || invitation.is_some()) {
            arguments.extend(["--peer-address".into(), peer_address.to_string().into()]);
        }
        if let (Some(_), Some(first)) = (invitation, first) {
            arguments.extend(["--join".into(), first.to_string().into()]);
        }
        arguments
    }
}

impl Slot {
    /// Why it is not there, with the last that it said.
    fn failure(&self, why: &str) -> Failure {
        let mut lines = vec![format!(
            "{} could not be started: {why}; its log is {}, and the last that it said:",
            self.name,
            self.log.path().display()
        )];
        lines.extend(self.log.last_lines().iter().map(|line| format!("  {line}")));
        Failure {
            lines,
            exit_code: 1,
        }
    }
}
