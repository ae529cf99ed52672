//! `holdfast access …` and `holdfast user reset`: ask the running member of a data folder.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::machine::SettingsChange;
use crate::cluster_command::Asked;
use crate::control::{self, Order};
use crate::failure::Failure;

/// What is done with access as a whole.
#[derive(Debug, Subcommand)]
pub enum AccessArguments {
    /// Tells whether rights are asked for, and what was chosen
    Status {
        #[command(flatten)]
        asked: Asked,
    },
    /// Has rights asked for from now on, and makes the user `admin`, whose password is shown once
    ///
    /// Has rights asked for from now on, on every node and with the next request. Makes the user `admin` unless there is one, and
    /// shows its password once. What is there is in its projects, which are private. Set access.mode to `on` too, so that no node
    /// starts open.
    On {
        #[command(flatten)]
        asked: Asked,
    },
    /// Has nobody's rights asked for from now on
    ///
    /// Has nobody's rights asked for from now on: whoever reaches a node may push, pull and delete. Says first what it means, and
    /// changes nothing without --yes. Accounts, projects and roles stay. Nodes with access.mode `on` switch it on again when they
    /// start.
    Off {
        /// Does it
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        asked: Asked,
    },
    /// Changes what was chosen for the whole cluster
    Set {
        /// Whether any user may make a project; else administrators only
        #[arg(long, value_name = "true|false")]
        users_create_projects: Option<bool>,
        /// Whether a push to a project that does not exist makes it, private, with who pushes as its owner
        #[arg(long, value_name = "true|false")]
        auto_create_projects: Option<bool>,
        #[command(flatten)]
        asked: Asked,
    },
}

/// Whose password is lost.
#[derive(Debug, Args)]
pub struct ResetArguments {
    /// Whose.
    name: String,
    /// Makes them an administrator who may log in, and the user if there is none; so it does for `admin`
    #[arg(long)]
    admin: bool,
    #[command(flatten)]
    asked: Asked,
}

/// Does it.
///
/// # Errors
/// What the node says.
pub fn run(arguments: &AccessArguments) -> Result<(), Failure> {
    let (order, asked) = match arguments {
        AccessArguments::Status { asked } => (Order::AccessState, asked),
        AccessArguments::On { asked } => (Order::SwitchAccessOn, asked),
        AccessArguments::Off { yes: true, asked } => (Order::SwitchAccessOff, asked),
        AccessArguments::Off { yes: false, .. } => {
            return Err(Failure::new(
                "nobody's rights would be asked for, on no node: whoever reaches one may push, pull and delete everything. Accounts, projects and roles stay. Do it with --yes",
            ));
        }
        AccessArguments::Set {
            users_create_projects,
            auto_create_projects,
            asked,
        } => {
            let change = SettingsChange {
                users_create_projects: *users_create_projects,
                auto_create_projects: *auto_create_projects,
            };
            (Order::SettleAccess { change }, asked)
        }
    };
    answered(&order, asked, |answer| match arguments {
        AccessArguments::Status { .. } | AccessArguments::Set { .. } => state(answer),
        AccessArguments::On { .. } => switched_on(answer),
        AccessArguments::Off { .. } => switched_off(answer),
    })
}

/// Gives a user a new password.
///
/// # Errors
/// What the node says.
pub fn reset(arguments: &ResetArguments) -> Result<(), Failure> {
    let order = Order::ResetPassword {
        user: arguments.name.clone(),
        admin: arguments.admin,
    };
    answered(&order, &arguments.asked, reset_done)
}

fn answered(
    order: &Order,
    asked: &Asked,
    in_words: impl FnOnce(&Value) -> String,
) -> Result<(), Failure> {
    let settings = crate::load(&asked.config)?.settings;
    let answer = control::ask(&settings.server.data, order)?;
    match asked.json {
        true => crate::print(&format!("{answer}\n")),
        false => crate::print(&in_words(&answer)),
    }
}

fn is(answer: &Value, what: &str) -> bool {
    answer[what].as_bool().unwrap_or_default()
}

fn state(answer: &Value) -> String {
    let yes = |what| if is(answer, what) { "yes" } else { "no" };
    format!(
        "rights are asked for: {}\nany user may make a project: {}\na push makes the project that is missing: {}\n",
        yes("is_on"),
        yes("users_create_projects"),
        yes("auto_create_projects")
    )
}

fn switched_on(answer: &Value) -> String {
    match (is(answer, "was_on"), answer["password"].as_str()) {
        (true, _) => "rights are asked for already\n".to_owned(),
        (false, Some(password)) => {
            format!(
                "rights are asked for from now on\n{}",
                shown_once("admin", password)
            )
        }
        (false, None) => {
            "rights are asked for from now on; the user admin was there, and has its old password\n"
                .to_owned()
        }
    }
}

fn switched_off(answer: &Value) -> String {
    match is(answer, "was_on") {
        true => "nobody's rights are asked for any more\n".to_owned(),
        false => "nobody's rights were asked for\n".to_owned(),
    }
}

fn reset_done(answer: &Value) -> String {
    let user = answer["user"].as_str().unwrap_or_default();
    let password = answer["password"].as_str().unwrap_or_default();
    let mut text = match is(answer, "is_made") {
        true => format!("user {user} was made\n"),
        false => format!("the logins of {user} have ended; their personal access tokens go on\n"),
    };
    text.push_str(&shown_once(user, password));
    if is(answer, "is_locked") {
        text.push_str(&format!(
            "{user} is locked out still: `holdfast user change {user} --enable` lets them in\n"
        ));
    }
    if !is(answer, "is_on") {
        text.push_str("nobody's rights are asked for yet: `holdfast access on` changes that\n");
    }
    text
}

/// A password, for people.
pub fn shown_once(user: &str, password: &str) -> String {
    format!("the password of {user}, shown this once: {password}\n")
}
