//! Every way to push a blob.

use oci::{Algorithm, Digest};

use super::model::Upload;
use super::universe::{CONTENTS, REPOSITORIES, sha256};
use super::{Operation, Run, expect};
use crate::web::PART_BYTES;

fn repository(of: u8) -> &'static str {
    REPOSITORIES[usize::from(of) % 3]
}

fn content(of: u8) -> &'static [u8] {
    &CONTENTS[usize::from(of) % CONTENTS.len()]
}

/// The digest of a content, mostly by sha256.
fn digest(content: &[u8], of: u8) -> Digest {
    match of % 8 {
        0 => Digest::of(Algorithm::Sha512, content),
        _ => sha256(content),
    }
}

/// `POST ?digest=` with the whole blob; sometimes with another one.
pub fn push_whole(run: &mut Run<'_>, [_, a, b, c, d, ..]: &Operation) {
    let (name, bytes) = (repository(*a), content(*b));
    let digest = digest(bytes, *c);
    let is_right = d % 8 != 0;
    let sent = if is_right { bytes } else { b"something else" };
    let target = format!("/v2/{name}/blobs/uploads/?digest={digest}");
    let answer = run.ask("POST", &target, "", sent);
    if !is_right {
        return expect(&answer, &target, 400, "DIGEST_INVALID");
    }
    stored(run, &answer, &target, (name, digest), bytes);
}

fn stored(
    run: &mut Run<'_>,
    answer: &crate::web::Answer,
    target: &str,
    (name, digest): (&'static str, Digest),
    bytes: &[u8],
) {
    expect(answer, target, 201, "");
    let (location, said) = (format!("/v2/{name}/blobs/{digest}"), digest.to_string());
    assert_eq!(
        answer.header("location"),
        Some(location.as_str()),
        "{target}"
    );
    assert_eq!(
        answer.header("docker-content-digest"),
        Some(said.as_str()),
        "{target}"
    );
    run.model.link_blob(name, digest, bytes);
}

/// `POST`.
pub fn open(run: &mut Run<'_>, [_, a, b, ..]: &Operation) {
    let name = repository(*a);
    let query = ["", "?digest-algorithm=sha512", "?digest-algorithm=sha256"][usize::from(*b) % 3];
    let target = format!("/v2/{name}/blobs/uploads/{query}");
    let answer = run.ask("POST", &target, "", b"");
    expect(&answer, &target, 202, "");
    let algorithm = match b % 3 {
        1 => Algorithm::Sha512,
        _ => Algorithm::Sha256,
    };
    opened(run, (name, algorithm), &answer);
}

fn opened(
    run: &mut Run<'_>,
    (name, algorithm): (&'static str, Algorithm),
    answer: &crate::web::Answer,
) {
    let location = answer.header("location").expect("an upload has a location");
    let path = location.split('?').next().unwrap_or(location).to_owned();
    assert!(
        path.starts_with(&format!("/v2/{name}/blobs/uploads/")),
        "{path}"
    );
    assert_eq!(answer.header("range"), Some("0-0"));
    run.model.uploads.push(Upload {
        repository: name,
        algorithm,
        path,
        bytes: Vec::new(),
        started: None,
        closed: None,
        cancelled: false,
    });
}

fn chosen(run: &Run<'_>, of: u8) -> Option<usize> {
    let count = run.model.uploads.len();
    // Mostly one of the last.
    (count > 0).then(|| count - 1 - usize::from(of) % count.min(4))
}

/// Where a write claims to begin, as query and header, and whether that is right: back to where the last write began, or to
/// the start, unless the client was told since where the upload stands.
struct Begin {
    query: String,
    header: String,
    from: Option<u64>,
}

fn begin(upload: &Upload, how: u8, len: usize) -> Begin {
    let at = upload.bytes.len() as u64;
    let by_query = |from: u64, ok: bool| Begin {
        query: format!("at={from}"),
        header: String::new(),
        from: ok.then_some(from),
    };
    let by_header = |from: u64, ok: bool| Begin {
        query: String::new(),
        header: format!(
            "Content-Range: {from}-{}\r\n",
            from + (len as u64).max(1) - 1
        ),
        from: ok.then_some(from),
    };
    match how % 8 {
        0 | 1 => by_query(at, true),
        2 if len > 0 => by_header(at, true),
        3 if len > 0 => by_header(at + 1, false),
        4 => by_query(at + 1, false),
        5 => by_query(0, at == 0 || upload.started != Some(at)),
        6 => {
            let from = upload.started.unwrap_or(at);
            by_query(from, true)
        }
        _ => Begin {
            query: String::new(),
            header: String::new(),
            from: Some(at),
        },
    }
}

/// What a write brings: more of a content.
fn piece(upload: &Upload, from: Option<u64>, b: u8, c: u8) -> &'static [u8] {
    let whole = content(b);
    let from = from.map_or(upload.bytes.len(), |from| from as usize);
    let rest = whole.get(from..).unwrap_or(b"beyond");
    let len = match c % 4 {
        0 => rest.len(),
        1 => rest.len() / 2,
        2 => rest.len().min(1),
        _ => rest.len().min(4096),
    };
    &rest[..len]
}

fn received(len: usize) -> String {
    format!("0-{}", len.saturating_sub(1))
}

/// `PATCH`.
pub fn write(run: &mut Run<'_>, [_, a, b, c, d, ..]: &Operation) {
    let Some(which) = chosen(run, *a) else {
        return open(run, &[2, *a, *b, 0, 0, 0, 0, 0]);
    };
    let upload = &run.model.uploads[which];
    let from = begin(upload, *d, 1).from;
    let bytes = piece(upload, from, *b, *c);
    let begin = begin(upload, *d, bytes.len());
    let target = format!("{}?{}", upload.path, begin.query);
    let is_over = upload.cancelled || upload.closed.is_some();
    let answer = run.ask("PATCH", &target, &begin.header, bytes);
    if is_over {
        return expect(&answer, &target, 404, "BLOB_UPLOAD_UNKNOWN");
    }
    let upload = &mut run.model.uploads[which];
    let Some(from) = begin.from else {
        expect(&answer, &target, 416, "BLOB_UPLOAD_INVALID");
        assert_eq!(
            answer.header("range"),
            Some(received(upload.bytes.len()).as_str()),
            "{target}"
        );
        return;
    };
    expect(&answer, &target, 202, "");
    upload.bytes.truncate(from as usize);
    upload.bytes.extend_from_slice(bytes);
    upload.started = Some(from);
    assert_eq!(
        answer.header("range"),
        Some(received(upload.bytes.len()).as_str()),
        "{target}"
    );
}

/// `PUT ?digest=`, mostly of what was sent, with a last piece or without one.
pub fn close(run: &mut Run<'_>, [_, a, b, c, d, e, ..]: &Operation) {
    let Some(which) = chosen(run, *a) else {
        return push_whole(run, &[0, *a, *b, 1, 1, 0, 0, 0]);
    };
    let upload = &run.model.uploads[which];
    let (path, name) = (upload.path.clone(), upload.repository);
    let last = if d % 2 == 0 {
        b""
    } else {
        piece(upload, None, *b, *c)
    };
    let whole = [&upload.bytes, last].concat();
    let digest = match e % 6 {
        0 => sha256(b"nothing that was sent"),
        n => digest(&whole, n.wrapping_sub(1)),
    };
    let digest = match (upload.closed, e % 2) {
        (Some(closed), 0) => closed,
        _ => digest,
    };
    let target = format!("{path}?digest={digest}");
    let (closed, cancelled, at) = (upload.closed, upload.cancelled, upload.bytes.len());
    let answer = run.ask("PUT", &target, "", last);
    if cancelled || closed.is_some_and(|closed| closed != digest) {
        return expect(&answer, &target, 404, "BLOB_UPLOAD_UNKNOWN");
    }
    if closed.is_some() {
        // Sent again: it gets the first answer, though the blob may have been deleted since.
        return expect(&answer, &target, 201, "");
    }
    if Digest::of(digest.algorithm(), &whole) != digest {
        expect(&answer, &target, 400, "DIGEST_INVALID");
        // The other hash of several parts is known only when they are one object: then there is no way back.
        let other = run.model.uploads[which].algorithm != digest.algorithm();
        if other
            && whole.len() >= PART_BYTES as usize
            && run.ask("GET", &path, "", b"").status == 404
        {
            run.model.uploads[which].cancelled = true;
            return;
        }
        let upload = &mut run.model.uploads[which];
        // Only a request that brings bytes becomes the writer, and one may where there is nothing yet.
        if !last.is_empty() || upload.started.is_none() || at == 0 {
            upload.started = Some(at as u64);
        }
        return;
    }
    stored(run, &answer, &target, (name, digest), &whole);
    run.model.uploads[which].closed = Some(digest);
}

/// `GET`, `HEAD` and `DELETE` of an upload.
pub fn look_or_cancel(run: &mut Run<'_>, [_, a, b, ..]: &Operation) {
    let Some(which) = chosen(run, *a) else {
        return open(run, &[2, *a, *b, 0, 0, 0, 0, 0]);
    };
    let upload = &run.model.uploads[which];
    let is_over = upload.cancelled || upload.closed.is_some();
    let (path, len) = (upload.path.clone(), upload.bytes.len());
    let method = ["GET", "HEAD", "GET", "DELETE"][usize::from(*b) % 4];
    let answer = run.ask(method, &path, "", b"");
    let request = format!("{method} {path}");
    if is_over {
        return expect(&answer, &request, 404, "BLOB_UPLOAD_UNKNOWN");
    }
    expect(&answer, &request, 204, "");
    if method == "DELETE" {
        run.model.uploads[which].cancelled = true;
    } else {
        assert_eq!(
            answer.header("range"),
            Some(received(len).as_str()),
            "{request}"
        );
        // What was told is not taken back.
        let upload = &mut run.model.uploads[which];
        if len > 0 {
            upload.started = upload.started.map(|_| len as u64);
        }
    }
}

/// `POST ?mount=`.
pub fn mount(run: &mut Run<'_>, [_, a, b, c, d, ..]: &Operation) {
    let (name, bytes) = (repository(*a), content(*b));
    let digest = digest(bytes, *d);
    let source = REPOSITORIES[usize::from(*c) % REPOSITORIES.len()];
    let has = |name: &str| {
        run.model
            .repository(name)
            .is_some_and(|it| it.blobs.contains(&digest))
    };
    let (query, found) = if c % 16 == 15 {
        (String::new(), REPOSITORIES.iter().any(|name| has(name)))
    } else {
        (format!("&from={source}"), has(source))
    };
    let is_there = found || has(name);
    let target = format!("/v2/{name}/blobs/uploads/?mount={digest}{query}");
    let answer = run.ask("POST", &target, "", b"");
    if is_there {
        return stored(run, &answer, &target, (name, digest), bytes);
    }
    // Without a source, one of a damaged request may have been found.
    if answer.status == 201 && run.model.is_wild && query.is_empty() {
        return stored(run, &answer, &target, (name, digest), bytes);
    }
    expect(&answer, &target, 202, "");
    opened(run, (name, digest.algorithm()), &answer);
}
