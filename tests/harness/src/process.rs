//! A server process: started with its output kept, watched while it starts, measured through `/proc`, and ended when its
//! owner is dropped or its test program dies.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::bound;

/// Only so many lines of output are kept, so that a chatty server does not fill the memory of its test.
const LINES_MAX: usize = 2000;

/// The last lines that a failed test shows.
const LINES_SHOWN_MAX: usize = 60;

/// How often a process is looked at whose line is waited for.
const LINE_WAIT: Duration = Duration::from_millis(50);

/// How long the last words of a process may be in the pipe.
const LAST_WORDS_MAX: Duration = Duration::from_secs(2);

/// How long a signal may take until it has stopped every thread.
const STOP_MAX: Duration = Duration::from_secs(10);

/// The unit of times in `/proc/PID/stat`: Linux shows 100 to programs, whatever it uses itself (proc(5), time(7)).
const TICKS_PER_SECOND: u32 = 100;

/// A running program and what it has said so far. Ends (SIGKILL, with its process group) when dropped.
pub struct Process {
    name: String,
    child: Child,
    output: Arc<Output>,
    /// Set once the process was waited for: its id may belong to somebody else from then on.
    ended: Option<ExitStatus>,
}

#[derive(Default)]
struct Output {
    said: Mutex<Said>,
    /// Told about each line, and about the end of a pipe.
    more: Condvar,
}

#[derive(Default)]
struct Said {
    lines: Vec<String>,
    open_pipes: usize,
}

impl Output {
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the last words of a process that has ended, which may still be in the pipe. Bounded, since a child of
    /// it may hold the pipe open.
    fn wait_for_end(&self) {
        let is_open = |said: &mut Said| said.open_pipes > 0;
        drop(
            self.more
                .wait_timeout_while(self.said(), LAST_WORDS_MAX, is_open),
        );
    }
}

impl Process {
    /// Starts it in a process group of its own. Standard output and standard error are collected.
    pub fn start(name: &str, command: &mut Command) -> anyhow::Result<Self> {
        let mut bound = bound::bound(command);
        bound.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self::spawn(name, bound)
    }

    /// Starts it as [`Process::start`] does, but lets it speak to nobody, so that what it costs is its own.
    pub fn start_silent(name: &str, command: &mut Command) -> anyhow::Result<Self> {
        let mut bound = bound::bound(command);
        bound.stdout(Stdio::null()).stderr(Stdio::null());
        Self::spawn(name, bound)
    }

    fn spawn(name: &str, mut command: Command) -> anyhow::Result<Self> {
        command.stdin(Stdio::null()).process_group(0);
        let shown = format!("{command:?}");
        let mut child =
            bound::spawn(command).with_context(|| format!("cannot start {name}: {shown}"))?;
        let output = Arc::new(Output::default());
        collect(child.stdout.take(), &output);
        collect(child.stderr.take(), &output);
        Ok(Self {
            name: name.to_owned(),
            child,
            output,
            ended: None,
        })
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it has said (its last 2,000 lines).
    pub fn said(&self) -> String {
        self.output.said().lines.join("\n")
    }

    /// Waits until a line of its output begins with `start`, and returns the rest of that line.
    pub fn wait_for_line(&mut self, start: &str, within: Duration) -> anyhow::Result<String> {
        let deadline = Instant::now() + within;
        loop {
            // Asked before its output is searched: what it said before its end counts.
            let ended = self.exited()?;
            if ended.is_some() {
                self.output.wait_for_end();
            }
            let said = self.output.said();
            if let Some(rest) = said.lines.iter().find_map(|line| line.strip_prefix(start)) {
                return Ok(rest.to_owned());
            }
            drop(self.output.more.wait_timeout(said, LINE_WAIT));
            self.still_awaited(start, ended, deadline)?;
        }
    }

    /// Waits until `ready` says yes. For servers that announce nothing; it is asked every 20 ms.
    pub fn wait_until(
        &mut self,
        what: &str,
        within: Duration,
        mut ready: impl FnMut() -> bool,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        while !ready() {
            let ended = self.exited()?;
            self.still_awaited(what, ended, deadline)?;
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// An error once it has ended, or the deadline has passed.
    fn still_awaited(
        &self,
        awaited: &str,
        ended: Option<ExitStatus>,
        deadline: Instant,
    ) -> anyhow::Result<()> {
        if let Some(status) = ended {
            self.output.wait_for_end();
            bail!(
                "{} ended ({status}) before `{awaited}`; it said:\n{}",
                self.name,
                self.said()
            );
        }
        if Instant::now() > deadline {
            bail!(
                "{} took too long for `{awaited}`; its threads:\n{}\nit said:\n{}",
                self.name,
                threads(self.id()),
                self.said()
            );
        }
        Ok(())
    }

    /// How it ended, if it has.
    pub fn exited(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait()?;
        }
        Ok(self.ended)
    }

    /// Waits for its end, and for what it said last.
    pub fn wait(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.exited()? {
                self.output.wait_for_end();
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("{} did not end; it said:\n{}", self.name, self.said());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// `kill -9`, at once, and waits until the kernel has taken it away.
    pub fn kill(&mut self) {
        if self.ended.is_none() {
            // It may have ended by itself: then there is nothing to kill.
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            self.ended = self.child.wait().ok();
        }
    }

    /// Sends SIGTERM, as a polite operator does.
    pub fn terminate(&mut self) -> anyhow::Result<()> {
        if self.exited()?.is_none() {
            kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        }
        Ok(())
    }

    /// Stops it where it is (SIGSTOP), as a host does that hangs, and waits until it stands still. Its connections stay.
    pub fn pause(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)?;
        let deadline = Instant::now() + STOP_MAX;
        while !all_threads_stopped(self.id())? {
            if Instant::now() > deadline {
                bail!("{} does not stand still", self.name);
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        if self.exited()?.is_some() {
            bail!("{} has ended; it said:\n{}", self.name, self.said());
        }
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// The most memory that it ever had resident (`VmHWM`), in bytes.
    pub fn memory_peak_bytes(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        peak_in(&status).with_context(|| format!("{} has no VmHWM", self.name))
    }

    /// Processor time that it has used so far, in user mode and in the kernel.
    pub fn cpu_time(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id()))?;
        let ticks = ticks_in(&stat).context("unreadable /proc/PID/stat")?;
        Ok(Duration::from_secs(ticks) / TICKS_PER_SECOND)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let lines = &self.output.said().lines;
            let last = lines.len().saturating_sub(LINES_SHOWN_MAX);
            eprintln!(
                "--- {} said last ---\n{}\n---",
                self.name,
                lines[last..].join("\n")
            );
        }
    }
}

fn collect(pipe: Option<impl std::io::Read + Send + 'static>, output: &Arc<Output>) {
    let Some(pipe) = pipe else { return };
    let output = Arc::clone(output);
    output.said().open_pipes += 1;
    // Ends with the pipe, which ends with the process group.
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            let mut said = output.said();
            if said.lines.len() >= LINES_MAX {
                said.lines.remove(0);
            }
            let line = String::from_utf8_lossy(&line);
            said.lines.push(line.trim_end().to_owned());
            drop(said);
            output.more.notify_all();
        }
        output.said().open_pipes -= 1;
        output.more.notify_all();
    });
}

/// What each thread of a process does, as the kernel sees it: its name, its state, and where it waits.
fn threads(id: u32) -> String {
    let tasks = std::fs::read_dir(format!("/proc/{id}/task"));
    let told = tasks.into_iter().flatten().flatten().map(|task| {
        let read = |name| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let state = read("stat");
        let state = state.rsplit_once(") ").map_or("?", |(_, rest)| &rest[..1]);
        format!("{} {state} {}", read("comm").trim_end(), read("wchan"))
    });
    told.collect::<Vec<_>>().join("\n")
}

fn all_threads_stopped(id: u32) -> anyhow::Result<bool> {
    for thread in std::fs::read_dir(format!("/proc/{id}/task"))? {
        let stat = std::fs::read_to_string(thread?.path().join("stat"));
        // A thread that has ended meanwhile runs no more.
        if stat.is_ok_and(|stat| !stat.contains(") T ")) {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(crate) fn peak_in(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(
        line.trim()
            .strip_suffix(" kB")?
            .trim()
            .parse::<u64>()
            .ok()?
            * 1024,
    )
}

/// User and system ticks: the 14th and 15th fields, counted from behind the name, which may hold anything.
fn ticks_in(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Process {
        Process::start("shell", Command::new("sh").args(["-c", script])).unwrap()
    }

    #[test]
    fn line_is_awaited_and_its_rest_returned() {
        let mut process = shell("echo other; echo listening on here; sleep 60");
        assert_eq!(
            process.wait_for_line("listening on ", SOON).unwrap(),
            "here"
        );
        assert!(process.memory_peak_bytes().unwrap() > 0);
        assert!(process.cpu_time().is_ok());
    }

    #[test]
    fn early_end_tells_what_was_said() {
        let error = shell("echo why >&2; exit 3")
            .wait_for_line("listening", SOON)
            .unwrap_err()
            .to_string();
        assert!(error.contains("why") && error.contains('3'), "{error}");
    }

    #[test]
    fn kill_ends_the_children_too() {
        let mut process = shell("sleep 600 & echo $!; wait");
        let child: u32 = process.wait_for_line("", SOON).unwrap().parse().unwrap();
        process.kill();
        assert!(process.exited().unwrap().is_some());
        // The orphan is killed with the group; whoever adopts it reaps it.
        let gone = || {
            !std::fs::read_to_string(format!("/proc/{child}/stat"))
                .is_ok_and(|stat| !stat.contains(") Z"))
        };
        let deadline = Instant::now() + SOON;
        while !gone() {
            assert!(Instant::now() < deadline, "{child} is still alive");
            std::thread::yield_now();
        }
    }

    #[test]
    fn paused_process_says_nothing_until_it_is_resumed() {
        let mut process = shell("echo ready; while :; do echo on; sleep 0.01; done");
        process.wait_for_line("ready", SOON).unwrap();
        process.pause().unwrap();
        assert!(all_threads_stopped(process.id()).unwrap());
        let deadline = Instant::now() + SOON;
        let said = process.said().lines().count();
        process.resume().unwrap();
        // What was in the pipe when it was paused may come late; it is a few lines.
        while process.said().lines().count() < said + 20 {
            assert!(Instant::now() < deadline, "it does not go on");
            std::thread::yield_now();
        }
        process.kill();
        assert!(process.pause().is_err());
    }

    #[test]
    fn proc_files_are_read() {
        assert_eq!(
            peak_in("VmPeak:\t 1 kB\nVmHWM:\t    2048 kB\n"),
            Some(2048 * 1024)
        );
        assert_eq!(
            ticks_in("7 (a b) c) S 1 2 3 4 5 6 7 8 9 10 30 12 0 0 20"),
            Some(42)
        );
    }
}
