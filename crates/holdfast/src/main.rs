//! Holdfast: the command line, the configuration, the wiring of roles, start, drain and stop.
//!
//! Nothing is decided here about what a registry does; this crate only puts the parts together and tells the person
//! who starts it what they need to know. Exit codes: 0 when all is well, 1 when the work failed, 2 when the command
//! line or the configuration is wrong.

mod access;
mod cluster_command;
mod command_line;
mod config;
mod control;
mod crypto;
mod failure;
mod logging;
mod manage;
mod move_command;
mod restore_command;
mod s3_place;
mod serve;
#[cfg(feature = "failpoints")]
mod steps;
mod storage;
mod up;
mod version;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use command_line::{Arguments, Command, ConfigCommand, StorageCommand};
use config::Configuration;
use failure::Failure;

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let mut stderr = std::io::stderr().lock();
            for line in &failure.lines {
                // There is nobody left to tell when standard error is gone.
                let _ = writeln!(stderr, "holdfast: {line}");
            }
            ExitCode::from(failure.exit_code)
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(arguments) => {
            if arguments.end_with_stdin {
                serve::end_with_stdin();
            }
            serve::run(configured(&arguments.given())?)
        }
        Command::Up(arguments) => up::run(&arguments),
        Command::Cluster(command) => cluster_command::run(&command),
        Command::Access(arguments) => access::run(&arguments),
        Command::Config(ConfigCommand::Show(arguments)) => print(&load(&arguments)?.show()),
        Command::Config(ConfigCommand::Check(arguments)) => {
            let settings = load(&arguments)?.settings;
            serve::check_exposure(&settings.server.listen, &settings)?;
            print("the configuration is right\n")
        }
        Command::Config(ConfigCommand::Reference) => print(&config::reference()),
        Command::Storage(StorageCommand::Move(arguments)) => move_command::run(&arguments),
        Command::Storage(StorageCommand::Check(arguments)) => storage::check(&load(&arguments)?),
        Command::Manage(command) => manage::run(&command),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "holdfast", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
        #[cfg(feature = "failpoints")]
        Command::Steps => print(&steps::list()),
    }
}

fn load(arguments: &command_line::ConfigArguments) -> Result<Configuration, Failure> {
    configured(&arguments.given())
}

fn configured(given: &config::Given) -> Result<Configuration, Failure> {
    Configuration::load(given, std::env::vars_os()).map_err(Failure::from)
}

/// Prints to standard output; one that was closed, as by `| head`, is no failure.
fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::new(format!(
            "standard output cannot be written: {error}"
        ))),
        _ => Ok(()),
    }
}
