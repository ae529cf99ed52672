//! Starting a program that the kernel ends when the test program dies, however it dies: a test program that is killed at
//! its deadline drops nothing, and its servers would run on for ever.
//!
//! The kernel's rule (prctl(2), `PR_SET_PDEATHSIG`) speaks of the *thread* that started the program. A server must
//! outlive the thread of the test's runtime that happened to start it, so one thread, which never ends, starts them all.

use std::io;
use std::process::{Child, Command};
use std::sync::LazyLock;
use std::sync::mpsc::{Sender, channel};

use crate::tools;

/// A parent that died before the kernel was told to watch it is found out by its absence. `$0` is its id.
const STILL_BOUND: &str = "[ \"$PPID\" = \"$0\" ] && exec \"$@\"";

type Job = (Command, Sender<io::Result<Child>>);

static STARTER: LazyLock<Sender<Job>> = LazyLock::new(|| {
    let (jobs, orders) = channel::<Job>();
    std::thread::spawn(move || {
        for (mut command, answer) in orders {
            // Whoever asked waits for the answer.
            let _ = answer.send(command.spawn());
        }
    });
    jobs
});

/// The command, run by `setpriv` and a shell, which become the program itself: their process id is the server's. Takes over the
/// program, its arguments, changes of the environment and the folder; streams and groups are to be set on the result.
/// Where there is no `setpriv` it is the plain command.
pub fn bound(command: &Command) -> Command {
    let mut bound = match tools::find("setpriv") {
        Ok(setpriv) => {
            let mut bound = Command::new(setpriv);
            bound.args(["--pdeathsig", "KILL", "--", "sh", "-c", STILL_BOUND]);
            bound.arg(std::process::id().to_string());
            bound.arg(command.get_program());
            bound
        }
        Err(_) => Command::new(command.get_program()),
    };
    bound.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bound.env(name, value),
            None => bound.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        bound.current_dir(folder);
    }
    bound
}

/// Starts it from the thread that never ends.
pub fn spawn(command: Command) -> io::Result<Child> {
    let (answer, child) = channel();
    let gone = || io::Error::other("the thread that starts servers has ended");
    STARTER.send((command, answer)).map_err(|_| gone())?;
    child.recv().map_err(|_| gone())?
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use crate::Process;

    const SOON: Duration = Duration::from_secs(20);

    /// Set in the test program that is to be killed.
    const VICTIM: &str = "HARNESS_TEST_VICTIM";

    fn runs(id: &str) -> bool {
        std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z"))
    }

    #[test]
    fn servers_end_with_a_killed_test_program() {
        if std::env::var_os(VICTIM).is_some() {
            let server = Process::start("server", Command::new("sleep").arg("600")).unwrap();
            println!("\nstarted {}", server.id());
            std::thread::sleep(Duration::from_secs(600));
        }
        let mut test = Command::new(std::env::current_exe().unwrap());
        test.args([
            "--exact",
            "bound::tests::servers_end_with_a_killed_test_program",
            "--nocapture",
        ]);
        let mut test = Process::start("test program", test.env(VICTIM, "1")).unwrap();
        let server = test.wait_for_line("started ", SOON).unwrap();
        assert!(runs(&server));
        // Its group, as `cargo xtask test` does; the server has a group of its own.
        test.kill();
        let deadline = Instant::now() + SOON;
        while runs(&server) {
            assert!(Instant::now() < deadline, "{server} is still alive");
            std::thread::yield_now();
        }
    }

    #[test]
    fn server_outlives_the_thread_that_asked_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let sign = folder.path().join("sign");
        let script = format!(
            "while [ ! -e {} ]; do sleep 0.01; done; echo lived",
            sign.display()
        );
        let start = || Process::start("shell", Command::new("sh").args(["-c", &script]));
        let mut process = std::thread::scope(|scope| scope.spawn(start).join())
            .unwrap()
            .unwrap();
        std::fs::write(sign, "").unwrap();
        process.wait_for_line("lived", SOON).unwrap();
    }

    #[test]
    fn environment_and_folder_are_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo \"$KEPT$HOME in $PWD\""]);
        command.env("KEPT", "kept").env_remove("HOME");
        let mut process = Process::start("shell", command.current_dir(&folder)).unwrap();
        let place = process.wait_for_line("kept in ", SOON).unwrap();
        assert_eq!(
            place,
            folder.path().canonicalize().unwrap().to_string_lossy()
        );
    }
}
