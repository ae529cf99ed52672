//! Why bytes were not understood.

use metadata::FORMAT_MAX;

/// The bytes are not what they should be, or a newer build wrote them. A member that meets this in its log stops.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot decode {what}: {problem}")]
pub struct DecodeError {
    what: &'static str,
    problem: String,
}

impl DecodeError {
    pub(crate) fn new(what: &'static str, problem: impl Into<String>) -> DecodeError {
        DecodeError {
            what,
            problem: problem.into(),
        }
    }

    pub(crate) fn missing(what: &'static str) -> DecodeError {
        DecodeError::new(
            what,
            "it is missing, or of a kind that this build does not know",
        )
    }
}

/// Refuses what has a format of the log that this build does not know.
pub(crate) fn known_format(format: u32, what: &'static str) -> Result<(), DecodeError> {
    if format <= FORMAT_MAX {
        return Ok(());
    }
    let problem = format!(
        "it has format {format} and this build knows formats up to {FORMAT_MAX}; a newer Holdfast wrote it"
    );
    Err(DecodeError::new(what, problem))
}

/// The value of a field that must be there.
pub(crate) fn required<T>(value: Option<T>, what: &'static str) -> Result<T, DecodeError> {
    value.ok_or_else(|| DecodeError::missing(what))
}
