//! What a person types: passwords, and yes or no. A password is never an argument, which others on the machine could see.

use std::io::{self, IsTerminal as _, Read as _, Write as _};

use management::{Grant, Right, Time};
use metadata::LogTime;

use crate::failure::Failure;

/// The most bytes of a password that is read.
const PASSWORD_BYTES_MAX: u64 = 4 * 1024;

/// A password, from standard input up to its end, or typed.
///
/// # Errors
/// When there is none, or nobody to type it.
pub fn password(from_stdin: bool, prompt: &str) -> Result<String, Failure> {
    let failed = |error: io::Error| Failure::new(format!("no password could be read: {error}"));
    let password = if from_stdin {
        let mut text = String::new();
        let mut stdin = io::stdin().lock().take(PASSWORD_BYTES_MAX);
        stdin.read_to_string(&mut text).map_err(failed)?;
        let end = text.trim_end_matches(['\r', '\n']).len();
        text.truncate(end);
        text
    } else if io::stdin().is_terminal() {
        rpassword::prompt_password(prompt).map_err(failed)?
    } else {
        let line = "standard input is no terminal: give the password there with --password-stdin";
        return Err(Failure::new(line));
    };
    match password.is_empty() {
        true => Err(Failure::new("the password is empty")),
        false => Ok(password),
    }
}

/// A new password; who types it types it twice.
///
/// # Errors
/// As for [`password`].
pub fn new_password(from_stdin: bool) -> Result<String, Failure> {
    let first = password(from_stdin, "New password: ")?;
    if from_stdin || password(false, "Again: ")? == first {
        return Ok(first);
    }
    Err(Failure::new("the two are not the same"))
}

/// Whether a person at a terminal says yes.
///
/// # Errors
/// When there is nobody to say so.
pub fn is_sure(question: &str) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::new("standard input is no terminal: say --yes"));
    }
    let failed = |error: io::Error| Failure::new(format!("no answer could be read: {error}"));
    let mut stderr = io::stderr().lock();
    write!(stderr, "{question} [y/N] ")
        .and_then(|()| stderr.flush())
        .map_err(failed)?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(failed)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Reads `PATTERN:RIGHT,RIGHT`.
pub fn grant(text: &str) -> Result<Grant, String> {
    let bad = || format!("`{text}` is not like `team/*:pull,push`");
    let (repositories, rights) = text.rsplit_once(':').ok_or_else(bad)?;
    let right = |name: &str| match name {
        "pull" => Ok(Right::Pull),
        "push" => Ok(Right::Push),
        "delete" => Ok(Right::Delete),
        _ => Err(format!(
            "`{name}` is not one of `pull`, `push` and `delete`"
        )),
    };
    Ok(Grant {
        repositories: repositories.to_owned(),
        rights: rights.split(',').map(right).collect::<Result<_, _>>()?,
    })
}

/// When something ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End(pub Option<Time>);

/// Reads when something ends: a time by RFC 3339, a span such as `90d` from now on, or `never`.
pub fn end(text: &str) -> Result<End, String> {
    if text == "never" {
        return Ok(End(None));
    }
    if let Ok(time) = Time::parse(text) {
        return Ok(End(Some(time)));
    }
    let bad = || {
        format!("`{text}` is no time like 2030-01-31T12:00:00Z, no span like 90d, and not `never`")
    };
    let span = humantime::parse_duration(text).map_err(|_| bad())?;
    let at = std::time::SystemTime::now().checked_add(span);
    let at = at.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    let ms = at.and_then(|at| u64::try_from(at.as_millis()).ok());
    Ok(End(Some(Time(LogTime(ms.ok_or_else(bad)?)))))
}

/// Reads a time.
pub fn time(text: &str) -> Result<Time, String> {
    Time::parse(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_read_as_people_write_them() {
        let read = grant("team/*:pull,push").unwrap();
        assert_eq!(read.repositories, "team/*");
        assert_eq!(read.rights, [Right::Pull, Right::Push]);
        for bad in ["", "team/*", "team/*:", "team/*:own", "team/*:pull,,push"] {
            assert!(grant(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ends_are_times_spans_and_never() {
        assert_eq!(end("never"), Ok(End(None)));
        let time = Time::parse("2030-01-31T12:00:00Z").unwrap();
        assert_eq!(end("2030-01-31T12:00:00Z"), Ok(End(Some(time))));
        assert!(end("90d").unwrap().0 > end("1d").unwrap().0);
        assert!(end("soon").is_err() && end("2030-01-31").is_err());
    }
}
