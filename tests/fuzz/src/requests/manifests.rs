//! Manifests pushed and deleted, tags moved and deleted, blobs deleted.

use oci::Digest;

use super::universe::{CONTENTS, MANIFESTS, REPOSITORIES, TAGS, sha256};
use super::{Operation, Run, expect};

/// What has to hold of where a tag points.
type Holds = Box<dyn Fn(Option<Digest>) -> bool>;

/// A condition of a write: its header, and what it wants.
fn condition(of: u8, other: Digest) -> (String, Holds) {
    match of % 8 {
        0 => (
            "If-None-Match: *\r\n".to_owned(),
            Box::new(|now| now.is_none()),
        ),
        1 => ("If-Match: *\r\n".to_owned(), Box::new(|now| now.is_some())),
        2 => (
            format!("If-Match: \"{other}\"\r\n"),
            Box::new(move |now| now == Some(other)),
        ),
        3 => (
            format!("If-None-Match: \"{other}\"\r\n"),
            Box::new(move |now| now != Some(other)),
        ),
        _ => (String::new(), Box::new(|_| true)),
    }
}

/// `PUT`, by tags or by the digest, on a condition or without one.
pub fn push(run: &mut Run<'_>, [_, a, b, c, d, e, f, _]: &Operation) {
    let name = REPOSITORIES[usize::from(*a) % 3];
    let manifest = &MANIFESTS[usize::from(*b) % MANIFESTS.len()];
    let mut tags: Vec<&'static str> = Vec::new();
    let first = TAGS[usize::from(*c) % TAGS.len()];
    let reference = match d % 4 {
        0 => manifest.digest.to_string(),
        _ => {
            tags.push(first);
            first.to_owned()
        }
    };
    let mut target = format!("/v2/{name}/manifests/{reference}?");
    if d % 5 == 0 {
        let more = TAGS[usize::from(*d / 5) % TAGS.len()];
        target += &format!("tag={more}");
        if !tags.contains(&more) {
            tags.push(more);
        }
    }
    tags.sort_unstable();
    let other = MANIFESTS[usize::from(*e / 8) % MANIFESTS.len()].digest;
    let (condition, holds) = condition(*e, other);
    let headers = format!("Content-Type: {}\r\n{condition}", manifest.media_type);
    if f % 16 == 0 {
        return push_other(run, name, &reference, &headers, &manifest.payload);
    }
    let answer = run.ask("PUT", &target, &headers, &manifest.payload);
    let known = run.model.repository(name);
    let linked = known.is_some_and(|it| it.manifests.contains(&manifest.digest));
    let points = |tag: &str| known.and_then(|it| it.tags.get(tag).copied());
    let remembered = (name, manifest.digest, tags.clone(), condition.clone());
    let stands = linked && tags.iter().all(|tag| points(tag) == Some(manifest.digest));
    let again = !condition.is_empty() && run.model.remembered.contains(&remembered) && stands;
    if !again {
        let takes = known.map_or(manifest.blobs.is_empty(), |it| it.takes(manifest));
        if !takes {
            return expect(&answer, &target, 404, "MANIFEST_BLOB_UNKNOWN");
        }
        let own = || linked.then_some(manifest.digest);
        let met = match tags.is_empty() {
            true => holds(own()),
            false => tags.iter().all(|tag| holds(points(tag))),
        };
        if !met {
            return expect(&answer, &target, 412, "DENIED");
        }
    }
    expect(&answer, &target, 201, "");
    let said = manifest.digest.to_string();
    assert_eq!(
        answer.header("docker-content-digest"),
        Some(said.as_str()),
        "{target}"
    );
    let location = format!("/v2/{name}/manifests/{said}");
    assert_eq!(
        answer.header("location"),
        Some(location.as_str()),
        "{target}"
    );
    let subject = manifest.subject.map(|subject| subject.to_string());
    assert_eq!(answer.header("oci-subject"), subject.as_deref(), "{target}");
    if !condition.is_empty() {
        run.model.remembered.insert(remembered);
    }
    let repository = run.model.repository_mut(name);
    repository.manifests.insert(manifest.digest);
    for tag in tags {
        repository.tags.insert(tag, manifest.digest);
    }
}

/// A push whose payload is not what the path or the type says.
fn push_other(run: &mut Run<'_>, name: &str, reference: &str, headers: &str, payload: &[u8]) {
    let target = format!("/v2/{name}/manifests/{reference}");
    if reference.contains(':') {
        let spaced = [payload, b" "].concat();
        let answer = run.ask("PUT", &target, headers, &spaced);
        return expect(&answer, &target, 400, "DIGEST_INVALID");
    }
    let broken = &payload[..payload.len() - 1];
    let answer = run.ask("PUT", &target, headers, broken);
    expect(&answer, &target, 400, "MANIFEST_INVALID");
}

/// `DELETE` of a tag, a manifest or a blob.
pub fn delete(run: &mut Run<'_>, [_, a, b, c, d, e, ..]: &Operation) {
    let name = REPOSITORIES[usize::from(*a) % REPOSITORIES.len()];
    match b % 3 {
        0 => delete_tag(run, name, TAGS[usize::from(*c) % TAGS.len()], *d, *e),
        1 => delete_manifest(
            run,
            name,
            MANIFESTS[usize::from(*c) % MANIFESTS.len()].digest,
        ),
        _ => delete_blob(
            run,
            name,
            sha256(&CONTENTS[usize::from(*c) % CONTENTS.len()]),
        ),
    }
}

fn delete_tag(run: &mut Run<'_>, name: &str, tag: &'static str, how: u8, other: u8) {
    let target = format!("/v2/{name}/manifests/{tag}");
    let other = MANIFESTS[usize::from(other) % MANIFESTS.len()].digest;
    // `If-None-Match` makes no sense here.
    let how = [1, 2, 4, 4][usize::from(how) % 4];
    let (condition, holds) = condition(how, other);
    let answer = run.ask("DELETE", &target, &condition, b"");
    let Some(repository) = run.model.existing_mut(name) else {
        return expect(&answer, &target, 404, "NAME_UNKNOWN");
    };
    let Some(current) = repository.tags.get(tag).copied() else {
        return expect(&answer, &target, 404, "MANIFEST_UNKNOWN");
    };
    if !holds(Some(current)) {
        return expect(&answer, &target, 412, "DENIED");
    }
    expect(&answer, &target, 202, "");
    repository.tags.remove(tag);
}

fn delete_manifest(run: &mut Run<'_>, name: &str, digest: Digest) {
    let target = format!("/v2/{name}/manifests/{digest}");
    let answer = run.ask("DELETE", &target, "", b"");
    let Some(repository) = run.model.existing_mut(name) else {
        return expect(&answer, &target, 404, "NAME_UNKNOWN");
    };
    if !repository.manifests.remove(&digest) {
        return expect(&answer, &target, 404, "MANIFEST_UNKNOWN");
    }
    expect(&answer, &target, 202, "");
    repository.tags.retain(|_, points| *points != digest);
}

fn delete_blob(run: &mut Run<'_>, name: &str, digest: Digest) {
    let target = format!("/v2/{name}/blobs/{digest}");
    let answer = run.ask("DELETE", &target, "", b"");
    let Some(repository) = run.model.existing_mut(name) else {
        return expect(&answer, &target, 404, "NAME_UNKNOWN");
    };
    if !repository.blobs.contains(&digest) {
        return expect(&answer, &target, 404, "BLOB_UNKNOWN");
    }
    if repository.uses(&digest) {
        return expect(&answer, &target, 409, "DENIED");
    }
    expect(&answer, &target, 202, "");
    repository.blobs.remove(&digest);
}
