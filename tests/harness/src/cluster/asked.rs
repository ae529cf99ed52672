//! What a running node is asked: commands beside it, and what it measures.

use std::process::Command;

use crate::{client, holdfast, tools};

/// How long a command may wait for a node that does not answer.
const COMMAND_MAX_SECONDS: &str = "20";

/// Runs `holdfast cluster …` beside the node of a data folder.
pub(super) fn command(
    program: &std::path::Path,
    data: &std::path::Path,
    arguments: &[&str],
) -> anyhow::Result<String> {
    let mut command = Command::new("timeout");
    command.arg(COMMAND_MAX_SECONDS).arg(program);
    command
        .arg("cluster")
        .args(arguments)
        .arg("--data")
        .arg(data);
    holdfast::without_settings(&mut command);
    tools::run(&mut command)
}

/// The sum of all samples of a metric.
pub(super) fn metric(address: &str, name: &str) -> anyhow::Result<f64> {
    let text = client::text_of(address, "/metrics")?;
    let is_named = |line: &&str| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
    };
    let values = text
        .lines()
        .filter(is_named)
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(values.sum())
}
