//! What a command or a query needs its asker to be allowed: one table, which every request passes.

use oci::{ProjectName, RepositoryName};

use super::{AccessCommand, AccessQuery, AccountName, Right};
use crate::command::Command;
use crate::query::Query;

/// What somebody must be allowed for what they ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// Nothing: the answer holds only what its asker may know.
    Nothing,
    /// A right in a repository.
    Repository(RepositoryName, Right),
    /// A right in a project.
    Project(ProjectName, Right),
    /// To be this account, or an administrator.
    Account(AccountName),
    /// To be a user who may make projects, or an administrator.
    NewProject,
    /// To be an administrator.
    Administration,
}

impl Need {
    fn project_or_all(project: Option<&ProjectName>, right: Right) -> Need {
        match project {
            Some(project) => Need::Project(project.clone(), right),
            None => Need::Administration,
        }
    }

    /// What `command` needs.
    #[must_use]
    pub fn of_command(command: &Command) -> Need {
        let (repository, right) = match command {
            Command::CreateUpload(create) => (&create.repository, Right::Push),
            Command::BeginWrite(begin) => (&begin.repository, Right::Push),
            Command::Checkpoint(checkpoint) => (&checkpoint.repository, Right::Push),
            Command::Acknowledge(acknowledge) => (&acknowledge.repository, Right::Push),
            Command::AcknowledgeCheckpoint { repository, .. }
            | Command::CancelUpload { repository, .. }
            | Command::RenewBlob { repository, .. } => (repository, Right::Push),
            Command::SealUpload(seal) => (&seal.repository, Right::Push),
            Command::FinishUpload(finish) => (&finish.repository, Right::Push),
            // The source is looked at where it is taken: it must not even show that it exists.
            Command::Mount(mount) => (&mount.repository, Right::Push),
            Command::PutManifest(put) => (&put.repository, Right::Push),
            Command::DeleteTag { repository, .. }
            | Command::DeleteManifest { repository, .. }
            | Command::DeleteBlob { repository, .. } => (repository, Right::Delete),
            Command::Access(command) => return Need::of_access_command(command),
            // Said once more by a sender that does not know better.
            Command::Asked { command, .. } => return Need::of_command(command),
            Command::InitializeCluster { .. }
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
            | Command::SetLabel { .. } => return Need::Administration,
        };
        Need::Repository(repository.clone(), right)
    }

    fn of_access_command(command: &AccessCommand) -> Need {
        match command {
            AccessCommand::SetPassword { user, .. }
            | AccessCommand::EndProofs { account: user } => Need::Account(user.clone()),
            AccessCommand::CreateToken(create) => Need::Account(create.account.clone()),
            AccessCommand::DeleteToken { account, .. } => Need::Account(account.clone()),
            AccessCommand::CreateProject { .. } => Need::NewProject,
            AccessCommand::SetVisibility { project, .. }
            | AccessCommand::DeleteProject { project }
            | AccessCommand::SetMember { project, .. } => {
                Need::Project(project.clone(), Right::Own)
            }
            AccessCommand::CreateRobot(create) => {
                Need::project_or_all(create.project.as_ref(), Right::Maintain)
            }
            AccessCommand::ChangeRobot(change) => {
                Need::project_or_all(change.robot.project().as_ref(), Right::Maintain)
            }
            AccessCommand::DeleteRobot { robot } | AccessCommand::RenewRobot { robot, .. } => {
                Need::project_or_all(robot.project().as_ref(), Right::Maintain)
            }
            AccessCommand::SwitchOn { .. }
            | AccessCommand::SwitchOff
            | AccessCommand::Settle(_)
            | AccessCommand::CreateUser(_)
            | AccessCommand::ChangeUser(_)
            | AccessCommand::DeleteUser { .. }
            | AccessCommand::NoteLogin(_)
            | AccessCommand::NoteRefusals(_)
            | AccessCommand::CreateGroup { .. }
            | AccessCommand::DeleteGroup { .. }
            | AccessCommand::SetGroupMember { .. }
            | AccessCommand::AddTokenKey { .. }
            | AccessCommand::DropTokenKey { .. } => Need::Administration,
        }
    }

    /// What `query` needs.
    #[must_use]
    pub fn of_query(query: &Query) -> Need {
        let (repository, right) = match query {
            Query::Manifest { repository, .. }
            | Query::Blob { repository, .. }
            | Query::Tags { repository, .. }
            | Query::Referrers { repository, .. } => (repository, Right::Pull),
            Query::Upload { repository, .. } => (repository, Right::Push),
            // Only what the asker may pull is listed; a cluster's id and time are no secret.
            Query::Repositories(_) | Query::Cluster => return Need::Nothing,
            Query::Access(query) => return Need::of_access_query(query),
            Query::Asked { query, .. } => return Need::of_query(query),
            Query::Uploads(_)
            | Query::BlobObjects(_)
            | Query::DueDeletions { .. }
            | Query::Nodes
            | Query::Authority
            | Query::Authorities => return Need::Administration,
        };
        Need::Repository(repository.clone(), right)
    }

    fn of_access_query(query: &AccessQuery) -> Need {
        match query {
            // What is listed is what the asker may see.
            AccessQuery::Access
            | AccessQuery::Projects(_)
            | AccessQuery::Rights { .. }
            | AccessQuery::TokenKeys => Need::Nothing,
            AccessQuery::Project { project } | AccessQuery::Members { project, .. } => {
                Need::Project(project.clone(), Right::Pull)
            }
            AccessQuery::Robots { project, .. } => {
                Need::project_or_all(project.as_ref(), Right::Maintain)
            }
            AccessQuery::Account { name } => Need::Account(name.clone()),
            AccessQuery::Tokens { account } => Need::Account(account.clone()),
            AccessQuery::Users(_)
            | AccessQuery::Groups(_)
            | AccessQuery::GroupMembers { .. }
            | AccessQuery::Audit(_)
            | AccessQuery::Credentials { .. }
            | AccessQuery::SealedTokenKeys => Need::Administration,
        }
    }
}
