//! HTTP requests as a whole: bytes on a connection to the real server, over a registry that has something in it.

use std::cell::RefCell;

use metadata::{MemoryTables, Page, Query};
use oci::{Algorithm, Digest, Reference, RepositoryName, UploadId};

use super::manifests;
use crate::dice::Dice;
use crate::mutate;
use crate::target::{Shape, Target, Verdict, way_of};
use crate::web::{World, nth_id, read_all};

/// A world takes so many inputs, and then another begins.
const USES_MAX: u64 = 300;
/// Uploads that are open in a new world.
const UPLOADS: u64 = 3;

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

const LAYER: &[u8] = b"a layer of some bytes, which is here to be pulled in parts";

fn sha256(content: &[u8]) -> String {
    Digest::of(Algorithm::Sha256, content).to_string()
}

fn image() -> String {
    format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":2}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{}","size":{}}}]}}"#,
        sha256(b"{}"),
        sha256(LAYER),
        LAYER.len()
    )
}

fn upload(number: u64) -> String {
    UploadId::from_u128(nth_id(number)).to_string()
}

/// A request with a body.
pub fn request(method: &str, target: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A world with an image, a tag and uploads.
fn furnished() -> World {
    let world = World::new(|_| {});
    let mut connection = world.connect();
    let mut push = |target: String, method: &str, headers: &str, body: &[u8]| {
        let answer = connection.ask(&request(method, &target, headers, body), false);
        assert!(
            answer.is_some_and(|answer| answer.status < 300),
            "{method} {target}"
        );
    };
    for _ in 0..UPLOADS {
        push("/v2/a/blobs/uploads/".to_owned(), "POST", "", b"");
    }
    for content in [b"{}".as_slice(), LAYER] {
        let target = format!("/v2/a/blobs/uploads/?digest={}", sha256(content));
        push(target, "POST", "", content);
    }
    let kind = "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n";
    push(
        "/v2/a/manifests/v1".to_owned(),
        "PUT",
        kind,
        image().as_bytes(),
    );
    world
}

/// Gives the world of this thread.
fn with_world<T>(work: impl FnOnce(&World) -> T) -> T {
    WORLD.with_borrow_mut(|world| {
        if world.as_ref().is_none_or(|world| world.uses() > USES_MAX) {
            *world = Some(furnished());
        }
        work(world.as_ref().expect("it was made"))
    })
}

const WORDS: &[&str] = &[
    "GET ",
    "HEAD ",
    "PUT ",
    "POST ",
    "PATCH ",
    "DELETE ",
    "OPTIONS ",
    "CONNECT ",
    "TRACE ",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    " HTTP/1.1\r\n",
    " HTTP/1.0\r\n",
    " HTTP/0.9\r\n",
    " HTTP/2.0\r\n",
    "\r\n",
    "\n",
    "\r\n\r\n",
    "Host: a\r\n",
    "Host: [::1]:99\r\n",
    "Content-Length: ",
    "Content-Length: 5\r\n",
    "Content-Length: 18446744073709551616\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive, upgrade\r\n",
    "Upgrade: h2c\r\n",
    "Expect: 100-continue\r\n",
    "Range: bytes=0-4,6-7\r\n",
    "Range: bytes=-1\r\n",
    "Range: bytes=18446744073709551615-\r\n",
    "Content-Range: 0-4\r\n",
    "Content-Range: bytes 0-18446744073709551615/*\r\n",
    "If-Match: *\r\n",
    "If-None-Match: \"x\", W/\"y\"\r\n",
    "If-Range: ",
    "Accept: */*;q=0.1\r\n",
    "Accept-Encoding: gzip\r\n",
    "Authorization: Basic YTpi\r\n",
    "Authorization: Bearer x.y.z\r\n",
    "Content-Type: application/vnd.oci.image.index.v1+json\r\n",
    "Content-Type: ;\r\n",
    "Idempotency-Key: k\r\n",
    "Origin: null\r\n",
    "Holdfast-Arrived: 18446744073709551615\r\n",
    "Holdfast-Arrived: 1\r\n",
    "X-Request-Id: \u{7f}\r\n",
    "Access-Control-Request-Method: PUT\r\n",
    "/v2/",
    "/v2",
    "/v2/_catalog?n=1&last=a",
    "/tags/list?n=0",
    "/manifests/",
    "/blobs/",
    "/blobs/uploads/",
    "/referrers/",
    "/metrics",
    "/healthz",
    "?digest=",
    "&digest=",
    "?mount=",
    "&from=a",
    "?n=99999999999999999999",
    "&last=",
    "?artifactType=a%2Fb",
    "?tag=x&tag=y",
    "?at=0",
    "?ns=docker.io",
    "?digest-algorithm=sha512",
    "%2e%2e%2f",
    "%ff",
    "%",
    "sha256:",
    "0\r\n\r\n",
    "5\r\nhello\r\n",
    "ffffffffffffffff\r\n",
    "5;ext=\"a\"\r\n",
];

/// One request by the grammar.
fn one(dice: &mut Dice) -> Vec<u8> {
    let repository = *dice.pick(&["a", "a", "team/app", "b", "x/y/z"]);
    any_request(dice, repository)
}

/// Changes a request once.
pub fn damage(dice: &mut Dice, request: &mut Vec<u8>) {
    mutate::change(Shape::Text(WORDS), &[], dice, request);
}

/// One request to a repository, by the grammar.
pub fn any_request(dice: &mut Dice, repository: &str) -> Vec<u8> {
    let contents: [&[u8]; 4] = [b"", b"{}", LAYER, b"other"];
    let digests = contents.map(sha256);
    let digest = dice.pick(&digests).clone();
    let manifest = sha256(image().as_bytes());
    let reference = *dice.pick(&["v1", "v2", &manifest, &digest, "latest"]);
    let upload = upload(dice.next() % (UPLOADS + 2));
    let (n, from) = (dice.number(), dice.pick(&["a", "b", "nowhere"]));
    let targets = [
        ("GET", "/v2/".to_owned()),
        ("GET", format!("/v2/_catalog?n={n}")),
        (
            "GET",
            format!("/v2/{repository}/tags/list?n={}&last=v1", n % 5),
        ),
        (
            "GET",
            format!("/v2/{repository}/manifests/{reference}?ns=docker.io"),
        ),
        ("HEAD", format!("/v2/{repository}/manifests/{reference}")),
        (
            "PUT",
            format!("/v2/{repository}/manifests/{reference}?tag=a&tag=b"),
        ),
        ("PUT", format!("/v2/{repository}/manifests/v{}", n % 9)),
        ("DELETE", format!("/v2/{repository}/manifests/{reference}")),
        ("GET", format!("/v2/{repository}/blobs/{digest}")),
        ("HEAD", format!("/v2/{repository}/blobs/{digest}")),
        ("DELETE", format!("/v2/{repository}/blobs/{digest}")),
        (
            "GET",
            format!("/v2/{repository}/referrers/{digest}?artifactType=a/b&n=3"),
        ),
        ("POST", format!("/v2/{repository}/blobs/uploads/")),
        (
            "POST",
            format!("/v2/{repository}/blobs/uploads/?mount={digest}&from={from}"),
        ),
        (
            "POST",
            format!("/v2/{repository}/blobs/uploads/?digest={digest}"),
        ),
        (
            "PATCH",
            format!("/v2/{repository}/blobs/uploads/{upload}?at={}", n % 60),
        ),
        ("PATCH", format!("/v2/{repository}/blobs/uploads/{upload}")),
        (
            "PUT",
            format!("/v2/{repository}/blobs/uploads/{upload}?digest={digest}"),
        ),
        ("GET", format!("/v2/{repository}/blobs/uploads/{upload}")),
        ("DELETE", format!("/v2/{repository}/blobs/uploads/{upload}")),
        ("OPTIONS", format!("/v2/{repository}/manifests/{reference}")),
        (
            "GET",
            (*dice.pick(&["/", "/healthz", "/readyz", "/metrics", "/v3"])).to_owned(),
        ),
    ];
    let (method, target) = dice.pick(&targets).clone();
    let mut headers = String::new();
    for _ in 0..dice.below(3) {
        headers += &header(dice, &digest);
    }
    let body: Vec<u8> = match (method, dice.below(3)) {
        ("PUT", 0) => image().into_bytes(),
        ("PUT", 1) => manifests::manifest(dice),
        ("PUT" | "POST" | "PATCH", _) => dice.pick(&contents).to_vec(),
        _ => Vec::new(),
    };
    if dice.once_in(4) {
        return chunked(dice, method, &target, &headers, &body);
    }
    request(method, &target, &headers, &body)
}

fn header(dice: &mut Dice, digest: &str) -> String {
    let (a, b) = (dice.next() % 70, dice.next() % 70);
    let headers = [
        format!("Range: bytes={a}-{b}\r\n"),
        format!("Range: bytes={a}-,-{b}\r\n"),
        format!("Content-Range: {a}-{b}\r\n"),
        format!("Content-Range: bytes 0-{b}/*\r\n"),
        format!("If-None-Match: \"{digest}\"\r\n"),
        format!("If-Match: \"{digest}\", W/\"{digest}\"\r\n"),
        format!("If-Range: \"{digest}\"\r\n"),
        "If-None-Match: *\r\n".to_owned(),
        "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n".to_owned(),
        "Accept: application/vnd.oci.image.index.v1+json, */*;q=0.5\r\n".to_owned(),
        "Expect: 100-continue\r\n".to_owned(),
        "Connection: close\r\n".to_owned(),
        "Authorization: Bearer eyJ.eyJ.x\r\n".to_owned(),
        format!("Idempotency-Key: {a}\r\n"),
        format!("Holdfast-Arrived: {}\r\n", dice.number()),
        "Origin: https://example.org\r\n".to_owned(),
    ];
    dice.pick(&headers).clone()
}

fn chunked(dice: &mut Dice, method: &str, target: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "{method} {target} HTTP/1.1\r\nHost: a\r\n{headers}Transfer-Encoding: chunked\r\n\r\n"
    )
    .into_bytes();
    for chunk in body.chunks(1 + dice.below(40)) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

/// One in sixteen inputs is of a client that ends the connection at once.
fn leaves(input: &[u8]) -> bool {
    input.len() % 16 == 15
}

fn check(input: &[u8]) -> Verdict {
    let came = with_world(|world| world.send(input, leaves(input)));
    if !came.starts_with(b"HTTP/1.") {
        // Frames of HTTP/2, or nothing.
        return Verdict::refused(if came.is_empty() { "silence" } else { "frames" });
    }
    let answers = read_all(&came, true);
    let statuses: Vec<u8> = answers
        .iter()
        .flat_map(|answer| {
            let code = answer.code().unwrap_or_default();
            [&[b'a' + (answer.status / 20) as u8], code.as_bytes()].concat()
        })
        .collect();
    let is_good = answers.iter().any(|answer| answer.status < 400);
    Verdict {
        units: 1,
        accepted: u64::from(is_good),
        way: way_of(&statuses),
    }
}

/// Requests on a connection of HTTP/1.1.
pub static HTTP: Target = Target {
    name: "http",
    seeds: Vec::new,
    generate: Some(|dice| {
        let mut all = one(dice);
        while dice.once_in(4) {
            all.extend(one(dice));
        }
        all
    }),
    shape: Shape::Text(WORDS),
    repair: None,
    fresh: || WORLD.with_borrow_mut(|world| *world = None),
    check,
};

/// Frames on a connection of HTTP/2.
pub static HTTP2: Target = Target {
    name: "http2",
    seeds: Vec::new,
    generate: Some(frames),
    shape: Shape::Bytes,
    repair: None,
    fresh: || WORLD.with_borrow_mut(|world| *world = None),
    check: |input| {
        let came = with_world(|world| world.send(input, leaves(input)));
        check_frames(&came)
    },
};

/// Connection preface, settings, and requests of one frame of headers each, some with a body.
fn frames(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    frame(&mut bytes, 4, 0, 0, &[]);
    for stream in 0..=dice.below(3) {
        let text = String::from_utf8_lossy(&one(dice)).into_owned();
        let mut words = text.split([' ', '\r']);
        let (method, path) = (words.next().unwrap_or("GET"), words.next().unwrap_or("/"));
        let mut block = Vec::new();
        for (name, value) in [
            (":method", method),
            (":path", path),
            (":scheme", "http"),
            (":authority", "a"),
        ] {
            block.push(0);
            for text in [name, value] {
                let len = text.len().min(126);
                block.push(len as u8);
                block.extend_from_slice(&text.as_bytes()[..len]);
            }
        }
        let number = 1 + 2 * stream as u32;
        let has_body = dice.once_in(2);
        frame(&mut bytes, 1, if has_body { 4 } else { 5 }, number, &block);
        if has_body {
            frame(&mut bytes, 0, 1, number, LAYER);
        }
    }
    bytes
}

fn frame(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let len = u32::try_from(payload.len()).expect("frames are small");
    bytes.extend_from_slice(&len.to_be_bytes()[1..]);
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
}

/// Checks that what came is frames, and sees whether one of them answers.
fn check_frames(mut came: &[u8]) -> Verdict {
    if came.starts_with(b"HTTP/1.") {
        read_all(came, true);
        return Verdict::refused("HTTP/1.1");
    }
    let mut kinds = Vec::new();
    while let Some((head, rest)) = came.split_first_chunk::<9>() {
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let Some(payload) = rest.get(..len) else {
            break;
        };
        kinds.push(b'a' + head[3]);
        // The status is the first field: `:status` 500 is 8e, others are literals behind 08.
        let is_500 =
            head[3] == 1 && (payload.first() == Some(&0x8e) || payload.starts_with(&[8, 3, b'5']));
        assert!(!is_500, "an answer of 5xx");
        came = &rest[len..];
    }
    let answered = kinds.iter().filter(|kind| **kind == b'b').count();
    Verdict {
        units: 1,
        accepted: u64::from(answered > 0),
        way: way_of(&kinds),
    }
}

/// The tables of a world, for those who ask them themselves.
pub fn tables_of_a_world() -> MemoryTables {
    furnished().log.tables()
}

/// What these tables have answers to.
pub fn queries_of_a_world() -> Vec<Query> {
    let repository = RepositoryName::parse("a").expect("a name");
    let layer = Digest::of(Algorithm::Sha256, LAYER);
    vec![
        Query::Cluster,
        Query::Manifest {
            repository: repository.clone(),
            reference: Reference::parse("v1").expect("a tag"),
        },
        Query::Blob {
            repository: repository.clone(),
            digest: layer,
        },
        Query::Upload {
            repository: repository.clone(),
            upload: UploadId::from_u128(nth_id(0)),
        },
        Query::Uploads(Page {
            after: None,
            limit: 10,
        }),
        Query::BlobObjects(Page {
            after: None,
            limit: 10,
        }),
        Query::Repositories(Page {
            after: None,
            limit: 10,
        }),
        Query::Tags {
            repository: repository.clone(),
            page: Page {
                after: None,
                limit: 10,
            },
        },
        Query::Referrers {
            repository,
            subject: layer,
            artifact_type: None,
            page: Page {
                after: None,
                limit: 10,
            },
        },
        Query::Nodes,
        Query::Authorities,
    ]
}
