//! The command line, as `holdfast --help` tells it and `docs/reference/command-line.md` lists it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::access::AccessArguments;
use crate::cluster_command::ClusterCommand;
use crate::config::Given;
use crate::manage::ManageCommand;
use crate::move_command::MoveArguments;
use crate::up::UpArguments;
use crate::version;

/// A container registry whose acknowledged pushes are never lost.
///
/// Start one with `holdfast serve`, then push to localhost:5000. Nothing else has to be running, and no configuration
/// is needed.
#[derive(Debug, Parser)]
#[command(name = "holdfast", version = version::LONG, max_term_width = 100)]
#[command(
    after_help = "The documentation is in the folder docs/ of the source, from docs/first-walk.md on."
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the registry until it is told to stop
    ///
    /// Runs the registry until SIGTERM or Ctrl-C. It then finishes the requests in flight; a second signal ends it at
    /// once, which is safe too. It prints where it listens, where its data is, and lines to try.
    Serve(ServeArguments),
    /// Runs a whole cluster on this machine, to look at and to hurt
    ///
    /// Starts members, each a process of its own, and a balancer in front of them, and shows a live table of the nodes.
    /// Kill one with a key, or by `kill -9` from elsewhere, and go on pushing; start it again with a key. Where standard
    /// output is no terminal it prints a line for each process instead, and `start NAME` on standard input starts one
    /// again. All nodes end when it ends. A second run with the same folder goes on with the same cluster.
    Up(UpArguments),
    /// Asks a running node about its cluster, or changes it
    ///
    /// Asks the node that runs on this machine with the data folder that --data names.
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Tells whether rights are asked for, or changes it, at a member's machine
    ///
    /// Asks the member that runs on this machine with the data folder that --data names. Whoever may enter that folder may do this.
    #[command(subcommand)]
    Access(AccessArguments),
    /// Shows or checks the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Checks the store of blobs, or moves the blobs to another
    #[command(subcommand)]
    Storage(StorageCommand),
    #[command(flatten)]
    Manage(ManageCommand),
    /// Prints a script that completes this command line in a shell
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Lists the steps at which `HOLDFAST_CRASH_AT` can end the process
    #[cfg(feature = "failpoints")]
    #[command(hide = true)]
    Steps,
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Prints the configuration in effect and where each value comes from, without secrets
    Show(ConfigArguments),
    /// Says what is wrong with the configuration, if anything is
    Check(ConfigArguments),
    /// Prints the list of all settings in Markdown
    Reference,
}

/// What to do with the store.
#[derive(Debug, Subcommand)]
pub enum StorageCommand {
    /// Tries each call that Holdfast makes to its store, and says which permission is missing
    ///
    /// Tries each call that Holdfast makes to its store with small objects of its own, which it removes, and prints a
    /// table of what worked and which permission is missing where something did not. May be run beside a running node.
    Check(ConfigArguments),
    /// Moves all blobs of a running registry to S3-compatible storage, while it serves
    ///
    /// Moves all blobs of the node that runs on this machine with the data folder that --data names, or of the cluster that it
    /// is a member of, to S3-compatible storage, while it goes on serving, and shows how far it is. When all are there every
    /// node uses the new store, and the command says which settings to give them. The move goes on if this command is ended, or
    /// nodes die or are restarted; the same command shows it again. It waits for each node that cannot reach the new store,
    /// and says why.
    Move(MoveArguments),
}

/// How the registry is run.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArguments,
    /// Joins the cluster of this member, at the first start; may be repeated. Needs --token
    #[arg(long, value_name = "HOST:PORT")]
    pub join: Vec<String>,
    /// The join token, as `holdfast cluster add` printed it
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<String>,
    /// Starts without an operator: forms the cluster, or joins it, once so many members have found each other by --join;
    /// needs the setting cluster.bootstrap_secret
    #[arg(long, value_name = "N")]
    pub bootstrap_expect: Option<u32>,
    // Not a comment for rustdoc, as above.
    #[arg(
        long,
        value_name = "HOST:PORT",
        help = "Where the other nodes reach this one [default: as before, or port 5050 of this machine]"
    )]
    pub peer_address: Option<String>,
    /// Speaks TLS: with `files` (tls.certificate, tls.key), or with a certificate that the node signs itself; or not
    #[arg(long, value_name = "MODE", value_parser = ["self-signed", "files", "off"])]
    pub tls: Option<String>,
    /// A name or address that the self-signed certificate is for, too; may be repeated
    #[arg(long, value_name = "NAME")]
    pub tls_name: Vec<String>,
    /// Listens without TLS where other machines reach it
    #[arg(long)]
    pub allow_plain_http: bool,
    /// Has rights asked for from now on, in the whole cluster; the first start makes `admin` and prints its password once
    #[arg(long)]
    pub access: bool,
    /// Listens where other machines reach it while nobody's rights are asked for
    #[arg(long)]
    pub allow_open: bool,
    /// Ends at once when standard input ends, so that a node does not outlive the program that started it
    #[arg(long, hide = true)]
    pub end_with_stdin: bool,
}

impl ServeArguments {
    /// What they say about the configuration.
    pub fn given(&self) -> Given {
        let mut given = self.config.given();
        let mut flag = |flag, key: &str, value: String| {
            given.flags.push((flag, key.to_owned(), value));
        };
        if !self.join.is_empty() {
            flag("--join", "cluster.join", self.join.join(","));
        }
        if let Some(token) = &self.token {
            flag("--token", "cluster.token", token.clone());
        }
        if let Some(expect) = self.bootstrap_expect {
            let expect = expect.to_string();
            flag("--bootstrap-expect", "cluster.bootstrap_expect", expect);
        }
        if let Some(address) = &self.peer_address {
            flag("--peer-address", "cluster.peer_address", address.clone());
        }
        if let Some(mode) = &self.tls {
            flag("--tls", "tls.mode", mode.clone());
        }
        if !self.tls_name.is_empty() {
            flag("--tls-name", "tls.names", self.tls_name.join(","));
        }
        if self.access {
            flag("--access", "access.mode", "on".to_owned());
        }
        let meant = [
            (
                self.allow_plain_http,
                "--allow-plain-http",
                "server.allow_plain_http",
            ),
            (self.allow_open, "--allow-open", "access.allow_open"),
        ];
        for (_, name, key) in meant.into_iter().filter(|(is_meant, ..)| *is_meant) {
            flag(name, key, "true".to_owned());
        }
        given
    }
}

/// Where the configuration comes from.
#[derive(Debug, Args)]
pub struct ConfigArguments {
    /// The TOML file to read settings from
    #[arg(
        long,
        value_name = "FILE",
        env = "HOLDFAST_CONFIG",
        hide_env_values = true
    )]
    config: Option<PathBuf>,
    // Not a comment for rustdoc, which takes the second address for a link.
    #[arg(
        long,
        value_name = "ADDR:PORT",
        help = "An address to listen on; may be repeated [default: 127.0.0.1:5000 and [::1]:5000]"
    )]
    listen: Vec<String>,
    /// The folder of everything that is kept [default: ./holdfast-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Sets any setting, as in `--set log.level=debug`; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    set: Vec<(String, String)>,
}

impl ConfigArguments {
    /// What they say about the configuration.
    pub fn given(&self) -> Given {
        let mut flags: Vec<(&'static str, String, String)> = self
            .set
            .iter()
            .map(|(name, value)| ("--set", name.clone(), value.clone()))
            .collect();
        if !self.listen.is_empty() {
            flags.push((
                "--listen",
                "server.listen".to_owned(),
                self.listen.join(","),
            ));
        }
        if let Some(data) = &self.data {
            flags.push((
                "--data",
                "server.data".to_owned(),
                data.to_string_lossy().into_owned(),
            ));
        }
        Given {
            file: self.config.clone(),
            flags,
        }
    }
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("must be a setting's name, `=` and its value")?;
    Ok((name.trim().to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// The page about the command line: each command's own help.
    fn reference() -> String {
        let mut page = String::from(
            "# Command line\n\nEach command's own help. Settings are listed in [settings.md](settings.md).\n\nExit codes: 0 when all is well, 1 when the work failed, 2 when the command line or the configuration is wrong.\n",
        );
        add(
            &mut page,
            "",
            Arguments::command().term_width(100).bin_name("holdfast"),
        );
        page
    }

    fn add(page: &mut String, above: &str, mut command: clap::Command) {
        let name = format!("{above}{}", command.get_name());
        let help = command
            .clone()
            .bin_name(name.clone())
            .render_long_help()
            .to_string();
        let help: Vec<&str> = help.lines().map(str::trim_end).collect();
        page.push_str(&format!(
            "\n## {name}\n\n```text\n{}\n```\n",
            help.join("\n").trim_end()
        ));
        command.build();
        let inner: Vec<clap::Command> = command
            .get_subcommands()
            .filter(|c| !c.is_hide_set())
            .cloned()
            .collect();
        for subcommand in inner
            .into_iter()
            .filter(|subcommand| subcommand.get_name() != "help")
        {
            add(page, &format!("{name} "), subcommand.term_width(100));
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_reference_page_is_what_the_program_says() {
        expect_test::expect_file!["../../../docs/reference/command-line.md"]
            .assert_eq(&reference());
    }

    #[test]
    fn flags_become_settings() {
        let arguments = Arguments::parse_from([
            "holdfast",
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--listen",
            "[::1]:0",
            "--data",
            "d",
            "--set",
            "log.level=a=b",
        ]);
        let Command::Serve(arguments) = arguments.command else {
            panic!("not serve")
        };
        let flags = arguments.config.given().flags;
        assert_eq!(
            flags,
            [
                ("--set", "log.level".to_owned(), "a=b".to_owned()),
                (
                    "--listen",
                    "server.listen".to_owned(),
                    "127.0.0.1:0,[::1]:0".to_owned()
                ),
                ("--data", "server.data".to_owned(), "d".to_owned()),
            ]
        );
    }
}
