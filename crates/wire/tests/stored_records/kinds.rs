//! The names of all kinds, so that none is left without a sample and a golden file.

use metadata::access::{AccessCommand, Denial};
use metadata::{Command, Named, Refusal, Reply, Row};

// Lists the variants of an enum so that a new one is a compile error here until it is named, and a failed test until
// it has a sample and a golden file.
macro_rules! kinds {
    ($(#[$doc:meta])* $function:ident, $all:ident, $enum:ident: $($variant:ident),* $(,)?) => {
        pub const $all: &[&str] = &[$(stringify!($variant)),*];
        $(#[$doc])*
        pub fn $function(value: &$enum) -> &'static str {
            match value {
                $($enum::$variant { .. } => stringify!($variant),)*
            }
        }
    };
}

kinds!(command_kind, COMMANDS, Command:
    InitializeCluster, CreateUpload, BeginWrite, Checkpoint, Acknowledge, AcknowledgeCheckpoint, SealUpload,
    FinishUpload, CancelUpload, Mount, PutManifest, DeleteTag, DeleteManifest, DeleteBlob, RenewBlob, ObjectsDeleted,
    FoundCluster, IssueJoinToken, JoinNode, AnnounceNode, RemoveNode, RaiseFormat, MoveStorage,
    ConfirmStorage, FillStorage, CancelMove, SwitchStorage, CorrectTime, RaiseFormatInTime, RemoveGoneGateway, ReplaceVoter, AdoptBlobs, AddAuthority,
    NoteTrust, SignWithNextAuthority, DropAuthority, Access, Asked, SetLabel);
kinds!(reply_kind, REPLIES, Reply:
    Done, Initialized, UploadCreated, WriteGranted, Checkpointed, Acknowledged, Sealed, BlobFinished, Mounted,
    MountMissed, ManifestPut, DeletionContinues, Founded, NodeJoined, Refused);
kinds!(refusal_kind, REFUSALS, Refusal:
    OutcomeUnknown, AlreadyInitialized, NotInitialized, RepositoryUnknown, UploadUnknown, OffsetMismatch, Fenced,
    Sealed, WrongEnd, TooManyParts, BlobUnknown, BlobInUse, ManifestUnknown, BlobsUnknown, TagUnknown,
    PreconditionFailed, DeletionInProgress, Invalid, IdempotencyKeyReused, NotFounded, AlreadyFounded,
    TokenUnknown, TokenUsed, TokenExpired, TokenRole, NodeUnknown, NodeRemoved, LastMember, FormatTooOld, FormatTooLow,
    FormatUnsupported, TooEarly, NodesBehind, Denied, Unknown, Exists, OtherSource, LastAdministrator, ProjectInUse);
kinds!(row_kind, ROWS, Row:
    Cluster, Repository, Tag, Manifest, ManifestLink, Referrer, Blob, BlobLink, Count, Upload, UploadPart, Deletion,
    Reply, CommandId, UploadId, FirstAnswer, Node, JoinToken, Authority,
    Access, Account, Group, Project, Member, AccessToken, TokenKey, Audit, Present);
kinds!(access_command_kind, ACCESS_COMMANDS, AccessCommand:
    SwitchOn, SwitchOff, Settle, CreateUser, ChangeUser, SetPassword, EndProofs, DeleteUser, NoteLogin, CreateGroup,
    DeleteGroup, SetGroupMember, CreateProject, SetVisibility, DeleteProject, SetMember, CreateRobot, ChangeRobot,
    RenewRobot, DeleteRobot, CreateToken, DeleteToken, AddTokenKey, DropTokenKey, NoteRefusals);
kinds!(denial, DENIALS, Denial:
    SignIn, ProofEnded, NotAllowed);
kinds!(named, NAMED, Named:
    User, Robot, Group, Project, Token, TokenKey);

/// What a command is beyond its kind; empty for most.
pub fn command_detail(command: &Command) -> &'static str {
    match command {
        Command::Access(command) => access_command_kind(command),
        _ => "",
    }
}

/// The word that a refusal has; empty for most.
pub fn refusal_detail(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Denied(word) => denial(word),
        Refusal::Unknown(word) | Refusal::Exists(word) => named(word),
        _ => "",
    }
}
