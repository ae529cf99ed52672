//! The program as people start it: what it prints, how it refuses to start, and how it stops.

mod access;
mod manages;
mod refuses_to_start;
mod runs_and_stops;
mod says;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// The longest that anything here may take on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(120);

/// `holdfast` with these arguments, and without settings of whoever runs the tests.
fn holdfast(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HOLDFAST_") {
            command.env_remove(name);
        }
    }
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// `holdfast serve` on a free port.
fn serve(data: &Path, more: &[&str]) -> Command {
    let mut command = holdfast(&["serve", "--listen", "127.0.0.1:0", "--data"]);
    command.arg(data).args(more);
    command
}

/// What the program said and how it ended, when it ends by itself.
fn run(command: &mut Command) -> Output {
    command.output().expect("the program starts")
}

/// The lines that it wrote to standard error.
fn complaints(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stderr)
        .lines()
        .map(str::to_owned)
        .collect()
}

/// A node that runs until the test ends.
struct Running {
    child: Child,
    address: String,
    greeting: Vec<String>,
}

impl Running {
    /// Starts it and waits until it says where it listens.
    fn start(command: &mut Command) -> Running {
        Running::start_telling(command, Stdio::null())
    }

    /// As [`Running::start`], with its log there.
    fn start_telling(command: &mut Command, log: Stdio) -> Running {
        let mut child = command.stderr(log).spawn().expect("the program starts");
        let (tell, told) = mpsc::channel();
        let stdout = child.stdout.take().expect("it is piped");
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    break;
                }
            }
        });
        let mut running = Running {
            child,
            address: String::new(),
            greeting: Vec::new(),
        };
        while running
            .greeting
            .last()
            .is_none_or(|line| !line.contains("podman push"))
        {
            running.greeting.push(
                told.recv_timeout(PATIENCE)
                    .expect("it says where it listens"),
            );
        }
        let mut addresses = running
            .greeting
            .iter()
            .filter_map(|line| line.strip_prefix("listening on http://"));
        running.address = addresses.next().expect("it listens").to_owned();
        running
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// How it ends.
    fn wait(mut self) -> ExitStatus {
        let pid = Pid::from_child(&self.child);
        let (done, is_done) = mpsc::channel::<()>();
        let watch = std::thread::spawn(move || {
            if is_done.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                // It is still ours to end: nobody has waited for it yet.
                let _ = kill_process(pid, Signal::KILL);
            }
        });
        let status = self.child.wait().expect("it is our child");
        drop(done);
        watch.join().expect("the watch ends");
        status
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Everything that can be read until the other side closes.
fn read_all(mut from: impl Read) -> String {
    let mut text = String::new();
    from.read_to_string(&mut text).expect("text until the end");
    text
}
