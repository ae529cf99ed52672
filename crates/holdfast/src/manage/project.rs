//! `holdfast project …`: projects, who may pull from them, and the roles of their members.

use clap::{Subcommand, ValueEnum};
use http::Method;
use management::{
    Member, MemberKind, NewProject, NewRole, Project, ProjectChange, Role, Visibility,
};

use super::{Asked, Place, print};
use crate::failure::Failure;

/// What is done with projects.
#[derive(Debug, Subcommand)]
pub enum ProjectCommand {
    /// Lists the projects that you may pull from
    List {
        #[command(flatten)]
        asked: Asked,
    },
    /// Shows a project
    Show {
        /// Which.
        name: String,
        #[command(flatten)]
        asked: Asked,
    },
    /// Makes a project, which is yours
    Create {
        /// Its name: the first part of its repositories' names.
        name: String,
        /// Who may pull without being a member
        #[arg(long, value_enum, default_value = "private")]
        visibility: VisibilityArgument,
        #[command(flatten)]
        asked: Asked,
    },
    /// Says who may pull from a project without being a member
    Visibility {
        /// Which.
        name: String,
        /// Who.
        visibility: VisibilityArgument,
        #[command(flatten)]
        place: Place,
    },
    /// Lists the members of a project and their roles
    Members {
        /// Of which.
        name: String,
        #[command(flatten)]
        asked: Asked,
    },
    /// Gives a user, or a group, a role in a project
    Grant {
        /// Which.
        name: String,
        /// To whom.
        member: String,
        /// What they are from now on
        #[arg(long, value_enum)]
        role: RoleArgument,
        /// The member is a group
        #[arg(long)]
        group: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Takes a user's, or a group's, role in a project
    Revoke {
        /// Which.
        name: String,
        /// From whom.
        member: String,
        /// The member is a group
        #[arg(long)]
        group: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Ends a project that has no repositories, with its members and robots
    Delete {
        /// Which.
        name: String,
        #[command(flatten)]
        place: Place,
    },
}

/// Who may pull without being a member.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum VisibilityArgument {
    /// Nobody
    Private,
    /// Whoever is signed in
    Internal,
    /// Anyone
    Public,
}

impl From<VisibilityArgument> for Visibility {
    fn from(argument: VisibilityArgument) -> Visibility {
        match argument {
            VisibilityArgument::Private => Visibility::Private,
            VisibilityArgument::Internal => Visibility::Internal,
            VisibilityArgument::Public => Visibility::Public,
        }
    }
}

/// What a member is.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum RoleArgument {
    /// Pulls
    Guest,
    /// Pushes, too
    Developer,
    /// Deletes, too, and rules over tags and robots
    Maintainer,
    /// Rules over members and visibility, too
    Owner,
}

impl From<RoleArgument> for Role {
    fn from(argument: RoleArgument) -> Role {
        match argument {
            RoleArgument::Guest => Role::Guest,
            RoleArgument::Developer => Role::Developer,
            RoleArgument::Maintainer => Role::Maintainer,
            RoleArgument::Owner => Role::Owner,
        }
    }
}

fn kind(is_group: bool) -> &'static str {
    match is_group {
        true => MemberKind::Group.name(),
        false => MemberKind::User.name(),
    }
}

/// Does it.
///
/// # Errors
/// What the registry says.
pub fn run(command: &ProjectCommand) -> Result<(), Failure> {
    match command {
        ProjectCommand::List { asked } => {
            let projects: Vec<Project> =
                asked.place.client()?.all(&["projects"], &[], "projects")?;
            print::either(asked.json, &projects, || table(&projects))
        }
        ProjectCommand::Show { name, asked } => {
            let project: Project = asked.place.client()?.get(&["projects", name], &[])?;
            print::either(asked.json, &project, || {
                table(std::slice::from_ref(&project))
            })
        }
        ProjectCommand::Create {
            name,
            visibility,
            asked,
        } => {
            let new = NewProject {
                name: name.clone(),
                visibility: (*visibility).into(),
            };
            let project: Project =
                asked
                    .place
                    .client()?
                    .send(Method::POST, &["projects"], Some(&new))?;
            print::either(asked.json, &project, || {
                format!("project {name} was made, {}\n", project.visibility.name())
            })
        }
        ProjectCommand::Visibility {
            name,
            visibility,
            place,
        } => {
            let visibility: Visibility = (*visibility).into();
            let change = ProjectChange {
                visibility: Some(visibility),
            };
            place
                .client()?
                .change(Method::PATCH, &["projects", name], Some(&change))?;
            print::done(false, &format!("project {name} is {}", visibility.name()))
        }
        ProjectCommand::Members { name, asked } => {
            let path = ["projects", name, "members"];
            let members: Vec<Member> = asked.place.client()?.all(&path, &[], "members")?;
            print::either(asked.json, &members, || members_table(&members))
        }
        ProjectCommand::Grant {
            name,
            member,
            role,
            group,
            place,
        } => {
            let role: Role = (*role).into();
            let path = ["projects", name, "members", kind(*group), member];
            place
                .client()?
                .change(Method::PUT, &path, Some(&NewRole { role }))?;
            print::done(
                false,
                &format!("{member} is {} of project {name}", role.name()),
            )
        }
        ProjectCommand::Revoke {
            name,
            member,
            group,
            place,
        } => {
            let path = ["projects", name, "members", kind(*group), member];
            place.client()?.remove(&path)?;
            print::done(false, &format!("{member} is no member of project {name}"))
        }
        ProjectCommand::Delete { name, place } => {
            place.client()?.remove(&["projects", name])?;
            print::done(false, &format!("project {name} is gone"))
        }
    }
}

fn table(projects: &[Project]) -> String {
    let rows = projects.iter().map(|project| {
        [
            project.name.clone(),
            project.visibility.name().to_owned(),
            project.repositories.to_string(),
            project.role.map(Role::name).unwrap_or_default().to_owned(),
            project.created.to_string(),
            project.by.clone(),
        ]
    });
    print::table(
        [
            "name",
            "visibility",
            "repositories",
            "your role",
            "created",
            "by",
        ],
        rows,
    )
}

fn members_table(members: &[Member]) -> String {
    let rows = members.iter().map(|member| {
        [
            member.name.clone(),
            member.kind.name().to_owned(),
            member.role.name().to_owned(),
            member.since.to_string(),
        ]
    });
    print::table(["name", "kind", "role", "since"], rows)
}

#[cfg(test)]
mod tests {
    use management::Time;

    use super::*;

    #[test]
    fn tables_of_projects_and_members() {
        let time = Time::parse("2027-01-31T12:00:00Z").unwrap();
        let project = Project {
            name: "team".to_owned(),
            visibility: Visibility::Internal,
            repositories: 12,
            role: Some(Role::Owner),
            created: time,
            by: "anna".to_owned(),
        };
        let mut other = project.clone();
        (other.name, other.role) = ("library".to_owned(), None);
        expect_test::expect![[r#"
             name     visibility  repositories  your role  created               by
             library  internal    12                       2027-01-31T12:00:00Z  anna
             team     internal    12            owner      2027-01-31T12:00:00Z  anna
        "#]]
        .assert_eq(&table(&[other, project]));
        let member = |kind, name: &str, role| Member {
            kind,
            name: name.to_owned(),
            role,
            since: time,
        };
        let members = [
            member(MemberKind::User, "anna", Role::Owner),
            member(MemberKind::Group, "devs", Role::Developer),
        ];
        expect_test::expect![[r#"
             name  kind   role       since
             anna  user   owner      2027-01-31T12:00:00Z
             devs  group  developer  2027-01-31T12:00:00Z
        "#]]
        .assert_eq(&members_table(&members));
    }
}
