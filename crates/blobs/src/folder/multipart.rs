//! Multipart uploads in the folder: a folder of part files that, completed, *is* the object.
//!
//! Nothing is copied. Completing has this order: every listed part is there in its size (each was synced when it was
//! stored); the list is written, synced and named; the upload's folder is synced; it takes the object's place; the
//! folder of that place is synced. A crash between any two of them leaves an upload that can be completed again, or
//! an object that is whole. Everything here blocks.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use metadata::{MultipartId, ObjectKey};
use ports::{BlobFailure, CompletedPart};
use uuid::Uuid;

use durable_files::sync_folder;

use super::durable::parent;
use super::layout::{LIST, part_name};
use super::part_list::{self, ListedPart};
use super::piece::remove_if_there;
use super::{Shared, failure, read};
use crate::steps::{self, step};

pub(super) fn begin(shared: &Shared, key: &ObjectKey) -> Result<MultipartId, BlobFailure> {
    let multipart = MultipartId(Uuid::new_v4().simple().to_string().into());
    let folder = shared
        .layout
        .upload(key, &multipart)
        .expect("a fresh id is a valid one");
    let made = fs::create_dir(&folder)
        .and_then(|()| step(steps::FOLDER_MULTIPART_MADE))
        .and_then(|()| sync_folder(&shared.layout.uploads))
        .and_then(|()| step(steps::FOLDER_MULTIPART_SYNCED));
    made.map_err(|error| failure::failure(&error, "make", &folder))?;
    Ok(multipart)
}

pub(super) fn complete(
    shared: &Shared,
    key: &ObjectKey,
    multipart: &MultipartId,
    parts: &[CompletedPart],
) -> Result<(), BlobFailure> {
    let no_such_upload = || BlobFailure::NoSuchUpload {
        key: key.to_string(),
    };
    let upload = shared
        .layout
        .upload(key, multipart)
        .ok_or_else(no_such_upload)?;
    let listed: Vec<ListedPart> = parts
        .iter()
        .map(|part| ListedPart {
            number: part.number,
            size: part.size,
        })
        .collect();
    if listed.is_empty() || !listed.is_sorted_by(|a, b| a.number < b.number) {
        return Err(BlobFailure::Other {
            reason: format!("the parts of {key} are not listed in order"),
        });
    }
    let object = shared.layout.object(key);
    if upload.is_dir() {
        check_parts(&upload, &listed)?;
        match turn_into_object(shared, &upload, &object, &listed) {
            Ok(()) => return Ok(()),
            // Another call was faster. What it did is looked at below.
            Err(error) if error.kind() == ErrorKind::NotFound && !upload.exists() => {}
            Err(error) => return Err(failure::failure(&error, "complete", &upload)),
        }
    }
    if object.is_dir() && read::listed_parts(&object)? == listed {
        // An earlier call may have been killed just before it had the name on the disk.
        return sync_names(shared, &object)
            .map_err(|error| failure::failure(&error, "sync", &object));
    }
    Err(no_such_upload())
}

fn check_parts(upload: &Path, listed: &[ListedPart]) -> Result<(), BlobFailure> {
    for part in listed {
        let path = upload.join(part_name(part.number));
        let wrong = match fs::metadata(&path) {
            Ok(metadata) if metadata.len() == part.size => continue,
            Ok(metadata) => format!("it has {} bytes instead of {}", metadata.len(), part.size),
            Err(error) => error.to_string(),
        };
        let reason = format!(
            "{} is not the part that was stored: {wrong}",
            path.display()
        );
        return Err(BlobFailure::Other { reason });
    }
    Ok(())
}

fn turn_into_object(
    shared: &Shared,
    upload: &Path,
    object: &Path,
    listed: &[ListedPart],
) -> io::Result<()> {
    let fresh_list = upload.join(format!("{LIST}.{}", Uuid::new_v4().simple()));
    let mut file = File::create_new(&fresh_list)?;
    file.write_all(part_list::write(listed).as_bytes())?;
    step(steps::FOLDER_LIST_WRITTEN)?;
    file.sync_all()?;
    fs::rename(&fresh_list, upload.join(LIST))?;
    sync_folder(upload)?;
    step(steps::FOLDER_LIST_SYNCED)?;
    remove_unlisted(upload, listed)?;
    shared.durable.ensure(parent(object))?;
    fs::rename(upload, object)?;
    step(steps::FOLDER_OBJECT_PLACED)?;
    sync_names(shared, object)?;
    step(steps::FOLDER_OBJECT_SYNCED)
}

/// Late parts of older epochs, which nobody will ask for.
fn remove_unlisted(upload: &Path, listed: &[ListedPart]) -> io::Result<()> {
    for entry in fs::read_dir(upload)? {
        let name = entry?.file_name();
        let number: Option<u32> = name.to_str().and_then(|name| name.parse().ok());
        if number.is_some_and(|number| {
            listed
                .binary_search_by_key(&number, |part| part.number)
                .is_err()
        }) {
            remove_if_there(&upload.join(name))?;
        }
    }
    Ok(())
}

fn sync_names(shared: &Shared, object: &Path) -> io::Result<()> {
    shared.durable.ensure(parent(object))?;
    sync_folder(parent(object))?;
    sync_folder(&shared.layout.uploads)
}

pub(super) fn abort(
    shared: &Shared,
    key: &ObjectKey,
    multipart: &MultipartId,
) -> Result<(), BlobFailure> {
    let Some(upload) = shared.layout.upload(key, multipart) else {
        return Ok(());
    };
    shared
        .discard(&upload)
        .map_err(|error| failure::failure(&error, "remove", &upload))
}
