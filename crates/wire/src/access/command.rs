//! Conversions of the commands about access.

use metadata::LogTime;
use metadata::access::{
    AccessCommand, ChangeRobot, ChangeUser, CreateRobot, CreateToken, CreateUser, NoteLogin,
    RefusalSum, Visibility,
};
use oci::ProjectName;

use super::{
    account_from, address_from, address_to, grants_to, group_from, groups_from, groups_to,
    member_from, password_from, password_to, project_from, project_role_from, project_role_to,
    secret_from, secret_to, some_grants_from, some_grants_to, source_from, text_from, text_to,
    time_to, token_from, token_to, visibility_from, visibility_to,
};
use crate::answer::all;
use crate::error::{DecodeError, required};
use crate::pb;
use crate::pb::access_command::Kind;
use crate::words::principal_from;

impl From<&AccessCommand> for pb::AccessCommand {
    fn from(command: &AccessCommand) -> Self {
        let kind = match command {
            AccessCommand::SwitchOn { admin, password } => Kind::SwitchOn(pb::SwitchAccessOn {
                admin: admin.to_string(),
                password: password_to(password),
            }),
            AccessCommand::SwitchOff => Kind::SwitchOff(pb::Empty {}),
            AccessCommand::Settle(settings) => Kind::Settle(settings.into()),
            AccessCommand::CreateUser(create) => Kind::CreateUser(create.into()),
            AccessCommand::ChangeUser(change) => Kind::ChangeUser(change.into()),
            AccessCommand::SetPassword { user, password } => Kind::SetPassword(pb::SetPassword {
                user: user.to_string(),
                password: password_to(password),
            }),
            AccessCommand::EndProofs { account } => Kind::EndProofs(account.to_string()),
            AccessCommand::DeleteUser { user } => Kind::DeleteUser(user.to_string()),
            AccessCommand::NoteLogin(note) => Kind::NoteLogin(note.into()),
            AccessCommand::CreateGroup { group } => Kind::CreateGroup(group.to_string()),
            AccessCommand::DeleteGroup { group } => Kind::DeleteGroup(group.to_string()),
            AccessCommand::SetGroupMember { group, user, is_in } => {
                Kind::SetGroupMember(pb::SetGroupMember {
                    group: group.to_string(),
                    user: user.to_string(),
                    is_in: *is_in,
                })
            }
            AccessCommand::CreateProject {
                project,
                visibility,
            } => Kind::CreateProject(project_visibility_to(project, *visibility)),
            AccessCommand::SetVisibility {
                project,
                visibility,
            } => Kind::SetVisibility(project_visibility_to(project, *visibility)),
            AccessCommand::DeleteProject { project } => Kind::DeleteProject(project.to_string()),
            AccessCommand::SetMember {
                project,
                member,
                role,
            } => Kind::SetMember(pb::SetMember {
                project: project.to_string(),
                member: Some(member.into()),
                role: role.map(project_role_to),
            }),
            AccessCommand::CreateRobot(create) => Kind::CreateRobot(create.into()),
            AccessCommand::ChangeRobot(change) => Kind::ChangeRobot(change.into()),
            AccessCommand::RenewRobot { robot, secret } => Kind::RenewRobot(pb::RenewRobot {
                robot: robot.to_string(),
                secret: secret_to(secret),
            }),
            AccessCommand::DeleteRobot { robot } => Kind::DeleteRobot(robot.to_string()),
            AccessCommand::CreateToken(create) => Kind::CreateToken(create.into()),
            AccessCommand::DeleteToken { account, token } => Kind::DeleteToken(pb::DeleteToken {
                account: account.to_string(),
                token: token_to(*token),
            }),
            AccessCommand::AddTokenKey {
                after,
                public,
                sealed,
            } => Kind::AddTokenKey(pb::AddTokenKey {
                public: public.clone(),
                sealed: sealed.clone(),
                after: *after,
            }),
            AccessCommand::DropTokenKey { number } => Kind::DropTokenKey(*number),
            AccessCommand::NoteRefusals(sums) => Kind::NoteRefusals(pb::RefusalSums {
                sums: sums.iter().map(Into::into).collect(),
            }),
        };
        pb::AccessCommand { kind: Some(kind) }
    }
}

impl TryFrom<pb::AccessCommand> for AccessCommand {
    type Error = DecodeError;

    fn try_from(command: pb::AccessCommand) -> Result<Self, DecodeError> {
        let kind = required(command.kind, "the kind of a command about access")?;
        Ok(match kind {
            Kind::SwitchOn(on) => AccessCommand::SwitchOn {
                admin: account_from(&on.admin)?,
                password: password_from(on.password),
            },
            Kind::SwitchOff(pb::Empty {}) => AccessCommand::SwitchOff,
            Kind::Settle(settings) => AccessCommand::Settle(settings.into()),
            Kind::CreateUser(create) => AccessCommand::CreateUser(create.try_into()?),
            Kind::ChangeUser(change) => AccessCommand::ChangeUser(change.try_into()?),
            Kind::SetPassword(set) => AccessCommand::SetPassword {
                user: account_from(&set.user)?,
                password: password_from(set.password),
            },
            Kind::EndProofs(account) => AccessCommand::EndProofs {
                account: account_from(&account)?,
            },
            Kind::DeleteUser(user) => AccessCommand::DeleteUser {
                user: account_from(&user)?,
            },
            Kind::NoteLogin(note) => AccessCommand::NoteLogin(note.try_into()?),
            Kind::CreateGroup(group) => AccessCommand::CreateGroup {
                group: group_from(&group)?,
            },
            Kind::DeleteGroup(group) => AccessCommand::DeleteGroup {
                group: group_from(&group)?,
            },
            Kind::SetGroupMember(set) => AccessCommand::SetGroupMember {
                group: group_from(&set.group)?,
                user: account_from(&set.user)?,
                is_in: set.is_in,
            },
            Kind::CreateProject(create) => AccessCommand::CreateProject {
                project: project_from(&create.project)?,
                visibility: visibility_from(create.visibility)?,
            },
            Kind::SetVisibility(set) => AccessCommand::SetVisibility {
                project: project_from(&set.project)?,
                visibility: visibility_from(set.visibility)?,
            },
            Kind::DeleteProject(project) => AccessCommand::DeleteProject {
                project: project_from(&project)?,
            },
            Kind::SetMember(set) => AccessCommand::SetMember {
                project: project_from(&set.project)?,
                member: member_from(set.member)?,
                role: set.role.map(project_role_from).transpose()?,
            },
            Kind::CreateRobot(create) => AccessCommand::CreateRobot(create.try_into()?),
            Kind::ChangeRobot(change) => AccessCommand::ChangeRobot(change.try_into()?),
            Kind::RenewRobot(renew) => AccessCommand::RenewRobot {
                robot: account_from(&renew.robot)?,
                secret: secret_from(&renew.secret)?,
            },
            Kind::DeleteRobot(robot) => AccessCommand::DeleteRobot {
                robot: account_from(&robot)?,
            },
            Kind::CreateToken(create) => AccessCommand::CreateToken(create.try_into()?),
            Kind::DeleteToken(delete) => AccessCommand::DeleteToken {
                account: account_from(&delete.account)?,
                token: token_from(&delete.token)?,
            },
            Kind::AddTokenKey(add) => AccessCommand::AddTokenKey {
                after: add.after,
                public: add.public,
                sealed: add.sealed,
            },
            Kind::DropTokenKey(number) => AccessCommand::DropTokenKey { number },
            Kind::NoteRefusals(note) => AccessCommand::NoteRefusals(all(note.sums)?),
        })
    }
}

fn project_visibility_to(project: &ProjectName, visibility: Visibility) -> pb::ProjectVisibility {
    pb::ProjectVisibility {
        project: project.to_string(),
        visibility: visibility_to(visibility),
    }
}

impl From<&CreateUser> for pb::CreateUser {
    fn from(create: &CreateUser) -> Self {
        pb::CreateUser {
            user: create.user.to_string(),
            password: password_to(&create.password),
            is_admin: create.is_admin,
            email: text_to(create.email.as_ref()),
        }
    }
}

impl TryFrom<pb::CreateUser> for CreateUser {
    type Error = DecodeError;

    fn try_from(create: pb::CreateUser) -> Result<Self, DecodeError> {
        Ok(CreateUser {
            user: account_from(&create.user)?,
            password: password_from(create.password),
            is_admin: create.is_admin,
            email: text_from(create.email),
        })
    }
}

impl From<&ChangeUser> for pb::ChangeUser {
    fn from(change: &ChangeUser) -> Self {
        pb::ChangeUser {
            user: change.user.to_string(),
            is_admin: change.is_admin,
            is_disabled: change.is_disabled,
            email: text_to(change.email.as_ref()),
        }
    }
}

impl TryFrom<pb::ChangeUser> for ChangeUser {
    type Error = DecodeError;

    fn try_from(change: pb::ChangeUser) -> Result<Self, DecodeError> {
        Ok(ChangeUser {
            user: account_from(&change.user)?,
            is_admin: change.is_admin,
            is_disabled: change.is_disabled,
            email: text_from(change.email),
        })
    }
}

impl From<&NoteLogin> for pb::NoteLogin {
    fn from(note: &NoteLogin) -> Self {
        pb::NoteLogin {
            user: note.user.to_string(),
            source: Some((&note.source).into()),
            email: text_to(note.email.as_ref()),
            groups: note.groups.as_deref().map(|groups| pb::GroupNames {
                groups: groups_to(groups),
            }),
        }
    }
}

impl TryFrom<pb::NoteLogin> for NoteLogin {
    type Error = DecodeError;

    fn try_from(note: pb::NoteLogin) -> Result<Self, DecodeError> {
        let groups = note.groups.map(|groups| groups_from(&groups.groups));
        Ok(NoteLogin {
            user: account_from(&note.user)?,
            source: source_from(note.source)?,
            email: text_from(note.email),
            groups: groups.transpose()?,
        })
    }
}

impl From<&CreateRobot> for pb::CreateRobot {
    fn from(create: &CreateRobot) -> Self {
        pb::CreateRobot {
            robot: create.robot.to_string(),
            project: create.project.as_ref().map(ProjectName::to_string),
            secret: secret_to(&create.secret),
            grants: grants_to(&create.grants),
            expires: time_to(create.expires),
            description: create.description.to_string(),
        }
    }
}

impl TryFrom<pb::CreateRobot> for CreateRobot {
    type Error = DecodeError;

    fn try_from(create: pb::CreateRobot) -> Result<Self, DecodeError> {
        Ok(CreateRobot {
            robot: account_from(&create.robot)?,
            project: create.project.as_deref().map(project_from).transpose()?,
            secret: secret_from(&create.secret)?,
            grants: all(create.grants)?,
            expires: create.expires.map(LogTime),
            description: create.description.into(),
        })
    }
}

impl From<&ChangeRobot> for pb::ChangeRobot {
    fn from(change: &ChangeRobot) -> Self {
        use pb::change_robot::Expires;
        pb::ChangeRobot {
            robot: change.robot.to_string(),
            grants: some_grants_to(change.grants.as_ref()),
            expires: change.expires.map(|expires| match expires {
                Some(at) => Expires::At(at.0),
                None => Expires::Never(pb::Empty {}),
            }),
            is_disabled: change.is_disabled,
        }
    }
}

impl TryFrom<pb::ChangeRobot> for ChangeRobot {
    type Error = DecodeError;

    fn try_from(change: pb::ChangeRobot) -> Result<Self, DecodeError> {
        use pb::change_robot::Expires;
        Ok(ChangeRobot {
            robot: account_from(&change.robot)?,
            grants: some_grants_from(change.grants)?,
            expires: change.expires.map(|expires| match expires {
                Expires::At(at) => Some(LogTime(at)),
                Expires::Never(pb::Empty {}) => None,
            }),
            is_disabled: change.is_disabled,
        })
    }
}

impl From<&CreateToken> for pb::CreateToken {
    fn from(create: &CreateToken) -> Self {
        pb::CreateToken {
            token: token_to(create.token),
            account: create.account.to_string(),
            secret: secret_to(&create.secret),
            label: create.label.to_string(),
            limits: some_grants_to(create.limits.as_ref()),
            expires: time_to(create.expires),
        }
    }
}

impl TryFrom<pb::CreateToken> for CreateToken {
    type Error = DecodeError;

    fn try_from(create: pb::CreateToken) -> Result<Self, DecodeError> {
        Ok(CreateToken {
            token: token_from(&create.token)?,
            account: account_from(&create.account)?,
            secret: secret_from(&create.secret)?,
            label: create.label.into(),
            limits: some_grants_from(create.limits)?,
            expires: create.expires.map(LogTime),
        })
    }
}

impl From<&RefusalSum> for pb::RefusalSum {
    fn from(sum: &RefusalSum) -> Self {
        pb::RefusalSum {
            by: sum.by.to_string(),
            address: address_to(sum.from),
            action: sum.action.to_string(),
            target: sum.target.to_string(),
            times: sum.times,
        }
    }
}

impl TryFrom<pb::RefusalSum> for RefusalSum {
    type Error = DecodeError;

    fn try_from(sum: pb::RefusalSum) -> Result<Self, DecodeError> {
        Ok(RefusalSum {
            by: principal_from(sum.by),
            from: address_from(sum.address)?,
            action: sum.action.into(),
            target: sum.target.into(),
            times: sum.times,
        })
    }
}
