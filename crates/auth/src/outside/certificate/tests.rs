//! Certificates that name somebody, nobody and two.

use rcgen::string::Ia5String;
use rcgen::{CertificateParams, DnType, SanType};

use super::*;
use crate::outside::fixture::{Kind, Signer};
use crate::outside::form::Form;

fn certificate(common_names: &[&str], names: Vec<SanType>) -> Vec<u8> {
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    for name in common_names {
        params.distinguished_name.push(DnType::CommonName, *name);
    }
    params.subject_alt_names = names;
    let signer = Signer::draw(Kind::P256);
    params.self_signed(&signer.key).unwrap().der().to_vec()
}

fn text(text: &str) -> Ia5String {
    Ia5String::try_from(text).unwrap()
}

fn email(address: &str) -> SanType {
    SanType::Rfc822Name(text(address))
}

fn uri(address: &str) -> SanType {
    SanType::URI(text(address))
}

fn by(field: Field, form: &str) -> CertificateSettings {
    CertificateSettings {
        field,
        name: NameRule {
            form: Form::parse(form).unwrap(),
            lowercase: false,
        },
    }
}

#[test]
fn configured_field_names_the_user_and_no_other_does() {
    let names = vec![
        email("ann@example.org"),
        uri("spiffe://example.org/user/bea"),
        SanType::DnsName(text("cid.example.org")),
    ];
    let der = certificate(&["dora"], names);
    for (field, form, expected) in [
        (Field::Email, "*@example.org", "ann"),
        (Field::Email, "*", "ann@example.org"),
        (Field::Uri, "spiffe://example.org/user/*", "bea"),
        (Field::Dns, "*.example.org", "cid"),
        (Field::CommonName, "*", "dora"),
    ] {
        let login = login(&by(field, form), &der).unwrap();
        assert_eq!(login.user.as_str(), expected);
        assert_eq!(login.source, Source::Certificate);
        assert_eq!(login.email.as_deref(), Some("ann@example.org"));
        assert_eq!(login.groups, None);
    }
}

#[test]
fn certificate_that_names_nobody_or_two_is_refused() {
    let refused = |settings: &CertificateSettings, der: &[u8]| login(settings, der).unwrap_err();
    let by_email = by(Field::Email, "*@example.org");
    // The common name is not believed in place of what is missing.
    let without = certificate(&["ann@example.org"], Vec::new());
    assert!(matches!(
        refused(&by_email, &without),
        CertificateError::Name(LoginError::NoName { .. })
    ));
    let elsewhere = certificate(&["x"], vec![email("ann@evil.org")]);
    assert!(matches!(
        refused(&by_email, &elsewhere),
        CertificateError::Name(LoginError::OtherForm { .. })
    ));
    let two = certificate(
        &["x"],
        vec![email("ann@example.org"), email("bea@example.org")],
    );
    assert_eq!(refused(&by_email, &two), CertificateError::Ambiguous);
    let one_fits = certificate(
        &["x"],
        vec![email("ann@evil.org"), email("bea@example.org")],
    );
    assert_eq!(login(&by_email, &one_fits).unwrap().user.as_str(), "bea");
    let robot = certificate(&["robot$team+ci"], Vec::new());
    assert!(matches!(
        refused(&by(Field::CommonName, "*"), &robot),
        CertificateError::Name(LoginError::NotAName(_))
    ));
}

#[test]
fn what_is_no_certificate_is_refused() {
    let settings = CertificateSettings::default();
    assert_eq!(
        login(&settings, b"nothing"),
        Err(CertificateError::Malformed)
    );
    let mut der = certificate(&["x"], vec![email("ann@example.org")]);
    der.push(0);
    assert_eq!(login(&settings, &der), Err(CertificateError::Malformed));
}
