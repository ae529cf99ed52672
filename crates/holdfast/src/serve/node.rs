//! The parts of a node, put together by what it is: alone, a member of a cluster, or a gateway.
//!
//! A fresh node that is told to join does so before anything else; a node that belongs to a cluster knows it from its data
//! folder and goes on in it, whatever it is told. A member takes part only after its start was recorded.

use std::sync::Arc;
use std::time::Duration;

use cluster::{
    BootstrapWish, Bootstrapped, Cluster, Fabric, JoinWish, NodeFolder, bootstrap, join,
};
use identity::{BootstrapSecret, JoinToken, NodeIdentity, RecoveryKey, Role};
use metadata::{Answer, ClusterId, NodeAnnouncement, NodeId, Query};
use metadata_client::{Client, MemberAddress};
use metadata_raft::{FirstStart, Member};
use ports::{BlobStore, Deadline, MetadataStore, RandomIds};

use super::blob_move::BlobMove;
use super::blob_place::Known;
use super::data_folder::DataFolder;
use super::peer_port::{self, PeerPort};
use crate::access::MachineAccess;
use crate::config::{FIRST_NODE, Settings, member_config};
use crate::failure::Failure;
use crate::version;

/// How long another member may take to take the lead.
const HAND_OVER_MAX: Duration = Duration::from_secs(5);
/// How long the log of a node that is alone may take to say its cluster's id.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// One node.
pub struct Node {
    member: Option<Arc<Member>>,
    store: Arc<dyn MetadataStore>,
    cluster: Cluster,
}

/// What a node is opened with.
pub struct Opening<'a> {
    /// The configuration.
    pub settings: &'a Settings,
    /// Its folder.
    pub data: &'a DataFolder,
    /// Where blobs are: for what a node says of itself there.
    pub blobs: Arc<dyn BlobStore>,
    /// Finds the store where they are.
    pub moves: &'a BlobMove,
    /// Where it serves clients.
    pub client_address: String,
}

impl Node {
    /// Opens the log, or the way to it; joins the cluster first if that is wanted, however long it takes.
    ///
    /// # Errors
    /// One line that names the fix.
    pub async fn open(opening: Opening<'_>) -> Result<Node, Failure> {
        let folder = NodeFolder::below(opening.data.path());
        let token = token(opening.settings)?;
        let identity = folder.identity().map_err(failed)?;
        if let (Some(identity), Some(token)) = (&identity, &token)
            && identity.cluster() != token.cluster()
        {
            return Err(Failure::new(format!(
                "the data folder {} belongs to node {} of cluster {}, and the token is for cluster {}: choose another folder with --data DIR",
                opening.data.path().display(),
                identity.node(),
                identity.cluster(),
                token.cluster()
            )));
        }
        let seeds = &opening.settings.cluster.join;
        let secret = bootstrap_secret(opening.settings)?;
        match (identity, secret) {
            (Some(identity), _) => {
                let port = opening.take_port(folder.address())?;
                opening.of_cluster(folder, identity, port).await
            }
            (None, Some(secret)) if token.is_none() => opening.unattended(folder, secret).await,
            (None, _) if seeds.is_empty() => Node::alone(opening, folder).await,
            (None, _) => {
                let port = opening.take_port(folder.address())?;
                let identity = opening.join(&folder, token, &port).await?;
                opening.of_cluster(folder, identity, port).await
            }
        }
    }

    /// A registry of one node, which may become the first member of a cluster.
    async fn alone(opening: Opening<'_>, folder: NodeFolder) -> Result<Node, Failure> {
        let fabric = Arc::new(Fabric::default());
        let config = metadata_raft::MemberConfig {
            transport: Arc::clone(&fabric) as _,
            ..member_config(opening.settings, opening.data.metadata())
        };
        let member = Member::open(config).await.map_err(failed)?;
        let deadline = Deadline::now() + ANSWER_TIME_MAX;
        let answered = member.read(Query::Cluster, deadline).await;
        let Answer::Cluster(view) = answered.map_err(failed)?.answer else {
            return Err(Failure::new("the metadata log does not tell its cluster"));
        };
        let cluster = view
            .cluster
            .ok_or_else(|| Failure::new("the metadata log has no cluster id"))?;
        let known = Known {
            cluster,
            row: &view.storage,
            is_founded: false,
        };
        opening.moves.place(known).await?;
        opening.node(Making {
            folder,
            identity: None,
            fabric,
            member: Some(member),
            client: None,
            cluster,
            peer_address: peer_port::default_address(),
        })
    }

    /// The log.
    pub fn store(&self) -> Arc<dyn MetadataStore> {
        Arc::clone(&self.store)
    }

    /// Access, as this node may rule over it.
    pub fn access(&self) -> MachineAccess {
        MachineAccess::new(self.store(), self.member.is_some())
    }

    /// This node among the others.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Waits until the node must end by itself, and tells why.
    pub async fn ended(&self) -> Failure {
        let log_ended = async {
            match &self.member {
                Some(member) => member.ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            why = log_ended => Failure::new(format!(
                "the metadata log has ended: {why}; what was acknowledged is safe, and a restart goes on from it once the cause is mended"
            )),
            why = self.cluster.ended() => Failure::new(why),
        }
    }

    /// Hands the lead to another member, if this one has it and there is one, so that nobody waits for an election when
    /// this node is gone.
    pub async fn hand_over(&self) {
        let Some(member) = &self.member else {
            return;
        };
        if let Err(failure) = member.step_down(Deadline::now() + HAND_OVER_MAX).await {
            tracing::warn!(%failure, "the lead was not handed over: an election follows");
        }
    }

    /// Closes the log. What was acknowledged is durable already.
    pub async fn close(self) {
        // It may have been given back meanwhile.
        self.hand_over().await;
        if let Some(member) = &self.member {
            member.shutdown().await;
        }
    }
}

/// What differs between nodes.
struct Making {
    folder: NodeFolder,
    identity: Option<NodeIdentity>,
    fabric: Arc<Fabric>,
    member: Option<Arc<Member>>,
    client: Option<Arc<Client>>,
    cluster: ClusterId,
    peer_address: String,
}

impl Opening<'_> {
    fn take_port(&self, before: Option<String>) -> Result<PeerPort, Failure> {
        let cluster = &self.settings.cluster;
        let address = cluster.peer_address.clone().or(before);
        let address = address.unwrap_or_else(peer_port::default_address);
        peer_port::take(&address, cluster.peer_listen)
    }

    async fn join(
        &self,
        folder: &NodeFolder,
        token: Option<JoinToken>,
        port: &PeerPort,
    ) -> Result<NodeIdentity, Failure> {
        let token = token.ok_or_else(|| {
            Failure::new("to join a cluster, this node needs a token: `holdfast cluster add` on a member prints one, for --token")
        })?;
        if self.data.metadata().exists() {
            return Err(Failure::new(format!(
                "the data folder {} has a registry of its own, which would be lost if it joined another: choose an empty one with --data DIR, or start it without --join",
                self.data.path().display()
            )));
        }
        let wish = JoinWish {
            seeds: self.settings.cluster.join.clone(),
            token,
            announcement: self.announcement(&port.address)?,
        };
        tracing::info!(seeds = wish.seeds.join(", "), "joining the cluster");
        join(folder, &wish).await.map_err(failed)
    }

    /// Finds the others by the bootstrap secret, and joins them or forms the cluster.
    async fn unattended(
        self,
        folder: NodeFolder,
        secret: BootstrapSecret,
    ) -> Result<Node, Failure> {
        let port = self.take_port(folder.address())?;
        // A node that has data of its own has formed its cluster, and has to found it still.
        if self.data.metadata().exists() {
            return self.form(folder, port).await;
        }
        let cluster = &self.settings.cluster;
        let wish = BootstrapWish {
            seeds: cluster.join.clone(),
            expect: cluster
                .bootstrap_expect
                .and_then(|expect| usize::try_from(expect).ok()),
            secret,
            role: cluster.role,
            announcement: self.announcement(&port.address)?,
        };
        let PeerPort { listener, address } = port;
        let found = bootstrap(&folder, &*self.blobs, &wish, listener).await;
        let found = found.map_err(failed)?;
        let port = peer_port::take_again(&address, cluster.peer_listen).await?;
        match found {
            Bootstrapped::Joined(identity) => self.of_cluster(folder, *identity, port).await,
            Bootstrapped::Forms => self.form(folder, port).await,
        }
    }

    async fn form(self, folder: NodeFolder, port: PeerPort) -> Result<Node, Failure> {
        let life = self.settings.cluster.token_life.0;
        let (blobs, key_file) = (Arc::clone(&self.blobs), RecoveryKey::path(folder.path()));
        let node = Node::alone(self, folder.clone()).await?;
        let founded = node.cluster.found(port.listener, &port.address, life).await;
        founded.map_err(failed)?;
        cluster::forget_claim(&folder, &*blobs).await;
        tracing::warn!(
            file = %key_file.display(),
            "the cluster was formed unattended: keep a copy of the recovery key in this file apart from the cluster"
        );
        Ok(node)
    }

    async fn of_cluster(
        self,
        folder: NodeFolder,
        identity: NodeIdentity,
        port: PeerPort,
    ) -> Result<Node, Failure> {
        if let Err(error) = folder.save_address(&port.address) {
            tracing::warn!(%error, "the address of this node cannot be kept for the next start");
        }
        let (fabric, moves) = (Arc::new(Fabric::default()), self.moves);
        let (member, client) = match identity.role() {
            Role::Member => {
                let member = self.member(&identity, &fabric, &port).await?;
                (Some(member), None)
            }
            Role::Gateway => {
                let members = folder.members().into_iter();
                let members = members.map(|(node, address)| MemberAddress {
                    node: node.0,
                    address,
                });
                let client = Client::new(members.collect(), Arc::clone(&fabric) as _, &RandomIds);
                (None, Some(Arc::new(client)))
            }
        };
        let node = self.node(Making {
            folder,
            cluster: identity.cluster(),
            identity: Some(identity.clone()),
            fabric,
            member,
            client,
            peer_address: port.address,
        })?;
        node.cluster
            .connect(identity, port.listener)
            .map_err(failed)?;
        // Nodes that keep blobs in different places would lose them for each other.
        let row = node.cluster.last_view().map(|view| view.storage);
        let known = Known {
            cluster: node.cluster.cluster(),
            row: &row.unwrap_or_default(),
            is_founded: true,
        };
        moves.place(known).await?;
        node.cluster.record_start().await.map_err(failed)?;
        if let Some(member) = &node.member {
            member.admit().await.map_err(failed)?;
        }
        node.cluster.finish_recovery().await.map_err(failed)?;
        node.cluster.work();
        Ok(node)
    }

    async fn member(
        &self,
        identity: &NodeIdentity,
        fabric: &Arc<Fabric>,
        port: &PeerPort,
    ) -> Result<Arc<Member>, Failure> {
        let config = metadata_raft::MemberConfig {
            node_id: identity.node().0,
            start: FirstStart::AwaitGroup,
            admitted: false,
            address: port.address.clone(),
            transport: Arc::clone(fabric) as _,
            ..member_config(self.settings, self.data.metadata())
        };
        Member::open(config).await.map_err(failed)
    }

    fn node(&self, making: Making) -> Result<Node, Failure> {
        let cluster_key = making.folder.cluster_key().map_err(failed)?;
        let store: Arc<dyn MetadataStore> = match (&making.member, &making.client) {
            (Some(member), _) => Arc::clone(member) as _,
            (None, Some(client)) => Arc::clone(client) as _,
            (None, None) => return Err(Failure::new("a node holds the log or asks the members")),
        };
        let cluster = Cluster::new(cluster::Parts {
            data: self.data.path().to_owned(),
            folder: making.folder,
            identity: making.identity,
            cluster_key,
            fabric: making.fabric,
            member: making.member.clone(),
            client: making.client,
            blobs: Arc::clone(&self.blobs),
            cluster: making.cluster,
            alone: NodeId(FIRST_NODE),
            bootstrap_secret: bootstrap_secret(self.settings)?,
            announcement: self.announcement(&making.peer_address)?,
        });
        Ok(Node {
            member: making.member,
            store,
            cluster,
        })
    }

    /// What this node says of itself.
    fn announcement(&self, peer_address: &str) -> Result<NodeAnnouncement, Failure> {
        let cluster = &self.settings.cluster;
        let announcement = NodeAnnouncement {
            name: cluster.name.clone().unwrap_or_else(machine_name),
            peer_address: peer_address.to_owned(),
            client_address: cluster
                .client_address
                .clone()
                .unwrap_or_else(|| self.client_address.clone()),
            version: version::VERSION.to_owned(),
            format_max: metadata::FORMAT_MAX,
        };
        announcement.check().map_err(failed)?;
        Ok(announcement)
    }
}

/// The token to join with, if there is one.
fn token(settings: &Settings) -> Result<Option<JoinToken>, Failure> {
    let cluster = &settings.cluster;
    let text = match (&cluster.token, &cluster.token_file) {
        (Some(token), _) => token.reveal().to_owned(),
        (None, Some(file)) => std::fs::read_to_string(file).map_err(|error| {
            Failure::new(format!(
                "the token file {} cannot be read: {error}",
                file.display()
            ))
        })?,
        (None, None) => return Ok(None),
    };
    text.parse().map(Some).map_err(failed)
}

/// The secret of nodes that start unattended, if there is one.
fn bootstrap_secret(settings: &Settings) -> Result<Option<BootstrapSecret>, Failure> {
    let cluster = &settings.cluster;
    let text = match (&cluster.bootstrap_secret, &cluster.bootstrap_secret_file) {
        (Some(secret), _) => secret.reveal().to_owned(),
        (None, Some(file)) => std::fs::read_to_string(file).map_err(|error| {
            let file = file.display();
            Failure::new(format!(
                "the file of the bootstrap secret {file} cannot be read: {error}"
            ))
        })?,
        (None, None) => return Ok(None),
    };
    BootstrapSecret::new(&text).map(Some).map_err(failed)
}

/// The machine's name, as far as nodes may be called so.
pub(super) fn machine_name() -> String {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy();
    let may_be = |c: &char| c.is_ascii_alphanumeric() || ['.', '_', '-'].contains(c);
    let name: String = name.chars().filter(may_be).take(63).collect();
    if name.is_empty() {
        "node".to_owned()
    } else {
        name
    }
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::new(error.to_string())
}
