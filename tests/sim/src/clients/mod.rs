//! The clients: what people and their programs do to the registry, through whichever node a balancer gives them. Each knows what
//! it was told, and what it does not know.

mod image;
mod janitor;
mod operator;
mod permit;
mod pusher;
mod reader;
mod rights;
mod strangers;
mod tagger;
mod token_keys;
mod uploader;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use metadata::PrincipalName;
use metadata::access::{Asker, Who};
use oci::{RepositoryName, Tag};
use registry::{Caller, Error, Registry};
use tokio::time::Instant;

use crate::census::Kind;
use crate::dice::Dice;
use crate::world::World;

pub use image::{Image, Library, content};
pub use permit::Permit;
pub use reader::Pulled;
pub use token_keys::{Signed, keys_of, signed};

/// What clients do and are told, as it is counted.
pub const ALL: &[&str] = &[
    "blob pushed at once",
    "blob pushed in chunks",
    "blob found",
    "blob mounted",
    "mount missed",
    "blob pulled",
    "upload resumed",
    "upload contested",
    "upload cancelled",
    "lost writer outrun",
    "tag made again",
    "late request refused",
    "image pushed",
    "large manifest pushed",
    "artifact pushed",
    "pushed twice at once",
    "pushed again after a break",
    "tag swapped",
    "precondition failed",
    "tag read",
    "tag absent",
    "image pulled",
    "tag deleted",
    "manifest deleted",
    "blob deleted",
    "blob in use",
    "tags listed",
    "catalog listed",
    "referrers listed",
    "swept",
    "uploads expired",
    "stale answer",
    "outcome unknown",
    "unavailable",
    "cluster command",
    "cluster command refused",
    "node joined",
    "node removed",
    "authority rotated",
    "blobs moved",
    "move cancelled",
    "format raised",
    "label set",
    "rights changed",
    "change of rights refused",
    "change of rights denied",
    "right used",
    "right refused",
    "token key added",
    "token key dropped",
    "project made by a push",
];

/// How often a client does each of these, in the order of `do_something`; a seed has weights of its own.
pub const WEIGHTS: [u64; 11] = [24, 13, 11, 12, 5, 3, 10, 6, 6, 4, 5];

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a client was told.
#[derive(Debug)]
pub enum Told<T> {
    /// It was done.
    Done(T),
    /// It was refused, or had no effect.
    No(Error),
    /// Nobody knows: the connection broke, or the node does not know either.
    Unknown,
    /// No node could be reached: nothing was sent.
    Unsent,
}

impl<T> Told<T> {
    /// What was done, if it was.
    pub fn done(self) -> Option<T> {
        match self {
            Told::Done(done) => Some(done),
            Told::No(_) | Told::Unknown | Told::Unsent => None,
        }
    }
}

/// One client.
#[derive(Clone)]
pub struct Client {
    /// Where.
    pub world: Arc<World>,
    /// Its number.
    pub number: u64,
    /// What is known to all clients: contents.
    pub library: Arc<Library>,
    dice: Arc<Dice>,
}

impl Client {
    /// A client.
    #[must_use]
    pub fn new(world: &Arc<World>, library: &Arc<Library>, number: u64) -> Client {
        Client {
            world: Arc::clone(world),
            number,
            library: Arc::clone(library),
            dice: Arc::new(world.dice(&format!("client {number}"))),
        }
    }

    fn repository(&self) -> RepositoryName {
        self.dice.pick(&self.library.repositories).clone()
    }

    fn tag(&self) -> Tag {
        self.dice.pick(&self.library.tags).clone()
    }

    fn principal(&self) -> PrincipalName {
        PrincipalName(format!("client-{}", self.number).into())
    }

    /// A node that is up, as a balancer would choose it.
    fn any_node(&self) -> Option<u64> {
        let nodes = self.world.all_nodes();
        let up: Vec<u64> = nodes
            .iter()
            .filter(|node| node.alive().is_some_and(|alive| !alive.life.is_paused()))
            .map(|node| node.id)
            .collect();
        (!up.is_empty()).then(|| *self.dice.pick(&up))
    }

    /// Sends a request through any node.
    pub async fn ask<T, F, R>(&self, what: &str, request: R) -> Told<T>
    where
        F: Future<Output = Result<T, Error>>,
        R: FnOnce(Registry, Caller) -> F,
    {
        self.ask_as(&self.itself(), what, request).await
    }

    /// Who asks, where nobody asks whether they may.
    fn itself(&self) -> Asker {
        Asker {
            who: Who::Outside(self.principal()),
            from: None,
        }
    }

    /// Sends somebody's request through any node.
    async fn ask_as<T, F, R>(&self, asker: &Asker, what: &str, request: R) -> Told<T>
    where
        F: Future<Output = Result<T, Error>>,
        R: FnOnce(Registry, Caller) -> F,
    {
        match self.any_node() {
            Some(node) => self.ask_node_as(asker, node, what, request).await,
            None => {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Told::Unsent
            }
        }
    }

    /// Sends a request through this node.
    pub async fn ask_node<T, F, R>(&self, node: u64, what: &str, request: R) -> Told<T>
    where
        F: Future<Output = Result<T, Error>>,
        R: FnOnce(Registry, Caller) -> F,
    {
        self.ask_node_as(&self.itself(), node, what, request).await
    }

    /// Sends somebody's request through this node.
    async fn ask_node_as<T, F, R>(
        &self,
        asker: &Asker,
        node: u64,
        what: &str,
        request: R,
    ) -> Told<T>
    where
        F: Future<Output = Result<T, Error>>,
        R: FnOnce(Registry, Caller) -> F,
    {
        tokio::time::sleep(self.dice.ms(1..4)).await;
        let Some((registry, life)) = self.world.registry_of(node) else {
            return Told::Unsent;
        };
        let deadline = Instant::now() + self.world.plan.settings.hold;
        let caller = Caller::asking(asker.clone(), true, deadline);
        let vanishes = self.number > 0 && self.dice.hits(25);
        let patience = if vanishes {
            self.world.census.count(Kind::Fault, "client vanishes");
            self.dice.ms(1..200)
        } else {
            PATIENCE
        };
        let answered = tokio::select! {
            biased;
            () = life.ends() => None,
            answered = request(registry, caller) => Some(answered),
            () = tokio::time::sleep(patience) => None,
        };
        if answered.is_some() {
            tokio::time::sleep(self.dice.ms(0..2)).await;
        }
        // An answer of a node that died before it was sent is none.
        let answered = answered.filter(|_| !life.has_ended());
        self.told(node, what, answered)
    }

    fn told<T>(&self, node: u64, what: &str, answered: Option<Result<T, Error>>) -> Told<T> {
        let (number, world) = (self.number, &self.world);
        match answered {
            Some(Ok(done)) => {
                world
                    .trace
                    .note(format_args!("client {number}: {what} at {node}: done"));
                Told::Done(done)
            }
            Some(Err(error)) => {
                world
                    .trace
                    .note(format_args!("client {number}: {what} at {node}: {error}"));
                match error {
                    Error::OutcomeUnknown { .. } | Error::Stopped { .. } => {
                        world.answered("outcome unknown");
                        Told::Unknown
                    }
                    Error::Internal { reason } => {
                        let said =
                            format!("node {node} answers {what} with an internal error: {reason}");
                        world.breach("P3", said);
                        Told::Unknown
                    }
                    error => {
                        if let Error::Unavailable { .. } = error {
                            world.answered("unavailable");
                        }
                        Told::No(error)
                    }
                }
            }
            None => {
                world
                    .trace
                    .note(format_args!("client {number}: {what} at {node}: no answer"));
                world.answered("outcome unknown");
                Told::Unknown
            }
        }
    }

    fn served<T>(&self, served: registry::Served<T>) -> Option<T> {
        if served.stale {
            self.world.answered("stale answer");
            return None;
        }
        Some(served.value)
    }

    /// Thinks, and then does one of the things that clients do, until the world is over or `until`.
    pub async fn live(self, until: Instant) {
        while Instant::now() < until && !self.world.over.is_cancelled() {
            tokio::time::sleep(self.dice.ms(5..120)).await;
            self.do_something().await;
        }
    }

    /// Operates the cluster until the world is over or `until`.
    pub async fn operate(self, until: Instant) {
        while Instant::now() < until && !self.world.over.is_cancelled() {
            tokio::time::sleep(self.dice.ms(5..200)).await;
            self.command_cluster().await;
        }
    }

    /// Pulls until `until`, and thinks little.
    pub async fn keep_pulling(&self, until: Instant) {
        while Instant::now() < until && !self.world.over.is_cancelled() {
            self.read_tag().await;
            self.pull_something().await;
        }
    }

    async fn do_something(&self) {
        match self.dice.weighted(&self.world.plan.client_weights) {
            0 => self.push_image().await,
            1 => self.swap_tag().await,
            2 => self.read_tag().await,
            3 => self.upload_somehow().await,
            4 => self.push_twice().await,
            5 => self.make_tag_again().await,
            6 => self.delete_something().await,
            7 => self.pull_something().await,
            8 => self.list_something().await,
            9 => self.sweep().await,
            _ => self.command_cluster().await,
        }
    }
}
