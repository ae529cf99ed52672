//! Starting other programs: one place that says how a command that fails is reported.
//!
//! It must never hide what a program said: its output goes through, or comes back with the error.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// A command line that reads like one: `command("go", ["version"])`.
pub fn command<S: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = S>,
) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    command
}

/// The command as a person would type it, for messages.
pub fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs to the end with its output on the terminal; an exit other than 0 is an error that names the command.
pub fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", shown(command));
    }
    Ok(())
}

/// Runs to the end and returns what it printed on standard output; a failure carries its standard error.
pub fn output_of(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !output.status.success() {
        bail!(
            "`{}` failed: {}\n{}",
            shown(command),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_names_the_command_and_what_it_said() {
        let error = output_of(&mut command("sh", ["-c", "echo why >&2; exit 3"]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("sh -c"), "{error}");
        assert!(error.contains("why"), "{error}");
    }

    #[test]
    fn absent_program_is_named() {
        let error = succeed(&mut command("no-such-program-here", ["-x"]))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("cannot start `no-such-program-here -x`"),
            "{error}"
        );
    }
}
