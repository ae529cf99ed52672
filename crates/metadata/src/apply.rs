//! Applies entries: the rules of the replicated state, one file for each verb.
//!
//! Nothing here asks for the time, draws a number, or keeps anything beside the tables (promise P6). A verb first reads
//! and decides, and writes only when it can no longer be refused: a refusal changes nothing but the clock, the
//! remembered replies and the delete queue.
//!
//! Design: `docs/architecture.md`, "Metadata"; the rules' numbers are those of the protocols.

mod access;
mod audit;
mod authority;
mod blob;
mod cluster;
mod deletion;
mod first_answer;
mod join_token;
mod manifest;
mod manifest_deletion;
mod node;
mod precondition;
mod progress;
mod reference;
mod replies;
mod state;
mod storage;
mod tag;
mod upkeep;
mod upload;
mod upload_end;

use crate::FORMAT_MAX;
use crate::access::Asker;
use crate::command::{Command, Entry};
use crate::ids::LogIndex;
use crate::keys;
use crate::reply::{Refusal, Reply};
use crate::rows::ClusterRow;
use crate::tables::{ReadTables, StorageFailure, Tables};
use crate::typed;

use state::{State, Stop};

pub use audit::chained;

/// Why an entry could not be applied; it stops the member, because stopping beats diverging.
#[derive(Debug, thiserror::Error)]
pub enum ApplyFailure {
    /// The tables cannot be read or written.
    #[error(transparent)]
    Storage(#[from] StorageFailure),
    /// The tables contradict themselves.
    #[error("the state is inconsistent: {0}")]
    Inconsistent(String),
    /// The log's format is one that this build does not know.
    #[error(
        "the log has format {format} and this build knows formats up to {FORMAT_MAX}; run the newer Holdfast"
    )]
    NewerFormat {
        /// The log's format.
        format: u32,
    },
}

/// Applies `entry`, which stands at `index`, and gives its reply. The caller makes all changes of the entry, and the
/// index, visible together; after a failure it makes none of them visible.
///
/// # Errors
/// See [`ApplyFailure`].
pub fn apply(
    tables: &mut dyn Tables,
    index: LogIndex,
    entry: &Entry,
) -> Result<Reply, ApplyFailure> {
    let mut state = State::load(tables, index, entry.stamped)?;
    state.check_format()?;
    let reply = match decide(&mut state, entry) {
        Ok(reply) => reply,
        Err(Stop::Refused(refusal)) => Reply::Refused(refusal),
        Err(Stop::Failed(failure)) => return Err(failure),
    };
    state.save()?;
    Ok(reply)
}

/// Refuses a state that this build does not understand: it must neither be read nor written.
///
/// # Errors
/// [`ApplyFailure::NewerFormat`], and when the state cannot be read.
pub fn check_format(tables: &dyn ReadTables) -> Result<(), ApplyFailure> {
    let cluster: Option<ClusterRow> = typed::get(tables, &keys::cluster())?;
    cluster.map_or(Ok(()), |cluster| known(cluster.format))
}

fn known(format: u32) -> Result<(), ApplyFailure> {
    match format > FORMAT_MAX {
        true => Err(ApplyFailure::NewerFormat { format }),
        false => Ok(()),
    }
}

/// Rule 3.1: a command has its effect once, and one whose first effect could no longer be recognized has none.
fn decide(state: &mut State<'_>, entry: &Entry) -> Result<Reply, Stop> {
    if let Some(reply) = replies::remembered(state, entry.id)? {
        return Ok(reply);
    }
    if entry.seen < state.cluster.replies_floor {
        return Err(Refusal::OutcomeUnknown.into());
    }
    let reply = match execute(state, &entry.command) {
        Err(Stop::Refused(refusal)) => Reply::Refused(refusal),
        other => other?,
    };
    replies::remember(state, entry.id, &reply)?;
    replies::forget_old(state)?;
    Ok(reply)
}

fn execute(state: &mut State<'_>, command: &Command) -> Result<Reply, Stop> {
    if let Command::InitializeCluster { cluster } = command {
        return cluster::initialize(state, *cluster);
    }
    state.cluster_id()?;
    let (needed, current) = (command.format(), state.cluster.format);
    if needed > current {
        return Err(Refusal::FormatTooLow { needed, current }.into());
    }
    match command {
        Command::Asked { asker, command } => access::asked(state, asker, command),
        command => execute_for(state, None, command),
    }
}

/// Executes what `asker` may, or what the cluster does by itself.
fn execute_for(
    state: &mut State<'_>,
    asker: Option<&Asker>,
    command: &Command,
) -> Result<Reply, Stop> {
    match command {
        Command::InitializeCluster { cluster } => cluster::initialize(state, *cluster),
        Command::CreateUpload(create) => upload::create(state, create),
        Command::BeginWrite(begin) => upload::begin_write(state, begin),
        Command::Checkpoint(checkpoint) => upload::checkpoint(state, checkpoint),
        Command::Acknowledge(acknowledge) => upload::acknowledge(state, acknowledge),
        Command::AcknowledgeCheckpoint { repository, upload } => {
            upload::acknowledge_checkpoint(state, repository, *upload)
        }
        Command::SealUpload(seal) => upload_end::seal(state, seal),
        Command::FinishUpload(finish) => upload_end::finish(state, finish),
        Command::CancelUpload { repository, upload } => {
            upload_end::cancel(state, repository, *upload)
        }
        Command::Mount(mount) => blob::mount(state, asker, mount),
        Command::PutManifest(put) => manifest::put(state, put),
        Command::DeleteTag {
            repository,
            tag,
            precondition,
            principal: _,
        } => tag::delete(state, repository, tag, precondition.as_ref()),
        Command::DeleteManifest {
            repository,
            digest,
            principal: _,
        } => manifest_deletion::delete(state, repository, digest),
        Command::DeleteBlob {
            repository,
            digest,
            principal: _,
        } => blob::delete(state, repository, digest),
        Command::RenewBlob { repository, digest } => blob::renew(state, repository, digest),
        Command::ObjectsDeleted { keys } => deletion::objects_deleted(state, keys),
        Command::FoundCluster(found) => cluster::found(state, found),
        Command::IssueJoinToken {
            token,
            hash,
            role,
            expires,
        } => join_token::issue(state, *token, *hash, *role, *expires),
        Command::JoinNode(join) => node::join(state, join),
        Command::AnnounceNode { node, announcement } => node::announce(state, *node, announcement),
        Command::RemoveNode { node } => node::remove(state, *node),
        Command::RaiseFormat { to } => cluster::raise_format(state, *to),
        Command::MoveStorage {
            to,
            uploads_idle_ms,
        } => storage::begin_move(state, to, *uploads_idle_ms),
        Command::ConfirmStorage {
            node,
            step,
            problem,
        } => storage::confirm(state, *node, *step, problem.as_deref()),
        Command::FillStorage { step } => storage::fill(state, *step),
        Command::CancelMove { step } => storage::cancel(state, *step),
        Command::SwitchStorage { generation } => storage::switch(state, *generation),
        Command::CorrectTime { to } => upkeep::correct_time(state, *to),
        Command::RaiseFormatInTime { to } => upkeep::raise_format_in_time(state, *to),
        Command::RemoveGoneGateway { gateway } => upkeep::remove_gone_gateway(state, *gateway),
        Command::ReplaceVoter { dead, spare } => upkeep::replace_voter(state, *dead, *spare),
        Command::AddAuthority {
            certificate,
            sealed_key,
        } => authority::add(state, certificate, sealed_key),
        Command::NoteTrust { node, trust } => authority::note_trust(state, *node, *trust),
        Command::SignWithNextAuthority => authority::sign_with_next(state),
        Command::DropAuthority => authority::drop_older(state),
        Command::AdoptBlobs => upkeep::adopt_blobs(state),
        Command::SetLabel { label } => cluster::set_label(state, label),
        Command::Access(command) => access::execute(state, asker, command),
        Command::Asked { .. } => Err(state::invalid("a command that is asked for twice").into()),
    }
}
