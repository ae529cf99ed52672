//! Repository names.
//!
//! A [`RepositoryName`] cannot hold `..`, control characters, upper case or anything else outside the grammar, and is
//! at most 255 bytes long. It still never becomes part of a path or an object key.
//!
//! Spec: distribution-spec 1.1, "Pulling manifests".

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The name of a repository: `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*`.
/// Ordered by bytes, as the catalog is. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryName(Arc<str>);

/// Why a text is no repository name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing at all.
    #[error("the repository name is empty")]
    Empty,
    /// More than [`RepositoryName::BYTES_MAX`] bytes.
    #[error("the repository name is longer than 255 characters")]
    TooLong,
    /// Outside the grammar.
    #[error(
        "the repository name is invalid: parts between slashes are lower-case letters and digits, separated by one \
         '.', one or two '_', or any number of '-'"
    )]
    Malformed,
}

impl RepositoryName {
    /// The most bytes of a name. Many clients limit host and name together to as many.
    pub const BYTES_MAX: usize = 255;

    /// The project of names that have one part only.
    pub const DEFAULT_PROJECT: &'static str = "library";

    /// Reads a name.
    pub fn parse(text: &str) -> Result<RepositoryName, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > Self::BYTES_MAX {
            return Err(NameError::TooLong);
        }
        if !text.split('/').all(is_path_component) {
            return Err(NameError::Malformed);
        }
        Ok(RepositoryName(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The project that the repository belongs to: the first part, or `library` for a name of one part.
    pub fn project(&self) -> &str {
        self.0
            .split_once('/')
            .map_or(Self::DEFAULT_PROJECT, |(first, _)| first)
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`.
pub(crate) fn is_path_component(part: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = part.as_bytes();
    let ends_are_words =
        bytes.first().is_some_and(|b| is_word(*b)) && bytes.last().is_some_and(|b| is_word(*b));
    ends_are_words
        && bytes.split(|b| is_word(*b)).all(|separator| {
            matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-')
        })
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RepositoryName({})", self.0)
    }
}

impl AsRef<str> for RepositoryName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for RepositoryName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for RepositoryName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        RepositoryName::parse(text)
    }
}

impl TryFrom<String> for RepositoryName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        RepositoryName::parse(&text)
    }
}

impl From<RepositoryName> for String {
    fn from(name: RepositoryName) -> String {
        name.as_str().to_owned()
    }
}
