//! The pure log: what the members of a run have in the place of `metadata_raft`, with the same contract and without a library,
//! a disk or bytes. It is Raft (Ongaro, "Consensus: Bridging Theory and Practice", 2014), small enough to be read whole:
//! terms, votes, one change of membership at a time, snapshots, reads by ReadIndex; entries count once they are synced by a
//! majority, and what was not synced may be lost by a crash.
//!
//! The state machine over it is the real one.

mod core;
mod disk;
mod follower;
mod leader;
mod machine;
mod member;
mod messages;
mod recording;
mod service;
mod time;

pub use self::core::Applied;
pub use self::core::{Core, Role};
pub use disk::{Content, Disk, LogEntry, Members, Snapshot};
pub use machine::Machine;
pub use member::Member;
pub use messages::Message;
pub use recording::{Change, Recording};
pub use service::calls;

use metadata::Command;

/// Names of commands, as they are counted.
pub const COMMANDS: &[&str] = &[
    "InitializeCluster",
    "CreateUpload",
    "BeginWrite",
    "Checkpoint",
    "Acknowledge",
    "AcknowledgeCheckpoint",
    "SealUpload",
    "FinishUpload",
    "CancelUpload",
    "Mount",
    "PutManifest",
    "DeleteTag",
    "DeleteManifest",
    "DeleteBlob",
    "RenewBlob",
    "ObjectsDeleted",
    "FoundCluster",
    "IssueJoinToken",
    "JoinNode",
    "AnnounceNode",
    "RemoveNode",
    "RaiseFormat",
    "MoveStorage",
    "ConfirmStorage",
    "FillStorage",
    "CancelMove",
    "SwitchStorage",
    "CorrectTime",
    "RaiseFormatInTime",
    "RemoveGoneGateway",
    "ReplaceVoter",
    "AddAuthority",
    "NoteTrust",
    "SignWithNextAuthority",
    "DropAuthority",
    "AdoptBlobs",
    "SetLabel",
];

/// A command's name. One that this does not know fails the compilation.
#[must_use]
pub fn command_name(command: &Command) -> &'static str {
    match command {
        Command::InitializeCluster { .. } => "InitializeCluster",
        Command::CreateUpload(_) => "CreateUpload",
        Command::BeginWrite(_) => "BeginWrite",
        Command::Checkpoint(_) => "Checkpoint",
        Command::Acknowledge(_) => "Acknowledge",
        Command::AcknowledgeCheckpoint { .. } => "AcknowledgeCheckpoint",
        Command::SealUpload(_) => "SealUpload",
        Command::FinishUpload(_) => "FinishUpload",
        Command::CancelUpload { .. } => "CancelUpload",
        Command::Mount(_) => "Mount",
        Command::PutManifest(_) => "PutManifest",
        Command::DeleteTag { .. } => "DeleteTag",
        Command::DeleteManifest { .. } => "DeleteManifest",
        Command::DeleteBlob { .. } => "DeleteBlob",
        Command::RenewBlob { .. } => "RenewBlob",
        Command::ObjectsDeleted { .. } => "ObjectsDeleted",
        Command::FoundCluster(_) => "FoundCluster",
        Command::IssueJoinToken { .. } => "IssueJoinToken",
        Command::JoinNode(_) => "JoinNode",
        Command::AnnounceNode { .. } => "AnnounceNode",
        Command::RemoveNode { .. } => "RemoveNode",
        Command::RaiseFormat { .. } => "RaiseFormat",
        Command::MoveStorage { .. } => "MoveStorage",
        Command::ConfirmStorage { .. } => "ConfirmStorage",
        Command::FillStorage { .. } => "FillStorage",
        Command::CancelMove { .. } => "CancelMove",
        Command::SwitchStorage { .. } => "SwitchStorage",
        Command::CorrectTime { .. } => "CorrectTime",
        Command::RaiseFormatInTime { .. } => "RaiseFormatInTime",
        Command::RemoveGoneGateway { .. } => "RemoveGoneGateway",
        Command::ReplaceVoter { .. } => "ReplaceVoter",
        Command::AddAuthority { .. } => "AddAuthority",
        Command::NoteTrust { .. } => "NoteTrust",
        Command::SignWithNextAuthority => "SignWithNextAuthority",
        Command::DropAuthority => "DropAuthority",
        Command::AdoptBlobs => "AdoptBlobs",
        Command::SetLabel { .. } => "SetLabel",
        Command::Access(_) => "Access",
        Command::Asked { command, .. } => command_name(command),
    }
}
