//! The doorkeeper beside others who prove: an issuer of tokens, certificates and a file of passwords.

use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use metadata::PrincipalName;
use metadata::access::Who;
use ports::MetadataStore;
use ports::metadata_store::memory::MemoryMetadataStore;
use rcgen::{CertificateParams, DnType};
use serde_json::{Value, json};

use super::*;
use crate::outside::fixture::{Kind, Signer};
use crate::outside::{Outside, ProofError};
use crate::{MemberProver, PasswordChecker, TokenIssuer, TokenKeys};

struct House {
    door: Doorkeeper,
    issuer: Signer,
    _folder: tempfile::TempDir,
}

fn soon() -> Deadline {
    Deadline::now() + Duration::from_secs(20)
}

fn house() -> House {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let issuer = Signer::draw(Kind::Rsa);
    let settings = json!({
        "issuer": {
            "realm": "https://git.example.org/jwt/auth",
            "service": "container_registry",
            "issuer": "git",
            "key_sets": [file("keys", json!({"keys": [issuer.jwk("git-1")]}).to_string())],
        },
        "htpasswd": {"file": file("users", format!("nobody:{}\n", bcrypt::hash("of nobody", 4).unwrap()))},
        "certificates": {"field": "common-name", "name": {"form": "person-*"}},
    });
    let settings = serde_json::from_value(settings).unwrap();
    let metadata: Arc<dyn MetadataStore> = Arc::new(MemoryMetadataStore::new());
    let passwords = PasswordChecker::new(1, Duration::from_secs(10));
    let elsewhere = Elsewhere {
        outside: Arc::new(Outside::open(settings).unwrap()),
        metadata: Arc::clone(&metadata),
        passwords: passwords.clone(),
    };
    let prover = MemberProver {
        metadata: Arc::clone(&metadata),
        passwords,
    };
    let names = TokenIssuer {
        issuer: "holdfast".to_owned(),
        service: "registry.example".to_owned(),
    };
    let door = Doorkeeper::new(Arc::new(prover), TokenKeys::new(metadata), names, 100);
    House {
        door: door.with_elsewhere(Arc::new(elsewhere)),
        issuer,
        _folder: folder,
    }
}

impl House {
    async fn shown(&self, header: String) -> Result<Admitted, NotAdmitted> {
        self.door.admit(Some(&header), soon()).await
    }

    /// A token that ends in so many seconds.
    fn token(&self, kid: &str, left: i64) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let end = i64::try_from(now.as_secs()).unwrap() + left;
        let access = json!([{"type": "repository", "name": "group/app", "actions": ["pull"]}]);
        let claims: Value = json!({"iss": "git", "aud": "container_registry", "sub": "ann", "exp": end, "access": access});
        format!(
            "Bearer {}",
            self.issuer
                .token(json!({"typ": "JWT", "kid": kid}), &claims)
        )
    }
}

#[tokio::test]
async fn token_of_the_issuer_is_good_for_what_stands_in_it() {
    let house = house();
    let admitted = house.shown(house.token("git-1", 300)).await.unwrap();
    assert_eq!(admitted.who, Who::Outside(PrincipalName("git:ann".into())));
    let app = oci::RepositoryName::parse("group/app").unwrap();
    assert!(admitted.covers(&app, metadata::access::Right::Pull));
    assert!(!admitted.covers(&app, metadata::access::Right::Push));
    assert!(admitted.until.is_some());
    for (token, why) in [
        (house.token("git-1", -300), ProofError::Expired),
        (house.token("git-2", 300), ProofError::UnknownKey),
        ("Bearer nonsense".to_owned(), ProofError::Malformed),
    ] {
        assert_eq!(
            house.shown(token).await,
            Err(NotAdmitted::OutsideToken(why))
        );
    }
}

#[tokio::test]
async fn certificate_admits_whom_it_names_and_is_nothing_else() {
    let house = house();
    let certificate = |name: &str| {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let signer = Signer::draw(Kind::P256);
        params.self_signed(&signer.key).unwrap().der().to_vec()
    };
    let ann = certificate("person-ann");
    for _ in 0..2 {
        let admitted = house
            .door
            .admit_certificate(&ann, soon())
            .await
            .unwrap()
            .unwrap();
        let Who::Account {
            name, key: None, ..
        } = &admitted.who
        else {
            panic!("{admitted:?}");
        };
        assert_eq!(name.as_str(), "ann");
        assert!(admitted.scopes.is_none() && admitted.until.is_none());
    }
    for nobody in [certificate("machine-7"), b"nonsense".to_vec()] {
        let admitted = house.door.admit_certificate(&nobody, soon()).await;
        assert_eq!(admitted, Ok(None));
    }
}

#[tokio::test]
async fn name_that_nobody_can_have_is_not_whoever_is_asked_in_its_place() {
    let house = house();
    let basic = |name: &str| format!("Basic {}", STANDARD.encode(format!("{name}:of nobody")));
    assert!(house.shown(basic("nobody")).await.is_ok());
    for impossible in ["", "../x", "no body"] {
        let shown = house.shown(basic(impossible)).await;
        assert_eq!(shown, Err(NotAdmitted::Wrong), "{impossible:?}");
    }
}
