//! The live table on a terminal, with keys.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use harness::bound;
use up::PATIENCE;

/// What a terminal is told when a program takes it over, and when it gives it back.
const TAKEN: &str = "\u{1b}[?1049h";
const GIVEN_BACK: &str = "\u{1b}[?1049l";

/// `holdfast up` on a terminal of its own.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    shown: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    /// `script` (of Debian's `bsdutils`, which is always there) makes the terminal.
    fn start(data: &Path, arguments: &[&str]) -> anyhow::Result<Terminal> {
        let command = up::command(data, arguments)?;
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let line: Vec<String> = words
            .map(|word| format!("'{}'", word.to_string_lossy()))
            .collect();
        let line = format!("stty rows 30 cols 120 && exec {}", line.join(" "));
        let mut script = Command::new(harness::tools::find("script")?);
        script
            .args([
                "--quiet",
                "--return",
                "--flush",
                "--command",
                &line,
                "/dev/null",
            ])
            .env("TERM", "xterm-256color");
        let mut bound = bound::bound(&script);
        bound.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = bound::spawn(bound)?;
        let keys = child.stdin.take().context("it was asked for")?;
        let mut output = child.stdout.take().context("it was asked for")?;
        let shown = Arc::new(Mutex::new(String::new()));
        let show = Arc::clone(&shown);
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
                show.lock().expect("nobody panics with it").push_str(&text);
            }
        });
        Ok(Terminal {
            child,
            keys,
            shown,
            reader: Some(reader),
        })
    }

    fn shown(&self) -> String {
        self.shown.lock().expect("nobody panics with it").clone()
    }

    fn wait_for(&self, text: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !words(&self.shown()).contains(&words(text)) {
            if Instant::now() > deadline {
                bail!("`{text}` was not shown:\n{:?}", self.shown());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Waits for its end, and returns all that it has shown.
    fn wait(&mut self) -> anyhow::Result<(ExitStatus, String)> {
        let status = self.child.wait()?;
        if let Some(reader) = self.reader.take() {
            reader.join().expect("it only reads");
        }
        Ok((status, self.shown()))
    }

    fn press(&mut self, key: &str) -> anyhow::Result<()> {
        self.keys.write_all(key.as_bytes())?;
        self.keys.flush()?;
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The words alone: where the cursor went meanwhile stands for a space, since blanks are passed over.
fn words(shown: &str) -> String {
    let mut text = String::new();
    for (number, part) in shown.split("\u{1b}[").enumerate() {
        let end = |part: &str| part.find(|c: char| c.is_ascii_alphabetic());
        let sequence = if number == 0 { None } else { end(part) };
        text.push(' ');
        text.push_str(sequence.map_or(part, |end| &part[end + 1..]));
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn keys_kill_and_start_and_the_terminal_is_given_back() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut terminal = Terminal::start(folder.path(), &["--nodes", "1"])?;
    terminal.wait_for("all are ready: docker tag IMAGE localhost:")?;
    terminal.press("k")?;
    terminal.wait_for("killed by signal 9")?;
    terminal.press("s")?;
    terminal.wait_for("member-1 is started again")?;
    terminal.press("q")?;
    let (status, shown) = terminal.wait()?;
    assert!(status.success(), "{status}: {shown}");
    assert!(shown.contains(TAKEN), "{shown:?}");
    assert!(shown.contains(GIVEN_BACK), "{shown:?}");
    Ok(())
}

#[test]
fn terminal_is_given_back_before_a_failure_is_told() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let node = folder.path().join("member-1");
    std::fs::create_dir_all(&node)?;
    std::fs::write(node.join("metadata"), "not a folder")?;
    let mut terminal = Terminal::start(folder.path(), &["--nodes", "1"])?;
    terminal.wait_for("member-1 could not be started")?;
    let (status, shown) = terminal.wait()?;
    assert_eq!(status.code(), Some(1), "{shown}");
    let back = shown.find(GIVEN_BACK).context("it was taken")?;
    assert!(shown.find("could not be started") > Some(back), "{shown}");
    Ok(())
}
