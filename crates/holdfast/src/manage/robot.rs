//! `holdfast robot …`: accounts of programs, whose secrets are printed once.

use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use management::{Grant, NewRobot, Robot, RobotChange, RobotSecret};

use super::input::End;
use super::robot_output::{self, Form};
use super::{Asked, Place, input, print};
use crate::failure::Failure;

/// What is done with robots.
#[derive(Debug, Subcommand)]
pub enum RobotCommand {
    /// Lists the robots of a project, or of the whole registry
    List {
        /// Of this project
        #[arg(long)]
        project: Option<String>,
        #[command(flatten)]
        asked: Asked,
    },
    /// Shows a robot
    Show {
        /// Its whole name, as in `robot$team+deploy`.
        name: String,
        #[command(flatten)]
        asked: Asked,
    },
    /// Makes a robot, and prints its secret this once
    Create {
        /// Its name within its project.
        name: String,
        /// Its project; without, it is of the whole registry
        #[arg(long)]
        project: Option<String>,
        /// What it may do, as in `team/*:pull,push`; may be repeated
        #[arg(long, value_name = "PATTERN:RIGHTS", value_parser = input::grant, required = true)]
        grant: Vec<Grant>,
        /// Until when: a time, a span such as 90d, or `never`
        #[arg(long, value_name = "WHEN", value_parser = input::end, default_value = "never")]
        expires: End,
        /// What it is for
        #[arg(long, default_value = "")]
        description: String,
        #[command(flatten)]
        secret: SecretArguments,
        #[command(flatten)]
        asked: Asked,
    },
    /// Gives a robot another secret, and prints it this once; the old one counts no more
    Renew {
        /// Its whole name.
        name: String,
        #[command(flatten)]
        secret: SecretArguments,
        #[command(flatten)]
        asked: Asked,
    },
    /// Changes a robot
    Change {
        /// Its whole name.
        name: String,
        /// What it may do from now on, as in `team/*:pull,push`; may be repeated
        #[arg(long, value_name = "PATTERN:RIGHTS", value_parser = input::grant)]
        grant: Vec<Grant>,
        /// Until when: a time, a span such as 90d, or `never`
        #[arg(long, value_name = "WHEN", value_parser = input::end)]
        expires: Option<End>,
        /// Locks it out: what it proved before counts no more
        #[arg(long, conflicts_with = "enable")]
        disable: bool,
        /// Lets it in again
        #[arg(long)]
        enable: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Ends a robot
    Delete {
        /// Its whole name.
        name: String,
        #[command(flatten)]
        place: Place,
    },
}

/// How a secret is printed.
#[derive(Debug, Args)]
pub struct SecretArguments {
    /// Prints what a client takes: docker's config.json, or a Kubernetes secret for image pulls
    #[arg(long, value_enum, value_name = "FORM", conflicts_with = "json")]
    output: Option<OutputArgument>,
    /// The name of the Kubernetes secret [default: the robot's name]
    #[arg(long, value_name = "NAME")]
    secret_name: Option<String>,
}

/// A form of a secret.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum OutputArgument {
    /// The file `config.json` of docker, podman and their like
    DockerConfig,
    /// A secret of the type kubernetes.io/dockerconfigjson
    K8sSecret,
}

/// Does it.
///
/// # Errors
/// What the registry says.
pub fn run(command: &RobotCommand) -> Result<(), Failure> {
    match command {
        RobotCommand::List { project, asked } => {
            let query: Vec<(&str, &str)> = project
                .iter()
                .map(|project| ("project", &**project))
                .collect();
            let robots: Vec<Robot> = asked.place.client()?.all(&["robots"], &query, "robots")?;
            print::either(asked.json, &robots, || table(&robots))
        }
        RobotCommand::Show { name, asked } => {
            let robot: Robot = asked.place.client()?.get(&["robots", name], &[])?;
            print::either(asked.json, &robot, || table(std::slice::from_ref(&robot)))
        }
        RobotCommand::Create {
            name,
            project,
            grant,
            expires,
            description,
            secret,
            asked,
        } => {
            let client = asked.place.client()?;
            let new = NewRobot {
                name: name.clone(),
                project: project.clone(),
                grants: grant.clone(),
                expires: expires.0,
                description: description.clone(),
            };
            let made: RobotSecret = client.send(Method::POST, &["robots"], Some(&new))?;
            show(client.host(), &made, secret, asked.json)
        }
        RobotCommand::Renew {
            name,
            secret,
            asked,
        } => {
            let client = asked.place.client()?;
            let renewed: RobotSecret =
                client.send(Method::POST, &["robots", name, "secret"], None::<&()>)?;
            show(client.host(), &renewed, secret, asked.json)
        }
        RobotCommand::Change {
            name,
            grant,
            expires,
            disable,
            enable,
            place,
        } => {
            let change = RobotChange {
                grants: (!grant.is_empty()).then(|| grant.clone()),
                expires: expires.map(|end| end.0),
                is_disabled: (*disable || *enable).then_some(*disable),
            };
            place
                .client()?
                .change(Method::PATCH, &["robots", name], Some(&change))?;
            print::done(false, &format!("robot {name} was changed"))
        }
        RobotCommand::Delete { name, place } => {
            place.client()?.remove(&["robots", name])?;
            print::done(false, &format!("robot {name} is gone"))
        }
    }
}

fn show(
    host: String,
    secret: &RobotSecret,
    how: &SecretArguments,
    json: bool,
) -> Result<(), Failure> {
    let form = match how.output {
        None if json => return print::json(secret),
        None => Form::Words,
        Some(OutputArgument::DockerConfig) => Form::DockerConfig,
        Some(OutputArgument::K8sSecret) => Form::KubernetesSecret,
    };
    crate::print(&robot_output::written(
        form,
        &host,
        secret,
        how.secret_name.as_deref(),
    ))
}

fn table(robots: &[Robot]) -> String {
    let rows = robots.iter().map(|robot| {
        [
            robot.name.clone(),
            if robot.is_disabled { "locked out" } else { "" }.to_owned(),
            print::grants(&robot.grants),
            print::expiry(robot.expires),
            robot.description.clone(),
        ]
    });
    print::table(["name", "state", "may", "expires", "for"], rows)
}

#[cfg(test)]
mod tests {
    use management::{Right, Time};

    use super::*;

    #[test]
    fn table_of_robots() {
        let time = Time::parse("2027-01-31T12:00:00Z").unwrap();
        let robot = |name: &str, expires| Robot {
            name: name.to_owned(),
            project: Some("team".to_owned()),
            grants: vec![Grant {
                repositories: "team/*".to_owned(),
                rights: vec![Right::Pull, Right::Push],
            }],
            expires,
            is_disabled: expires.is_some(),
            description: "builds".to_owned(),
            created: time,
            by: "anna".to_owned(),
        };
        let robots = [
            robot("robot$team+ci", None),
            robot("robot$team+old", Some(time)),
        ];
        expect_test::expect![[r#"
             name            state       may               expires               for
             robot$team+ci               team/*:pull,push  never                 builds
             robot$team+old  locked out  team/*:pull,push  2027-01-31T12:00:00Z  builds
        "#]]
        .assert_eq(&table(&robots));
    }
}
