//! Keeps a connection: makes it in the background, gives it to calls, and makes another one when it broke.
//!
//! A connection counts only when a probe has *written* by it: a replica, a full server and one whose disk fails answer a
//! PING as well.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use ports::{Degraded, IdSource, RandomIds};
use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::breaker::Breaker;
use super::connection::{Connection, Connector};
use super::settings::RedisSettings;
use crate::status::Status;

/// Writes, and takes it away again in a minute.
const PROBE: &str =
    "redis.call('HSET', KEYS[1], 'probe', '1') return redis.call('PEXPIRE', KEYS[1], 60000)";

/// How many keys are written to by a probe of a Cluster, so that each of a few masters is likely to be among theirs.
const CLUSTER_PROBES: usize = 24;

/// The connection, and who makes it. Its task ends when this is dropped.
pub struct Keeper {
    kept: Arc<Kept>,
    task: JoinHandle<()>,
}

struct Kept {
    connector: Connector,
    breaker: Breaker,
    /// With its number, so that what is told late of an earlier one does not harm a later one.
    connection: Mutex<Option<(usize, Connection)>>,
    broke: Notify,
    /// Whether there is a connection; for those who wait for one at the start.
    is_there: watch::Sender<bool>,
    prefix: String,
    call_timeout: Duration,
    probe_interval: Duration,
}

impl Keeper {
    /// Begins to connect.
    pub fn start(settings: &RedisSettings, connector: Connector) -> Keeper {
        let kept = Arc::new(Kept {
            connector,
            breaker: Breaker::new(settings.misses_max),
            connection: Mutex::new(None),
            broke: Notify::new(),
            is_there: watch::Sender::new(false),
            prefix: settings.prefix.clone(),
            call_timeout: settings.call_timeout,
            probe_interval: settings.probe_interval,
        });
        let task = tokio::spawn(keep(Arc::clone(&kept)));
        Keeper { kept, task }
    }

    /// By when an operation that begins now has to be answered.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.kept.call_timeout
    }

    /// Runs a command until the deadline, when there is a connection; fails at once when there is none.
    pub async fn run(&self, command: &Cmd, deadline: Instant) -> Result<Value, Degraded> {
        match self.kept.attempt(command, deadline).await {
            Ok(value) => Ok(value),
            Err(Missed::Degraded(degraded)) => Err(degraded),
            Err(Missed::UnknownScript) => Err(Degraded::because("an unknown script")),
        }
    }

    /// Runs a script by its hash, and by its text where Redis has not seen it.
    pub async fn run_script(
        &self,
        by_hash: &Cmd,
        by_text: impl FnOnce() -> Cmd,
        deadline: Instant,
    ) -> Result<Value, Degraded> {
        match self.kept.attempt(by_hash, deadline).await {
            Ok(value) => Ok(value),
            Err(Missed::Degraded(degraded)) => Err(degraded),
            Err(Missed::UnknownScript) => self.run(&by_text(), deadline).await,
        }
    }

    /// For people.
    pub fn status(&self) -> Status {
        self.kept.breaker.status()
    }

    /// Waits until Redis is there, for so long; whether it is.
    pub async fn wait(&self, within: Duration) -> bool {
        let mut is_there = self.kept.is_there.subscribe();
        let there = is_there.wait_for(|there| *there);
        matches!(tokio::time::timeout(within, there).await, Ok(Ok(_)))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Why a command has no answer.
enum Missed {
    Degraded(Degraded),
    /// A correct answer: the script has to be sent whole.
    UnknownScript,
}

impl Kept {
    async fn attempt(&self, command: &Cmd, deadline: Instant) -> Result<Value, Missed> {
        self.breaker.check().map_err(Missed::Degraded)?;
        let connection = self.connection.lock().clone();
        let Some((number, mut connection)) = connection else {
            let why = Degraded::because("the connection is being made again");
            return Err(Missed::Degraded(why));
        };
        let why: Arc<str> = match tokio::time::timeout_at(deadline, connection.run(command)).await {
            Ok(Ok(value)) => {
                self.breaker.answered();
                return Ok(value);
            }
            Ok(Err(error)) if is_unknown_script(&error) => {
                self.breaker.answered();
                return Err(Missed::UnknownScript);
            }
            Ok(Err(error)) => {
                if is_of_connection(&error) && !connection.mends_itself() {
                    self.drop_connection(Some(number));
                }
                shown(&error).into()
            }
            Err(_) => format!("no answer in {:?}", self.call_timeout).into(),
        };
        if self.is_current(number) && self.breaker.missed(&why) {
            // Whichever there is: an open breaker is closed by a new one only.
            self.drop_connection(None);
        }
        Err(Missed::Degraded(Degraded { why }))
    }

    /// Whether no later connection has taken the place of this one.
    fn is_current(&self, number: usize) -> bool {
        let connection = self.connection.lock();
        connection
            .as_ref()
            .is_none_or(|(current, _)| *current == number)
    }

    /// Drops the connection of this number, or whichever there is.
    fn drop_connection(&self, number: Option<usize>) {
        let is_meant = |current: &usize| number.is_none_or(|number| number == *current);
        let mut connection = self.connection.lock();
        if connection
            .as_ref()
            .is_some_and(|(current, _)| !is_meant(current))
        {
            return;
        }
        *connection = None;
        drop(connection);
        self.is_there.send_replace(false);
        self.broke.notify_one();
    }

    /// What proves a connection: writes to one key, or to many of a Cluster.
    fn probes(&self, connection: &Connection) -> impl Iterator<Item = Cmd> + use<> {
        let keys = match connection.mends_itself() {
            true => CLUSTER_PROBES,
            false => 1,
        };
        let prefix = self.prefix.clone();
        (0..keys).map(move |number| {
            let mut probe = redis::cmd("EVAL");
            probe
                .arg(PROBE)
                .arg(1)
                .arg(format!("{prefix}:probe:{number}"));
            probe
        })
    }

    /// Asks a connection that nobody may have used for a while, so that nobody has to find out by waiting.
    async fn watch(&self) {
        let connection = self.connection.lock().clone();
        if let Some((_, connection)) = connection {
            let deadline = Instant::now() + self.call_timeout;
            let probes: Vec<Cmd> = self.probes(&connection).collect();
            let asked = probes.iter().map(|probe| self.attempt(probe, deadline));
            futures::future::join_all(asked).await;
        }
    }

    /// A connection that has written.
    async fn probed(&self, turn: usize) -> Result<Connection, RedisError> {
        let connection = self.connector.connect(turn).await?;
        let probes = self.probes(&connection).map(|probe| {
            let mut connection = connection.clone();
            async move { connection.run(&probe).await }
        });
        futures::future::try_join_all(probes).await?;
        Ok(connection)
    }
}

/// The task: connects, watches the connection until it broke, and begins again.
async fn keep(kept: Arc<Kept>) {
    let mut turn = 0_usize;
    loop {
        let deadline = kept.connector.deadline();
        let why: Arc<str> = match tokio::time::timeout(deadline, kept.probed(turn)).await {
            Ok(Ok(connection)) => {
                *kept.connection.lock() = Some((turn, connection));
                turn = turn.wrapping_add(1);
                kept.breaker.close();
                kept.is_there.send_replace(true);
                let broke = kept.broke.notified();
                tokio::pin!(broke);
                while tokio::time::timeout(kept.probe_interval, &mut broke)
                    .await
                    .is_err()
                {
                    kept.watch().await;
                }
                continue;
            }
            Ok(Err(error)) => shown(&error).into(),
            Err(_) => format!("no connection in {deadline:?}").into(),
        };
        kept.breaker.unreachable(&why);
        turn = turn.wrapping_add(1);
        // All nodes lose Redis at once; they need not come back at once.
        let jitter = (RandomIds.fresh() % 200) as u32;
        tokio::time::sleep(kept.probe_interval * (1000 + jitter) / 1000).await;
    }
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

/// Whether another connection may help: the line broke, or its other end is no master any more.
fn is_of_connection(error: &RedisError) -> bool {
    let no_master = [ServerErrorKind::ReadOnly, ServerErrorKind::MasterDown];
    error.is_io_error()
        || error.is_unrecoverable_error()
        || no_master
            .into_iter()
            .any(|kind| error.kind() == ErrorKind::Server(kind))
}

/// What an error says, without what a server added to it beyond its first line.
fn shown(error: &RedisError) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.chars().take(200).collect()
}
