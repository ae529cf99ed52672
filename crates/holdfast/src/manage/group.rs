//! `holdfast group …`: users who are given a role together.

use clap::Subcommand;
use http::Method;
use management::{Group, NewGroup};

use super::{Asked, Place, print};
use crate::failure::Failure;

/// What is done with groups.
#[derive(Debug, Subcommand)]
pub enum GroupCommand {
    /// Lists the groups
    List {
        #[command(flatten)]
        asked: Asked,
    },
    /// Makes a group
    Create {
        /// Its name.
        name: String,
        #[command(flatten)]
        place: Place,
    },
    /// Lists the users in a group
    Members {
        /// Which.
        name: String,
        #[command(flatten)]
        asked: Asked,
    },
    /// Puts users into a group
    Add {
        /// Which.
        name: String,
        /// Who.
        #[arg(required = true)]
        users: Vec<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Takes users out of a group
    Remove {
        /// Which.
        name: String,
        /// Who.
        #[arg(required = true)]
        users: Vec<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Ends a group, with its roles
    Delete {
        /// Which.
        name: String,
        #[command(flatten)]
        place: Place,
    },
}

/// Does it.
///
/// # Errors
/// What the registry says.
pub fn run(command: &GroupCommand) -> Result<(), Failure> {
    match command {
        GroupCommand::List { asked } => {
            let groups: Vec<Group> = asked.place.client()?.all(&["groups"], &[], "groups")?;
            print::either(asked.json, &groups, || table(&groups))
        }
        GroupCommand::Create { name, place } => {
            let new = NewGroup { name: name.clone() };
            place
                .client()?
                .change(Method::POST, &["groups"], Some(&new))?;
            print::done(false, &format!("there is a group {name}"))
        }
        GroupCommand::Members { name, asked } => {
            let path = ["groups", name, "members"];
            let users: Vec<String> = asked.place.client()?.all(&path, &[], "users")?;
            print::either(asked.json, &users, || {
                users.iter().map(|user| format!("{user}\n")).collect()
            })
        }
        GroupCommand::Add { name, users, place } => {
            let client = place.client()?;
            for user in users {
                client.change(Method::PUT, &["groups", name, "members", user], None::<&()>)?;
            }
            print::done(false, &format!("in group {name}: {}", users.join(", ")))
        }
        GroupCommand::Remove { name, users, place } => {
            let client = place.client()?;
            for user in users {
                client.remove(&["groups", name, "members", user])?;
            }
            print::done(false, &format!("not in group {name}: {}", users.join(", ")))
        }
        GroupCommand::Delete { name, place } => {
            place.client()?.remove(&["groups", name])?;
            print::done(false, &format!("group {name} is gone"))
        }
    }
}

fn table(groups: &[Group]) -> String {
    let row = |group: &Group| {
        [
            group.name.clone(),
            group.created.to_string(),
            group.by.clone(),
        ]
    };
    print::table(["name", "created", "by"], groups.iter().map(row))
}
