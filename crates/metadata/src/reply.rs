//! Replies: what the log answers, the same on every member and for every retry.

use oci::{Digest, RepositoryName, Tag};

use crate::access::Denial;
use crate::command::{Part, Progress};
use crate::ids::{Epoch, LogTime, MultipartId};
use crate::node::{NodeId, NodeRole};
use crate::object_key::{ClusterId, ObjectKey};
use oci::Algorithm;

/// The answer to a [`crate::Command`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Nothing more to say.
    Done,
    /// The cluster has its name now.
    Initialized {
        /// The name.
        cluster: ClusterId,
    },
    /// The upload is open; `grant` is there if it was created to be written.
    UploadCreated {
        /// The right to write.
        grant: Option<Box<WriteGrant>>,
    },
    /// The right to write.
    WriteGranted(Box<WriteGrant>),
    /// The checkpoint is kept.
    Checkpointed {
        /// Numbers up to and including this one may be used by this writer.
        reserved_until: u32,
    },
    /// The offset is the client's now.
    Acknowledged {
        /// Bytes.
        offset: u64,
    },
    /// The parts are fixed.
    Sealed(Box<SealedObject>),
    /// The blob is visible in the repository.
    BlobFinished {
        /// Its digest.
        digest: Digest,
        /// Its bytes.
        size: u64,
    },
    /// The blob is visible in the repository.
    Mounted {
        /// Its bytes.
        size: u64,
    },
    /// There is no such blob to be mounted: a plain upload is the way.
    MountMissed,
    /// The manifest is stored and the tags are moved.
    ManifestPut {
        /// Whether the repository had no such manifest before.
        created: bool,
        /// How many layers of the image the repository did not see then: above 0, the image is sparse.
        absent: u32,
    },
    /// A manifest's link is hidden; more of its tags' rows remain than one entry may touch: propose the same again.
    DeletionContinues,
    /// The cluster has its first member and its authority.
    Founded {
        /// The first member.
        node: NodeId,
    },
    /// The node is one of the cluster.
    NodeJoined {
        /// Its id; the one that it had, when it had joined before.
        node: NodeId,
    },
    /// The answer is no.
    Refused(Refusal),
}

/// The right of one request to add bytes to an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteGrant {
    /// What the writer signs its entries with.
    pub epoch: Epoch,
    /// Where it starts.
    pub progress: Progress,
    /// What the bytes are hashed with.
    pub algorithm: Algorithm,
    /// The size of every part but the last, in bytes.
    pub part_size: u32,
    /// How many parts count at the start.
    pub parts_count: u32,
    /// The multipart upload that goes on, if one was begun.
    pub multipart: Option<MultipartId>,
    /// The key of that multipart upload, or the one to begin it under.
    pub key: ObjectKey,
    /// The first part number that is this writer's.
    pub next_part: u32,
    /// The last one; more are had by a checkpoint.
    pub reserved_until: u32,
}

/// What a sealed upload will be, whoever completes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedObject {
    /// What the client says that it is.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    /// The object.
    pub key: ObjectKey,
    /// The multipart upload to be completed.
    pub multipart: MultipartId,
    /// Its parts, in order.
    pub parts: Vec<Part>,
    /// Whether the bytes have yet to be read back and hashed.
    pub unverified: bool,
}

/// A correct answer "no". Never an error: it is replicated and repeated like any reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The first effect of this command, if it had one, can no longer be told: the sender must look.
    OutcomeUnknown,
    /// The cluster has a name already.
    AlreadyInitialized {
        /// The name.
        cluster: ClusterId,
    },
    /// There is no cluster yet.
    NotInitialized,
    /// No repository of this name.
    RepositoryUnknown,
    /// No such upload in this repository, or it has ended.
    UploadUnknown,
    /// The upload cannot go on at the wanted offset.
    OffsetMismatch {
        /// Where it can: the acknowledged offset.
        acknowledged: u64,
    },
    /// Another request has begun to write since.
    Fenced {
        /// Where the upload stands: the acknowledged offset.
        acknowledged: u64,
    },
    /// The upload is sealed: no more bytes.
    Sealed {
        /// What it was sealed as.
        digest: Digest,
    },
    /// A plain object was to be sealed, or a multipart one finished without: the proposer looked at an old state.
    WrongEnd,
    /// The blob would have more parts than an object can have.
    TooManyParts,
    /// No such blob in this repository.
    BlobUnknown,
    /// A manifest of the repository names the blob.
    BlobInUse {
        /// How many do.
        manifests: u64,
    },
    /// No such manifest in this repository.
    ManifestUnknown,
    /// Blobs that the manifest names are not visible in the repository.
    BlobsUnknown {
        /// Which; at most the first hundred.
        digests: Vec<Digest>,
    },
    /// No such tag.
    TagUnknown,
    /// The precondition does not hold.
    PreconditionFailed {
        /// The reference that failed it; `None` for the manifest's link.
        tag: Option<Tag>,
        /// Where it points now.
        current: Option<Digest>,
    },
    /// The repository is still being emptied of this manifest's tags: propose `DeleteManifest` until it is done.
    DeletionInProgress,
    /// The command breaks a bound of the log, such as the number of references.
    Invalid {
        /// What is wrong, for people.
        reason: String,
    },
    /// The idempotency key was used for another request.
    IdempotencyKeyReused {
        /// Where it was.
        repository: RepositoryName,
    },
    /// The cluster has no authority yet that could let nodes in.
    NotFounded,
    /// The cluster has its first member already.
    AlreadyFounded,
    /// No such join token, or another secret.
    TokenUnknown,
    /// The join token has let another node in.
    TokenUsed {
        /// Which.
        node: NodeId,
    },
    /// The join token's time is over.
    TokenExpired,
    /// The join token makes something else of a node.
    TokenRole {
        /// What it makes of it.
        role: NodeRole,
    },
    /// No node of this id, or one that was removed long ago.
    NodeUnknown,
    /// The node was removed from the cluster.
    NodeRemoved,
    /// The last member cannot be removed.
    LastMember,
    /// The node's build does not know the log's format.
    FormatTooOld {
        /// What it would have to know.
        needed: u32,
    },
    /// The log's format does not have this command yet.
    FormatTooLow {
        /// The format that has it.
        needed: u32,
        /// The log's format.
        current: u32,
    },
    /// Some nodes have not got so far yet.
    NodesBehind {
        /// Which; at most the first hundred.
        nodes: Vec<NodeId>,
    },
    /// What the cluster does by itself has to wait.
    TooEarly {
        /// Until when, at least.
        until: LogTime,
    },
    /// Some nodes' builds do not know the format.
    FormatUnsupported {
        /// Which; at most the first hundred.
        nodes: Vec<NodeId>,
    },
    /// The asker may not.
    Denied(Denial),
    /// There is none of this name.
    Unknown(Named),
    /// There is one of this name already.
    Exists(Named),
    /// The user's login is checked elsewhere.
    OtherSource,
    /// The last administrator who may log in cannot be removed, disabled, or made another.
    LastAdministrator,
    /// The project has repositories.
    ProjectInUse {
        /// How many.
        repositories: u64,
    },
}

/// What a refusal about access speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// A user.
    User,
    /// A robot.
    Robot,
    /// A group.
    Group,
    /// A project.
    Project,
    /// A personal access token.
    Token,
    /// A key that signs tokens.
    TokenKey,
}
