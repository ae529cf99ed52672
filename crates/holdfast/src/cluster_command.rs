//! `holdfast cluster …`: asks the running node of a data folder, and prints what it says for people or for programs.

use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use serde_json::Value;

use crate::command_line::ConfigArguments;
use crate::control::{self, Order};
use crate::failure::Failure;

/// What is asked.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Makes the node that runs alone the first member of a cluster
    ///
    /// Makes the node that runs alone the first member of a cluster. Prints a token that lets one more member in, and the
    /// recovery key, which is shown this once: with it and a copy of the log the cluster can be restored, and without it
    /// nobody can read the cluster's secrets.
    Init {
        #[arg(
            long,
            value_name = "HOST:PORT",
            help = "Where the other nodes reach this one [default: port 5050 of this machine]"
        )]
        peer_address: Option<String>,
        #[command(flatten)]
        asked: Asked,
    },
    /// Shows the nodes and how they are
    Status {
        #[command(flatten)]
        asked: Asked,
    },
    /// Prints a token that lets one node in
    Add {
        /// What the node is to be: `member` holds the metadata, `gateway` only serves
        #[arg(long, value_name = "ROLE", default_value = "member", value_parser = ["member", "gateway"])]
        role: String,
        /// How long the token is good, such as 10m or 24h [default: the setting cluster.token_life]
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
        life: Option<std::time::Duration>,
        #[command(flatten)]
        asked: Asked,
    },
    /// Takes a node out of the cluster, for good
    ///
    /// Takes a node out of the cluster, for good: its certificate is refused from then on, and a node that still runs
    /// stops. It is refused when too few of the other voters answer.
    Remove {
        /// The node's id, as `status` shows it.
        node: u64,
        /// Removes it even if too few of the other voters answer
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        asked: Asked,
    },
    /// Has a member vote that is a spare
    Promote {
        /// The node's id, as `status` shows it.
        node: u64,
        #[command(flatten)]
        asked: Asked,
    },
    /// Hands the lead to another member
    TransferLeader {
        /// The node's id; not given: whoever has the most of the log.
        node: Option<u64>,
        #[command(flatten)]
        asked: Asked,
    },
    /// Raises the log's format, once all nodes run a version that knows the next one
    Upgrade {
        #[command(flatten)]
        asked: Asked,
    },
}

/// Whom to ask, and how to answer.
#[derive(Debug, Args)]
pub struct Asked {
    #[command(flatten)]
    config: ConfigArguments,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// Asks, and prints the answer.
///
/// # Errors
/// What the node says.
pub fn run(command: &ClusterCommand) -> Result<(), Failure> {
    let (order, asked) = order(command);
    let settings = crate::load(&asked.config)?.settings;
    let answer = control::ask(&settings.server.data, &order)?;
    if asked.json {
        return crate::print(&format!("{answer}\n"));
    }
    crate::print(&in_words(command, &answer))
}

fn order(command: &ClusterCommand) -> (Order, &Asked) {
    match command {
        ClusterCommand::Init {
            peer_address,
            asked,
        } => {
            let peer_address = peer_address.clone();
            (Order::Init { peer_address }, asked)
        }
        ClusterCommand::Status { asked } => (Order::Status, asked),
        ClusterCommand::Add { role, life, asked } => {
            let role = role.clone();
            let seconds = life.map(|life| life.as_secs());
            (Order::Add { role, seconds }, asked)
        }
        ClusterCommand::Remove { node, force, asked } => {
            let (node, force) = (*node, *force);
            (Order::Remove { node, force }, asked)
        }
        ClusterCommand::Promote { node, asked } => (Order::Promote { node: *node }, asked),
        ClusterCommand::TransferLeader { node, asked } => {
            (Order::TransferLeader { to: *node }, asked)
        }
        ClusterCommand::Upgrade { asked } => (Order::Upgrade, asked),
    }
}

fn in_words(command: &ClusterCommand, answer: &Value) -> String {
    let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    match command {
        ClusterCommand::Init { .. } => format!(
            "This node is the first member of cluster {}.\n\n\
             Write the recovery key down and keep it apart from the cluster; it is shown this once:\n  {}\n\n\
             To add a member, within the token's time, on another machine with the same settings for storage:\n  holdfast serve --join {} --token {}\n\n\
             `holdfast cluster add` makes more tokens, each for one node.\n",
            text("cluster"),
            text("recovery_key"),
            text("address"),
            text("token"),
        ),
        ClusterCommand::Add { .. } => format!(
            "To add a {}, on another machine with the same settings for storage:\n  holdfast serve --join {} --token {}\n",
            text("role"),
            text("join"),
            text("token"),
        ),
        ClusterCommand::Status { .. } => status(answer),
        ClusterCommand::Remove { node, .. } => format!("node {node} is removed\n"),
        ClusterCommand::Promote { node, .. } => format!("node {node} votes\n"),
        ClusterCommand::TransferLeader { .. } => "the lead is handed over\n".to_owned(),
        ClusterCommand::Upgrade { .. } => format!("the log has format {answer} now\n"),
    }
}

fn status(answer: &Value) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header([
        "id",
        "name",
        "role",
        "pid",
        "address",
        "version",
        "format",
        "index",
        "lag",
        "leader",
        "health",
        "disk free",
    ]);
    let nodes = answer["nodes"].as_array();
    for node in nodes.into_iter().flatten() {
        let role = match (node["role"].as_str(), node["votes"].as_bool()) {
            (Some("member"), Some(false)) => "member (learns)".to_owned(),
            (role, _) => role.unwrap_or_default().to_owned(),
        };
        let leads = if node["leader"] == true { "yes" } else { "" };
        table.add_row([
            shown(&node["id"]),
            shown(&node["name"]),
            role,
            shown(&node["pid"]),
            shown(&node["address"]),
            shown(&node["version"]),
            shown(&node["format"]),
            shown(&node["log_index"]),
            shown(&node["lag"]),
            leads.to_owned(),
            shown(&node["health"]),
            percent(&node["disk_free"], &node["disk_size"]),
        ]);
    }
    let unconfirmed = match answer["confirmed"].as_bool() {
        Some(false) => {
            "\nThe log could not confirm this just now: it is what this node last knew.\n"
        }
        _ => "",
    };
    format!(
        "cluster {}, format {} of the log\n\n{}\n{unconfirmed}",
        shown(&answer["cluster"]),
        shown(&answer["format"]),
        table.trim_fmt()
    )
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn percent(part: &Value, whole: &Value) -> String {
    match (part.as_u64(), whole.as_u64()) {
        (Some(part), Some(whole)) if whole > 0 => {
            format!("{} %", u128::from(part) * 100 / u128::from(whole))
        }
        _ => String::new(),
    }
}
