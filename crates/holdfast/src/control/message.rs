//! What may be asked over the control socket.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::access::SettingsChange;

/// What is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case")]
pub enum Order {
    /// Found the cluster.
    Init {
        /// Where others reach this node.
        peer_address: Option<String>,
    },
    /// Make a join token.
    Add {
        /// `member` or `gateway`.
        role: String,
        /// How long it is good, in seconds.
        seconds: Option<u64>,
    },
    /// Tell how the nodes are.
    Status,
    /// Take a node out.
    Remove {
        /// Which.
        node: u64,
        /// Whatever follows.
        force: bool,
    },
    /// Have a member vote.
    Promote {
        /// Which.
        node: u64,
    },
    /// Hand the lead over.
    TransferLeader {
        /// To whom.
        to: Option<u64>,
    },
    /// Raise the log's format.
    Upgrade,
    /// Begin to rotate the cluster's authority.
    RotateAuthority,
    /// Take over the objects of the clusters that this one was restored from.
    Adopt {
        /// Whether they never run again.
        yes: bool,
    },
    /// Move the blobs to another store.
    MoveBlobs {
        /// Where to, without secrets.
        to: String,
        /// An upload with parts in the old store that nobody has written to for so many seconds is ended.
        idle_seconds: u64,
    },
    /// Tell how far the blobs are moved.
    MoveStatus,
    /// Give the move up.
    CancelMove,
    /// Tell whether rights are asked for.
    AccessState,
    /// Have rights asked for.
    SwitchAccessOn,
    /// Have nobody's rights asked for.
    SwitchAccessOff,
    /// Change what may be chosen about access.
    SettleAccess {
        /// What is to be different.
        change: SettingsChange,
    },
    /// Give a user a new password.
    ResetPassword {
        /// Whose.
        user: String,
        /// Whether they are to be an administrator.
        admin: bool,
    },
    /// Label the cluster.
    #[cfg(feature = "next-format")]
    Label {
        /// With what; nothing takes the label away.
        label: String,
    },
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is done.
    Done(Value),
    /// It is not, and why.
    Failed(String),
}
