//! The commands that manage a registry through its API, from any machine: users, groups, projects, robots, tokens, the audit, and
//! a file that says how all of it should be.
//!
//! They speak to the registry as anyone may: what they may do is decided there. A password is never an argument, and what is shown
//! once is printed to standard output and kept nowhere.

mod apply;
mod audit;
mod audit_chain;
mod client;
mod credentials;
mod group;
mod input;
mod login;
mod print;
mod project;
mod robot;
mod robot_output;
mod token;
mod user;

use clap::{Args, Subcommand};

use crate::failure::Failure;
use client::Client;
use credentials::Credentials;

/// What is managed.
#[derive(Debug, Subcommand)]
pub enum ManageCommand {
    /// Signs in to a registry, for the commands below
    ///
    /// Tries the password, and keeps it with the registry's URL in $XDG_CONFIG_HOME/holdfast/credentials.toml, which only its owner
    /// can read. A personal access token or a robot's secret will do in its place.
    Login(login::LoginArguments),
    /// Forgets how to sign in to a registry
    Logout(login::LogoutArguments),
    /// Users: who may sign in
    #[command(subcommand)]
    User(user::UserCommand),
    /// Groups of users, who are given a role together
    #[command(subcommand)]
    Group(group::GroupCommand),
    /// Projects, and the roles of their members
    #[command(subcommand)]
    Project(project::ProjectCommand),
    /// Robots: accounts of programs, with a secret and nothing but what they were granted
    #[command(subcommand)]
    Robot(robot::RobotCommand),
    /// Personal access tokens, to sign in with in place of a password
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// The audit: what was done, by whom and from where
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Makes projects, members, groups and robots as a file says
    ///
    /// Shows first what is different, and asks. May be repeated: then there is no difference. What the file does not name stays as
    /// it is; lists of members, and of a project's robots, are complete where they are given. docs/management.md has an example.
    Apply(apply::ApplyArguments),
}

/// Which registry is asked.
#[derive(Debug, Args)]
pub struct Place {
    /// The registry [default: that of the last login]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

impl Place {
    /// A client that signs in as the last login said.
    fn client(&self) -> Result<Client, Failure> {
        let credentials = Credentials::load()?;
        let url = match (&self.url, &credentials.current) {
            (Some(url), _) => login::normal(url)?,
            (None, Some(current)) => current.clone(),
            (None, None) => {
                let line = "no registry is known: sign in with `holdfast login URL`, or name one with --url";
                return Err(Failure::new(line));
            }
        };
        Client::new(&url, credentials.registries.get(&url))
    }
}

/// Which registry is asked, and how to answer.
#[derive(Debug, Args)]
pub struct Asked {
    #[command(flatten)]
    place: Place,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// Does it.
///
/// # Errors
/// What the registry says.
pub fn run(command: &ManageCommand) -> Result<(), Failure> {
    match command {
        ManageCommand::Login(arguments) => login::login(arguments),
        ManageCommand::Logout(arguments) => login::logout(arguments),
        ManageCommand::User(command) => user::run(command),
        ManageCommand::Group(command) => group::run(command),
        ManageCommand::Project(command) => project::run(command),
        ManageCommand::Robot(command) => robot::run(command),
        ManageCommand::Token(command) => token::run(command),
        ManageCommand::Audit(command) => audit::run(command),
        ManageCommand::Apply(arguments) => apply::run(arguments),
    }
}
