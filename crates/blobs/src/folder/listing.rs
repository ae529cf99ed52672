//! Walking the folder in the order of keys, a page at a time.
//!
//! Never reads more folders than the page needs: whole folders before `after` or outside the prefix are passed over.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use ports::{BlobFailure, ListedObject, ListedUpload};

use super::layout::{LIST, Layout, parse_upload};
use super::{failure, part_list};

const PAGE_MAX: usize = 1000;

/// Which keys are wanted.
struct Wanted<'a> {
    prefix: &'a str,
    after: Option<&'a str>,
}

impl Wanted<'_> {
    fn has(&self, key: &str) -> bool {
        key.starts_with(self.prefix) && self.after.is_none_or(|after| key > after)
    }

    /// Whether a key that begins so may be wanted.
    fn may_begin(&self, beginning: &str) -> bool {
        let within = beginning.starts_with(self.prefix) || self.prefix.starts_with(beginning);
        within
            && self
                .after
                .is_none_or(|after| beginning > after || after.starts_with(beginning))
    }
}

pub(super) fn list(
    layout: &Layout,
    prefix: &str,
    after: Option<&str>,
) -> Result<Vec<ListedObject>, BlobFailure> {
    let wanted = Wanted { prefix, after };
    let mut page = Vec::new();
    walk(layout, &wanted, &mut page)
        .map_err(|error| failure::failure(&error, "list", &layout.objects))?;
    Ok(page)
}

fn walk(layout: &Layout, wanted: &Wanted<'_>, page: &mut Vec<ListedObject>) -> io::Result<()> {
    for cluster in sorted_names(&layout.objects)? {
        let cluster_key = format!("{cluster}/");
        if !wanted.may_begin(&cluster_key) {
            continue;
        }
        let cluster_folder = layout.objects.join(&cluster);
        for kind in sorted_names(&cluster_folder)? {
            let kind_key = format!("{cluster_key}{kind}/");
            if !wanted.may_begin(&kind_key) {
                continue;
            }
            let kind_folder = cluster_folder.join(&kind);
            for fan in sorted_names(&kind_folder)? {
                if !wanted.may_begin(&format!("{kind_key}{fan}")) {
                    continue;
                }
                take_objects(&kind_folder.join(&fan), &kind_key, wanted, page)?;
                if page.len() == PAGE_MAX {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

fn take_objects(
    folder: &Path,
    kind_key: &str,
    wanted: &Wanted<'_>,
    page: &mut Vec<ListedObject>,
) -> io::Result<()> {
    for name in sorted_names(folder)? {
        let key = format!("{kind_key}{name}");
        if page.len() == PAGE_MAX {
            return Ok(());
        }
        if wanted.has(&key)
            && let Some(size) = size_of(&folder.join(name))?
        {
            page.push(ListedObject { key, size });
        }
    }
    Ok(())
}

/// The size of an object; `None` when it was deleted meanwhile. One whose list is damaged counts as empty, so that
/// it can be found and removed.
fn size_of(path: &Path) -> io::Result<Option<u64>> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            let list = fs::read_to_string(path.join(LIST))
                .ok()
                .and_then(|text| part_list::read(&text));
            Ok(Some(list.map_or(0, |parts| {
                parts.iter().map(|part| part.size).sum()
            })))
        }
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The names in a folder; none when it does not exist.
fn sorted_names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        // What has another name than ours was not put here by us.
        names.extend(entry?.file_name().into_string().ok());
    }
    names.sort();
    Ok(names)
}

pub(super) fn list_multipart(
    layout: &Layout,
    prefix: &str,
) -> Result<Vec<ListedUpload>, BlobFailure> {
    let names = sorted_names(&layout.uploads);
    let names = names.map_err(|error| failure::failure(&error, "list", &layout.uploads))?;
    let uploads = names.iter().filter_map(|name| parse_upload(name));
    let uploads = uploads
        .filter(|(key, _)| key.as_str().starts_with(prefix))
        .take(PAGE_MAX);
    Ok(uploads
        .map(|(key, multipart)| ListedUpload {
            key: key.to_string(),
            multipart,
        })
        .collect())
}
