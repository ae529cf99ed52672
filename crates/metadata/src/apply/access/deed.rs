//! What the audit says of each command: one table.

use crate::access::{
    AccessCommand, ChangeRobot, ChangeUser, Grant, MemberName, RefusalSum, Role, Settings,
};
use crate::apply::audit::{self, Deed};
use crate::apply::state::{State, Stop, invalid};
use crate::command::Command;
use crate::reply::Reply;
use crate::{ACCESS_TEXT_BYTES_MAX, REFUSAL_SUMS_MAX};

fn deed(action: &'static str, target: impl ToString, detail: impl ToString) -> Deed {
    Deed {
        action,
        target: target.to_string(),
        detail: detail.to_string(),
    }
}

/// What is recorded of a command that was asked for and had this reply; `None`: nothing, since it changed nothing that people
/// see.
pub(super) fn of(command: &Command, reply: &Reply) -> Option<Deed> {
    if matches!(reply, Reply::Refused(_) | Reply::DeletionContinues) {
        return None;
    }
    Some(match command {
        Command::PutManifest(put) => {
            let tags: Vec<&str> = put.tags.iter().map(|tag| tag.as_str()).collect();
            deed(
                "image.push",
                &put.repository,
                format!("{} {}", put.digest, tags.join(" ")).trim_end(),
            )
        }
        Command::DeleteTag {
            repository, tag, ..
        } => deed("tag.delete", format!("{repository}:{tag}"), ""),
        Command::DeleteManifest {
            repository, digest, ..
        } => deed("image.delete", format!("{repository}@{digest}"), ""),
        Command::DeleteBlob {
            repository, digest, ..
        } => deed("blob.delete", format!("{repository}@{digest}"), ""),
        Command::Access(command) => return of_access(command, reply),
        Command::IssueJoinToken { role, .. } => deed("node.invite", role, ""),
        Command::RemoveNode { node } => deed("node.remove", node.0, ""),
        Command::RaiseFormat { to } => deed("cluster.raise-format", to, ""),
        Command::MoveStorage { to, .. } => deed("storage.move", to, ""),
        Command::CancelMove { .. } => deed("storage.cancel-move", "", ""),
        Command::AdoptBlobs => deed("storage.adopt", "", ""),
        Command::SetLabel { label } => deed("cluster.label", label, ""),
        _ => return None,
    })
}

/// See [`of`].
pub(super) fn of_access(command: &AccessCommand, reply: &Reply) -> Option<Deed> {
    if matches!(reply, Reply::Refused(_) | Reply::DeletionContinues) {
        return None;
    }
    Some(match command {
        AccessCommand::SwitchOn { admin, .. } => deed("access.on", "", format!("admin {admin}")),
        AccessCommand::SwitchOff => deed("access.off", "", ""),
        AccessCommand::Settle(settings) => deed("access.settings", "", told(*settings)),
        AccessCommand::CreateUser(create) => deed(
            "user.create",
            &create.user,
            if create.is_admin { "admin" } else { "" },
        ),
        AccessCommand::ChangeUser(change) => deed("user.change", &change.user, changed(change)),
        AccessCommand::SetPassword { user, .. } => deed("user.password", user, ""),
        AccessCommand::EndProofs { account } => deed("user.log-out", account, ""),
        AccessCommand::DeleteUser { user } => deed("user.delete", user, ""),
        AccessCommand::CreateGroup { group } => deed("group.create", group, ""),
        AccessCommand::DeleteGroup { group } => deed("group.delete", group, ""),
        AccessCommand::SetGroupMember { group, user, is_in } => {
            let action = if *is_in { "group.add" } else { "group.remove" };
            deed(action, group, user)
        }
        AccessCommand::CreateProject {
            project,
            visibility,
        } => deed("project.create", project, visibility.name()),
        AccessCommand::SetVisibility {
            project,
            visibility,
        } => deed("project.visibility", project, visibility.name()),
        AccessCommand::DeleteProject { project } => deed("project.delete", project, ""),
        AccessCommand::SetMember {
            project,
            member,
            role,
        } => {
            let role = role.map_or("none", Role::name);
            deed(
                "project.member",
                project,
                format!("{} {role}", named(member)),
            )
        }
        AccessCommand::CreateRobot(create) => {
            deed("robot.create", &create.robot, granted(&create.grants))
        }
        AccessCommand::ChangeRobot(change) => {
            deed("robot.change", &change.robot, changed_robot(change))
        }
        AccessCommand::RenewRobot { robot, .. } => deed("robot.renew", robot, ""),
        AccessCommand::DeleteRobot { robot } => deed("robot.delete", robot, ""),
        AccessCommand::CreateToken(create) => deed("token.create", &create.account, &create.label),
        AccessCommand::DeleteToken { account, token } => {
            deed("token.delete", account, format!("{:032x}", token.0))
        }
        AccessCommand::AddTokenKey { .. } => deed("key.add", "", ""),
        AccessCommand::DropTokenKey { number } => deed("key.drop", number, ""),
        // The first is the source's news of somebody, the second are records of their own.
        AccessCommand::NoteLogin(_) | AccessCommand::NoteRefusals(_) => return None,
    })
}

/// [`AccessCommand::NoteRefusals`].
pub(super) fn note_refusals(state: &mut State<'_>, sums: &[RefusalSum]) -> Result<Reply, Stop> {
    let is_long = |text: &str| text.len() > ACCESS_TEXT_BYTES_MAX;
    let is_bad =
        |sum: &RefusalSum| is_long(&sum.by.0) || is_long(&sum.action) || is_long(&sum.target);
    if sums.len() > REFUSAL_SUMS_MAX || sums.iter().any(is_bad) {
        return Err(invalid("more refusals, or longer ones, than an entry takes").into());
    }
    for sum in sums {
        let record = Deed {
            action: "refused",
            target: sum.target.to_string(),
            detail: format!("{} {} times", sum.action, sum.times),
        };
        audit::record(state, sum.by.clone(), sum.from, record)?;
    }
    Ok(Reply::Done)
}

fn told(settings: Settings) -> String {
    let Settings {
        users_create_projects,
        auto_create_projects,
    } = settings;
    format!(
        "users-create-projects={users_create_projects} auto-create-projects={auto_create_projects}"
    )
}

fn changed(change: &ChangeUser) -> String {
    let mut told = Vec::new();
    if let Some(is_admin) = change.is_admin {
        told.push(format!("admin={is_admin}"));
    }
    if let Some(is_disabled) = change.is_disabled {
        told.push(format!("disabled={is_disabled}"));
    }
    if change.email.is_some() {
        told.push("email".to_owned());
    }
    told.join(" ")
}

fn changed_robot(change: &ChangeRobot) -> String {
    let mut told = Vec::new();
    if let Some(grants) = &change.grants {
        told.push(granted(grants));
    }
    if change.expires.is_some() {
        told.push("expiry".to_owned());
    }
    if let Some(is_disabled) = change.is_disabled {
        told.push(format!("disabled={is_disabled}"));
    }
    told.join(" ")
}

fn granted(grants: &[Grant]) -> String {
    let told = grants.iter().map(|grant| {
        let rights: Vec<&str> = grant.rights.iter().map(|right| right.name()).collect();
        format!("{}:{}", grant.repositories, rights.join(","))
    });
    let mut told = told.collect::<Vec<_>>().join(" ");
    if told.len() > ACCESS_TEXT_BYTES_MAX {
        told.truncate(ACCESS_TEXT_BYTES_MAX);
        told.push('…');
    }
    told
}

fn named(member: &MemberName) -> String {
    match member {
        MemberName::User(user) => user.to_string(),
        MemberName::Group(group) => format!("group {group}"),
    }
}
