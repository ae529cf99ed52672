//! A node whose users come from elsewhere, as the file of `access.logins` has it: real sources, and what clients ask for.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::{Client, HoldfastServer, Reply};

use crate::provider;
use crate::slapd::{GROUPS, PASSWORD, PEOPLE, SERVICE_DN, Slapd};

const ADMIN: &str = "a password of the administrator";

/// A node that asks for rights, with this file of logins.
fn served(folder: &Path, logins: &str) -> anyhow::Result<HoldfastServer> {
    let password = folder.join("admin-password");
    let mut options = File::options();
    let mut file = options
        .write(true)
        .create(true)
        .mode(0o600)
        .open(&password)?;
    file.write_all(ADMIN.as_bytes())?;
    let path = folder.join("logins.toml");
    std::fs::write(&path, logins)?;
    HoldfastServer::with()
        .env("HOLDFAST_ACCESS_MODE", "on")
        .env("HOLDFAST_ADMIN_PASSWORD_FILE", password)
        .env("HOLDFAST_ACCESS_LOGINS", path)
        .start()
}

fn basic(name: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{secret}")))
}

/// The answer to somebody who wants a token.
async fn login(client: &Client, name: &str, secret: &str) -> anyhow::Result<Reply> {
    let asked = client.get("/auth/token?service=holdfast");
    asked
        .header("Authorization", &basic(name, secret))
        .send()
        .await
}

async fn status(client: &Client, name: &str, secret: &str) -> u16 {
    let reply = login(client, name, secret).await;
    reply.expect("an answer").status.as_u16()
}

#[tokio::test]
async fn users_of_a_directory_and_of_a_file_log_in_beside_those_of_the_registry() {
    let mut slapd = Slapd::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    let written = bcrypt::hash("a password of the file", 4).unwrap();
    std::fs::write(&users, format!("bea:{written}\n")).unwrap();
    let logins = format!(
        "[htpasswd]\nfile = {users:?}\n\
         [ldap]\nurl = \"ldap://{}\"\nbind_dn = \"{SERVICE_DN}\"\nbind_password_file = {:?}\n\
         user_base = \"{PEOPLE}\"\ntimeout_ms = 3000\n[ldap.group_search.search]\nbase = \"{GROUPS}\"\n",
        slapd.plain,
        slapd.service_password_file(),
    );
    let server = served(folder.path(), &logins).unwrap();
    let client = server.client();
    for (name, secret, expected) in [
        ("ann", PASSWORD, 200),
        ("ann", "wrong horse", 401),
        ("bea", "a password of the file", 200),
        ("bea", PASSWORD, 401),
        ("nobody", PASSWORD, 401),
        ("admin", ADMIN, 200),
    ] {
        assert_eq!(status(&client, name, secret).await, expected, "{name}");
    }
    let groups = client.get("/api/v1/groups/dev/members");
    let groups = groups.header("Authorization", &basic("admin", ADMIN));
    let groups = groups.send().await.unwrap().expect(200).unwrap();
    assert!(
        String::from_utf8_lossy(&groups.body).contains("\"ann\""),
        "{groups:?}"
    );

    // A file is followed.
    let written = bcrypt::hash("another password", 4).unwrap();
    std::fs::write(&users, format!("bea:{written}\ncid:{written}\n")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while status(&client, "cid", "another password").await != 200 {
        assert!(Instant::now() < deadline, "the file is not followed");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    slapd.kill();
    for _ in 0..4 {
        assert_eq!(status(&client, "lee", PASSWORD).await, 503);
    }
    assert_eq!(status(&client, "admin", ADMIN).await, 200);
    assert_eq!(status(&client, "cid", "another password").await, 200);
    let ready = client
        .get("/readyz?verbose")
        .send()
        .await
        .unwrap()
        .expect(200)
        .unwrap();
    let told = String::from_utf8_lossy(&ready.body).into_owned();
    assert!(
        told.contains("ldap: the directory does not answer"),
        "{told}"
    );
}

/// The cookie of this name that a reply sets.
fn cookie(reply: &Reply, name: &str) -> String {
    let set = reply.headers.get_all("set-cookie").iter();
    let texts = set.filter_map(|value| value.to_str().ok());
    let mut own =
        texts.filter(|text| text.starts_with(&format!("{name}=")) && text.contains("HttpOnly"));
    let text = own
        .next()
        .unwrap_or_else(|| panic!("no cookie {name} in {:?}", reply.headers));
    text.split(';').next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn somebody_logs_in_by_a_browser_and_leaves_with_a_token_for_docker() {
    let running = provider::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let logins = format!(
        "[openid]\nissuer = \"http://{}\"\nclient_id = \"holdfast\"\nclient_secret_file = {:?}\ngroups_claim = \"groups\"\n",
        running.address,
        running.secret_file(),
    );
    let server = served(folder.path(), &logins).unwrap();
    let client = server.client();

    let begun = client
        .get("/auth/openid/login")
        .send()
        .await
        .unwrap()
        .expect(303)
        .unwrap();
    let binding = cookie(&begun, "holdfast-login");
    let location = begun.location().unwrap().to_owned();
    let back = provider::press(&running, &location, "sub=subject-1").unwrap();
    let own = format!("http://{}/auth/openid/callback?", server.address());
    assert!(back.starts_with(&own), "{back}");
    // Somebody else's browser.
    client.get(&back).send().await.unwrap().expect(400).unwrap();
    let come = client
        .get(&back)
        .header("Cookie", &binding)
        .send()
        .await
        .unwrap();
    let come = come.expect(200).unwrap();
    let page = String::from_utf8_lossy(&come.body);
    assert!(page.contains("<strong>ann</strong>"), "{page}");
    let person = cookie(&come, "holdfast-person");

    let wanted = client.post("/auth/openid/token");
    let foreign = wanted
        .header("Cookie", &person)
        .header("Origin", "https://elsewhere.example");
    foreign.send().await.unwrap().expect(403).unwrap();
    let wanted = client.post("/auth/openid/token").header("Cookie", &person);
    let made = wanted.send().await.unwrap().expect(200).unwrap();
    let page = String::from_utf8_lossy(&made.body).into_owned();
    let token = page
        .split_once("<pre>")
        .and_then(|(_, rest)| rest.split_once("</pre>"));
    let (token, rest) = token.expect("a token is shown");
    assert!(
        rest.contains(&format!("docker login -u ann {}", server.address())),
        "{page}"
    );
    assert_eq!(status(&client, "ann", token).await, 200);
    assert_eq!(status(&client, "ann", "anything else").await, 401);
    // A code serves once.
    let again = client
        .get(&back)
        .header("Cookie", &binding)
        .send()
        .await
        .unwrap();
    assert_ne!(again.status.as_u16(), 200);
}
