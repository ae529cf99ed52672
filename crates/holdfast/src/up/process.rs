//! One node as a process of its own: started from this very program, bound to its life, and ended when asked.
//!
//! Its standard input is a pipe whose other end is here. The kernel closes it when this process is gone, however that
//! went, and the node ends with it (`serve --end-with-stdin`).

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinSet;

use super::log_file::LogFile;

/// Settings that a node takes from our environment. All others are for whoever runs `holdfast serve`.
const PASSED_ON: [&str; 3] = ["HOLDFAST_LOG", "HOLDFAST_STORAGE_S3_", "HOLDFAST_SESSIONS_"];

/// How long the last words of a process may be on their way.
const LAST_WORDS_MAX: Duration = Duration::from_secs(1);

/// A running process.
pub struct NodeProcess {
    child: Child,
    id: u32,
    /// Held for its end.
    _input: Option<ChildStdin>,
    /// What it says on its way to the log. Ends with the process.
    speech: JoinSet<()>,
}

impl NodeProcess {
    /// Starts it. What it says goes to its log. A token is passed where nobody can read it in the list of processes.
    ///
    /// # Errors
    /// When the system cannot start it.
    pub fn start(
        program: &Path,
        arguments: &[OsString],
        token: Option<String>,
        log: &LogFile,
    ) -> io::Result<NodeProcess> {
        let mut command = command(program);
        command
            .args(arguments)
            .envs(token.map(|token| ("HOLDFAST_CLUSTER_TOKEN", token)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A key that is pressed here is not for the nodes.
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let mut speech = JoinSet::new();
        if let Some(output) = child.stdout.take() {
            speech.spawn(log.clone().keep(output));
        }
        if let Some(errors) = child.stderr.take() {
            speech.spawn(log.clone().keep(errors));
        }
        Ok(NodeProcess {
            id: child.id().expect("nobody has waited for it yet"),
            _input: child.stdin.take(),
            child,
            speech,
        })
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Waits for its end. May be dropped and called again.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Waits until the last words of a process that has ended are in its log.
    pub async fn last_words(&mut self) {
        let said = async { while self.speech.join_next().await.is_some() {} };
        // Bounded, since a child of it may hold the pipes open.
        let _ = tokio::time::timeout(LAST_WORDS_MAX, said).await;
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.start_kill();
    }

    /// Asks it to finish what it does and to end, as Ctrl-C at a terminal does.
    pub fn interrupt(&mut self) {
        let pid = self
            .child
            .id()
            .and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid {
            // As above.
            let _ = kill_process(pid, Signal::INT);
        }
    }
}

/// This program, without settings that are not meant for nodes.
fn command(program: &Path) -> Command {
    // A build may have taken its file away meanwhile; the kernel still has it.
    let program = match program.exists() {
        true => program,
        false => Path::new("/proc/self/exe"),
    };
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("HOLDFAST_") && !PASSED_ON.iter().any(|start| text.starts_with(start)) {
            command.env_remove(&name);
        }
    }
    command
}

/// How a process ended, for people.
pub fn how(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("killed by signal {signal}"),
        (None, Some(0)) => "ended".to_owned(),
        (None, Some(code)) => format!("failed with exit code {code}"),
        (None, None) => "ended for an unknown reason".to_owned(),
    }
}
