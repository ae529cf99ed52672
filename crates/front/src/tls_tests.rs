//! Files that change while a server runs: the right ones take effect, the wrong ones do not and are told.

use std::fs;

use super::*;
use crate::certificates::ClientCertificates;
use crate::test_authority::TestAuthority;

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

#[test]
fn a_replaced_certificate_takes_effect() {
    let folder = tempfile::tempdir().unwrap();
    let authority = TestAuthority::new();
    let tls = Tls::open(authority.sign("a.example", 90).keep(folder.path())).unwrap();
    let first = tls.server_config();
    tls.look(false, now());
    assert!(Arc::ptr_eq(&first, &tls.server_config()));
    authority.sign("b.example", 60).keep(folder.path());
    tls.look(false, now());
    assert!(!Arc::ptr_eq(&first, &tls.server_config()));
    assert_eq!(tls.served.load().names, ["b.example"]);
    assert!(tls.failure().is_none());
}

#[test]
fn a_broken_file_keeps_what_is_served_and_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let authority = TestAuthority::new();
    let settings = authority.sign("a.example", 90).keep(folder.path());
    let tls = Tls::open(settings.clone()).unwrap();
    let first = tls.server_config();
    for broken in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n", "no PEM at all"] {
        fs::write(&settings.certificate, broken).unwrap();
        // Files that are being replaced fit together a moment later: the first look tells nothing.
        tls.look(false, now());
        assert!(!tls.report().contains("cannot be used"), "{broken}");
        tls.look(false, now());
        assert!(tls.report().contains("cannot be used"), "{broken}");
        assert!(Arc::ptr_eq(&first, &tls.server_config()));
    }
    fs::remove_file(&settings.certificate).unwrap();
    tls.look(true, now());
    assert!(matches!(tls.failure(), Some(TlsError::Unreadable { .. })));
    assert!(tls.report().contains("cannot be used"));
    let new = authority.sign("c.example", 90).keep(folder.path());
    tls.look(false, now());
    assert!(tls.failure().is_none());
    assert!(!Arc::ptr_eq(&first, &tls.server_config()));

    // A key of another certificate, and a certificate that has ended, are no better than none.
    fs::write(&new.key, authority.sign("c.example", 90).key).unwrap();
    tls.look(true, now());
    let why = tls.failure().unwrap().to_string();
    assert!(why.contains("does not belong to the certificate"), "{why}");
    authority.sign("c.example", -2).keep(folder.path());
    tls.look(true, now());
    let why = tls.failure().unwrap().to_string();
    assert!(why.contains("and not now"), "{why}");
}

#[test]
fn an_end_that_is_near_is_told_once_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let authority = TestAuthority::new();
    let tls = Tls::open(authority.sign("a.example", 40).keep(folder.path())).unwrap();
    tls.look(false, now());
    assert!(tls.followed.lock().warned.is_none());
    assert!(tls.report().starts_with("the certificate is valid until"));
    let later = now() + time::Duration::days(20);
    tls.look(false, later);
    assert_eq!(tls.followed.lock().warned, Some(later));
    assert!(tls.report_at(later).starts_with("the certificate ends in "));
    tls.look(false, later + time::Duration::hours(23));
    assert_eq!(tls.followed.lock().warned, Some(later));
    tls.look(false, later + time::Duration::hours(25));
    assert_ne!(tls.followed.lock().warned, Some(later));
    let ended = now() + time::Duration::days(41);
    assert!(
        tls.report_at(ended)
            .starts_with("the certificate is not valid")
    );
}

#[test]
fn files_that_cannot_be_used_are_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let authority = TestAuthority::new();
    let settings = authority.sign("a.example", 90).keep(folder.path());
    let wrong = [
        TlsSettings {
            certificate: folder.path().join("nowhere.pem"),
            ..settings.clone()
        },
        TlsSettings {
            certificate: settings.key.clone(),
            ..settings.clone()
        },
        TlsSettings {
            key: settings.certificate.clone(),
            ..settings.clone()
        },
        TlsSettings {
            client_certificates: ClientCertificates::Optional,
            ..settings.clone()
        },
        TlsSettings {
            client_certificates: ClientCertificates::Required,
            client_authorities: Some(settings.key.clone()),
            ..settings.clone()
        },
    ];
    for settings in wrong {
        let error = Tls::open(settings).unwrap_err().to_string();
        assert!(!error.contains("PRIVATE"), "{error}");
    }
    assert!(Tls::open(settings).is_ok());
}
