//! `holdfast cluster …`: asks the running node of a data folder, and prints what it says for people or for programs.

use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use serde_json::Value;

use cluster::NodeFolder;
use identity::Role;

use crate::command_line::ConfigArguments;
use crate::config::{Settings, member_config};
use crate::control::{self, Order};
use crate::failure::Failure;
use crate::restore_command::{self, RestoreArguments};
use crate::serve::DataFolder;

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
    /// Makes a stopped member go on alone, when most of the members are lost for ever
    ///
    /// Makes a stopped member go on alone, when most of the members are lost for ever. Shows first what it has and what may be
    /// missing, and changes nothing without --yes. Start this member afterwards, then let new ones join; the old ones are
    /// refused. While a majority of the members can be brought back, bring them back instead: nothing is lost then.
    Recover {
        /// Does it
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        asked: Asked,
    },
    /// Makes the first node of a new cluster from the copy of a lost cluster's log
    ///
    /// Makes the first node of a new cluster, in an empty data folder, from the copy of a lost cluster's log that lies beside
    /// its blobs. The settings for storage have to be those of the lost cluster. Nothing runs meanwhile and no node is asked.
    /// Whatever is left of the lost cluster takes no more writes from then on. The new one has another id, authority and
    /// recovery key; blobs stay where they are.
    Restore(RestoreArguments),
    /// Gives the cluster a new authority for its certificates, while it runs
    ///
    /// Gives the cluster a new authority for its certificates, while it runs: every node first believes the new one, then gets a
    /// certificate of it, and then the old one is believed no more. `status` shows how far that is. A node that does not answer
    /// holds it up until it is back or removed. Join tokens that were made before it has ended are good for nothing: make new
    /// ones.
    RotateAuthority {
        #[command(flatten)]
        asked: Asked,
    },
    /// Has a restored cluster take over the blobs of the cluster that it was restored from
    ///
    /// Has a restored cluster take over the blobs of the cluster that it was restored from. Until then it reads them where they
    /// are and deletes none, so that they take space for ever. Says first what it means, and changes nothing without --yes: the
    /// old cluster must never run again.
    Adopt {
        /// Does it: every node of the old cluster is gone for ever
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        asked: Asked,
    },
    /// Raises the log's format, once all nodes run a version that knows the next one
    Upgrade {
        #[command(flatten)]
        asked: Asked,
    },
    /// Gives the cluster a label, which `status` shows; an empty one takes it away
    #[cfg(feature = "next-format")]
    #[command(hide = true)]
    Label {
        /// At most 64 bytes.
        label: String,
        #[command(flatten)]
        asked: Asked,
    },
}

/// Whom to ask, and how to answer.
#[derive(Debug, Args)]
pub struct Asked {
    #[command(flatten)]
    pub config: ConfigArguments,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

/// Asks, and prints the answer.
///
/// # Errors
/// What the node says.
pub fn run(command: &ClusterCommand) -> Result<(), Failure> {
    if let ClusterCommand::Recover { yes, asked } = command {
        return recover(&crate::load(&asked.config)?.settings, *yes, asked.json);
    }
    if let ClusterCommand::Restore(arguments) = command {
        return restore_command::run(arguments);
    }
    let Some((order, asked)) = order(command) else {
        return Ok(());
    };
    let settings = crate::load(&asked.config)?.settings;
    let answer = control::ask(&settings.server.data, &order)?;
    if asked.json {
        return crate::print(&format!("{answer}\n"));
    }
    crate::print(&in_words(command, &answer))
}

/// Looks at the stopped member of a data folder, and makes it a group of its own if it `shall`.
///
/// Order of effects: it is noted that the others are to be removed; the log gets its entry. A crash in between leaves a note
/// that the next start passes over, because the member is not alone.
fn recover(settings: &Settings, shall: bool, json: bool) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(error.to_string());
    let data = DataFolder::open(&settings.server.data, settings.server.free_space_min)?;
    let folder = NodeFolder::below(data.path());
    let identity = folder.identity().map_err(|e| failed(&e))?;
    let identity = identity.filter(|identity| identity.role() == Role::Member);
    let identity = identity.ok_or_else(|| {
        failed(&"this data folder is not that of a member of a cluster: nothing can be recovered from it")
    })?;
    let config = metadata_raft::MemberConfig {
        node_id: identity.node().0,
        ..member_config(settings, data.metadata())
    };
    if shall {
        folder.note_recovery().map_err(|e| failed(&e))?;
    }
    let survivor = metadata_raft::recover(&config, shall).map_err(|e| failed(&e))?;
    let lost: Vec<u64> = survivor.members.keys().copied().collect();
    let lost: Vec<u64> = lost
        .into_iter()
        .filter(|node| *node != identity.node().0)
        .collect();
    if json {
        let answer = serde_json::json!({
            "node": identity.node().0,
            "recovered": shall,
            "log_index": survivor.last_log,
            "applied": survivor.applied,
            "log_time_ms": survivor.time.0,
            "repositories": survivor.repositories,
            "lost_members": lost,
        });
        return crate::print(&format!("{answer}\n"));
    }
    let lost: Vec<String> = lost.iter().map(ToString::to_string).collect();
    let seconds = survivor.time.0 / 1_000;
    let found = format!(
        "Member {} has the log up to entry {}, of which it has applied {}; the last one that it applied is of {} UTC.\n\
         It knows {} repositories. What the members {} acknowledged after that, and never sent to this one, is lost.\n",
        identity.node(),
        survivor.last_log,
        survivor.applied,
        humantime::format_rfc3339_seconds(
            std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds)
        ),
        survivor.repositories,
        if lost.is_empty() {
            "(none)".to_owned()
        } else {
            lost.join(", ")
        },
    );
    let next = match shall {
        false => {
            "\nNothing was changed. If these members are lost for ever, say --yes: this one then goes on alone.\n"
        }
        true => {
            "\nIt goes on alone: start it with `holdfast serve`, and let new members join. The lost ones are refused.\n"
        }
    };
    crate::print(&format!("{found}{next}"))
}

fn order(command: &ClusterCommand) -> Option<(Order, &Asked)> {
    Some(match command {
        // It asks no running node.
        ClusterCommand::Recover { .. } | ClusterCommand::Restore(_) => return None,
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
        ClusterCommand::RotateAuthority { asked } => (Order::RotateAuthority, asked),
        ClusterCommand::Adopt { yes, asked } => (Order::Adopt { yes: *yes }, asked),
        #[cfg(feature = "next-format")]
        ClusterCommand::Label { label, asked } => {
            let label = label.clone();
            (Order::Label { label }, asked)
        }
    })
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
        ClusterCommand::Recover { .. } | ClusterCommand::Restore(_) => String::new(),
        ClusterCommand::RotateAuthority { .. } => format!(
            "the new authority is {}; `holdfast cluster status` shows how far the nodes are\n",
            text("fingerprint")
        ),
        ClusterCommand::Adopt { .. } => adopted(answer),
        ClusterCommand::Upgrade { .. } => format!("the log has format {answer} now\n"),
        #[cfg(feature = "next-format")]
        ClusterCommand::Label { label, .. } => format!("the cluster's label is \"{label}\" now\n"),
    }
}

fn adopted(answer: &Value) -> String {
    match names(&answer["clusters"]) {
        none if none.is_empty() => "this cluster has borrowed no blobs\n".to_owned(),
        clusters => format!("the blobs of cluster {clusters} are this cluster's own now\n"),
    }
}

/// The words of a list.
fn names(list: &Value) -> String {
    let names = list.as_array().into_iter().flatten();
    let names: Vec<&str> = names.filter_map(Value::as_str).collect();
    names.join(", ")
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
        "cluster {}, format {} of the log\n\n{}\n{}{}{unconfirmed}",
        shown(&answer["cluster"]),
        shown(&answer["format"]),
        table.trim_fmt(),
        log_copy(&answer["log_copy"]),
        notes(answer),
    )
}

/// How far the copy of the log beside the blobs is, below the table.
fn log_copy(copy: &Value) -> String {
    let Some(index) = copy["index"].as_u64() else {
        return String::new();
    };
    let problem = match copy["problem"].as_str() {
        Some(problem) => format!(": {problem}"),
        None => String::new(),
    };
    match copy["lag_entries"].as_u64().unwrap_or(0) {
        0 => format!("\nThe copy of the log beside the blobs has all {index} entries{problem}\n"),
        lag => format!(
            "\nThe copy of the log beside the blobs lacks {lag} entries, for {:.1} s{problem}\n",
            copy["lag_ms"].as_f64().unwrap_or(0.0) / 1000.0
        ),
    }
}

/// What an operator should know of, a line each.
fn notes(answer: &Value) -> String {
    let mut notes = String::new();
    let mut note = |text: String| {
        notes.push('\n');
        notes.push_str(&text);
        notes.push('\n');
    };
    let borrowed = names(&answer["borrowed_from"]);
    if !borrowed.is_empty() {
        note(format!(
            "Blobs of cluster {borrowed}, from which this one was restored, are borrowed and never deleted: see `holdfast cluster adopt`"
        ));
    }
    if let Some(until) = moment(&answer["deletions_wait_until_ms"]) {
        note(format!(
            "The log's time was corrected: what waited for its deletion before waits until {until}"
        ));
    }
    if let Some(step) = answer["rotation"]["step"].as_str() {
        let what = match step {
            "trust" => "every node learns to believe the new one",
            _ => "every node gets a certificate of the new one",
        };
        let nodes = answer["rotation"]["waits_for"].as_array();
        let nodes: Vec<String> = nodes.into_iter().flatten().map(Value::to_string).collect();
        note(format!(
            "The authority is being rotated: {what}; waiting for {}",
            if nodes.is_empty() {
                "the leader".to_owned()
            } else {
                nodes.join(", ")
            }
        ));
    }
    if let Some(since) = moment(&answer["next_format_since_ms"]) {
        note(format!(
            "Every node knows the next format of the log since {since}; it is raised a day later, or by `holdfast cluster upgrade`"
        ));
    }
    notes
}

/// A time in milliseconds, for people.
fn moment(ms: &Value) -> Option<String> {
    let since_epoch = std::time::Duration::from_millis(ms.as_u64()?);
    let time = std::time::UNIX_EPOCH.checked_add(since_epoch)?;
    Some(humantime::format_rfc3339_seconds(time).to_string())
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
