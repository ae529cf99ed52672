//! A corrupted metadata log: a torn last record is dropped, a damaged middle stops the node with a message that says what
//! to do.

use std::path::{Path, PathBuf};

use harness::HoldfastServer;
use harness::client::sha256;
use replay::{image, media};

use crate::unharmed;

/// Where the first frame of a segment begins, how long the head of a frame is, and what all begin at a multiple of
/// (crate `metadata_raft`, `log/segment.rs`).
const FIRST_FRAME: usize = 128;
const FRAME_HEADER_BYTES: usize = 24;
const ALIGNMENT: usize = 16;

/// The one segment of a short log.
struct Segment {
    path: PathBuf,
    bytes: Vec<u8>,
    /// Where its frames begin, and where the next one would.
    starts: Vec<usize>,
}

impl Segment {
    fn read(data: &Path) -> Segment {
        let mut found = Vec::new();
        let mut folders = vec![data.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|name| name == "segment") {
                    found.push(path);
                }
            }
        }
        assert_eq!(found.len(), 1, "a short log is one segment: {found:?}");
        let path = found.remove(0);
        let bytes = std::fs::read(&path).unwrap();
        let starts = frames(&bytes);
        assert!(starts.len() > 10, "{starts:?}");
        Segment {
            path,
            bytes,
            starts,
        }
    }
}

fn frames(bytes: &[u8]) -> Vec<usize> {
    let magic = &bytes[FIRST_FRAME..FIRST_FRAME + 4];
    let mut starts = vec![FIRST_FRAME];
    let mut start = FIRST_FRAME;
    while &bytes[start..start + 4] == magic {
        let length: [u8; 4] = bytes[start + 4..start + 8].try_into().unwrap();
        let end = start + FRAME_HEADER_BYTES + u32::from_le_bytes(length) as usize;
        start = end.next_multiple_of(ALIGNMENT);
        starts.push(start);
    }
    starts
}

/// A node that was killed after some pushes, and the digests of what it acknowledged.
async fn killed(data: &Path) -> Vec<String> {
    let mut server = HoldfastServer::with().data(data).start().unwrap();
    let client = server.client();
    let mut pushed = Vec::new();
    let mut manifest = image(&client, "a", b"layer").await.unwrap();
    for number in 0..5 {
        manifest["annotations"] = serde_json::json!({"number": number.to_string()});
        let tag = format!("v{number}");
        let put = client.push_manifest("a", &tag, media::MANIFEST, manifest.to_string());
        pushed.push(put.await.unwrap());
    }
    server.kill();
    pushed
}

/// Everything that was acknowledged is there, and the node works.
async fn has_all(data: &Path, pushed: &[String]) {
    let server = HoldfastServer::with().data(data).start().unwrap();
    let client = server.client();
    for (number, digest) in pushed.iter().enumerate() {
        let pulled = client.get(&format!("/v2/a/manifests/v{number}"));
        let pulled = pulled.send().await.unwrap().expect(200).unwrap();
        assert_eq!(&sha256(&pulled.body), digest);
    }
    unharmed(&server).await;
}

#[tokio::test]
async fn torn_last_record_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let pushed = killed(&data).await;
    let segment = Segment::read(&data);
    let [.., last, end] = segment.starts[..] else {
        panic!("a log has frames");
    };
    // What a power cut leaves of a write: the head of a record and a part of its body.
    let part = segment.bytes[last..last + (end - last) / 2].to_vec();
    let mut torn = segment.bytes.clone();
    torn[end..end + part.len()].copy_from_slice(&part);
    std::fs::write(&segment.path, &torn).unwrap();
    has_all(&data, &pushed).await;
}

#[tokio::test]
async fn damaged_middle_stops_the_node_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let pushed = killed(&data).await;
    let segment = Segment::read(&data);
    let middle = segment.starts[segment.starts.len() / 2];
    for at in [middle, middle + FRAME_HEADER_BYTES + 40, 20] {
        let mut damaged = segment.bytes.clone();
        damaged[at] ^= 0x10;
        std::fs::write(&segment.path, &damaged).unwrap();
        let Err(failure) = HoldfastServer::with().data(&data).start() else {
            panic!("a log damaged at byte {at} was opened");
        };
        let said = failure.to_string();
        for words in ["exit status: 1", "the metadata log is damaged", "restore"] {
            assert!(said.contains(words), "byte {at}: no {words} in {said}");
        }
    }
    // A start that was refused has changed nothing: the log as it was is taken.
    std::fs::write(&segment.path, &segment.bytes).unwrap();
    has_all(&data, &pushed).await;
}
