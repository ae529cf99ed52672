//! The catalog: the repositories that its asker may pull from, in the order of names.
//!
//! A project that is closed to the asker is passed over with one look-up, however many repositories it has.

use std::collections::HashMap;

use oci::{ProjectName, RepositoryName};

use super::{PAGE_MAX, page};
use crate::access::{Right, Rights};
use crate::keys::{self, Range, prefix_end};
use crate::query::{Answer, Page, RepositoryView};
use crate::rows::RepositoryRow;
use crate::tables::{ReadTables, StorageFailure, TableId};

/// How many rows are read at once.
const BATCH: usize = 256;

pub(super) fn repositories(
    tables: &dyn ReadTables,
    rights: Option<&Rights<'_>>,
    wanted: &Page<RepositoryName>,
) -> Result<Answer, StorageFailure> {
    let mut range = Range::all(TableId::Repository);
    if let Some(after) = &wanted.after {
        range = range.after(keys::repository(after));
    }
    let limit = wanted.limit.min(PAGE_MAX);
    if limit == 0 {
        return Ok(Answer::Repositories {
            repositories: Vec::new(),
            more: false,
        });
    }
    let batch = Page::<RepositoryName> {
        after: None,
        limit: match rights {
            None => limit.saturating_add(1),
            Some(_) => BATCH,
        },
    };
    let mut repositories = Vec::new();
    let mut seen = Seen {
        rights,
        open: HashMap::new(),
    };
    loop {
        let (rows, more) = page(tables, &range, &batch, |key, row: RepositoryRow| {
            Some(RepositoryView {
                name: keys::read_repository(key)?,
                manifests: row.manifests,
                tags: row.tags,
            })
        })?;
        let last = rows.last().map(|row| keys::repository(&row.name));
        let mut passed_over = None;
        for row in rows {
            match seen.shows(&row.name)? {
                Shown::Yes => repositories.push(row),
                Shown::No => {}
                Shown::NothingBelow(prefix) => {
                    passed_over = Some(prefix);
                    break;
                }
            }
            if repositories.len() > limit {
                repositories.truncate(limit);
                return Ok(Answer::Repositories {
                    repositories,
                    more: true,
                });
            }
        }
        match (passed_over, last) {
            (Some(prefix), _) => match prefix_end(prefix.as_bytes()) {
                Some(next) => range.from = next,
                None => break,
            },
            (None, Some(last)) if more => range = range.after(last),
            (None, _) => break,
        }
    }
    Ok(Answer::Repositories {
        repositories,
        more: false,
    })
}

enum Shown {
    Yes,
    No,
    /// Nor any other repository whose name begins so.
    NothingBelow(String),
}

/// What is known of the projects that were met.
struct Seen<'a> {
    rights: Option<&'a Rights<'a>>,
    /// Whether something in the project may be pulled.
    open: HashMap<ProjectName, bool>,
}

impl Seen<'_> {
    fn shows(&mut self, name: &RepositoryName) -> Result<Shown, StorageFailure> {
        let Some(rights) = self.rights else {
            return Ok(Shown::Yes);
        };
        let project = ProjectName::of(name);
        let is_open = match self.open.get(&project) {
            Some(is_open) => *is_open,
            None => {
                let is_open = rights.may_pull_something(&project)?;
                self.open.insert(project.clone(), is_open);
                is_open
            }
        };
        if !is_open {
            return Ok(match name.as_str().contains('/') {
                true => Shown::NothingBelow(format!("{project}/")),
                false => Shown::No,
            });
        }
        Ok(match rights.may_in_repository(name, Right::Pull)? {
            true => Shown::Yes,
            false => Shown::No,
        })
    }
}
