//! `holdfast storage move`: has the running node move its blobs, and shows how far it is.
//!
//! The node does the work, whether or not anybody watches: this only orders it, asks again and again, and prints.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use clap::Args;

use crate::cluster_command::Asked;
use crate::control::{self, Order};
use crate::failure::Failure;
use crate::s3_place::S3Place;
use crate::serve::MoveState;

/// Between two questions.
const ASK_EVERY: Duration = Duration::from_millis(300);
/// Where nobody looks at a bar, a line is printed so often.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// How long the bar is.
const BAR_CELLS: u64 = 30;

/// What is moved where.
#[derive(Debug, Args)]
pub struct MoveArguments {
    /// Where to: s3://BUCKET/PREFIX or http://HOST:PORT/BUCKET/PREFIX
    ///
    /// Where to: s3://BUCKET/PREFIX for AWS, http://HOST:PORT/BUCKET/PREFIX or https://… for another service, with
    /// ?region=REGION where it is needed. Credentials and everything else about S3 are those of the running node's settings
    /// (storage.s3.…) and its environment.
    #[arg(long, value_name = "URL", required_unless_present = "cancel")]
    pub to: Option<S3Place>,
    /// Gives up a move that waits for a node that cannot use the new store; nothing is there yet
    #[arg(long, conflicts_with_all = ["to", "end_idle_uploads"])]
    pub cancel: bool,
    /// Ends uploads with parts in the old store to which nobody has written for so long: parts cannot be moved
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
    pub end_idle_uploads: Duration,
    #[command(flatten)]
    asked: Asked,
}

/// Orders the move, or finds it under way, and watches it to its end.
///
/// # Errors
/// What the node says; the move goes on, if it was begun.
pub fn run(arguments: &MoveArguments) -> Result<(), Failure> {
    let data = crate::load(&arguments.asked.config)?.settings.server.data;
    let Some(to) = &arguments.to else {
        control::ask(&data, &Order::CancelMove)?;
        return crate::print("The move was given up: all blobs are where they were.\n");
    };
    let order = Order::MoveBlobs {
        to: to.address(),
        idle_seconds: arguments.end_idle_uploads.as_secs(),
    };
    let mut state = read(control::ask(&data, &order)?)?;
    let mut shown = Shown::new(arguments.asked.json);
    while !state.switched {
        shown.show(&state);
        std::thread::sleep(ASK_EVERY);
        state = read(control::ask(&data, &Order::MoveStatus)?)?;
    }
    shown.end(&state);
    if arguments.asked.json {
        let text =
            serde_json::to_string(&state).map_err(|error| Failure::new(error.to_string()))?;
        return crate::print(&format!("{text}\n"));
    }
    crate::print(&moved(&state))
}

fn read(answer: serde_json::Value) -> Result<MoveState, Failure> {
    serde_json::from_value(answer).map_err(|_| Failure::new("the move was given up"))
}

/// What is left to do for the operator.
fn moved(state: &MoveState) -> String {
    let settings = state.settings.iter();
    let settings: String = settings
        .map(|(name, value)| format!("  {name} = \"{value}\"\n"))
        .collect();
    let (old, whose) = match state.nodes {
        0 | 1 => (
            "Once the node was restarted",
            "its settings before its next start",
        ),
        _ => (
            "Once all nodes were restarted",
            "the settings of every node",
        ),
    };
    let left = match (state.from.as_str(), state.from.strip_prefix("folder ")) {
        ("", _) => String::new(),
        (_, Some(folder)) => format!(
            "\nWhat was in {} is left as it was. {old} with the new settings, and you are sure:\n  rm -r '{folder}'\n",
            state.from
        ),
        (_, None) => format!(
            "\nWhat was in {} is left as it was. {old} with the new settings, and you are sure, remove it with the tools of that store.\n",
            state.from
        ),
    };
    format!(
        "All blobs are in {} now, and nothing else is used.\n\n\
         Change {whose}. With the old ones a node only starts while it can reach the new store by itself:\n{settings}{left}",
        state.to
    )
}

/// What was shown, on standard error: a bar where somebody looks, else a line now and then.
struct Shown {
    is_terminal: bool,
    is_quiet: bool,
    last_line: Option<Instant>,
    trouble: Option<String>,
    waited_for: Vec<String>,
}

impl Shown {
    fn new(is_quiet: bool) -> Shown {
        Shown {
            is_terminal: std::io::stderr().is_terminal(),
            is_quiet,
            last_line: None,
            trouble: None,
            waited_for: Vec::new(),
        }
    }

    fn show(&mut self, state: &MoveState) {
        if self.is_quiet {
            return;
        }
        let mut stderr = std::io::stderr().lock();
        // There is nobody left to tell when standard error is gone.
        if state.trouble != self.trouble {
            self.trouble.clone_from(&state.trouble);
            if let Some(trouble) = &state.trouble {
                let clear = if self.is_terminal { "\r\u{1b}[K" } else { "" };
                let _ = writeln!(stderr, "{clear}holdfast: it is tried again: {trouble}");
            }
        }
        // A step of a move takes a moment; who says why it does not take it is named at once.
        let complaining = state.nodes_waited_for.iter();
        let complaining: Vec<String> = complaining
            .filter(|node| !node.ends_with(": has not answered yet"))
            .cloned()
            .collect();
        if complaining != self.waited_for {
            for node in &complaining {
                let clear = if self.is_terminal { "\r\u{1b}[K" } else { "" };
                let _ = writeln!(stderr, "{clear}holdfast: waiting for {node}");
            }
            self.waited_for = complaining;
        }
        if self.is_terminal {
            let _ = write!(stderr, "\r\u{1b}[K{}", line(state));
            let _ = stderr.flush();
        } else if self.last_line.is_none_or(|at| at.elapsed() >= LINE_EVERY) {
            self.last_line = Some(Instant::now());
            let _ = writeln!(stderr, "{}", line(state));
        }
    }

    fn end(&self, state: &MoveState) {
        if !self.is_quiet {
            let clear = if self.is_terminal { "\r\u{1b}[K" } else { "" };
            let _ = writeln!(std::io::stderr().lock(), "{clear}{}", line(state));
        }
    }
}

fn line(state: &MoveState) -> String {
    let (done, total) = (state.bytes_done, state.bytes_total);
    let share = |of: u64| {
        let share = u128::from(done) * u128::from(of) / u128::from(total.max(1));
        // Nothing to move is all moved, once it is known.
        u64::try_from(share).unwrap_or(of).min(of)
    };
    let cells = if state.switched {
        BAR_CELLS
    } else {
        share(BAR_CELLS)
    };
    let percent = if state.switched { 100 } else { share(100) };
    let bar: String = (0..BAR_CELLS)
        .map(|cell| if cell < cells { '#' } else { '-' })
        .collect();
    let mut line = format!(
        "[{bar}] {percent:3} %  {} of {}, {} of {} objects",
        size(done),
        size(total),
        state.objects_done,
        state.objects_total
    );
    if state.uploads_waited_for > 0 {
        line.push_str(&format!(
            "; waits for {} open uploads",
            state.uploads_waited_for
        ));
    }
    if !state.nodes_waited_for.is_empty() {
        let nodes = state.nodes_waited_for.iter();
        let nodes: Vec<&str> = nodes.filter_map(|node| node.split(':').next()).collect();
        line.push_str(&format!("; waits for {}", nodes.join(", ")));
    }
    line
}

/// Three digits are enough to see it move.
fn size(bytes: u64) -> String {
    let units = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => {
            let tenths = u128::from(bytes) * 10 / u128::from(*unit);
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> MoveState {
        MoveState {
            from: "folder /data/blobs".to_owned(),
            to: "s3://images/a".to_owned(),
            settings: vec![
                ("storage.kind".to_owned(), "s3".to_owned()),
                ("storage.s3.bucket".to_owned(), "images".to_owned()),
            ],
            switched: false,
            objects_done: 2,
            objects_total: 7,
            bytes_done: 1_610_612_736,
            bytes_total: 3 << 30,
            ..MoveState::default()
        }
    }

    #[test]
    fn line_shows_how_far_it_is() {
        let bar = format!("[{}{}]", "#".repeat(15), "-".repeat(15));
        assert_eq!(
            line(&state()),
            format!("{bar}  50 %  1.5 GiB of 3.0 GiB, 2 of 7 objects")
        );
        let empty = MoveState {
            bytes_done: 0,
            bytes_total: 0,
            uploads_waited_for: 2,
            ..state()
        };
        assert!(
            line(&empty).contains("  0 %  0 B of 0 B"),
            "{}",
            line(&empty)
        );
        assert!(line(&empty).ends_with("; waits for 2 open uploads"));
        let behind = MoveState {
            nodes_waited_for: vec!["node 3 (c): no credentials".to_owned()],
            ..state()
        };
        assert!(line(&behind).ends_with("; waits for node 3 (c)"));
        let switched = MoveState {
            switched: true,
            ..empty
        };
        assert!(line(&switched).contains("] 100 %"));
    }

    #[test]
    fn end_says_what_is_left_to_do() {
        expect_test::expect![[r#"
            All blobs are in s3://images/a now, and nothing else is used.

            Change its settings before its next start. With the old ones a node only starts while it can reach the new store by itself:
              storage.kind = "s3"
              storage.s3.bucket = "images"

            What was in folder /data/blobs is left as it was. Once the node was restarted with the new settings, and you are sure:
              rm -r '/data/blobs'
        "#]]
        .assert_eq(&moved(&state()));
    }
}
