//! What is kept for clients: made once, renewed in time, put right after whatever died in between.

use std::os::unix::fs::PermissionsExt;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{ServerName, UnixTime};

use super::*;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

fn names() -> Vec<String> {
    [
        "registry.example.com",
        "localhost",
        "192.0.2.7",
        "::1",
        "*.r.example.com",
    ]
    .map(str::to_owned)
    .to_vec()
}

fn keep(folder: &Path, now: UnixSeconds) -> (String, String) {
    let files = keep_serving_certificate(folder, &names(), now).unwrap();
    let read = |path| fs::read_to_string(path).unwrap();
    (read(&files.authority), read(&files.server))
}

/// Whether a client that trusts the authority takes the server's certificate for that name.
fn is_taken(authority: &str, server: &str, name: &str, at: UnixSeconds) -> bool {
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    let der = |text: &str| CertificateDer::from_pem_slice(text.as_bytes()).unwrap();
    roots.add(der(authority)).unwrap();
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider)
        .build()
        .unwrap();
    let time = UnixTime::since_unix_epoch(Duration::from_secs(at.0));
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let verified = verifier.verify_server_cert(&der(server), &[], &name, &[], time);
    verified.is_ok()
}

#[test]
fn clients_that_trust_the_authority_take_the_server_under_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, server) = keep(folder.path(), NOW);
    for name in [
        "registry.example.com",
        "localhost",
        "192.0.2.7",
        "::1",
        "a.r.example.com",
    ] {
        assert!(is_taken(&authority, &server, name, NOW), "{name}");
    }
    for name in ["example.com", "192.0.2.8", "a.b.r.example.com"] {
        assert!(!is_taken(&authority, &server, name, NOW), "{name}");
    }
    let (other, _) = keep(tempfile::tempdir().unwrap().path(), NOW);
    assert!(!is_taken(&other, &server, "localhost", NOW));
}

#[test]
fn what_is_right_is_kept_and_what_is_near_its_end_is_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, server) = keep(folder.path(), NOW);
    let soon = NOW.after(DAY * 100);
    assert_eq!(
        keep(folder.path(), soon),
        (authority.clone(), server.clone())
    );
    let later = NOW.after(DAY * 130);
    let (kept, renewed) = keep(folder.path(), later);
    assert_eq!(kept, authority);
    assert_ne!(renewed, server);
    assert!(is_taken(
        &authority,
        &renewed,
        "localhost",
        later.after(DAY * 100)
    ));

    let mut more = names();
    more.push("another.example.com".to_owned());
    let files = keep_serving_certificate(folder.path(), &more, later).unwrap();
    let server = fs::read_to_string(files.server).unwrap();
    assert!(is_taken(&authority, &server, "another.example.com", later));

    let at_the_end = NOW.after(DAY * 365 * 20);
    let (another, server) = keep(folder.path(), at_the_end);
    assert_ne!(another, authority);
    assert!(is_taken(&another, &server, "localhost", at_the_end));
}

#[test]
fn what_was_lost_is_made_again_and_what_is_damaged_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, server) = keep(folder.path(), NOW);
    let path = |name: &str| folder.path().join(name);
    for name in ["authority.pem", "server.pem"] {
        fs::remove_file(path(name)).unwrap();
    }
    let (again, another) = keep(folder.path(), NOW);
    assert_eq!(again, authority);
    assert_ne!(another, server);
    fs::write(path("server.pem"), "torn").unwrap();
    assert!(is_taken(
        &authority,
        &keep(folder.path(), NOW).1,
        "::1",
        NOW
    ));
    fs::write(path("authority-key.pem"), &authority).unwrap();
    let error = keep_serving_certificate(folder.path(), &names(), NOW).unwrap_err();
    assert!(
        error.to_string().contains("it holds no authority"),
        "{error}"
    );
}

#[test]
fn keys_are_their_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    keep(folder.path(), NOW);
    for name in ["authority-key.pem", "server.pem"] {
        let mode = fs::metadata(folder.path().join(name)).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600, "{name}");
    }
    let public = fs::read_to_string(folder.path().join("authority.pem")).unwrap();
    assert!(!public.contains("PRIVATE"));
}

#[test]
fn what_is_no_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for wrong in [
        "",
        "a b",
        "https://a",
        "a:5000",
        "*",
        "a.*.b",
        "ä.example",
        "a..b",
    ] {
        let kept = keep_serving_certificate(folder.path(), &[wrong.to_owned()], NOW);
        assert!(matches!(kept, Err(ServingError::Name(_))), "{wrong}");
    }
}
