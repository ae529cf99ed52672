//! `holdfast user …`: who may sign in, as people list, make, change and end them.

use clap::Subcommand;
use http::Method;
use management::{Me, NewPassword, NewUser, User, UserChange};

use super::client::Client;
use super::{Asked, Place, input, print};
use crate::access::{self, ResetArguments};
use crate::failure::Failure;

/// What is done with users.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Lists the users
    List {
        #[command(flatten)]
        asked: Asked,
    },
    /// Shows a user
    Show {
        /// Who [default: yourself].
        name: Option<String>,
        #[command(flatten)]
        asked: Asked,
    },
    /// Makes a user, whose password it asks for
    Create {
        /// Their name.
        name: String,
        /// Lets them rule over everything
        #[arg(long)]
        admin: bool,
        /// How to reach them
        #[arg(long)]
        email: Option<String>,
        /// Reads the password from standard input
        #[arg(long)]
        password_stdin: bool,
        #[command(flatten)]
        asked: Asked,
    },
    /// Changes a user
    Change {
        /// Who.
        name: String,
        /// Whether they rule over everything
        #[arg(long, value_name = "true|false")]
        admin: Option<bool>,
        /// Locks them out: what they proved before counts no more
        #[arg(long, conflicts_with = "enable")]
        disable: bool,
        /// Lets them in again
        #[arg(long)]
        enable: bool,
        /// How to reach them; an empty one takes it away
        #[arg(long)]
        email: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Sets a user's password, which it asks for, and ends their logins
    Password {
        /// Whose [default: your own].
        name: Option<String>,
        /// Reads the password from standard input
        #[arg(long)]
        password_stdin: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Gives a user a new password at a member's machine, and shows it once; their logins end
    ///
    /// Asks the member that runs on this machine with the data folder that --data names, and not the API: nobody has to log in. It
    /// mends a lost password, and for `admin` an account that was locked out or deleted.
    Reset(ResetArguments),
    /// Ends every login of a user; their personal access tokens go on
    LogOut {
        /// Whose [default: your own].
        name: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Ends a user, with their memberships and tokens
    Delete {
        /// Who.
        name: String,
        #[command(flatten)]
        place: Place,
    },
}

/// The user that is named, or the one who asks.
pub fn or_me(client: &Client, name: Option<&String>) -> Result<String, Failure> {
    match name {
        Some(name) => Ok(name.clone()),
        None => Ok(client.get::<Me>(&["me"], &[])?.name),
    }
}

/// Does it.
///
/// # Errors
/// What the registry says.
pub fn run(command: &UserCommand) -> Result<(), Failure> {
    match command {
        UserCommand::List { asked } => {
            let users: Vec<User> = asked.place.client()?.all(&["users"], &[], "users")?;
            print::either(asked.json, &users, || table(&users))
        }
        UserCommand::Show { name, asked } => {
            let client = asked.place.client()?;
            let user: User = client.get(&["users", &or_me(&client, name.as_ref())?], &[])?;
            print::either(asked.json, &user, || table(std::slice::from_ref(&user)))
        }
        UserCommand::Create {
            name,
            admin,
            email,
            password_stdin,
            asked,
        } => {
            let client = asked.place.client()?;
            let new = NewUser {
                name: name.clone(),
                password: input::new_password(*password_stdin)?,
                is_admin: *admin,
                email: email.clone(),
            };
            let user: User = client.send(Method::POST, &["users"], Some(&new))?;
            print::either(asked.json, &user, || format!("user {name} was made\n"))
        }
        UserCommand::Change {
            name,
            admin,
            disable,
            enable,
            email,
            place,
        } => {
            let change = UserChange {
                is_admin: *admin,
                is_disabled: (*disable || *enable).then_some(*disable),
                email: email.clone(),
            };
            place
                .client()?
                .change(Method::PATCH, &["users", name], Some(&change))?;
            print::done(false, &format!("user {name} was changed"))
        }
        UserCommand::Password {
            name,
            password_stdin,
            place,
        } => {
            let client = place.client()?;
            let name = or_me(&client, name.as_ref())?;
            let new = NewPassword {
                password: input::new_password(*password_stdin)?,
            };
            client.change(Method::PUT, &["users", &name, "password"], Some(&new))?;
            print::done(
                false,
                &format!("the password of {name} is set, and their logins have ended"),
            )
        }
        UserCommand::Reset(arguments) => access::reset(arguments),
        UserCommand::LogOut { name, place } => {
            let client = place.client()?;
            let name = or_me(&client, name.as_ref())?;
            client.change(Method::POST, &["users", &name, "log-out"], None::<&()>)?;
            print::done(false, &format!("the logins of {name} have ended"))
        }
        UserCommand::Delete { name, place } => {
            place.client()?.remove(&["users", name])?;
            print::done(false, &format!("user {name} is gone"))
        }
    }
}

fn table(users: &[User]) -> String {
    let rows = users.iter().map(|user| {
        let state = match (user.is_disabled, user.is_admin) {
            (true, _) => "locked out",
            (false, true) => "administrator",
            (false, false) => "",
        };
        [
            user.name.clone(),
            state.to_owned(),
            user.source.name().to_owned(),
            print::maybe(user.email.as_ref()),
            user.groups.join(" "),
            user.created.to_string(),
        ]
    });
    print::table(
        ["name", "state", "source", "email", "groups", "created"],
        rows,
    )
}

#[cfg(test)]
mod tests {
    use management::{Source, Time};

    use super::*;

    #[test]
    fn table_of_users() {
        let user = |name: &str, is_admin, is_disabled| User {
            name: name.to_owned(),
            source: Source::Local,
            is_admin,
            is_disabled,
            email: is_admin.then(|| "a@example".to_owned()),
            groups: vec!["devs".to_owned(), "ops".to_owned()],
            created: Time::parse("2027-01-31T12:00:00Z").unwrap(),
            by: "system".to_owned(),
        };
        let users = [user("admin", true, false), user("bob", false, true)];
        expect_test::expect![[r#"
             name   state          source  email      groups    created
             admin  administrator  local   a@example  devs ops  2027-01-31T12:00:00Z
             bob    locked out     local              devs ops  2027-01-31T12:00:00Z
        "#]]
        .assert_eq(&table(&users));
    }
}
