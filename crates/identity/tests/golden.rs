//! What was written by an earlier build loads for ever: tokens and keys that people hold, files of nodes, sealed secrets of
//! the log.
//!
//! The samples are in `golden/`. The secrets in them belong to nobody. `HOLDFAST_BLESS=1` writes those that are missing, and
//! never one that is there.

#![allow(clippy::unwrap_used, reason = "a panic of a test is its report")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use identity::{
    Authority, AuthorityFingerprint, JoinToken, NodeId, NodeIdentity, NodeKey, RecoveryKey, Role,
    UnixSeconds, open, seal,
};
use metadata::ClusterId;

const CLUSTER: ClusterId = ClusterId(0xc1);
const SIGNED: UnixSeconds = UnixSeconds(1_800_000_000);
const LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const PLACE: &[u8] = b"authority key";
const KEY: [u8; 32] = *b"a recovery key of thirty-two byt";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

fn golden(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Keeps a sample, if there is none.
fn keep(name: &str, content: &str) {
    let path = folder().join(name);
    if std::env::var_os("HOLDFAST_BLESS").is_some() && !path.exists() {
        fs::create_dir_all(folder()).unwrap();
        fs::write(path, content).unwrap();
    }
}

#[test]
fn token_loads() {
    let fingerprint = AuthorityFingerprint([0xaf; 32]);
    let made = JoinToken::create(CLUSTER, fingerprint, Role::Gateway, SIGNED);
    let hash = hex::encode(made.hash().0);
    keep(
        "join-token.txt",
        &format!("{made}\n{}\n{hash}\n", made.id()),
    );
    let text = golden("join-token.txt");
    let [token, id, hash] = text.lines().collect::<Vec<_>>()[..] else {
        panic!("a token, its id, and the hash of its secret, a line each");
    };
    let loaded: JoinToken = token.parse().unwrap();
    assert_eq!(loaded.cluster(), CLUSTER);
    assert_eq!(loaded.authority(), fingerprint);
    assert_eq!(loaded.role(), Role::Gateway);
    assert_eq!(loaded.expires(), SIGNED);
    assert_eq!(loaded.id().to_string(), id);
    assert_eq!(hex::encode(loaded.hash().0), hash);
    assert_eq!(
        loaded.to_string(),
        token,
        "tokens are written differently now"
    );
}

#[test]
fn recovery_key_loads() {
    let made = RecoveryKey::from_bytes(KEY);
    keep("recovery-key.txt", &format!("{made}\n"));
    let text = golden("recovery-key.txt");
    let loaded: RecoveryKey = text.parse().unwrap();
    assert_eq!(loaded.as_bytes(), &KEY);
    assert_eq!(
        format!("{loaded}\n"),
        text,
        "keys are written differently now"
    );
}

#[test]
fn sealed_secret_opens() {
    let key = RecoveryKey::from_bytes(KEY);
    let envelope = seal(&key, PLACE, b"a secret of the log");
    keep("sealed.1.hex", &hex::encode(envelope));
    let kept = hex::decode(golden("sealed.1.hex").trim_end()).unwrap();
    let opened = open(&key, PLACE, &kept).unwrap();
    assert_eq!(&**opened, b"a secret of the log");
}

#[test]
fn authority_loads_and_signs() {
    let made = Authority::create(CLUSTER, SIGNED).unwrap();
    keep("authority.pem", &(made.certificate_pem() + &made.key_pem()));
    let text = golden("authority.pem");
    let (certificate, key) = text.split_at(text.find("-----BEGIN PRIVATE").unwrap());
    let loaded = Authority::from_pem(certificate, key).unwrap();
    assert_eq!(loaded.cluster(), CLUSTER);
    assert_eq!(loaded.certificate_pem(), certificate);
    let node = NodeKey::generate();
    let request = node.signing_request();
    let signed = loaded
        .sign(&request, NodeId(1), Role::Member, SIGNED, LIFE)
        .unwrap();
    NodeIdentity::new(node, signed, vec![loaded.certificate().clone()]).unwrap();
}

#[test]
fn file_of_a_node_loads() {
    let authority = Authority::create(CLUSTER, SIGNED).unwrap();
    let key = NodeKey::generate();
    let request = key.signing_request();
    let signed = authority
        .sign(&request, NodeId(7), Role::Gateway, SIGNED, LIFE)
        .unwrap();
    let made = NodeIdentity::new(key, signed, vec![authority.certificate().clone()]).unwrap();
    let node = tempfile::tempdir().unwrap();
    made.save(node.path()).unwrap();
    keep(
        "node.pem",
        &fs::read_to_string(NodeIdentity::path(node.path())).unwrap(),
    );

    let file = NodeIdentity::path(node.path());
    fs::write(&file, golden("node.pem")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let loaded = NodeIdentity::load(node.path()).unwrap().unwrap();
    assert_eq!(loaded.cluster(), CLUSTER);
    assert_eq!((loaded.node(), loaded.role()), (NodeId(7), Role::Gateway));
    assert_eq!(loaded.valid_until(), SIGNED.after(LIFE));
    loaded.save(node.path()).unwrap();
    let written = fs::read_to_string(&file).unwrap();
    assert_eq!(
        written,
        golden("node.pem"),
        "files are written differently now"
    );
}
