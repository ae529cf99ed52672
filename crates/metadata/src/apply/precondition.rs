//! Compare-and-swap: what must hold before a tag is moved or removed.
//!
//! Spec: RFC 9110, sections 13.1.1 and 13.1.2.

use oci::{Digest, Tag};

use crate::command::Precondition;
use crate::reply::Refusal;

/// Refuses unless `precondition` holds for a reference that points at `current`.
pub(super) fn check(
    precondition: Option<&Precondition>,
    tag: Option<&Tag>,
    current: Option<Digest>,
) -> Result<(), Refusal> {
    let holds = match precondition {
        None => true,
        Some(_) if mutants::active!("ignore_the_precondition") => true,
        Some(Precondition::Matches(digests)) => {
            current.is_some_and(|current| digests.contains(&current))
        }
        Some(Precondition::Exists) => current.is_some(),
        Some(Precondition::Absent) => current.is_none(),
        Some(Precondition::MatchesNone(digests)) => {
            !current.is_some_and(|current| digests.contains(&current))
        }
    };
    if holds {
        return Ok(());
    }
    Err(Refusal::PreconditionFailed {
        tag: tag.cloned(),
        current,
    })
}
