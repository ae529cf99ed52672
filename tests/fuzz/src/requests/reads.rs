//! Pulls and lists, by the model.

use oci::Digest;
use serde_json::Value;

use super::universe::{CONTENTS, MANIFESTS, REPOSITORIES, TAGS, manifest_of, sha256};
use super::{Operation, Run, expect};

fn method(of: u8) -> &'static str {
    if of.is_multiple_of(3) { "HEAD" } else { "GET" }
}

/// A blob, whole or a range of it.
pub fn blob(run: &mut Run<'_>, [_, a, b, c, d, e, ..]: &Operation) {
    let name = REPOSITORIES[usize::from(*a) % REPOSITORIES.len()];
    let content = &CONTENTS[usize::from(*b) % CONTENTS.len()];
    pull_blob(run, name, sha256(content), method(*c), (*d, *e));
}

/// Pulls a blob and compares it.
pub fn pull_blob(run: &mut Run<'_>, name: &str, digest: Digest, method: &str, (d, e): (u8, u8)) {
    let target = format!("/v2/{name}/blobs/{digest}");
    let request = format!("{method} {target}");
    let (first, last) = (
        usize::from(d) * 16,
        usize::from(d) * 16 + usize::from(e) * 8,
    );
    let is_part = d % 4 == 1 && method == "GET";
    let range = match is_part {
        true => format!("Range: bytes={first}-{last}\r\n"),
        false => String::new(),
    };
    let answer = run.ask(method, &target, &range, b"");
    let Some(repository) = run.model.repository(name) else {
        return expect(&answer, &request, 404, "NAME_UNKNOWN");
    };
    if !repository.blobs.contains(&digest) {
        return expect(&answer, &request, 404, "BLOB_UNKNOWN");
    }
    let content = &run.model.contents[&digest];
    if is_part && first >= content.len() {
        return expect(&answer, &request, 416, "SIZE_INVALID");
    }
    if is_part {
        expect(&answer, &request, 206, "");
        let end = (last + 1).min(content.len());
        assert_eq!(answer.body[..], content[first..end], "{request}");
        let range = format!("bytes {first}-{}/{}", end - 1, content.len());
        assert_eq!(
            answer.header("content-range"),
            Some(range.as_str()),
            "{request}"
        );
        return;
    }
    expect(&answer, &request, 200, "");
    assert_eq!(
        answer.header("content-length"),
        Some(content.len().to_string().as_str()),
        "{request}"
    );
    if method == "GET" {
        assert_eq!(answer.body[..], content[..], "{request}");
    }
}

/// A manifest by tag or digest.
pub fn manifest(run: &mut Run<'_>, [_, a, b, c, d, ..]: &Operation) {
    let name = REPOSITORIES[usize::from(*a) % REPOSITORIES.len()];
    let reference = match b % 3 {
        0 => MANIFESTS[usize::from(*c) % MANIFESTS.len()]
            .digest
            .to_string(),
        _ => TAGS[usize::from(*c) % TAGS.len()].to_owned(),
    };
    pull_manifest(run, name, &reference, method(*d), d % 5 == 1);
}

/// Pulls a manifest and compares it; `has` it already, says the client, if it is the first.
pub fn pull_manifest(run: &mut Run<'_>, name: &str, reference: &str, method: &str, has: bool) {
    let target = format!("/v2/{name}/manifests/{reference}");
    let request = format!("{method} {target}");
    let first = MANIFESTS[0].digest;
    let condition = match has {
        true => format!("If-None-Match: W/\"{first}\"\r\n"),
        false => String::new(),
    };
    let answer = run.ask(method, &target, &condition, b"");
    let Some(repository) = run.model.repository(name) else {
        return expect(&answer, &request, 404, "NAME_UNKNOWN");
    };
    let by_digest = || {
        Digest::parse(reference)
            .ok()
            .filter(|digest| repository.manifests.contains(digest))
    };
    let Some(digest) = repository.tags.get(reference).copied().or_else(by_digest) else {
        return expect(&answer, &request, 404, "MANIFEST_UNKNOWN");
    };
    let said = digest.to_string();
    assert_eq!(
        answer.header("docker-content-digest"),
        Some(said.as_str()),
        "{request}"
    );
    if has && digest == first {
        return expect(&answer, &request, 304, "");
    }
    expect(&answer, &request, 200, "");
    let manifest = manifest_of(&digest);
    assert_eq!(
        answer.header("content-type"),
        Some(manifest.media_type),
        "{request}"
    );
    assert_eq!(
        answer.header("warning").is_some(),
        repository.absent(manifest) > 0,
        "{request}"
    );
    if method == "GET" {
        assert_eq!(answer.body[..], manifest.payload[..], "{request}");
    }
}

/// One of the lists, whole or a page.
pub fn list(run: &mut Run<'_>, [_, a, b, c, d, ..]: &Operation) {
    let name = REPOSITORIES[usize::from(*a) % REPOSITORIES.len()];
    let page = (*c % 4 != 0).then_some(usize::from(*c) % 5);
    match b % 3 {
        0 => tags(
            run,
            name,
            page,
            (d % 2 == 0).then(|| TAGS[usize::from(*d / 2) % TAGS.len()]),
        ),
        1 => catalog(run, page),
        _ => {
            let subject = MANIFESTS[usize::from(*c) % 2].digest;
            let kind = (d % 2 == 0).then_some("application/x.signature");
            referrers(run, name, subject, kind);
        }
    }
}

fn strings(body: &[u8], key: &str) -> Vec<String> {
    let body: Value = serde_json::from_slice(body).expect("lists are JSON");
    let items = body[key].as_array().into_iter().flatten();
    items
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

/// Compares a page of a list, and whether it says that more follows.
fn compare(
    answer: &crate::web::Answer,
    request: &str,
    key: &str,
    wanted: &[&str],
    page: Option<usize>,
) {
    expect(answer, request, 200, "");
    let shown = page.unwrap_or(usize::MAX).min(wanted.len());
    assert_eq!(strings(&answer.body, key), wanted[..shown], "{request}");
    let more = shown > 0 && shown < wanted.len();
    assert_eq!(
        answer.header("link").is_some(),
        more,
        "{request}: {answer:?}"
    );
}

/// The tags of a repository.
pub fn tags(run: &mut Run<'_>, name: &str, page: Option<usize>, after: Option<&str>) {
    let mut target = format!("/v2/{name}/tags/list?");
    target += &page.map(|n| format!("n={n}&")).unwrap_or_default();
    target += &after.map(|last| format!("last={last}")).unwrap_or_default();
    let answer = run.ask("GET", &target, "", b"");
    let Some(repository) = run.model.repository(name) else {
        return expect(&answer, &target, 404, "NAME_UNKNOWN");
    };
    let follows = |tag: &&str| after.is_none_or(|after| *tag > after);
    let wanted: Vec<&str> = repository.tags.keys().copied().filter(follows).collect();
    compare(&answer, &target, "tags", &wanted, page);
}

/// The repositories.
pub fn catalog(run: &mut Run<'_>, page: Option<usize>) {
    if run.model.is_wild {
        return;
    }
    let target = format!(
        "/v2/_catalog{}",
        page.map(|n| format!("?n={n}")).unwrap_or_default()
    );
    let answer = run.ask("GET", &target, "", b"");
    compare(&answer, &target, "repositories", &run.model.names(), page);
}

/// What is said about a manifest.
pub fn referrers(run: &mut Run<'_>, name: &str, subject: Digest, kind: Option<&str>) {
    let query = kind
        .map(|kind| format!("?artifactType={kind}"))
        .unwrap_or_default();
    let target = format!("/v2/{name}/referrers/{subject}{query}");
    let answer = run.ask("GET", &target, "", b"");
    expect(&answer, &target, 200, "");
    let body: Value = serde_json::from_slice(&answer.body).expect("an index is JSON");
    let listed = body["manifests"].as_array().cloned().unwrap_or_default();
    let about = |digest: &&Digest| {
        let manifest = manifest_of(digest);
        manifest.subject == Some(subject)
            && kind.is_none_or(|kind| manifest.artifact_type.as_deref() == Some(kind))
    };
    let there = run
        .model
        .repository(name)
        .into_iter()
        .flat_map(|it| &it.manifests);
    let wanted: Vec<&Digest> = there.filter(about).collect();
    assert_eq!(listed.len(), wanted.len(), "{target}: {body}");
    for (listed, digest) in listed.iter().zip(wanted) {
        let manifest = manifest_of(digest);
        assert_eq!(listed["digest"], digest.to_string(), "{target}: {body}");
        assert_eq!(listed["mediaType"], manifest.media_type, "{target}: {body}");
        assert_eq!(listed["size"], manifest.payload.len(), "{target}: {body}");
        assert_eq!(
            listed["artifactType"].as_str(),
            manifest.artifact_type.as_deref(),
            "{target}: {body}"
        );
    }
    assert_eq!(
        answer.header("oci-filters-applied").is_some(),
        kind.is_some(),
        "{target}"
    );
}
