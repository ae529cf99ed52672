//! A whole cluster: Garage as the object store, members and gateways as processes of their own, and HAProxy with the
//! shipped file in front of them all.
//!
//! Every node has a place: an address that it keeps through its deaths, which HAProxy knows from the start. A place without
//! a node refuses connections, as a host does on which nothing runs. What a node said is kept through its deaths too, and
//! written to files when the test did not say that it passed.

mod asked;
mod node;
mod status;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

pub use node::{Node, Role};
pub use status::{MoveStatus, NodeStatus, Status};

use crate::poor_store::Poverty;
use crate::{Client, Disk, GarageServer, Haproxy, Links, PoorStore};
use crate::{client, holdfast, ports};

/// A debug build that catches up may take this long.
pub const READY_MAX: Duration = Duration::from_secs(60);

/// How often it is looked whether something is so.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How a cluster is to be started; `start` does it.
pub struct Builder {
    members: usize,
    gateways: usize,
    places: usize,
    environment: Vec<(String, String)>,
    files: Vec<(String, String)>,
    program: Option<PathBuf>,
    links: bool,
    disk_bytes: Option<u64>,
    poverty: Option<Poverty>,
    in_folder: bool,
    alone: bool,
}

impl Builder {
    /// So many members (one unless said).
    #[must_use]
    pub fn members(mut self, members: usize) -> Self {
        self.members = members;
        self
    }

    /// So many gateways (none unless said).
    #[must_use]
    pub fn gateways(mut self, gateways: usize) -> Self {
        self.gateways = gateways;
        self
    }

    /// So many places, for nodes that come later.
    #[must_use]
    pub fn places(mut self, places: usize) -> Self {
        self.places = places;
        self
    }

    /// Sets a variable in the environment of every node.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets a variable in the environment of every node to a file of the node's own, which [`Cluster::file_of`] tells.
    #[must_use]
    pub fn env_file(mut self, name: &str, file: &str) -> Self {
        self.files.push((name.to_owned(), file.to_owned()));
        self
    }

    /// Keeps blobs in a folder that all nodes share, as `holdfast up` does; nodes know the keys of Garage, and no more of it.
    #[must_use]
    pub fn in_folder(mut self) -> Self {
        self.in_folder = true;
        self
    }

    /// Starts one node that has founded no cluster; [`Cluster::init_at`] does it.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// Uses this program instead of the built one.
    #[must_use]
    pub fn program(mut self, program: PathBuf) -> Self {
        self.program = Some(program);
        self
    }

    /// Leads every connection between nodes through [`Links`].
    #[must_use]
    pub fn links(mut self) -> Self {
        self.links = true;
        self
    }

    /// Gives every node a [`Disk`] of its own, of so many bytes. Wants root.
    #[must_use]
    pub fn disks(mut self, bytes: u64) -> Self {
        self.disk_bytes = Some(bytes);
        self
    }

    /// Has the object store answer badly.
    #[must_use]
    pub fn poor_store(mut self, poverty: Poverty) -> Self {
        self.poverty = Some(poverty);
        self
    }

    /// Starts it and waits until every node is ready and every member votes.
    pub fn start(self) -> anyhow::Result<Cluster> {
        let places = self.places.max(self.members + self.gateways);
        ensure!(self.members > 0, "a cluster has a member");
        let folder = tempfile::Builder::new().prefix("cluster-").tempdir()?;
        let garage = GarageServer::start()?;
        let program = self.program.map_or_else(holdfast::program, Ok)?;
        let host = ports::own_address();
        let mut nodes = Vec::with_capacity(places);
        for place in 0..places {
            let mut node = Node::at(place, host, folder.path(), &program)?;
            node.set_files(&self.files);
            nodes.push(node);
        }
        let links = self.links.then(Links::new).transpose()?;
        if let Some(links) = &links {
            for (place, node) in nodes.iter_mut().enumerate() {
                node.link(place, links)?;
            }
        }
        let mount = |bytes| {
            nodes
                .iter()
                .map(move |node| Disk::mount(node.folder(), bytes))
        };
        let disks = self.disk_bytes.into_iter().flat_map(mount);
        let disks = disks.collect::<anyhow::Result<Vec<Disk>>>()?;
        let addresses: Vec<&str> = nodes.iter().map(Node::address).collect();
        let haproxy = Haproxy::start(&addresses)?;
        let mut environment = garage.environment();
        let poor_store = self
            .poverty
            .map(|poverty| PoorStore::start(&garage.endpoint, poverty));
        let poor_store = poor_store.transpose()?;
        if let Some(store) = &poor_store {
            environment.push(("HOLDFAST_STORAGE_S3_ENDPOINT".into(), store.endpoint()));
        }
        if self.in_folder {
            environment.retain(|(name, _)| name.contains("KEY") || name.contains("PATH_STYLE"));
            let path = folder.path().join("blobs").display().to_string();
            environment.push(("HOLDFAST_STORAGE_FOLDER_PATH".into(), path));
        }
        // A line for each request would push what matters out of what is kept.
        environment.push(("HOLDFAST_LOG".into(), "info,holdfast::access=warn".into()));
        environment.extend(self.environment);
        let mut cluster = Cluster {
            haproxy,
            nodes,
            environment,
            host,
            passed: false,
            recovery_key: String::new(),
            links,
            poor_store,
            garage,
            disks,
            folder,
        };
        match self.alone {
            true => cluster.start_first(0)?,
            false => cluster.found(self.members, self.gateways)?,
        }
        Ok(cluster)
    }
}

/// A running cluster. All that it started ends with it.
pub struct Cluster {
    /// Dropped first: nobody is to see the nodes end.
    haproxy: Haproxy,
    nodes: Vec<Node>,
    environment: Vec<(String, String)>,
    host: Ipv4Addr,
    passed: bool,
    recovery_key: String,
    links: Option<Links>,
    poor_store: Option<PoorStore>,
    garage: GarageServer,
    disks: Vec<Disk>,
    /// Held for its drop, after the processes'.
    folder: tempfile::TempDir,
}

impl Cluster {
    /// One member; more by the builder.
    pub fn with() -> Builder {
        Builder {
            members: 1,
            gateways: 0,
            places: 0,
            environment: Vec::new(),
            files: Vec::new(),
            program: None,
            links: false,
            disk_bytes: None,
            poverty: None,
            in_folder: false,
            alone: false,
        }
    }

    /// Starts a node at a place and makes it the first of a cluster. Gives the join token that `cluster init` prints.
    pub fn found_at(&mut self, place: usize) -> anyhow::Result<Option<String>> {
        self.start_first(place)?;
        self.init_at(place)
    }

    fn start_first(&mut self, place: usize) -> anyhow::Result<()> {
        let environment = self.environment.clone();
        self.nodes[place].found(&environment)?;
        self.nodes[place].wait_ready(READY_MAX)?;
        self.wait_known()
    }

    /// Waits until HAProxy sends requests to a node. When every place was empty it finds out at its next look only, and
    /// until then it says 503.
    fn wait_known(&self) -> anyhow::Result<()> {
        self.wait_for("HAProxy to know a node", || {
            let status = client::status_of(self.address(), "/readyz");
            status.is_ok_and(|status| status == 200)
        })
    }

    /// The node at a place founds the cluster; gives the join token that `cluster init` prints.
    pub fn init_at(&mut self, place: usize) -> anyhow::Result<Option<String>> {
        let said = self.nodes[place].init()?;
        self.recovery_key = said["recovery_key"]
            .as_str()
            .context("`cluster init` tells no recovery key")?
            .to_owned();
        Ok(said["token"].as_str().map(str::to_owned))
    }

    /// Nodes that are started from now on keep their blobs in Garage.
    pub fn use_garage(&mut self) {
        self.environment
            .retain(|(name, _)| !name.starts_with("HOLDFAST_STORAGE_"));
        self.environment.extend(self.garage.environment());
    }

    fn found(&mut self, members: usize, gateways: usize) -> anyhow::Result<()> {
        let mut token = self.found_at(0)?;
        for _ in 1..members {
            let place = self.free_place()?;
            let token = match token.take() {
                Some(token) => token,
                None => self.token(Role::Member)?,
            };
            self.join(place, Role::Member, &token)?;
            self.wait_in_order()?;
        }
        for _ in 0..gateways {
            let place = self.free_place()?;
            let token = self.token(Role::Gateway)?;
            self.join(place, Role::Gateway, &token)?;
        }
        self.wait_in_order()
    }

    /// `127.0.0.1:PORT` of HAProxy.
    pub fn address(&self) -> &str {
        self.haproxy.address()
    }

    /// A client that goes through HAProxy.
    pub fn client(&self) -> Client {
        self.haproxy.client()
    }

    /// A client of the node at a place.
    pub fn client_of(&self, place: usize) -> Client {
        Client::new(self.nodes[place].address())
    }

    /// The balancer.
    pub fn haproxy(&mut self) -> &mut Haproxy {
        &mut self.haproxy
    }

    /// The object store.
    pub fn garage(&mut self) -> &mut GarageServer {
        &mut self.garage
    }

    /// The ways between the nodes, if the builder was asked for them.
    pub fn links(&self) -> anyhow::Result<&Links> {
        self.links.as_ref().context("ask the builder for links")
    }

    /// The disk of the node at a place, if the builder was asked for disks.
    pub fn disk(&self, place: usize) -> anyhow::Result<&Disk> {
        self.disks.get(place).context("ask the builder for disks")
    }

    /// What stands before the object store, if the builder was asked for it.
    pub fn poor_store(&self) -> anyhow::Result<&PoorStore> {
        let store = self.poor_store.as_ref();
        store.context("ask the builder for a poor store")
    }

    /// A path in the cluster's own folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The file that [`Builder::env_file`] gives to the node at a place. It is beside the node's disk.
    pub fn file_of(&self, place: usize, file: &str) -> PathBuf {
        self.nodes[place].file(file)
    }

    /// What every node gets in its environment.
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// What `cluster init` printed once.
    pub fn recovery_key(&self) -> &str {
        &self.recovery_key
    }

    /// The network address of all nodes, each with ports of its own.
    pub fn host(&self) -> Ipv4Addr {
        self.host
    }

    /// The node at a place.
    pub fn node(&mut self, place: usize) -> &mut Node {
        &mut self.nodes[place]
    }

    /// What the node at a place measures of itself: the sum of all samples of this name.
    pub fn metric_of(&self, place: usize, name: &str) -> anyhow::Result<f64> {
        self.nodes[place].metric(name)
    }

    /// The places of the nodes of a role that run.
    pub fn running(&self, role: Role) -> Vec<usize> {
        let places = 0..self.nodes.len();
        places
            .filter(|place| self.nodes[*place].role() == Some(role) && self.nodes[*place].runs())
            .collect()
    }

    fn free_place(&self) -> anyhow::Result<usize> {
        self.nodes
            .iter()
            .position(|node| node.role().is_none())
            .context("no place is free: ask the builder for more")
    }

    /// A join token, fresh.
    pub fn token(&self, role: Role) -> anyhow::Result<String> {
        let said = self.command(&["add", "--role", role.name(), "--json"])?;
        let said: serde_json::Value = serde_json::from_str(&said)?;
        let token = said["token"]
            .as_str()
            .context("`cluster add` tells no token")?;
        Ok(token.to_owned())
    }

    /// Starts a node at a place with a token; does not wait for it.
    pub fn join(&mut self, place: usize, role: Role, token: &str) -> anyhow::Result<()> {
        let member = self.running(Role::Member);
        let member = *member.first().context("no member runs")?;
        let seed = self.nodes[member].peer_address().to_owned();
        let environment = self.environment.clone();
        self.nodes[place].join(role, &seed, token, &environment)
    }

    /// Adds a node at a free place, and waits until it is ready and, as a member, votes. Gives its place.
    pub fn add(&mut self, role: Role) -> anyhow::Result<usize> {
        let place = self.free_place()?;
        let token = self.token(role)?;
        self.join(place, role, &token)?;
        self.wait_in_order()?;
        Ok(place)
    }

    /// Removes the node at a place for ever, and waits until its process has ended. Its place becomes free.
    pub fn remove(&mut self, place: usize) -> anyhow::Result<()> {
        let id = self.id_of(place)?;
        self.command(&["remove", &id.to_string()])?;
        self.nodes[place].vacate(READY_MAX)
    }

    /// What the cluster calls the node at a place.
    pub fn id_of(&mut self, place: usize) -> anyhow::Result<u64> {
        let pid = self.nodes[place].pid();
        let status = self.status()?;
        let node = status.nodes.iter().find(|node| Some(node.pid) == pid);
        Ok(node
            .with_context(|| format!("no node of {status:?} has the pid {pid:?}"))?
            .id)
    }

    /// `kill -9`.
    pub fn kill(&mut self, place: usize) {
        self.nodes[place].kill();
    }

    /// Starts a node again that was killed or has stopped, and waits until it is ready and HAProxy knows a node.
    pub fn restart(&mut self, place: usize) -> anyhow::Result<()> {
        self.restart_with(place, &[])
    }

    /// As [`Self::restart`], with more in its environment, this time only.
    pub fn restart_with(&mut self, place: usize, more: &[(String, String)]) -> anyhow::Result<()> {
        let environment: Vec<_> = self.environment.iter().chain(more).cloned().collect();
        self.nodes[place].start_again(&environment)?;
        self.nodes[place].wait_ready(READY_MAX)?;
        self.wait_known()
    }

    /// SIGTERM, and waits for the end, which must be a good one.
    pub fn stop(&mut self, place: usize) -> anyhow::Result<()> {
        self.nodes[place].stop(READY_MAX)
    }

    /// Who leads, by `cluster status`. Waits for an election to end.
    pub fn leader(&self) -> anyhow::Result<usize> {
        let mut place = None;
        self.wait_for("a leader", || {
            place = self
                .status()
                .ok()
                .and_then(|status| status.leader().map(|node| node.pid))
                .and_then(|pid| self.nodes.iter().position(|node| node.pid() == Some(pid)));
            place.is_some()
        })?;
        place.context("the leader's process is none of ours")
    }

    /// A running member that does not lead.
    pub fn follower(&self) -> anyhow::Result<usize> {
        let leader = self.leader()?;
        let members = self.running(Role::Member);
        members
            .into_iter()
            .find(|place| *place != leader)
            .context("there is no follower")
    }

    /// The running node that has answered the most requests since it started.
    pub fn busiest(&self) -> anyhow::Result<usize> {
        let running = (0..self.nodes.len()).filter(|place| self.nodes[*place].runs());
        let counted = running.map(|place| (self.nodes[place].requests().unwrap_or(0), place));
        let busiest = counted.max().context("no node runs")?;
        Ok(busiest.1)
    }

    /// `cluster status`, of the first running node that knows.
    pub fn status(&self) -> anyhow::Result<Status> {
        let said = self.command(&["status", "--json"])?;
        serde_json::from_str(&said).with_context(|| format!("odd status: {said}"))
    }

    /// Runs `holdfast cluster …` beside the first running node that carries it out.
    pub fn command(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut last = anyhow::anyhow!("no node runs");
        for node in self.nodes.iter().filter(|node| node.runs()) {
            match node.command(arguments) {
                Ok(said) => return Ok(said),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Waits until every node that runs is ready and known, every running member votes, and one of them leads.
    pub fn wait_in_order(&mut self) -> anyhow::Result<()> {
        for node in self.nodes.iter_mut().filter(|node| node.runs()) {
            node.wait_ready(READY_MAX)?;
        }
        let mut last = String::new();
        let outcome = self.wait_for("every node to be in order", || {
            let outcome = self.status().and_then(|status| self.in_order(&status));
            outcome.map_err(|why| last = format!("{why:#}")).is_ok()
        });
        outcome.with_context(|| last)
    }

    fn in_order(&self, status: &Status) -> anyhow::Result<()> {
        let mut leaders = 0;
        for node in self.nodes.iter().filter(|node| node.runs()) {
            let known = status
                .nodes
                .iter()
                .find(|known| Some(known.pid) == node.pid());
            let known = known.with_context(|| format!("{} is not in {status:?}", node.name()))?;
            ensure!(
                known.votes == (node.role() == Some(Role::Member)),
                "{known:?} should vote if it is a member"
            );
            ensure!(known.health == "ok", "{known:?} is not well");
            leaders += usize::from(known.leader);
        }
        ensure!(leaders == 1, "{leaders} lead in {status:?}");
        Ok(())
    }

    /// Waits until it is so; a node that ended although nobody ended it is told.
    pub fn wait_for(&self, what: &str, mut so: impl FnMut() -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_MAX;
        while !so() {
            if Instant::now() > deadline {
                bail!("{what}: not within {READY_MAX:?}");
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Everything that the node at a place has said in all its lives.
    pub fn said(&self, place: usize) -> String {
        self.nodes[place].said()
    }

    /// To be called at the end of a test that passed: what was said need not be kept.
    pub fn passed(mut self) {
        self.passed = true;
    }

    fn keep_logs(&self) -> anyhow::Result<PathBuf> {
        let folder = tempfile::Builder::new()
            .prefix("holdfast-failed-")
            .tempdir()?
            .keep();
        for node in self.nodes.iter().filter(|node| !node.said().is_empty()) {
            std::fs::write(folder.join(format!("{}.log", node.name())), node.said())?;
        }
        Ok(folder)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.passed {
            return;
        }
        match self.keep_logs() {
            Ok(folder) => eprintln!("what the nodes said is in {}", folder.display()),
            Err(error) => eprintln!("what the nodes said is lost: {error:#}"),
        }
        for node in self.nodes.iter().filter(|node| !node.said().is_empty()) {
            eprintln!("--- {} warned ---\n{}", node.name(), node.warned());
        }
    }
}
