//! Commands: intentions with preconditions, as they stand in the log for ever.
//!
//! A command never says how a table changes; [`crate::apply`] decides that from what the tables hold at its index.
//! What is refused is answered by a [`crate::Refusal`], which is replicated like any other reply.

use bytes::Bytes;
use oci::{Algorithm, Descriptor, Digest, MediaType, RepositoryName, Tag, UploadId};

use crate::access::{AccessCommand, Asker};
use crate::ids::{CommandId, Epoch, LogIndex, LogTime, MultipartId, PrincipalName};
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

/// See [`Command::CreateUpload`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateUpload {
    /// A fresh id.
    pub upload: UploadId,
    /// Where the blob will be visible.
    pub repository: RepositoryName,
    /// What the bytes are hashed with as they arrive.
    pub algorithm: Algorithm,
    /// The size of every part but the last, in bytes; fixed for the upload's life.
    pub part_size: u32,
    /// Whether the same request goes on to write: it then gets the first epoch at once.
    pub write: bool,
    /// Who asked.
    pub principal: PrincipalName,
}

/// See [`Command::BeginWrite`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeginWrite {
    /// The repository in whose path the upload was asked for.
    pub repository: RepositoryName,
    /// The upload.
    pub upload: UploadId,
    /// Where the request starts.
    pub from: WriteFrom,
    /// The latest writer that the request knows of: what was acknowledged is dropped only if no later one has come, lest a
    /// request that was long on its way takes back what its client was told meanwhile. `None` in entries of before this rule.
    pub after: Option<Epoch>,
}

/// Where a request that writes starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteFrom {
    /// The client sent `Content-Range`: the acknowledged or the checkpointed offset, and no other.
    Exactly(u64),
    /// The client followed a `Location` with `?at=N`: it takes up at N, and what lies beyond is dropped. N is the
    /// acknowledged offset, the one that the last write started from, or 0.
    Location(u64),
    /// The client said neither: the acknowledged offset.
    Acknowledged,
}

/// A point at which an upload may go on: the first `offset` bytes are durable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// Bytes from the start.
    pub offset: u64,
    /// The hash of these bytes in its canonical form; empty at offset 0.
    pub midstate: Bytes,
    /// The number of the last part that counts; 0 when there is none. Every recorded part of the upload up to this
    /// number counts, in the order of numbers.
    pub last_part: u32,
    /// What lies beyond the whole parts.
    pub tail: Option<TailObject>,
}

/// The bytes after the whole parts, kept as an object of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TailObject {
    /// Where they are.
    pub key: ObjectKey,
    /// How many they are: at least one and less than a part, except that an upload without parts may end with exactly
    /// a part's size, and that an empty blob is a tail of none.
    pub size: u32,
    /// The same bytes stored as the next part too, so that finishing needs no more of them. `None` while the upload
    /// has no parts: the object then is the blob, if the upload ends there.
    pub part: Option<Part>,
}

/// One part of a multipart upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// From 1 up; with gaps, where a writer was ended.
    pub number: u32,
    /// The object store's receipt.
    pub etag: String,
    /// Bytes.
    pub size: u32,
}

/// See [`Command::Checkpoint`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The repository in whose path the upload was asked for.
    pub repository: RepositoryName,
    /// The upload.
    pub upload: UploadId,
    /// The writer; refused as [`crate::Refusal::Fenced`] unless it is the latest.
    pub epoch: Epoch,
    /// The state now. Checkpoints lie at part boundaries and have no tail.
    pub progress: Progress,
    /// The parts that were stored since this writer's last entry.
    pub parts: Vec<Part>,
    /// The multipart upload, the first time that it is told.
    pub multipart: Option<MultipartId>,
    /// How many more part numbers the writer wants, at most 1,000.
    pub reserve: u32,
}

/// See [`Command::Acknowledge`].
///
/// Gives back the part numbers above the highest that is named here (in `parts` or by the tail): a writer that tried to
/// store a part which it does not name must not acknowledge, lest a later writer's part of that number be overwritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledge {
    /// The repository in whose path the upload was asked for.
    pub repository: RepositoryName,
    /// The upload.
    pub upload: UploadId,
    /// The writer; refused as [`crate::Refusal::Fenced`] unless it is the latest.
    pub epoch: Epoch,
    /// The state now, tail included.
    pub progress: Progress,
    /// The parts that were stored since this writer's last entry.
    pub parts: Vec<Part>,
    /// The multipart upload, the first time that it is told.
    pub multipart: Option<MultipartId>,
}

/// At which state an upload ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploadEnd {
    /// The closing request carried no bytes: the state that the client was told, which must be at `offset` when given.
    Acknowledged {
        /// What the client believes (`?at=N`), if it said so.
        offset: Option<u64>,
    },
    /// The closing request carried the last bytes.
    Writer {
        /// The writer; refused unless it is the latest.
        epoch: Epoch,
        /// The state at its end.
        progress: Progress,
        /// The parts that were stored since this writer's last entry.
        parts: Vec<Part>,
        /// The multipart upload, the first time that it is told.
        multipart: Option<MultipartId>,
    },
}

/// See [`Command::SealUpload`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealUpload {
    /// The repository in whose path the upload was asked for.
    pub repository: RepositoryName,
    /// The upload.
    pub upload: UploadId,
    /// What the client says that the bytes are.
    pub digest: Digest,
    /// The state that is sealed.
    pub end: UploadEnd,
    /// Whether the bytes have yet to be read back and hashed (the closing `PUT` named another algorithm): whoever
    /// completes the object then verifies it before it finishes.
    pub unverified: bool,
}

/// See [`Command::FinishUpload`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishUpload {
    /// The repository in whose path the upload was asked for.
    pub repository: RepositoryName,
    /// The upload.
    pub upload: UploadId,
    /// The digest, which the proposer has verified.
    pub digest: Digest,
    /// For a plain object, the state at which it ends. `None` for a sealed upload, whose object is complete.
    pub end: Option<UploadEnd>,
    /// Who asked.
    pub principal: PrincipalName,
}

/// See [`Command::Mount`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where the blob is to be visible.
    pub repository: RepositoryName,
    /// The blob.
    pub digest: Digest,
    /// Where the asker may see it already. `None`: in any repository.
    pub from: Option<RepositoryName>,
    /// Who asked.
    pub principal: PrincipalName,
}

/// What a manifest names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ManifestReference {
    /// A blob that the repository must see, or the manifest is refused; some layers of a sparse image excepted.
    RequiredBlob(Digest),
    /// A blob that may be absent (a layer which may not be distributed, a blob in an index).
    OptionalBlob(Digest),
    /// A manifest of an index, which may be absent.
    Child(Digest),
}

/// Where a manifest's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Here; at most [`crate::INLINE_PAYLOAD_BYTES_MAX`].
    Inline(Bytes),
    /// In an object that is durable before the command is proposed. If the command does not make use of it, apply
    /// hands the key to the delete queue.
    Object(ObjectKey),
}

/// What must hold for a tag to be moved or removed (RFC 9110, sections 13.1.1 and 13.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// `If-Match: "<digest>", …`: the reference points at one of these.
    Matches(Vec<Digest>),
    /// `If-Match: *`: the reference exists.
    Exists,
    /// `If-None-Match: *`: the reference does not exist.
    Absent,
    /// `If-None-Match: "<digest>", …`: the reference points at none of these.
    MatchesNone(Vec<Digest>),
}

/// See [`Command::PutManifest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutManifest {
    /// Where the manifest is linked.
    pub repository: RepositoryName,
    /// The digest of the payload, which the proposer has verified.
    pub digest: Digest,
    /// What it is served as.
    pub media_type: MediaType,
    /// Bytes of the payload.
    pub size: u64,
    /// The payload.
    pub payload: Payload,
    /// What it names, each digest once and sorted; at most [`oci::REFERENCES_MAX`].
    pub references: Vec<ManifestReference>,
    /// The digest of an image's config.
    pub config: Option<Digest>,
    /// The manifest that it is about, which may be absent.
    pub subject: Option<Digest>,
    /// How the referrers API describes it; `Some` when there is a subject.
    pub referrer: Option<Box<Descriptor>>,
    /// The tags to move; all or none. Sorted, each once, at most 100.
    pub tags: Vec<Tag>,
    /// Must hold for each tag (for the link, when there are no tags), or nothing is done.
    pub precondition: Option<Precondition>,
    /// The client's `Idempotency-Key`, at most 255 bytes: the same key of the same principal gets the first answer.
    pub idempotency_key: Option<String>,
    /// Whether some layers of an image may be absent, if others are there: the image is then marked as sparse. The
    /// proposer's setting; the entry carries it, so that all members decide alike.
    pub sparse: bool,
    /// Who asked.
    pub principal: PrincipalName,
}
