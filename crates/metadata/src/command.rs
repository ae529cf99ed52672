//! Commands: intentions with preconditions, as they stand in the log for ever.
//!
//! A command never says how a table changes; [`crate::apply`] decides that from what the tables hold at its index.
//! What is refused is answered by a [`crate::Refusal`], which is replicated like any other reply.

mod manifest;
mod upload;

use bytes::Bytes;
use oci::{Digest, RepositoryName, Tag, UploadId};

pub use manifest::{ManifestReference, Mount, Payload, Precondition, PutManifest};
pub use upload::{
    Acknowledge, BeginWrite, Checkpoint, CreateUpload, FinishUpload, Part, Progress, SealUpload,
    TailObject, UploadEnd, WriteFrom,
};

use crate::access::{AccessCommand, Asker};
use crate::ids::{CommandId, LogIndex, LogTime, PrincipalName};
use crate::node::{
    FoundCluster, JoinNode, JoinTokenId, NodeAnnouncement, NodeId, NodeRole, NodeTrust,
};
use crate::object_key::{ClusterId, ObjectKey};

/// What the log holds at one index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whose retry this would be.
    pub id: CommandId,
    /// The last index that the sender had seen: an entry older than the floor of the remembered replies is refused as
    /// of unknown outcome, because its first effect could no longer be recognized.
    pub seen: LogIndex,
    /// The leader's time; the state machine's clock is the latest that it has seen.
    pub stamped: LogTime,
    /// What is wanted.
    pub command: Command,
}

/// Everything that may change the replicated state. Each has the format that [`Command::format`] gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Names the cluster, once; a second one is refused as [`crate::Refusal::AlreadyInitialized`].
    InitializeCluster {
        /// The id that every object key begins with.
        cluster: ClusterId,
    },
    /// Opens an upload.
    CreateUpload(CreateUpload),
    /// Takes the next epoch of an upload, which ends every earlier writer.
    BeginWrite(BeginWrite),
    /// Saves how far a long request has come, and reserves part numbers.
    Checkpoint(Checkpoint),
    /// Makes an offset the one that the client is told.
    Acknowledge(Acknowledge),
    /// Makes the checkpoint the acknowledged state (the client asked with `GET`).
    AcknowledgeCheckpoint {
        /// The repository in whose path the upload was asked for.
        repository: RepositoryName,
        /// The upload.
        upload: UploadId,
    },
    /// Fixes digest, parts, size and key of a multipart upload, and ends every writer.
    SealUpload(SealUpload),
    /// Records digest → key and ends the upload.
    FinishUpload(FinishUpload),
    /// Ends an upload and hands its objects to the delete queue.
    CancelUpload {
        /// The repository in whose path the upload was asked for.
        repository: RepositoryName,
        /// The upload.
        upload: UploadId,
    },
    /// Makes a blob of one repository visible in another.
    Mount(Mount),
    /// Stores a manifest and moves tags to it: all of them or none.
    PutManifest(PutManifest),
    /// Removes a tag.
    DeleteTag {
        /// The tag's repository.
        repository: RepositoryName,
        /// The tag.
        tag: Tag,
        /// Refused unless it holds.
        precondition: Option<Precondition>,
        /// Who asked.
        principal: PrincipalName,
    },
    /// Ends a manifest's link in a repository, and with it every tag that points there.
    DeleteManifest {
        /// The link's repository.
        repository: RepositoryName,
        /// The manifest.
        digest: Digest,
        /// Who asked.
        principal: PrincipalName,
    },
    /// Ends a blob's link in a repository; refused while a manifest of the repository names the blob.
    DeleteBlob {
        /// The link's repository.
        repository: RepositoryName,
        /// The blob.
        digest: Digest,
        /// Who asked.
        principal: PrincipalName,
    },
    /// Starts an unreferenced blob's grace anew, because someone who may push asked for it.
    RenewBlob {
        /// The repository in which it was asked for.
        repository: RepositoryName,
        /// The blob.
        digest: Digest,
    },
    /// Takes rows out of the delete queue whose bytes are gone.
    ObjectsDeleted {
        /// At most [`crate::DELETIONS_PER_ENTRY_MAX`] keys, as [`crate::Query::DueDeletions`] gave them.
        keys: Vec<ObjectKey>,
    },
    /// Makes the node that proposes it the first member of a cluster that others may join, once; a second one is refused
    /// as [`crate::Refusal::AlreadyFounded`].
    FoundCluster(Box<FoundCluster>),
    /// Lets one node in, once, until a time.
    IssueJoinToken {
        /// A fresh id.
        token: JoinTokenId,
        /// The SHA-256 of its secret.
        hash: [u8; 32],
        /// What the node becomes.
        role: NodeRole,
        /// Until when; at most [`crate::JOIN_TOKEN_LIFE_MS_MAX`] from now.
        expires: LogTime,
    },
    /// Makes a node one of the cluster and gives it its id.
    JoinNode(Box<JoinNode>),
    /// A node says what it is now, and that it is there.
    AnnounceNode {
        /// Who says it: whoever proposes it has made sure that it is this node.
        node: NodeId,
        /// What it says.
        announcement: NodeAnnouncement,
    },
    /// Ends a node's part in the cluster; its id and its key are never taken again.
    RemoveNode {
        /// Which.
        node: NodeId,
    },
    /// Raises the log's format, once every node knows it.
    RaiseFormat {
        /// The present format or the next.
        to: u32,
    },
    /// Begins to move the blobs to another store, or goes on with it: every node opens it beside the present one. Refused
    /// while they are moved to a third.
    MoveStorage {
        /// The store, without secrets; at most [`crate::PLACE_BYTES_MAX`] bytes without control characters.
        to: String,
        /// What [`crate::rows::StorageRow::uploads_idle_ms`] becomes.
        uploads_idle_ms: u64,
    },
    /// A node says that it has taken a step of the move, or why it cannot take the next. Of an earlier step it has no effect.
    ConfirmStorage {
        /// Which node.
        node: NodeId,
        /// What [`crate::rows::StorageRow::step`] was when it said so.
        step: u64,
        /// Why it cannot take this step; it has taken it otherwise.
        problem: Option<String>,
    },
    /// From now on what is new goes to the new store. Refused until every node has it open. Again, it has no effect.
    FillStorage {
        /// The step that every node has taken.
        step: u64,
    },
    /// Ends the move as if it had never begun. Refused once anything may be in the new store only.
    CancelMove {
        /// The step at which it is.
        step: u64,
    },
    /// Ends the move: from now on every object that a row names is in the new store. Refused until every node writes there.
    /// Again, it has no effect.
    SwitchStorage {
        /// What [`crate::rows::StorageRow::generation`] becomes.
        generation: u64,
    },
    /// Sets the log's time forward to what most voters' clocks say, when it is more than [`crate::CORRECTION_MS_MIN`] behind;
    /// else it has no effect. Nothing that began before is ended for [`crate::UPKEEP_GRACE_MS`].
    CorrectTime {
        /// The time.
        to: LogTime,
    },
    /// Raises the log's format as [`Command::RaiseFormat`] does, once every node has known it for
    /// [`crate::FORMAT_RAISED_AFTER_MS`]; before, it is refused as [`crate::Refusal::TooEarly`].
    RaiseFormatInTime {
        /// The present format or the next.
        to: u32,
    },
    /// Removes a gateway that was not heard of for [`crate::GATEWAY_GONE_AFTER_MS`]; before, it is refused as
    /// [`crate::Refusal::TooEarly`].
    RemoveGoneGateway {
        /// Which.
        gateway: NodeId,
    },
    /// Decides that a spare takes the place of a dead voter, before the group changes; within
    /// [`crate::REPLACEMENT_INTERVAL_MS`] another one is refused as [`crate::Refusal::TooEarly`].
    ReplaceVoter {
        /// Who votes no more.
        dead: NodeId,
        /// Who votes in its place.
        spare: NodeId,
    },
    /// Brings a new authority, which every node is to believe before it signs. Refused while there are two.
    AddAuthority {
        /// Its certificate.
        certificate: Bytes,
        /// Its key, sealed.
        sealed_key: Bytes,
    },
    /// A node says which authorities it believes and which one signed its certificate.
    NoteTrust {
        /// Who says it: whoever proposes it has made sure that it is this node.
        node: NodeId,
        /// What it has.
        trust: NodeTrust,
    },
    /// Has the new authority sign from now on; refused as [`crate::Refusal::NodesBehind`] until every node believes it.
    SignWithNextAuthority,
    /// Ends the old authority; refused as [`crate::Refusal::NodesBehind`] until every node's certificate is the new one's.
    DropAuthority,
    /// Makes the objects of the clusters that this one was restored from its own, which are deleted like any others when
    /// nothing names them.
    AdoptBlobs,
    /// Changes who may do what.
    Access(Box<AccessCommand>),
    /// Somebody asks for a command: it is refused unless they may, and remembered if it changes something. What nobody asks
    /// for, the cluster does by itself.
    Asked {
        /// Who asks.
        asker: Asker,
        /// What for; never another of these.
        command: Box<Command>,
    },
    /// Gives the cluster a name for people. Format 2.
    SetLabel {
        /// At most [`crate::LABEL_BYTES_MAX`] bytes without control characters; empty: none.
        label: String,
    },
}

impl Command {
    /// The command as `asker` asks for it.
    ///
    /// # Panics
    /// In builds of tests, when somebody asks for it already: no member could read such an entry.
    #[must_use]
    pub fn asked_by(self, asker: Asker) -> Command {
        debug_assert!(!matches!(self, Command::Asked { .. }));
        Command::Asked {
            asker,
            command: Box::new(self),
        }
    }

    /// What is asked for, without who asks.
    #[must_use]
    pub fn unasked(&self) -> &Command {
        match self {
            Command::Asked { command, .. } => command.unasked(),
            command => command,
        }
    }

    /// The log's format that has it: no log of a lower one holds such a command, for some node might not understand it.
    #[must_use]
    pub fn format(&self) -> u32 {
        match self {
            Command::InitializeCluster { .. }
            | Command::CreateUpload(_)
            | Command::BeginWrite(_)
            | Command::Checkpoint(_)
            | Command::Acknowledge(_)
            | Command::AcknowledgeCheckpoint { .. }
            | Command::SealUpload(_)
            | Command::FinishUpload(_)
            | Command::CancelUpload { .. }
            | Command::Mount(_)
            | Command::PutManifest(_)
            | Command::DeleteTag { .. }
            | Command::DeleteManifest { .. }
            | Command::DeleteBlob { .. }
            | Command::RenewBlob { .. }
            | Command::ObjectsDeleted { .. }
            | Command::FoundCluster(_)
            | Command::IssueJoinToken { .. }
            | Command::JoinNode(_)
            | Command::AnnounceNode { .. }
            | Command::RemoveNode { .. }
            | Command::RaiseFormat { .. }
            | Command::MoveStorage { .. }
            | Command::ConfirmStorage { .. }
            | Command::FillStorage { .. }
            | Command::CancelMove { .. }
            | Command::SwitchStorage { .. }
            | Command::CorrectTime { .. }
            | Command::RaiseFormatInTime { .. }
            | Command::RemoveGoneGateway { .. }
            | Command::ReplaceVoter { .. }
            | Command::AddAuthority { .. }
            | Command::NoteTrust { .. }
            | Command::SignWithNextAuthority
            | Command::DropAuthority
            | Command::AdoptBlobs
            | Command::Access(_) => 1,
            Command::Asked { command, .. } => command.format(),
            Command::SetLabel { .. } => 2,
        }
    }

    /// Whether a member takes it from members only. Gateways serve clients, and decide nothing about who is in the
    /// cluster.
    #[must_use]
    pub fn is_for_members_only(&self) -> bool {
        match self {
            // A node that serves clients says what it made sure of, and what it saw.
            Command::Access(command) => !matches!(
                **command,
                AccessCommand::NoteLogin(_) | AccessCommand::NoteRefusals(_)
            ),
            Command::Asked { command, .. } => {
                !matches!(**command, Command::Access(_)) && command.is_for_members_only()
            }
            command => command.rules_nodes(),
        }
    }

    fn rules_nodes(&self) -> bool {
        matches!(
            self,
            Command::FoundCluster(_)
                | Command::IssueJoinToken { .. }
                | Command::JoinNode(_)
                | Command::RemoveNode { .. }
                | Command::RaiseFormat { .. }
                | Command::MoveStorage { .. }
                | Command::FillStorage { .. }
                | Command::CancelMove { .. }
                | Command::SwitchStorage { .. }
                | Command::CorrectTime { .. }
                | Command::RaiseFormatInTime { .. }
                | Command::RemoveGoneGateway { .. }
                | Command::ReplaceVoter { .. }
                | Command::AddAuthority { .. }
                | Command::SignWithNextAuthority
                | Command::DropAuthority
                | Command::AdoptBlobs
        )
    }
}
