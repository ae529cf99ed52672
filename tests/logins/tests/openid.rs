//! A login by an OpenID provider that somebody else wrote: discovery, keys, the code flow, and what it tells of a user. Providers
//! that lie, HTTPS and PKCE are tested with one of the tests' own, in the crate `auth`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, SystemTime};

use auth::outside::openid::{Callback, OpenIdError, OpenIdSettings, Provider};
use harness::{Process, ports, tools};
use metadata::access::Source;
use serde_json::{Value, json};

const BACK: &str = "https://registry.example.org/auth/openid/callback";
const START_MAX: Duration = Duration::from_secs(60);
/// Somebody may take a free port before it does.
const TRIES: usize = 3;

struct Running {
    address: String,
    _process: Process,
    folder: tempfile::TempDir,
}

fn start() -> anyhow::Result<Running> {
    let mut tries = 1;
    loop {
        match try_start() {
            Err(_) if tries < TRIES => tries += 1,
            result => return result,
        }
    }
}

fn try_start() -> anyhow::Result<Running> {
    let folder = tempfile::tempdir()?;
    // It takes any.
    std::fs::write(folder.path().join("secret"), "client secret")?;
    let [port] = ports::free()?;
    let ann = json!({
        "sub": "subject-1",
        "preferred_username": "ann",
        "email": "ann@example.org",
        "email_verified": true,
        "groups": ["dev", "no group"],
    });
    let mut command = Command::new(tools::find("oidc-provider-mock")?);
    command.args(["--port", &port.to_string(), "--require-nonce", "true"]);
    command.args(["--user-claims", &ann.to_string()]);
    let mut process = Process::start("oidc-provider-mock", &mut command)?;
    let address = format!("127.0.0.1:{port}");
    process.wait_until("its port", START_MAX, || {
        TcpStream::connect(&address).is_ok()
    })?;
    Ok(Running {
        address,
        _process: process,
        folder,
    })
}

fn settings(running: &Running, changes: Value) -> OpenIdSettings {
    let mut all = json!({
        "issuer": format!("http://{}", running.address),
        "client_id": "holdfast",
        "client_secret_file": running.folder.path().join("secret"),
        "groups_claim": "groups",
    });
    let changes = changes.as_object().expect("an object").clone();
    all.as_object_mut().expect("an object").extend(changes);
    serde_json::from_value(all).expect("settings of OpenID")
}

/// What a browser does in which somebody presses the button of `ann`, or the other one: where it is sent then.
fn press(running: &Running, address: &str, form: &str) -> anyhow::Result<String> {
    let path = address
        .strip_prefix(&format!("http://{}", running.address))
        .unwrap_or(address);
    let mut stream = TcpStream::connect(&running.address)?;
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        running.address,
        form.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let location = answer.lines().find_map(|line| {
        line.strip_prefix("Location: ")
            .or(line.strip_prefix("location: "))
    });
    Ok(location.unwrap_or_default().to_owned())
}

fn callback(location: &str) -> Callback {
    let query = location.split_once('?').map_or("", |(_, query)| query);
    let value = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let mut found = pairs.filter(|(key, _)| *key == name);
        found.next().map(|(_, value)| value.to_owned())
    };
    Callback {
        code: value("code"),
        state: value("state"),
        iss: None,
        error: value("error"),
    }
}

#[tokio::test]
async fn person_logs_in_by_a_provider_that_somebody_else_wrote() {
    let running = start().unwrap();
    let provider = Provider::new(settings(&running, json!({}))).unwrap();
    let now = SystemTime::now();
    let (address, pending) = provider.begin(BACK, now).await.unwrap();
    let location = press(&running, address.as_str(), "sub=subject-1").unwrap();
    assert!(location.starts_with(BACK), "{location}");
    let came_back = callback(&location);
    let login = provider.finish(&pending, &came_back, now).await.unwrap();
    assert_eq!(login.user.as_str(), "ann");
    assert_eq!(login.email.as_deref(), Some("ann@example.org"));
    let groups = login.groups.as_deref().unwrap();
    assert_eq!(groups.len(), 1, "{groups:?}");
    assert_eq!(groups[0].as_str(), "dev");
    let source = Source::OpenId {
        issuer: format!("http://{}", running.address).into(),
        subject: "subject-1".into(),
    };
    assert_eq!(login.source, source);
    // The code is spent.
    let again = provider.finish(&pending, &came_back, now).await;
    assert!(matches!(again, Err(OpenIdError::Refused(_))), "{again:?}");
}

#[tokio::test]
async fn refusal_counts_with_the_state_of_the_login_only() {
    let running = start().unwrap();
    let provider = Provider::new(settings(&running, json!({}))).unwrap();
    let now = SystemTime::now();
    let (address, pending) = provider.begin(BACK, now).await.unwrap();
    let location = press(&running, address.as_str(), "action=deny").unwrap();
    let mut came_back = callback(&location);
    assert_eq!(came_back.error.as_deref(), Some("access_denied"));
    // This provider forgets the state.
    assert_eq!(came_back.state, None);
    let refused = provider.finish(&pending, &came_back, now).await;
    assert!(matches!(refused, Err(OpenIdError::State)), "{refused:?}");
    came_back.state = Some(pending.state.clone());
    let refused = provider.finish(&pending, &came_back, now).await;
    assert!(
        matches!(&refused, Err(OpenIdError::Refused(why)) if why == "access_denied"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn token_for_another_client_is_refused() {
    let running = start().unwrap();
    let one = Provider::new(settings(&running, json!({"client_id": "other"}))).unwrap();
    let two = Provider::new(settings(&running, json!({}))).unwrap();
    let now = SystemTime::now();
    let (address, pending) = one.begin(BACK, now).await.unwrap();
    let location = press(&running, address.as_str(), "sub=subject-1").unwrap();
    // The provider refuses the code, or the token that it gives is for `other`.
    let refused = two.finish(&pending, &callback(&location), now).await;
    assert!(
        matches!(
            refused,
            Err(OpenIdError::Refused(_) | OpenIdError::Proof(_))
        ),
        "{refused:?}"
    );
}
