//! Why the program ends without having done its work, in lines for the person who started it.
//!
//! Each line names what is wrong and what would mend it. None holds a secret.

use crate::config::Problems;

/// Lines for standard error, and the exit code.
#[derive(Debug)]
pub struct Failure {
    /// Whole sentences, without the program's name.
    pub lines: Vec<String>,
    /// 1 when the work failed, 2 when the command line or the configuration is wrong.
    pub exit_code: u8,
}

impl Failure {
    /// The work failed.
    pub fn new(line: impl Into<String>) -> Failure {
        Failure {
            lines: vec![line.into()],
            exit_code: 1,
        }
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Failure {
        Failure {
            lines: problems.0,
            exit_code: 2,
        }
    }
}
