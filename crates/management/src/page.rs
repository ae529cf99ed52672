//! Lists come in pages: at most `n` entries after the one that `after` names.

use metadata::Page;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::problem::Problem;

/// How many entries come when nobody says how many.
const DEFAULT: usize = 100;
/// The most entries of one page.
pub(crate) const MOST: usize = 1_000;

/// Which part of a list is wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Paging {
    /// How many entries at most; 100 when not given, never more than 1,000.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    n: Option<usize>,
    /// Only what comes after this entry: `next` of the page before.
    after: Option<String>,
}

impl Paging {
    pub(crate) fn limit(n: Option<usize>) -> usize {
        n.unwrap_or(DEFAULT).clamp(1, MOST)
    }

    /// As the log is asked.
    pub(crate) fn page<T, E: std::fmt::Display>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Page<T>, Problem> {
        let after = self.after.as_deref().map(parse).transpose();
        let after = after.map_err(|error| Problem::invalid(format!("`after`: {error}")))?;
        Ok(Page {
            after,
            limit: Self::limit(self.n),
        })
    }
}
