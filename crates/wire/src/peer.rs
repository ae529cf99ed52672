//! What members of a group say to each other: plain types, and their bytes.
//!
//! Decoding is as strict as that of what is stored: a message of a newer format is refused, never half understood.

use bytes::Bytes;
use prost::Message;

use crate::error::{DecodeError, required};
use crate::{AppliedState, LogId, Vote, pb, strict};

/// A message between nodes.
pub trait PeerMessage: Sized + Send + 'static {
    /// Its bytes.
    fn encode(&self) -> Vec<u8>;

    /// The message of these bytes.
    ///
    /// # Errors
    /// When they are not such a message that this build understands.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError>;
}

/// Entries of the leader's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendRequest {
    /// The leader.
    pub vote: Vote,
    /// The entry before the first of `entries`.
    pub previous: Option<LogId>,
    /// Encoded by [`encode_log_entry`](crate::encode_log_entry).
    pub entries: Vec<Bytes>,
    /// How far the leader has committed.
    pub commit: Option<LogId>,
}

/// What became of an [`AppendRequest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendReply {
    /// Durable up to here.
    Flushed(Option<LogId>),
    /// The receiver does not have this previous entry.
    Conflict(LogId),
    /// The receiver follows another leader or a later term.
    HigherVote(Vote),
}

/// A candidate asks for a vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VoteRequest {
    /// The candidate and its term.
    pub vote: Vote,
    /// Its last entry.
    pub last_log: Option<LogId>,
    /// The leader asked it to stand: leases do not count.
    pub leadership_transfer: bool,
    /// A pre-vote: nothing is granted, and nothing changes.
    pub only_asks: bool,
}

/// What the voter says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VoteReply {
    /// Whom it follows now.
    pub vote: Vote,
    /// Whether the vote is, or would be, granted.
    pub granted: bool,
    /// Its last entry.
    pub last_log: Option<LogId>,
}

/// Names one snapshot: equal names are equal bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotName {
    /// The node that made it.
    pub sender: u64,
    /// The state that it holds.
    pub state: AppliedState,
    /// Its bytes.
    pub size: u64,
    /// The CRC-32 of all its bytes.
    pub crc32: u32,
}

/// How much of a snapshot is at the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotReceived {
    /// Bytes from its start.
    pub bytes: u64,
}

/// A piece of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotPiece {
    /// The first: what follows, and from where on.
    Start {
        /// The leader that sends it.
        vote: Vote,
        /// Which snapshot.
        name: SnapshotName,
        /// Where the data goes on.
        offset: u64,
    },
    /// The next bytes.
    Data(Bytes),
}

/// A snapshot was installed, or was not needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotTaken {
    /// Whom the receiver follows.
    pub vote: Vote,
}

/// The leader hands over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferLeaderRequest {
    /// The leader.
    pub from: Vote,
    /// Who is to lead.
    pub to: u64,
    /// The leader's last entry, which that node must have.
    pub last_log: Option<LogId>,
}

/// Whether the hand-over was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferLeaderReply {
    /// Why not.
    pub refusal: Option<String>,
}

/// A command, sent to the leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposeRequest {
    /// Encoded by [`encode_entry`](crate::encode_entry); its time is the leader's to set.
    pub entry: Bytes,
    /// How long the sender waits, in milliseconds.
    pub patience_ms: u64,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProposeReply {
    /// The log's reply, encoded by [`encode_reply`](crate::encode_reply).
    Reply(Bytes),
    /// It had no effect here; this node does not lead.
    NotLeader(Option<u64>),
    /// It had no effect here.
    Unavailable(String),
    /// It may have an effect.
    Unknown(String),
}

/// Asks for a confirmation; it says nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfirmRequest;

/// What a read that began before the question must see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfirmReply {
    /// The index that must be applied.
    Index(u64),
    /// This node does not lead.
    NotLeader(Option<u64>),
    /// There is no quorum, or too much to do.
    Unavailable(String),
}

/// A question to the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskRequest {
    /// Encoded by [`encode_query`](crate::encode_query).
    pub query: Bytes,
    /// How long the sender waits, in milliseconds.
    pub patience_ms: u64,
    /// Whether the last state may be the answer: the sender has found out that nobody confirms.
    pub may_be_stale: bool,
}

/// What the tables say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskReply {
    /// The answer.
    Answer {
        /// Encoded by [`encode_answer`](crate::encode_answer).
        answer: Bytes,
        /// Given without a confirmation that nothing newer exists.
        stale: bool,
    },
    /// No state that is new enough was reached in time.
    Unavailable(String),
}

impl From<Vote> for pb::Vote {
    fn from(vote: Vote) -> Self {
        pb::Vote {
            term: vote.term,
            node: vote.node,
            committed: vote.committed,
        }
    }
}

impl From<pb::Vote> for Vote {
    fn from(vote: pb::Vote) -> Self {
        Vote {
            term: vote.term,
            node: vote.node,
            committed: vote.committed,
        }
    }
}

fn vote(vote: Option<pb::Vote>) -> Result<Vote, DecodeError> {
    Ok(required(vote, "a vote")?.into())
}

impl PeerMessage for AppendRequest {
    fn encode(&self) -> Vec<u8> {
        pb::AppendRequest {
            vote: Some(self.vote.into()),
            previous: self.previous.map(Into::into),
            entries: self.entries.clone(),
            commit: self.commit.map(Into::into),
        }
        .encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let message = strict::<pb::AppendRequest>(bytes, "an append request")?;
        Ok(AppendRequest {
            vote: vote(message.vote)?,
            previous: message.previous.map(Into::into),
            entries: message.entries,
            commit: message.commit.map(Into::into),
        })
    }
}

impl PeerMessage for AppendReply {
    fn encode(&self) -> Vec<u8> {
        use pb::append_reply::Outcome;
        let outcome = match *self {
            AppendReply::Flushed(last) => Outcome::Flushed(pb::Flushed {
                last: last.map(Into::into),
            }),
            AppendReply::Conflict(previous) => Outcome::Conflict(previous.into()),
            AppendReply::HigherVote(vote) => Outcome::HigherVote(vote.into()),
        };
        pb::AppendReply {
            outcome: Some(outcome),
        }
        .encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        use pb::append_reply::Outcome;
        let what = "the reply to an append request";
        let message = strict::<pb::AppendReply>(bytes, what)?;
        Ok(match required(message.outcome, what)? {
            Outcome::Flushed(flushed) => AppendReply::Flushed(flushed.last.map(Into::into)),
            Outcome::Conflict(previous) => AppendReply::Conflict(previous.into()),
            Outcome::HigherVote(vote) => AppendReply::HigherVote(vote.into()),
        })
    }
}

impl PeerMessage for VoteRequest {
    fn encode(&self) -> Vec<u8> {
        pb::VoteRequest {
            vote: Some(self.vote.into()),
            last_log: self.last_log.map(Into::into),
            leadership_transfer: self.leadership_transfer,
            only_asks: self.only_asks,
        }
        .encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let message = strict::<pb::VoteRequest>(bytes, "a vote request")?;
        Ok(VoteRequest {
            vote: vote(message.vote)?,
            last_log: message.last_log.map(Into::into),
            leadership_transfer: message.leadership_transfer,
            only_asks: message.only_asks,
        })
    }
}

impl PeerMessage for VoteReply {
    fn encode(&self) -> Vec<u8> {
        pb::VoteReply {
            vote: Some(self.vote.into()),
            granted: self.granted,
            last_log: self.last_log.map(Into::into),
        }
        .encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let message = strict::<pb::VoteReply>(bytes, "the reply to a vote request")?;
        Ok(VoteReply {
            vote: vote(message.vote)?,
            granted: message.granted,
            last_log: message.last_log.map(Into::into),
        })
    }
}

impl From<&SnapshotName> for pb::SnapshotName {
    fn from(name: &SnapshotName) -> Self {
        pb::SnapshotName {
            sender: name.sender,
            state: Some((&name.state).into()),
            size: name.size,
            crc32: name.crc32,
        }
    }
}

impl TryFrom<pb::SnapshotName> for SnapshotName {
    type Error = DecodeError;

    fn try_from(name: pb::SnapshotName) -> Result<Self, DecodeError> {
        Ok(SnapshotName {
            sender: name.sender,
            state: required(name.state, "the state of a snapshot")?.try_into()?,
            size: name.size,
            crc32: name.crc32,
        })
    }
}

impl PeerMessage for SnapshotName {
    fn encode(&self) -> Vec<u8> {
        pb::SnapshotName::from(self).encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        strict::<pb::SnapshotName>(bytes, "the name of a snapshot")?.try_into()
    }
}

impl PeerMessage for SnapshotReceived {
    fn encode(&self) -> Vec<u8> {
        pb::SnapshotReceived { bytes: self.bytes }.encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let message = strict::<pb::SnapshotReceived>(bytes, "the progress of a snapshot")?;
        Ok(SnapshotReceived {
            bytes: message.bytes,
        })
    }
}

impl PeerMessage for SnapshotPiece {
    fn encode(&self) -> Vec<u8> {
        use pb::snapshot_piece::Piece;
        let piece = match self {
            SnapshotPiece::Start { vote, name, offset } => Piece::Start(pb::SnapshotStart {
                vote: Some((*vote).into()),
                name: Some(name.into()),
                offset: *offset,
            }),
            SnapshotPiece::Data(data) => Piece::Data(data.clone()),
        };
        pb::SnapshotPiece { piece: Some(piece) }.encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        use pb::snapshot_piece::Piece;
        let what = "a piece of a snapshot";
        match required(strict::<pb::SnapshotPiece>(bytes, what)?.piece, what)? {
            Piece::Start(start) => Ok(SnapshotPiece::Start {
                vote: vote(start.vote)?,
                name: required(start.name, what)?.try_into()?,
                offset: start.offset,
            }),
            Piece::Data(data) => Ok(SnapshotPiece::Data(data)),
        }
    }
}

impl PeerMessage for SnapshotTaken {
    fn encode(&self) -> Vec<u8> {
        pb::SnapshotTaken {
            vote: Some(self.vote.into()),
        }
        .encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let message = strict::<pb::SnapshotTaken>(bytes, "the reply to a snapshot")?;
        Ok(SnapshotTaken {
            vote: vote(message.vote)?,
        })
    }
}

impl PeerMessage for TransferLeaderRequest {
    fn encode(&self) -> Vec<u8> {
        pb::TransferLeaderRequest {
            from: Some(self.from.into()),
            to: self.to,
            last_log: self.last_log.map(Into::into),
        }
        .encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let message = strict::<pb::TransferLeaderRequest>(bytes, "a hand-over")?;
        Ok(TransferLeaderRequest {
            from: vote(message.from)?,
            to: message.to,
            last_log: message.last_log.map(Into::into),
        })
    }
}

impl PeerMessage for TransferLeaderReply {
    fn encode(&self) -> Vec<u8> {
        pb::TransferLeaderReply {
            refusal: self.refusal.clone().unwrap_or_default(),
        }
        .encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let message = strict::<pb::TransferLeaderReply>(bytes, "the reply to a hand-over")?;
        Ok(TransferLeaderReply {
            refusal: Some(message.refusal).filter(|refusal| !refusal.is_empty()),
        })
    }
}

impl PeerMessage for ProposeRequest {
    fn encode(&self) -> Vec<u8> {
        pb::ProposeRequest {
            entry: self.entry.clone(),
            patience_ms: self.patience_ms,
        }
        .encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let message = strict::<pb::ProposeRequest>(bytes, "a proposal")?;
        Ok(ProposeRequest {
            entry: message.entry,
            patience_ms: message.patience_ms,
        })
    }
}

impl PeerMessage for ProposeReply {
    fn encode(&self) -> Vec<u8> {
        use pb::propose_reply::Outcome;
        let outcome = match self.clone() {
            ProposeReply::Reply(reply) => Outcome::Reply(reply),
            ProposeReply::NotLeader(leader) => Outcome::NotLeader(pb::NotLeader { leader }),
            ProposeReply::Unavailable(reason) => Outcome::Unavailable(reason),
            ProposeReply::Unknown(reason) => Outcome::Unknown(reason),
        };
        pb::ProposeReply {
            outcome: Some(outcome),
        }
        .encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        use pb::propose_reply::Outcome;
        let what = "the reply to a proposal";
        let message = strict::<pb::ProposeReply>(bytes, what)?;
        Ok(match required(message.outcome, what)? {
            Outcome::Reply(reply) => ProposeReply::Reply(reply),
            Outcome::NotLeader(other) => ProposeReply::NotLeader(other.leader),
            Outcome::Unavailable(reason) => ProposeReply::Unavailable(reason),
            Outcome::Unknown(reason) => ProposeReply::Unknown(reason),
        })
    }
}

impl PeerMessage for ConfirmRequest {
    fn encode(&self) -> Vec<u8> {
        pb::Empty {}.encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        strict::<pb::Empty>(bytes, "a question for a confirmation")?;
        Ok(ConfirmRequest)
    }
}

impl PeerMessage for ConfirmReply {
    fn encode(&self) -> Vec<u8> {
        use pb::confirm_reply::Outcome;
        let outcome = match self.clone() {
            ConfirmReply::Index(index) => Outcome::Index(index),
            ConfirmReply::NotLeader(leader) => Outcome::NotLeader(pb::NotLeader { leader }),
            ConfirmReply::Unavailable(reason) => Outcome::Unavailable(reason),
        };
        pb::ConfirmReply {
            outcome: Some(outcome),
        }
        .encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        use pb::confirm_reply::Outcome;
        let what = "a confirmation";
        let message = strict::<pb::ConfirmReply>(bytes, what)?;
        Ok(match required(message.outcome, what)? {
            Outcome::Index(index) => ConfirmReply::Index(index),
            Outcome::NotLeader(other) => ConfirmReply::NotLeader(other.leader),
            Outcome::Unavailable(reason) => ConfirmReply::Unavailable(reason),
        })
    }
}

impl PeerMessage for AskRequest {
    fn encode(&self) -> Vec<u8> {
        pb::AskRequest {
            query: self.query.clone(),
            patience_ms: self.patience_ms,
            may_be_stale: self.may_be_stale,
        }
        .encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let message = strict::<pb::AskRequest>(bytes, "a question")?;
        Ok(AskRequest {
            query: message.query,
            patience_ms: message.patience_ms,
            may_be_stale: message.may_be_stale,
        })
    }
}

impl PeerMessage for AskReply {
    fn encode(&self) -> Vec<u8> {
        use pb::ask_reply::Outcome;
        let (outcome, stale) = match self.clone() {
            AskReply::Answer { answer, stale } => (Outcome::Answer(answer), stale),
            AskReply::Unavailable(reason) => (Outcome::Unavailable(reason), false),
        };
        pb::AskReply {
            outcome: Some(outcome),
            stale,
        }
        .encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        use pb::ask_reply::Outcome;
        let what = "the reply to a question";
        let message = strict::<pb::AskReply>(bytes, what)?;
        match (required(message.outcome, what)?, message.stale) {
            (Outcome::Answer(answer), stale) => Ok(AskReply::Answer { answer, stale }),
            (Outcome::Unavailable(reason), false) => Ok(AskReply::Unavailable(reason)),
            (Outcome::Unavailable(_), true) => {
                Err(DecodeError::new(what, "no answer is not stale"))
            }
        }
    }
}
