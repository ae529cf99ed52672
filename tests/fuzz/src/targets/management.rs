//! Requests to the management API as its administrator sends them: a byte for the method, a line with the path, and the body. Its own
//! log is in memory. Whatever comes is answered, never by 5xx, and errors are JSON.

use std::cell::RefCell;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use auth::PasswordChecker;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use metadata::Command;
use metadata::access::{AccessCommand, AccountName, Asker, PasswordHash, Who};
use ports::RandomIds;
use ports::blob_store::memory::MemoryBlobStore;
use ports::metadata_store::memory::MemoryMetadataStore;
use registry::{Parts, Registry, Settings};
use tower::ServiceExt as _;

use super::{in_runtime, texts};
use crate::target::{Shape, Target, Verdict};

const ADMIN: &str = "admin";

/// Answers a request.
type Served = Arc<dyn Fn(Request<Full<Bytes>>) -> (StatusCode, Bytes)>;

thread_local! {
    static SERVED: RefCell<Option<Served>> = const { RefCell::new(None) };
}

fn admin() -> AccountName {
    AccountName::user(ADMIN).expect("a name")
}

/// A registry that asks for rights, with nobody in it but its administrator.
fn served() -> Served {
    // To begin one takes as long, and as much memory, as a password does.
    static PASSWORDS: LazyLock<PasswordChecker> =
        LazyLock::new(|| PasswordChecker::new(1, Duration::from_secs(1)));
    let log = MemoryMetadataStore::new();
    let command = AccessCommand::SwitchOn {
        admin: admin(),
        password: PasswordHash("$argon2id$nobody".into()),
    };
    log.commit(Command::Access(Box::new(command)));
    let registry = Registry::new(Parts {
        metadata: Arc::new(log),
        blobs: Arc::new(MemoryBlobStore::new()),
        ids: Arc::new(RandomIds),
        settings: Settings::default(),
    });
    let router = management::router(management::Parts {
        registry,
        passwords: PASSWORDS.clone(),
        logins: None,
    });
    Arc::new(move |request| {
        in_runtime(async {
            let answer = router.clone().oneshot(request).await;
            let (head, body) = answer.unwrap_or_else(|never| match never {}).into_parts();
            let body = body.collect().await.expect("an answer in memory is whole");
            (head.status, body.to_bytes())
        })
    })
}

fn fresh() {
    SERVED.with(|kept| *kept.borrow_mut() = Some(served()));
}

/// A method, whatever was drawn for it.
fn method(drawn: u8) -> Method {
    match drawn % 5 {
        0 => Method::GET,
        1 => Method::POST,
        2 => Method::PUT,
        3 => Method::PATCH,
        _ => Method::DELETE,
    }
}

/// What has a password in it is read, and no more: to hash it takes longer than all the rest.
fn is_about_passwords(method: &Method, path: &str) -> bool {
    let path = path.trim_end_matches('/');
    (*method == Method::POST && path.ends_with("users")) || path.ends_with("password")
}

/// See the module.
pub static MANAGEMENT: Target = Target {
    name: "management",
    seeds: || {
        texts([
            "\x01/users\n{\"name\":\"ann\",\"password\":\"a long password\",\"admin\":false,\"email\":\"a@b.example\"}",
            "\x02/users/ann/password\n{\"password\":\"another long password\"}",
            "\x03/users/admin\n{\"admin\":true,\"disabled\":false,\"email\":\"\"}",
            "\0/users?limit=10&after=ann\n",
            "\x01/groups\n{\"name\":\"team/dev\"}",
            "\x02/groups/team%2Fdev/members/admin\n",
            "\x01/projects\n{\"name\":\"team\",\"visibility\":\"internal\"}",
            "\x03/projects/team\n{\"visibility\":\"public\"}",
            "\x02/projects/team/members/users/admin\n{\"role\":\"owner\"}",
            "\x01/projects/team/robots\n{\"name\":\"ci\",\"grants\":[{\"repositories\":\"team/*\",\"rights\":[\"pull\",\"push\"]}],\"expires\":\"2030-01-01T00:00:00Z\",\"description\":\"x\"}",
            "\x01/robots\n{\"name\":\"ci\",\"grants\":[]}",
            "\x01/users/admin/tokens\n{\"label\":\"ci\",\"limits\":[{\"repositories\":\"team/app\",\"rights\":[\"pull\"]}],\"expires\":null}",
            "\x04/users/admin/tokens/00000000000000000000000000000001\n",
            "\0/audit?by=admin&action=user&from=2020-01-01T00:00:00Z&limit=5&before=9\n",
            "\x03/settings\n{\"users_create_projects\":true,\"auto_create_projects\":false}",
            "\0/me\n",
            "\0/keys\n",
            "\x04/keys/1\n",
        ])
    },
    generate: None,
    shape: Shape::Text(&[
        "/users",
        "/groups",
        "/projects",
        "/robots",
        "/members",
        "/tokens",
        "/audit?",
        "/keys",
        "%2F",
        "%00",
        "limit=",
        "18446744073709551616",
        "\"name\":",
        "\"grants\":[",
        "\"rights\":[\"pull\"]",
        "\"expires\":",
        "null",
        "\"9999-12-31T23:59:59.999999999Z\"",
        "\"-0001-01-01T00:00:00Z\"",
        "robot$team+ci",
        "[[[[",
        "1e999",
        "\\ud800",
    ]),
    repair: None,
    fresh,
    check: |input| {
        let (drawn, rest) = input.split_first().unwrap_or((&0, &[]));
        let mut parts = rest.splitn(2, |byte| *byte == b'\n');
        let (path, body) = (parts.next().unwrap_or(&[]), parts.next().unwrap_or(&[]));
        let method = method(*drawn);
        let Some(path) = std::str::from_utf8(path)
            .ok()
            .filter(|path| path.starts_with('/'))
        else {
            return Verdict::refused("no path");
        };
        let Ok(target) = path.parse::<Uri>() else {
            return Verdict::refused("no address");
        };
        if is_about_passwords(&method, target.path()) {
            let user = serde_json::from_slice::<management::NewUser>(body).is_ok();
            let password = serde_json::from_slice::<management::NewPassword>(body).is_ok();
            return match user || password {
                true => Verdict::accepted(),
                false => Verdict::refused("no password"),
            };
        }
        answered(method, target, body)
    },
};

fn answered(method: Method, target: Uri, body: &[u8]) -> Verdict {
    let mut request = Request::new(Full::from(body.to_vec()));
    *request.method_mut() = method;
    *request.uri_mut() = target;
    let json = http::HeaderValue::from_static("application/json");
    request.headers_mut().insert(CONTENT_TYPE, json);
    request.extensions_mut().insert(Asker {
        who: Who::Account {
            name: admin(),
            generation: 1,
            token: None,
            key: None,
        },
        from: None,
    });
    let served = SERVED.with(|kept| kept.borrow_mut().get_or_insert_with(served).clone());
    let (status, body) = served(request);
    assert!(!status.is_server_error(), "{status}");
    if status.is_success() {
        return Verdict::accepted();
    }
    let told: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let has_error = told["errors"][0]["code"].is_string();
    assert!(has_error, "{status} without an error");
    Verdict::refused(&told["errors"][0]["message"].to_string())
}
