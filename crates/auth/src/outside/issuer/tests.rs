//! Tokens as GitLab makes them, and everything that only looks like one.

use oci::RepositoryName;
use serde_json::json;

use super::*;
use crate::outside::fixture::{
    Kind, NOW_S, Signer, certificate_pem, hmac_token, now, signed_by, unsigned, x5c,
};
use metadata::access::Right;

/// The libtrust fingerprint of a key, computed without the code under test's base32.
fn kid(signer: &Signer) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &signer.spki());
    let bits: String = hash.as_ref()[..30]
        .iter()
        .map(|byte| format!("{byte:08b}"))
        .collect();
    let bits: Vec<char> = bits.chars().collect();
    let letters: Vec<char> = bits
        .chunks(5)
        .map(|five| {
            let text: String = five.iter().collect();
            let index = usize::from_str_radix(&text, 2).unwrap();
            "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
                .chars()
                .nth(index)
                .unwrap()
        })
        .collect();
    let groups: Vec<String> = letters
        .chunks(4)
        .map(|four| four.iter().collect())
        .collect();
    groups.join(":")
}

fn settings() -> IssuerSettings {
    IssuerSettings {
        realm: "https://gitlab.example.org/jwt/auth".to_owned(),
        service: "container_registry".to_owned(),
        issuer: "gitlab-issuer".to_owned(),
        certificates: Vec::new(),
        key_sets: Vec::new(),
    }
}

/// As GitLab makes them.
fn claims() -> Value {
    json!({
        "access": [{
            "type": "repository",
            "name": "group/project/app",
            "actions": ["pull", "push"],
            "meta": {"project_path": "group/project", "project_id": 7, "root_namespace_id": 3},
        }],
        "jti": "0f7a2d3c-8a32-4b3e-a4c8-0dd5a9a3d1a1",
        "aud": "container_registry",
        "sub": "ann",
        "iss": "gitlab-issuer",
        "iat": NOW_S,
        "nbf": NOW_S - 5,
        "exp": NOW_S + 300,
        "auth_type": "gitlab_or_ldap",
        "user": "eyJhbGciOiJIUzI1NiJ9.e30.x",
    })
}

fn pem_keys(signer: &Signer) -> OutsideKeys {
    let (_, der) = signer.authority("gitlab-issuer");
    OutsideKeys::from_pem(&certificate_pem(&der)).unwrap()
}

fn check(keys: &OutsideKeys, token: &str) -> Result<OutsideProof, ProofError> {
    verify(&settings(), keys, token, now())
}

fn refusal(keys: &OutsideKeys, token: &str) -> ProofError {
    check(keys, token).expect_err("it counts")
}

#[test]
fn token_of_gitlab_counts_for_what_stands_in_it() {
    for kind in [Kind::Rsa, Kind::P256, Kind::P384, Kind::Ed25519] {
        let signer = Signer::draw(kind);
        let token = signer.token(json!({"typ": "JWT", "kid": kid(&signer)}), &claims());
        let proof =
            check(&pem_keys(&signer), &token).unwrap_or_else(|error| panic!("{kind:?}: {error}"));
        assert_eq!(
            proof.who,
            Who::Outside(PrincipalName("gitlab-issuer:ann".into()))
        );
        let app = RepositoryName::parse("group/project/app").unwrap();
        assert_eq!(
            proof.scopes,
            [Scope::Repository(app, vec![Right::Pull, Right::Push])]
        );
        assert_eq!(proof.until, now() + std::time::Duration::from_secs(360));
    }
}

#[test]
fn key_is_found_by_set_by_public_key_and_without_a_name() {
    let signer = Signer::draw(Kind::Rsa);
    let set = json!({"keys": [Signer::draw(Kind::P256).jwk("other"), signer.jwk("mine")]});
    let set = OutsideKeys::from_jwk_set(set.to_string().as_bytes()).unwrap();
    let public = OutsideKeys::from_pem(&signer.public_pem()).unwrap();
    let named = signer.token(json!({"kid": "mine"}), &claims());
    let nameless = signer.token(json!({}), &claims());
    assert!(check(&set, &named).is_ok());
    assert!(check(&set, &nameless).is_ok());
    assert!(check(&public, &nameless).is_ok());
    assert_eq!(refusal(&public, &named), ProofError::UnknownKey);
    let as_other = signer.token(json!({"kid": "other"}), &claims());
    assert_eq!(refusal(&set, &as_other), ProofError::Algorithm);
}

#[test]
fn certificates_of_a_token_have_to_lead_to_a_trusted_one() {
    let (root, middle, leaf) = (
        Signer::draw(Kind::P256),
        Signer::draw(Kind::P256),
        Signer::draw(Kind::Rsa),
    );
    let (root_params, root_der) = root.authority("root");
    let keys = OutsideKeys::from_pem(&certificate_pem(&root_der)).unwrap();
    let leaf_der = signed_by(&root, &root_params, &leaf);
    let good = leaf.token(json!({"x5c": x5c(&[&leaf_der])}), &claims());
    assert!(check(&keys, &good).is_ok());
    let with_root = leaf.token(json!({"x5c": x5c(&[&leaf_der, &root_der])}), &claims());
    assert!(check(&keys, &with_root).is_ok());
    let root_itself = root.token(json!({"x5c": x5c(&[&root_der])}), &claims());
    assert!(check(&keys, &root_itself).is_ok());
    // Somebody else's authority of the same name.
    let (evil_params, evil_der) = middle.authority("root");
    let evil_leaf = signed_by(&middle, &evil_params, &leaf);
    for chain in [
        vec![&evil_leaf[..]],
        vec![&evil_leaf[..], &evil_der[..]],
        vec![&evil_der[..]],
    ] {
        let token = leaf.token(json!({"x5c": x5c(&chain)}), &claims());
        assert_eq!(refusal(&keys, &token), ProofError::Chain);
    }
    // The trusted certificate first, the key of another.
    let borrowed = middle.token(json!({"x5c": x5c(&[&root_der])}), &claims());
    assert_eq!(refusal(&keys, &borrowed), ProofError::Signature);
    for broken in [
        json!([]),
        json!(["AAAA"]),
        json!(["!"]),
        json!(vec!["AAAA"; 9]),
    ] {
        let token = leaf.token(json!({"x5c": broken}), &claims());
        assert_eq!(refusal(&keys, &token), ProofError::Chain, "{broken}");
    }
    // A set of keys is no authority.
    let set = json!({"keys": [root.jwk("root")]});
    let set = OutsideKeys::from_jwk_set(set.to_string().as_bytes()).unwrap();
    assert_eq!(refusal(&set, &good), ProofError::Chain);
}

#[test]
fn token_that_is_not_signed_in_a_way_that_counts_is_refused() {
    let signer = Signer::draw(Kind::Rsa);
    let keys = pem_keys(&signer);
    let kid = kid(&signer);
    for algorithm in ["none", "None", "NONE", "nOnE"] {
        let header = json!({"alg": algorithm, "kid": kid});
        let bare = unsigned(&header, &claims());
        for token in [
            bare.clone(),
            format!("{bare}."),
            signer.token(header, &claims()),
        ] {
            assert_eq!(refusal(&keys, &token), ProofError::Malformed, "{algorithm}");
        }
    }
    // The public key is known to everybody: it must not be taken for a secret.
    let public_pem = signer.public_pem();
    for secret in [
        signer.spki(),
        public_pem.into_bytes(),
        certificate_of(&signer),
    ] {
        for algorithm in ["HS256", "HS384", "HS512"] {
            let header = json!({"alg": algorithm, "kid": kid});
            let token = hmac_token(&header, &claims(), &secret);
            assert_eq!(refusal(&keys, &token), ProofError::Algorithm);
        }
    }
    // Another algorithm than the key's, and one that the set excludes.
    let header = json!({"alg": "ES256", "kid": kid});
    assert_eq!(
        refusal(&keys, &signer.token(header, &claims())),
        ProofError::Algorithm
    );
    let mut jwk = signer.jwk("mine");
    jwk["alg"] = "PS256".into();
    let set = json!({"keys": [jwk]}).to_string();
    let set = OutsideKeys::from_jwk_set(set.as_bytes()).unwrap();
    let token = signer.token(json!({"kid": "mine"}), &claims());
    assert_eq!(refusal(&set, &token), ProofError::Algorithm);
    let header = json!({"kid": kid, "crit": ["exp"]});
    assert_eq!(
        refusal(&keys, &signer.token(header, &claims())),
        ProofError::Malformed
    );
}

fn certificate_of(signer: &Signer) -> Vec<u8> {
    certificate_pem(&signer.authority("gitlab-issuer").1).into_bytes()
}

#[test]
fn token_of_others_or_for_others_is_refused() {
    let (signer, other) = (Signer::draw(Kind::P256), Signer::draw(Kind::P256));
    let keys = pem_keys(&signer);
    let header = json!({"kid": kid(&signer)});
    let with = |claim: &str, value: Value| {
        let mut claims = claims();
        claims[claim] = value;
        signer.token(header.clone(), &claims)
    };
    assert_eq!(
        refusal(&keys, &other.token(header.clone(), &claims())),
        ProofError::Signature
    );
    let own_name = other.token(json!({"kid": kid(&other)}), &claims());
    assert_eq!(refusal(&keys, &own_name), ProofError::UnknownKey);
    assert_eq!(
        refusal(&keys, &with("iss", json!("other"))),
        ProofError::Issuer
    );
    assert_eq!(
        refusal(&keys, &with("iss", json!(["gitlab-issuer"]))),
        ProofError::Issuer
    );
    for audience in [
        json!("other"),
        json!([]),
        json!(["other"]),
        json!(null),
        json!({}),
    ] {
        assert_eq!(refusal(&keys, &with("aud", audience)), ProofError::Audience);
    }
    assert!(check(&keys, &with("aud", json!(["other", "container_registry"]))).is_ok());
}

#[test]
fn token_counts_in_its_time_only() {
    let signer = Signer::draw(Kind::P256);
    let keys = pem_keys(&signer);
    let header = json!({"kid": kid(&signer)});
    let at = |nbf: Value, exp: Value| {
        let mut claims = claims();
        claims["nbf"] = nbf;
        claims["exp"] = exp;
        check(&keys, &signer.token(header.clone(), &claims)).map(drop)
    };
    let early = Err(ProofError::TooEarly);
    let expired = Err(ProofError::Expired);
    assert_eq!(at(json!(NOW_S + 60), json!(NOW_S + 300)), Ok(()));
    assert_eq!(at(json!(NOW_S + 61), json!(NOW_S + 300)), early);
    assert_eq!(at(json!(NOW_S - 300), json!(NOW_S - 59)), Ok(()));
    assert_eq!(at(json!(NOW_S - 300), json!(NOW_S - 60)), expired);
    assert_eq!(
        at(json!(NOW_S as f64 + 0.5), json!(NOW_S as f64 + 1.5)),
        Ok(())
    );
    for odd in [json!(null), json!("tomorrow"), json!(-1), json!(1e300)] {
        assert_eq!(at(json!(0), odd), Err(ProofError::Malformed));
    }
}

#[test]
fn nobody_outside_is_taken_for_somebody_here() {
    let signer = Signer::draw(Kind::P256);
    let keys = pem_keys(&signer);
    let named = |sub: Value| {
        let mut claims = claims();
        claims["sub"] = sub;
        check(&keys, &signer.token(json!({}), &claims)).map(|proof| proof.who)
    };
    for sub in ["admin", "system", "robot$team+ci", "anonymous", ""] {
        let Who::Outside(name) = named(json!(sub)).unwrap() else {
            panic!("an account");
        };
        assert_eq!(&*name.0, format!("gitlab-issuer:{sub}"));
        assert!(metadata::access::AccountName::parse(&name.0).is_err());
    }
    assert_eq!(named(json!("a\nb")), Err(ProofError::Malformed));
    assert_eq!(named(json!("a".repeat(201))), Err(ProofError::Malformed));
}

#[test]
fn scopes_that_are_tricks_are_worth_nothing() {
    let signer = Signer::draw(Kind::P256);
    let keys = pem_keys(&signer);
    let scopes = |access: Value| {
        let mut claims = claims();
        claims["access"] = access;
        check(&keys, &signer.token(json!({}), &claims)).map(|proof| proof.scopes)
    };
    let one = |name: &str| json!([{"type": "repository", "name": name, "actions": ["*"]}]);
    for name in ["../x", "*", "", "A", "a//b"] {
        assert_eq!(scopes(one(name)), Ok(Vec::new()), "{name}");
    }
    assert_eq!(scopes(json!(null)), Ok(Vec::new()));
    assert_eq!(scopes(json!([])), Ok(Vec::new()));
    let catalog = json!([{"type": "registry", "name": "catalog", "actions": ["*"]}]);
    assert_eq!(scopes(catalog), Ok(vec![Scope::Catalog]));
    let many = vec![one("a")[0].clone(); SCOPES_MAX + 1];
    assert_eq!(scopes(json!(many)), Err(ProofError::Malformed));
    assert_eq!(
        scopes(json!("repository:a:pull")),
        Err(ProofError::Malformed)
    );
}

#[test]
fn every_changed_character_is_noticed() {
    let signer = Signer::draw(Kind::P256);
    let keys = pem_keys(&signer);
    let token = signer.token(json!({"kid": kid(&signer)}), &claims());
    for at in (0..token.len() - 1).step_by(7) {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        assert!(
            check(&keys, std::str::from_utf8(&bytes).unwrap()).is_err(),
            "{at}"
        );
    }
    for text in ["", ".", "..", "a.b.c", &"a".repeat(70_000)] {
        assert_eq!(refusal(&keys, text), ProofError::Malformed);
    }
}

#[test]
fn files_are_read_again_when_they_change_and_broken_ones_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (pem, set) = (
        folder.path().join("root.pem"),
        folder.path().join("keys.json"),
    );
    let (old, new) = (Signer::draw(Kind::P256), Signer::draw(Kind::P256));
    std::fs::write(&pem, old.public_pem()).unwrap();
    std::fs::write(&set, json!({"keys": [new.jwk("new")]}).to_string()).unwrap();
    let issuer = Issuer::open(IssuerSettings {
        certificates: vec![pem.clone()],
        key_sets: vec![set.clone()],
        ..settings()
    });
    let issuer = issuer.unwrap();
    let token = |signer: &Signer| signer.token(json!({}), &claims());
    assert!(issuer.verify(&token(&old), now()).is_ok());
    assert!(issuer.verify(&token(&new), now()).is_ok());
    assert!(!issuer.refresh().unwrap());
    touch(&pem, "nothing of use", 1);
    assert!(
        issuer
            .refresh()
            .unwrap_err()
            .to_string()
            .contains("root.pem")
    );
    assert!(issuer.verify(&token(&old), now()).is_ok());
    touch(&pem, &new.public_pem(), 2);
    assert!(issuer.refresh().unwrap());
    assert_eq!(
        issuer.verify(&token(&old), now()),
        Err(ProofError::Signature)
    );
    std::fs::remove_file(&set).unwrap();
    assert!(matches!(
        issuer.refresh(),
        Err(IssuerError::Unreadable { .. })
    ));
    assert!(issuer.verify(&token(&new), now()).is_ok());
}

/// Writes a file, and gives it a time of its own.
fn touch(path: &Path, text: &str, seconds: u64) {
    std::fs::write(path, text).unwrap();
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(now() + std::time::Duration::from_secs(seconds))
        .unwrap();
}

#[test]
fn issuer_without_names_or_keys_is_refused() {
    assert!(matches!(
        Issuer::open(settings()),
        Err(IssuerError::NoFiles)
    ));
    let nameless = IssuerSettings {
        service: String::new(),
        ..settings()
    };
    assert!(matches!(Issuer::open(nameless), Err(IssuerError::NoName)));
}
