//! `holdfast apply`: makes the registry as a file says.
//!
//! What is different is found first, by a pure function of the file and of what the registry says, and shown; only then is
//! anything changed, step by step. Each step may be repeated, so that a run that ended half-way is mended by another.

mod current;
mod plan;
mod step;
#[cfg(test)]
mod tests;
mod wanted;

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::client::Client;
use super::{Asked, input, print};
use crate::failure::Failure;
use step::Step;
use wanted::Wanted;

/// The exit code of a dry run that found a difference.
const IS_DIFFERENT: u8 = 2;

/// What is applied, and how.
#[derive(Debug, Args)]
pub struct ApplyArguments {
    /// The file: YAML, TOML or JSON, by its name's end; `-` is standard input, as YAML or JSON
    #[arg(long, short, value_name = "FILE")]
    file: PathBuf,
    /// Does it without asking
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// Only shows the difference; the exit code is 2 when there is one
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    asked: Asked,
}

/// Shows the difference, and makes it go away.
///
/// # Errors
/// What is wrong with the file, and what the registry says.
pub fn run(arguments: &ApplyArguments) -> Result<(), Failure> {
    let wanted = Wanted::read(&arguments.file)?;
    let client = arguments.asked.place.client()?;
    let json = arguments.asked.json;
    let steps = difference(&client, &wanted)?;
    if !json {
        crate::print(&shown(&steps))?;
    }
    let no_secrets = Vec::new();
    if steps.is_empty() {
        return report(json, &steps, &no_secrets);
    }
    if arguments.dry_run {
        report(json, &steps, &no_secrets)?;
        return Err(Failure {
            lines: Vec::new(),
            exit_code: IS_DIFFERENT,
        });
    }
    if !arguments.yes && !input::is_sure("Do this?")? {
        return Err(Failure::new("nothing was changed"));
    }
    let mut secrets = Vec::new();
    let done = take(&client, &steps, &mut secrets);
    // Secrets are shown whatever became of the rest: nobody can show them again.
    report(json, &steps, &secrets)?;
    done
}

/// What the file wants and the registry does not have.
fn difference(client: &Client, wanted: &Wanted) -> Result<Vec<Step>, Failure> {
    let current = current::read(client, wanted)?;
    Ok(plan::plan(wanted, &current))
}

fn shown(steps: &[Step]) -> String {
    if steps.is_empty() {
        return "there is no difference\n".to_owned();
    }
    let mut lines: Vec<String> = steps.iter().map(|step| format!("{step}\n")).collect();
    let changes = if steps.len() == 1 {
        "change"
    } else {
        "changes"
    };
    lines.push(format!("\n{} {changes}\n", steps.len()));
    lines.concat()
}

/// A secret that was made, for which robot.
type Secret = (String, String);

/// Takes one step after the other.
fn take(client: &Client, steps: &[Step], secrets: &mut Vec<Secret>) -> Result<(), Failure> {
    for (number, step) in steps.iter().enumerate() {
        match step.take(client) {
            Ok(secret) => secrets.extend(secret),
            Err(error) => {
                let mut failure = Failure::from(error);
                failure
                    .lines
                    .insert(0, format!("this could not be done: {step}"));
                let count = steps.len();
                failure.lines.push(format!(
                    "{number} of {count} changes were made before; the same file may be applied again"
                ));
                return Err(failure);
            }
        }
    }
    Ok(())
}

fn report(json: bool, steps: &[Step], secrets: &[Secret]) -> Result<(), Failure> {
    if json {
        let changes: Vec<String> = steps.iter().map(ToString::to_string).collect();
        let secrets = secrets
            .iter()
            .map(|(name, secret)| json!({"name": name, "secret": secret}));
        let secrets: Vec<Value> = secrets.collect();
        return print::json(&json!({"changes": changes, "secrets": secrets}));
    }
    if secrets.is_empty() {
        return Ok(());
    }
    let rows = secrets
        .iter()
        .map(|(name, secret)| [name.clone(), secret.clone()]);
    let table = print::table(["robot", "secret"], rows);
    crate::print(&format!(
        "\nWrite these down, they are shown this once:\n{table}"
    ))
}
