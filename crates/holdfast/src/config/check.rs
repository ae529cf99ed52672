//! What is wrong with settings only together.

use std::path::Path;

use blobs::StorageKind;
use front::{ClientCertificates, ProxyProtocol};
use metadata::PART_NUMBER_MAX;

use super::parts::storage_settings;
use super::settings::{AccessMode, RedisMode, S3, Settings, TlsMode};
use super::value::ByteSize;

/// The longest name of a registry for whoever gives tokens.
const SERVICE_BYTES_MAX: usize = 255;

/// What fits into as many parts as there may be.
pub fn largest_blob(part_size: ByteSize) -> ByteSize {
    ByteSize(part_size.0.saturating_mul(u64::from(PART_NUMBER_MAX)))
}

/// Tells every contradiction between settings, a line each.
pub fn contradictions(settings: &Settings) -> Vec<String> {
    let mut found = Vec::new();
    let uploads = &settings.uploads;
    let largest = largest_blob(settings.uploads.part_size);
    if let Some(asked) = uploads.blob_size_max.filter(|asked| *asked > largest) {
        found.push(format!(
            "uploads.blob_size_max = {asked} is more than {PART_NUMBER_MAX} parts of uploads.part_size = {} hold ({largest}): lower the one or raise the other",
            uploads.part_size
        ));
    }
    let cluster = &settings.cluster;
    let has_secret = cluster.bootstrap_secret.is_some() || cluster.bootstrap_secret_file.is_some();
    if cluster.bootstrap_expect.is_some() && (!has_secret || cluster.join.is_empty()) {
        found.push(
            "cluster.bootstrap_expect needs cluster.join, to find the others, and cluster.bootstrap_secret or cluster.bootstrap_secret_file, to know them".to_owned(),
        );
    }
    found.append(&mut of_client_port(settings));
    found.append(&mut wrong_access(settings));
    found.append(&mut wrong_sessions(settings));
    found.append(&mut storage_settings(settings, Path::new("")).problems());
    if settings.storage.kind == StorageKind::S3 {
        found.append(&mut unreadable_files(&settings.s3));
    }
    found
}

/// What is wrong at the port of clients.
fn of_client_port(settings: &Settings) -> Vec<String> {
    let (server, tls) = (&settings.server, &settings.tls);
    let mode = TlsMode::in_effect(settings);
    let asks_clients = tls.client_certificates != ClientCertificates::Off;
    let has_file = tls.certificate.is_some() || tls.key.is_some();
    let wrong = [
        (
            server.proxy_protocol != ProxyProtocol::Off && server.trusted_proxies.is_empty(),
            "server.proxy_protocol needs server.trusted_proxies: a PROXY header is believed from those only",
        ),
        (
            mode == TlsMode::Files && tls.certificate.is_none(),
            "tls.mode = \"files\" needs tls.certificate",
        ),
        (
            mode != TlsMode::Files && has_file,
            "tls.certificate and tls.key belong together, and to tls.mode = \"files\"",
        ),
        (
            asks_clients && mode == TlsMode::Off,
            "tls.client_certificates needs TLS: set tls.certificate, or tls.mode = \"self-signed\"",
        ),
        (
            asks_clients != tls.client_authorities.is_some(),
            "tls.client_certificates and tls.client_authorities belong together: whether certificates of clients are asked for, and who signs them",
        ),
    ];
    let mut found: Vec<String> = wrong
        .into_iter()
        .filter(|(is_wrong, _)| *is_wrong)
        .map(|(_, what)| what.to_owned())
        .collect();
    for (key, file) in [
        ("tls.certificate", &tls.certificate),
        ("tls.key", &tls.key),
        ("tls.client_authorities", &tls.client_authorities),
    ] {
        if let Some(why) = file.as_deref().and_then(unreadable) {
            found.push(format!("{key}: {why}"));
        }
    }
    found
}

/// What is wrong with who may do what. The file of a password is looked at when it is needed: it may be gone after that.
fn wrong_access(settings: &Settings) -> Vec<String> {
    let access = &settings.access;
    let is_on = access.mode == AccessMode::On;
    let is_name = |c: char| c.is_ascii_graphic() && !['"', '\\'].contains(&c);
    let service = &access.service;
    let wrong = [
        (
            !is_on && access.admin_password_file.is_some(),
            "access.admin_password_file needs access.mode = \"on\": there is no administrator without",
        ),
        (
            !is_on && access.auto_create_projects,
            "access.auto_create_projects needs access.mode = \"on\": everybody may push to every project without",
        ),
        (
            service.is_empty()
                || service.len() > SERVICE_BYTES_MAX
                || !service.chars().all(is_name),
            "access.service must be 1 to 255 letters, digits and signs of ASCII, without quotes, backslashes and spaces",
        ),
    ];
    let wrong = wrong.into_iter().filter(|(is_wrong, _)| *is_wrong);
    wrong.map(|(_, what)| what.to_owned()).collect()
}

/// What is wrong with where sessions are.
fn wrong_sessions(settings: &Settings) -> Vec<String> {
    let mut found = Vec::new();
    let (sessions, limits) = (&settings.sessions, &settings.limits);
    if sessions.mode == RedisMode::Alone && sessions.redis.len() > 1 {
        found.push("sessions.redis has several addresses: set sessions.mode to \"sentinel\" or \"cluster\", or leave one".to_owned());
    }
    if sessions.mode != RedisMode::Alone && sessions.redis.is_empty() {
        found.push("sessions.mode needs addresses in sessions.redis".to_owned());
    }
    if sessions.redis.iter().any(|address| address.contains('@')) {
        found.push("sessions.redis has a user or a password in an address, where others can see it: set sessions.user and sessions.password_file".to_owned());
    }
    if sessions.password.is_some() && sessions.password_file.is_some() {
        found.push(
            "sessions.password and sessions.password_file are both set: leave one".to_owned(),
        );
    }
    if limits.login_wait_max > limits.login_window {
        found.push(
            "limits.login_wait_max is longer than limits.login_window: failures would be forgotten while they are waited for".to_owned(),
        );
    }
    for (key, file) in [
        ("sessions.password_file", &sessions.password_file),
        (
            "sessions.sentinel_password_file",
            &sessions.sentinel_password_file,
        ),
        ("sessions.ca_file", &sessions.ca_file),
    ] {
        if let Some(why) = file.as_deref().and_then(unreadable) {
            found.push(format!("{key}: {why}"));
        }
    }
    found
}

/// Files that the settings name are looked at now, rather than at the first request.
fn unreadable_files(s3: &S3) -> Vec<String> {
    let mut found = Vec::new();
    for (key, file) in [
        ("storage.s3.ca_file", &s3.ca_file),
        ("storage.s3.credentials_file", &s3.credentials_file),
        ("storage.s3.customer_key_file", &s3.customer_key_file),
        (
            "storage.s3.web_identity_token_file",
            &s3.web_identity_token_file,
        ),
    ] {
        if let Some(why) = file.as_deref().and_then(unreadable) {
            found.push(format!("{key}: {why}"));
        }
    }
    found
}

/// Why a file cannot be read, if it cannot.
fn unreadable(file: &Path) -> Option<String> {
    std::fs::File::open(file)
        .err()
        .map(|error| format!("{} cannot be read: {error}", file.display()))
}
