//! What `holdfast up` prints where there is no terminal: a line per process that is ready, ends, or is started again.

use std::io::{self, BufRead};
use std::net::SocketAddr;

use serde::Serialize;
use tokio::sync::mpsc;

use super::screen::Wish;
use super::state::{Event, Happened};
use crate::failure::Failure;

/// How many lines of standard input may wait.
const WISHES_MAX: usize = 16;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For programs.
    Json,
    /// For people.
    Words,
}

#[derive(Serialize)]
struct Line<'a> {
    event: &'static str,
    name: &'a str,
    role: &'static str,
    pid: u32,
    address: SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    how: Option<&'a str>,
}

#[derive(Serialize)]
struct Admin<'a> {
    event: &'static str,
    user: &'static str,
    password: &'a str,
}

#[derive(Serialize)]
struct Refused<'a> {
    event: &'static str,
    message: &'a str,
}

impl Form {
    /// The line about a node.
    pub fn event(self, event: &Event) -> String {
        let (word, how) = match &event.what {
            Happened::Started => ("started", None),
            Happened::Ready => ("ready", None),
            Happened::Ended(how) => ("ended", Some(how.as_str())),
        };
        match self {
            Form::Json => json(&Line {
                event: word,
                name: &event.name,
                role: event.role.name(),
                pid: event.pid,
                address: event.address,
                how,
            }),
            Form::Words => words(event),
        }
    }

    /// The line about the balancer, which is this process.
    pub fn balancer(self, address: SocketAddr) -> String {
        let pid = std::process::id();
        match self {
            Form::Json => json(&Line {
                event: "ready",
                name: "balancer",
                role: "balancer",
                pid,
                address,
                how: None,
            }),
            Form::Words => {
                format!("the balancer is ready: listening on http://{address}, process {pid}")
            }
        }
    }

    /// The line about the administrator.
    pub fn admin(self, password: &str) -> String {
        match self {
            Form::Json => json(&Admin {
                event: "admin",
                user: "admin",
                password,
            }),
            Form::Words => format!("the password of admin, shown this once: {password}"),
        }
    }

    /// The line about a wish that cannot be granted.
    pub fn refused(self, failure: &Failure) -> String {
        let message = failure.lines.join("\n");
        match self {
            Form::Json => json(&Refused {
                event: "refused",
                message: &message,
            }),
            Form::Words => message,
        }
    }
}

/// What has happened, as people say it.
pub fn words(event: &Event) -> String {
    let Event {
        what,
        name,
        role,
        pid,
        address,
    } = event;
    match what {
        Happened::Started => format!("{name} is started again: process {pid}, {address}"),
        Happened::Ready => format!("{name} is ready: {}, process {pid}, {address}", role.name()),
        Happened::Ended(how) => format!("{name} has ended: process {pid}, {how}"),
    }
}

fn json(line: &impl Serialize) -> String {
    serde_json::to_string(line).expect("names and addresses are JSON")
}

/// What is wished for on standard input: `start NAME`, `kill NAME`. Its end ends nothing.
pub fn wishes() -> mpsc::Receiver<Wish> {
    let (wish, wishes) = mpsc::channel(WISHES_MAX);
    // Reading cannot be called off; the thread ends with its input or with the process.
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            let parsed = parse(&line);
            if parsed.is_some_and(|parsed| wish.blocking_send(parsed).is_err()) {
                return;
            }
        }
    });
    wishes
}

fn parse(line: &str) -> Option<Wish> {
    let mut words = line.split_whitespace();
    let wish = match (words.next()?, words.next(), words.next()) {
        ("start", Some(name), None) => Wish::Start(name.to_owned()),
        ("kill", Some(name), None) => Wish::Kill(name.to_owned()),
        _ => Wish::Unknown(line.trim().to_owned()),
    };
    Some(wish)
}

#[cfg(test)]
mod tests {
    use super::super::plan::Role;
    use super::*;

    fn event(what: Happened) -> Event {
        Event {
            what,
            name: "member-1".to_owned(),
            role: Role::Member,
            pid: 7,
            address: ([127, 0, 0, 1], 4000).into(),
        }
    }

    #[test]
    fn programs_get_one_object_per_line() {
        let line = |what| Form::Json.event(&event(what));
        assert_eq!(
            line(Happened::Ready),
            r#"{"event":"ready","name":"member-1","role":"member","pid":7,"address":"127.0.0.1:4000"}"#
        );
        assert_eq!(
            line(Happened::Ended("killed by signal 9".to_owned())),
            r#"{"event":"ended","name":"member-1","role":"member","pid":7,"address":"127.0.0.1:4000","how":"killed by signal 9"}"#
        );
        assert_eq!(
            Form::Json.admin("abc"),
            r#"{"event":"admin","user":"admin","password":"abc"}"#
        );
        let failure = Failure {
            lines: vec!["one".to_owned(), "two".to_owned()],
            exit_code: 1,
        };
        assert_eq!(
            Form::Json.refused(&failure),
            r#"{"event":"refused","message":"one\ntwo"}"#
        );
    }

    #[test]
    fn people_get_sentences() {
        let line = |what| Form::Words.event(&event(what));
        assert_eq!(
            line(Happened::Ready),
            "member-1 is ready: member, process 7, 127.0.0.1:4000"
        );
        assert_eq!(
            line(Happened::Started),
            "member-1 is started again: process 7, 127.0.0.1:4000"
        );
    }

    #[test]
    fn wishes_are_read() {
        assert_eq!(
            parse(" start member-2 "),
            Some(Wish::Start("member-2".into()))
        );
        assert_eq!(parse("kill member-2"), Some(Wish::Kill("member-2".into())));
        assert_eq!(parse("stop it"), Some(Wish::Unknown("stop it".into())));
        assert_eq!(parse("start a b"), Some(Wish::Unknown("start a b".into())));
        assert_eq!(parse("  "), None);
    }
}
