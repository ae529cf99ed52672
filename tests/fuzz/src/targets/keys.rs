//! Names and states that are stored: keys of objects and of rows, states of a hash, starts of members, identities, tokens.

use cluster::{RecordedStart, may_follow};
use hashing::{Hasher, Midstate};
use identity::{JoinToken, PeerIdentity, RecoveryKey, SigningRequest, StreamOpener, StreamSealer};
use metadata::{ClusterId, Epoch, LogCopyContent, NodeId, ObjectKey, keys};
use oci::{Algorithm, UploadId};
use wire::nodes::StartNote;
use wire::peer::PeerMessage as _;

use super::{nothing_to_forget, texts};
use crate::target::{Shape, Target, Verdict};

/// The key of an object in the store.
pub static OBJECT_KEY: Target = Target {
    name: "object-key",
    seeds: || {
        let (cluster, upload) = (ClusterId(7), UploadId::from_u128(9));
        let snapshot = LogCopyContent::Snapshot { index: 9, term: 2 };
        let segment = LogCopyContent::Segment {
            first: 1,
            last: u64::MAX,
            term: 3,
        };
        [
            ObjectKey::data(cluster, upload, Epoch(3)),
            ObjectKey::tail(cluster, upload, Epoch(3), 4096),
            ObjectKey::manifest(cluster, 5),
            ObjectKey::marker_of_generation(cluster, 2),
            ObjectKey::left(cluster, 2),
            ObjectKey::start(cluster, NodeId(1), 4, 77),
            ObjectKey::successor(cluster, ClusterId(8)),
            ObjectKey::log_copy(cluster, snapshot, 6),
            ObjectKey::log_copy(cluster, segment, 6),
        ]
        .map(|key| key.as_str().as_bytes().to_vec())
        .to_vec()
    },
    generate: None,
    shape: Shape::Text(&[
        "/data/",
        "/log/",
        "snapshot-",
        "segment-",
        "/start/",
        "/marker/",
        "/left/",
        "/claim/",
        "-",
        "..",
        "ffffffffffffffff",
        "18446744073709551616",
    ]),
    repair: None,
    fresh: nothing_to_forget,
    check: |input| {
        let text = std::str::from_utf8(input).ok();
        let Some(key) = text.and_then(ObjectKey::parse) else {
            return Verdict::refused("no key");
        };
        assert_eq!(Some(key.as_str()), text);
        assert!(!key.as_str().contains("..") && !key.as_str().starts_with('/'));
        let _ = (
            key.read_generation(),
            key.read_start(),
            key.read_successor(),
            key.read_log_copy(),
        );
        Verdict::accepted()
    },
};

/// The key of a row: the first byte says which reader is tried.
pub static ROW_KEY: Target = Target {
    name: "row-key",
    seeds: || {
        let name = oci::RepositoryName::parse("team/app").expect("a name");
        let (tag, digest) = (
            oci::Tag::parse("v1").expect("a tag"),
            oci::Digest::of(Algorithm::Sha256, b"x"),
        );
        let all = [
            keys::repository(&name).bytes().to_vec(),
            keys::tag(&name, &tag).bytes().to_vec(),
            keys::manifest(&digest).bytes().to_vec(),
            keys::blob_link(&name, &digest).bytes().to_vec(),
            keys::manifest_tag(&name, &digest, &tag).bytes().to_vec(),
            keys::parent(&name, &digest, &digest).bytes().to_vec(),
            keys::blob_holder(&digest, &name).bytes().to_vec(),
            keys::project_count("team", &digest).bytes().to_vec(),
        ];
        all.iter()
            .zip(0..)
            .map(|(key, number)| [&[number], &key[..]].concat())
            .collect()
    },
    generate: None,
    shape: Shape::Bytes,
    repair: None,
    fresh: nothing_to_forget,
    check: |input| {
        let Some((reader, key)) = input.split_first() else {
            return Verdict::refused("empty");
        };
        let same = |again: Option<Vec<u8>>| match again {
            Some(again) => {
                assert_eq!(again, key, "one row has one key");
                Verdict::accepted()
            }
            None => Verdict::refused("no key"),
        };
        let read = match reader % 16 {
            0 => keys::read_repository(key).map(|name| keys::repository(&name).bytes().to_vec()),
            1 => keys::read_tag(key).map(|(name, tag)| keys::tag(&name, &tag).bytes().to_vec()),
            2 => keys::read_digest(key).map(|digest| keys::manifest(&digest).bytes().to_vec()),
            3 => keys::read_in_repository(key)
                .map(|(name, digest)| keys::blob_link(&name, &digest).bytes().to_vec()),
            4 => keys::read_manifest_tag(key).map(|(name, digest, tag)| {
                keys::manifest_tag(&name, &digest, &tag).bytes().to_vec()
            }),
            5 => keys::read_pair(key)
                .map(|(name, a, b)| keys::parent(&name, &a, &b).bytes().to_vec()),
            6 => keys::read_blob_holder(key)
                .map(|(digest, name)| keys::blob_holder(&digest, &name).bytes().to_vec()),
            7 => keys::read_project_count(key)
                .map(|(project, digest)| keys::project_count(&project, &digest).bytes().to_vec()),
            8 => keys::read_upload(key).map(|upload| keys::upload(upload).bytes().to_vec()),
            9 => keys::read_upload_part(key)
                .map(|(upload, number)| keys::upload_part(upload, number).bytes().to_vec()),
            10 => keys::read_finished_upload(key)
                .map(|(time, upload)| keys::finished_upload(time, upload).bytes().to_vec()),
            11 => keys::read_deletion(key)
                .map(|(due, object)| keys::deletion(due, &object).bytes().to_vec()),
            12 => keys::read_reply(key).map(|id| keys::reply(id).bytes().to_vec()),
            13 => {
                keys::read_reply_order(key).map(|index| keys::reply_order(index).bytes().to_vec())
            }
            14 => keys::read_idempotency_key(key)
                .map(|(who, name)| keys::idempotency_key(&who, &name).bytes().to_vec()),
            _ => keys::read_first_answer_order(key)
                .map(|(time, answer)| keys::first_answer_order(time, &answer).bytes().to_vec()),
        };
        same(read)
    },
};

/// The state of a hash, as an upload keeps it.
pub static MIDSTATE: Target = Target {
    name: "midstate",
    seeds: || {
        let of = |algorithm, len: usize| {
            let mut hasher = Hasher::new(algorithm);
            hasher.update(&vec![7; len]);
            hasher.midstate().as_bytes().to_vec()
        };
        vec![
            of(Algorithm::Sha256, 1),
            of(Algorithm::Sha256, 64),
            of(Algorithm::Sha256, 127),
            of(Algorithm::Sha512, 0),
            of(Algorithm::Sha512, 300),
        ]
    },
    generate: None,
    shape: Shape::Bytes,
    repair: None,
    fresh: nothing_to_forget,
    check: |input| match Midstate::from_bytes(input) {
        Ok(state) => {
            let mut hasher = Hasher::resume(&state).expect("what is a state can be resumed");
            assert_eq!(
                (hasher.len(), hasher.algorithm()),
                (state.content_len(), state.algorithm())
            );
            assert_eq!(hasher.midstate().as_bytes(), input);
            if state.content_len() < 1 << 60 {
                hasher.update(b"more");
                let _ = hasher.finish();
            }
            Verdict::accepted()
        }
        Err(error) => Verdict::refused(&error.to_string()),
    },
};

/// Whether a start may follow the one that is recorded: 24 bytes of that, and a note.
pub static START: Target = Target {
    name: "start-after",
    seeds: || {
        let note = StartNote {
            starts: 4,
            nonce: 14,
            before: vec![12, 13],
        };
        vec![[&[0; 24], &note.encode()[..]].concat()]
    },
    generate: None,
    shape: Shape::Fields(24),
    repair: None,
    fresh: nothing_to_forget,
    check: |input| {
        let Some((head, note)) = input.split_first_chunk::<24>() else {
            return Verdict::refused("short");
        };
        let Ok(note) = StartNote::decode(note) else {
            return Verdict::refused("no note");
        };
        let (starts, nonce) = head.split_at(8);
        let recorded = RecordedStart {
            starts: u64::from_le_bytes(starts.try_into().expect("eight bytes")),
            nonce: u128::from_le_bytes(nonce.try_into().expect("sixteen bytes")),
        };
        assert!(may_follow(None, &note));
        let _ = may_follow(Some(recorded), &note);
        Verdict::accepted()
    },
};

/// What a joining node is given: a token.
pub static JOIN_TOKEN: Target = Target {
    name: "join-token",
    seeds: || golden_lines("join-token.txt"),
    generate: None,
    shape: Shape::Text(&["hf1.", "A", "-", "_", "=", " "]),
    repair: None,
    fresh: nothing_to_forget,
    check: |input| match std::str::from_utf8(input)
        .unwrap_or_default()
        .parse::<JoinToken>()
    {
        Ok(token) => {
            assert_eq!(token.to_string().as_bytes(), input.trim_ascii());
            Verdict::accepted()
        }
        Err(error) => Verdict::refused(&error.to_string()),
    },
};

/// The key that a person types.
pub static RECOVERY_KEY: Target = Target {
    name: "recovery-key",
    seeds: || golden_lines("recovery-key.txt"),
    generate: None,
    shape: Shape::Text(&["-", "0", "O", "I", "L", " ", "\n"]),
    repair: None,
    fresh: nothing_to_forget,
    check: |input| match std::str::from_utf8(input)
        .unwrap_or_default()
        .parse::<RecoveryKey>()
    {
        Ok(key) => {
            let again: Result<RecoveryKey, _> = key.to_string().parse();
            assert_eq!(again.expect("what was printed").as_bytes(), key.as_bytes());
            Verdict::accepted()
        }
        Err(error) => Verdict::refused(&error.to_string()),
    },
};

fn golden_lines(file: &str) -> Vec<Vec<u8>> {
    let folder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/identity/golden");
    let text = std::fs::read_to_string(folder.join(file)).expect("a golden file of identity");
    text.lines()
        .take(1)
        .map(|line| line.as_bytes().to_vec())
        .chain(texts([""]))
        .collect()
}

/// The certificate of a peer, and a request for one, in DER.
pub static CERTIFICATE: Target = Target {
    name: "certificate",
    seeds: || {
        let key = identity::NodeKey::generate();
        let now = identity::UnixSeconds(1_800_000_000);
        let authority = identity::Authority::create(ClusterId(7), now).expect("an authority");
        vec![
            key.signing_request().as_der().to_vec(),
            authority.certificate().to_vec(),
        ]
    },
    generate: None,
    shape: Shape::Bytes,
    repair: None,
    fresh: nothing_to_forget,
    check: |input| {
        let peer = PeerIdentity::from_certificate(&input.into());
        match (SigningRequest::from_der(input.to_vec()), peer) {
            (Ok(request), _) => {
                assert_eq!(request.as_der(), input);
                Verdict::accepted()
            }
            (Err(_), Ok(_)) => Verdict::accepted(),
            (Err(error), Err(_)) => Verdict::refused(&error.to_string()),
        }
    },
};

const SEALING_KEY: [u8; 32] = [5; 32];

/// A sealed object of the log's copy.
pub static SEALED: Target = Target {
    name: "sealed-stream",
    seeds: || {
        let sealed = |content: &[u8]| {
            let mut sealer = StreamSealer::new(&RecoveryKey::from_bytes(SEALING_KEY), "name");
            let mut sealed = Vec::new();
            sealer.add(content, &mut sealed);
            sealer.finish(&mut sealed);
            sealed
        };
        vec![sealed(b""), sealed(b"content"), sealed(&[3; 1000])]
    },
    generate: None,
    shape: Shape::Bytes,
    repair: None,
    fresh: nothing_to_forget,
    check: |input| {
        let mut opener = StreamOpener::new(&RecoveryKey::from_bytes(SEALING_KEY), "name");
        let mut content = Vec::new();
        let (first, second) = input.split_at(input.len() / 3);
        let opened = opener
            .add(first, &mut content)
            .and_then(|()| opener.add(second, &mut content))
            .and_then(|()| opener.finish(&mut content));
        match opened {
            Ok(()) => Verdict::accepted(),
            Err(error) => Verdict::refused(&error.to_string()),
        }
    },
};
