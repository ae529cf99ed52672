//! The cluster as a live table on a terminal, with keys.

use std::collections::VecDeque;
use std::pin::pin;
use std::time::{Duration, Instant};

use balancer::{Condition, NodeReport};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::admin_password::AdminPassword;
use super::cluster::Status;
use super::crew::Crew;
use super::lines::{self, Form};
use super::pulse::Pulse;
use super::screen::{Key, Screen, Wish};
use super::state::{Seen, State};
use super::table::{BalancerRow, NodeRow, Picture};
use super::{Grants, Show};
use crate::failure::Failure;
use crate::serve::name_for_clients;

/// How often the picture is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(200);

/// How often the nodes are asked how the cluster is.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// How long the answer may take. Another node may know more.
const STATUS_MAX: Duration = Duration::from_secs(3);

/// How many messages are kept.
const MESSAGES_MAX: usize = 100;

/// Starts the nodes and shows them until somebody ends it; then ends them.
///
/// # Errors
/// When a node does not start at the beginning, or the terminal is gone.
pub async fn show(mut show: Show) -> Result<(), Failure> {
    let mut admin = None;
    let ended = match Screen::open() {
        Ok(screen) => Live::new(screen).until_stopped(&mut show, &mut admin).await,
        Err(error) => Err(Failure::new(format!(
            "the terminal cannot be used: {error}; try --json"
        ))),
    };
    // The terminal is itself again.
    if let Some(admin) = &admin {
        // What stood on the screen is gone.
        crate::print(&format!("{}\n", Form::Words.admin(admin.text())))?;
    }
    if ended.is_ok() {
        crate::print("ending the nodes\n")?;
    }
    show.crew.end().await;
    ended
}

struct Live {
    screen: Screen,
    chosen: usize,
    messages: VecDeque<String>,
    begun: Instant,
    /// When how many requests had come.
    counted: VecDeque<(Instant, u64)>,
    status: watch::Sender<Status>,
    pulse: Pulse,
    /// End with the picture.
    tasks: JoinSet<()>,
}

impl Live {
    fn new(screen: Screen) -> Live {
        Live {
            screen,
            chosen: 0,
            messages: VecDeque::new(),
            begun: Instant::now(),
            counted: VecDeque::new(),
            status: watch::Sender::default(),
            pulse: Pulse::default(),
            tasks: JoinSet::new(),
        }
    }

    async fn until_stopped(
        mut self,
        show: &mut Show,
        admin: &mut Option<AdminPassword>,
    ) -> Result<(), Failure> {
        let mut grants = Grants::default();
        let crew = show.crew.clone();
        let mut rising = pin!(crew.bring_up());
        let mut is_rising = true;
        let mut draw = interval(DRAW_EVERY);
        draw.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = show.signals.next() => return Ok(()),
                key = self.screen.key() => match key {
                    Key::Quit => return Ok(()),
                    key => self.pressed(key, &crew, &mut grants),
                },
                Some(event) = show.events.recv() => self.tell(lines::words(&event)),
                risen = rising.as_mut(), if is_rising => {
                    is_rising = false;
                    risen?;
                    self.risen(show);
                    *admin = show.admin_to_show()?;
                    if let Some(admin) = admin {
                        self.tell(Form::Words.admin(admin.text()));
                    }
                }
                failure = grants.refused() => {
                    for line in failure.lines {
                        self.tell(line);
                    }
                }
                _ = draw.tick() => {}
            }
            let picture = self.picture(show);
            self.screen.show(&picture).map_err(|error| {
                Failure::new(format!("the terminal cannot be written: {error}"))
            })?;
        }
    }

    /// All nodes are there: from now on the cluster is asked how it is, and asked for things.
    fn risen(&mut self, show: &Show) {
        if let Some(address) = show.addresses.first().copied() {
            let name = name_for_clients(address);
            self.tell(format!(
                "all are ready: docker tag IMAGE {name}/hello:v1 && docker push {name}/hello:v1"
            ));
            let pulse = self.pulse.clone();
            self.tasks.spawn(async move { pulse.beat(address).await });
        }
        let (crew, status) = (show.crew.clone(), self.status.clone());
        self.tasks.spawn(async move { ask(&crew, &status).await });
    }

    fn tell(&mut self, message: String) {
        if self.messages.len() == MESSAGES_MAX {
            self.messages.pop_front();
        }
        let seconds = self.begun.elapsed().as_secs();
        let time = format!("{}:{:02}", seconds / 60, seconds % 60);
        self.messages.push_back(format!("{time} {message}"));
    }

    fn pressed(&mut self, key: Key, crew: &Crew, grants: &mut Grants) {
        let nodes = crew.seen();
        let last = nodes.len().saturating_sub(1);
        let name = || nodes[self.chosen.min(last)].name.clone();
        match key {
            Key::Up => self.chosen = self.chosen.saturating_sub(1),
            Key::Down => self.chosen = (self.chosen + 1).min(last),
            Key::Row(row) => self.chosen = row.min(last),
            Key::Kill => grants.grant(crew, Wish::Kill(name())),
            Key::Start => grants.grant(crew, Wish::Start(name())),
            Key::Quit | Key::Resized => {}
        }
    }

    fn picture(&mut self, show: &Show) -> Picture {
        let reports = show.balancer.nodes();
        let status = self.status.borrow();
        let row = |seen: Seen| {
            let report = reports.iter().find(|report| report.name == seen.name);
            node_row(seen, report, &status)
        };
        let rows = show.crew.seen().into_iter().map(row).collect();
        drop(status);
        Picture {
            title: show.folder.clone(),
            rows,
            chosen: self.chosen,
            balancer: self.balancer_row(show),
            messages: self.messages.iter().cloned().collect(),
        }
    }

    fn balancer_row(&mut self, show: &Show) -> BalancerRow {
        let counts = show.balancer.counts();
        let now = Instant::now();
        self.counted.push_back((now, counts.requests));
        while self
            .counted
            .front()
            .is_some_and(|(at, _)| now.duration_since(*at) > Duration::from_secs(1))
        {
            self.counted.pop_front();
        }
        let before = self
            .counted
            .front()
            .map_or(counts.requests, |(_, before)| *before);
        let addresses: Vec<String> = show.addresses.iter().map(ToString::to_string).collect();
        let found = self.pulse.found();
        BalancerRow {
            address: addresses.join(", "),
            pid: std::process::id(),
            requests: counts.requests,
            per_second: counts.requests - before,
            repeated: counts.repeated,
            failed: counts.failed,
            pulse: (found.answered, found.failed),
            slowest: found.slowest.map(|(slowest, _)| slowest),
        }
    }
}

/// Asks the nodes how the cluster is, until it is dropped.
async fn ask(crew: &Crew, status: &watch::Sender<Status>) {
    loop {
        // Without an answer the last one would show a leader that is gone.
        let asked = timeout(STATUS_MAX, crew.cluster().status()).await;
        let now = asked.ok().and_then(Result::ok).unwrap_or_default();
        status.send_replace(now);
        tokio::time::sleep(ASK_EVERY).await;
    }
}

fn node_row(seen: Seen, report: Option<&NodeReport>, status: &Status) -> NodeRow {
    let mut row = NodeRow {
        name: seen.name,
        role: seen.role.name(),
        requests: report.map_or(0, |report| report.requests),
        ..NodeRow::default()
    };
    match seen.state {
        State::Off => row.health = "waits for its turn".to_owned(),
        State::Ended(how) => row.health = how,
        State::Running {
            pid,
            address,
            was_ready,
        } => {
            let known = status.nodes.iter().find(|node| node.pid == Some(pid));
            row.pid = Some(pid);
            row.address = address.to_string();
            row.leads = known.is_some_and(|node| node.leader);
            row.log_index = known.and_then(|node| node.log_index);
            row.lag = known.and_then(|node| node.lag);
            let condition = report.map_or(Condition::Down, |report| report.condition);
            row.is_well = condition == Condition::Ready;
            row.health = match condition {
                Condition::Ready => match known.map_or("ok", |node| &node.health) {
                    "" | "ok" => "ready",
                    other => other,
                },
                Condition::Healthy => "not ready",
                Condition::Down if was_ready => "does not answer",
                Condition::Down => "starts",
            }
            .to_owned();
        }
    }
    row
}
