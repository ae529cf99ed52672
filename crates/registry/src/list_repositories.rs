//! Lists the catalog, for those who manage a registry: no pull needs it, so it is never stale. Reads only: nothing to be
//! harmed by a crash.
//!
//! Spec: distribution-spec 1.1, "Listing repositories" (an extension that clients use as `_catalog`).

use metadata::{Answer, Page, Query};
use oci::RepositoryName;

use crate::{Caller, Error, Registry};

/// A page of an ordered list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// In order.
    pub items: Vec<T>,
    /// Whether there are more after the last.
    pub more: bool,
}

impl Registry {
    /// The names of repositories, in order. May be repeated, and dropped at any time.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the log does not answer before the caller's deadline.
    pub async fn repositories(
        &self,
        caller: &Caller,
        page: Page<RepositoryName>,
    ) -> Result<Listed<RepositoryName>, Error> {
        match self.read(caller, Query::Repositories(page)).await? {
            Answer::Repositories { repositories, more } => {
                let items = repositories.into_iter().map(|view| view.name).collect();
                Ok(Listed { items, more })
            }
            other => Err(Error::unexpected_answer(&other)),
        }
    }
}
