//! What stands at the port of clients: TLS as it is configured, and whom to believe about where a client comes from.
//!
//! A node that signs its own certificate keeps it in its data folder and renews it there; from then on it is a file that is
//! followed like any other. A new certificate takes no connection away.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use front::{Front, Tls, TlsSettings};
use identity::{ServingFiles, UnixSeconds, keep_serving_certificate};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::node::machine_name;
use super::peer_port;
use crate::config::{Settings, TlsMode, front_settings, tls_settings};
use crate::failure::Failure;

/// How often it is looked whether the own certificate nears its end.
const RENEWAL_EVERY: Duration = Duration::from_secs(60 * 60);

/// What connections go through, and what clients have to be told.
pub struct ClientPort {
    /// What connections go through.
    pub front: Front,
    /// How clients come to trust the certificate, if this node has signed it.
    pub trust: Option<Trust>,
}

/// What a client needs to trust a certificate that this node has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// The file of the authority.
    pub authority: PathBuf,
    /// `host:port` by which clients name the registry.
    pub name: String,
}

/// Opens the port as it is configured, and follows its files until `stop`.
///
/// # Errors
/// One line that names the file and what is wrong with it.
pub async fn open(
    settings: &Settings,
    data: &Path,
    addresses: &[SocketAddr],
    stop: &CancellationToken,
) -> Result<ClientPort, Failure> {
    let plain = |tls| Front::new(front_settings(settings), tls);
    let mut trust = None;
    let files = match TlsMode::in_effect(settings) {
        TlsMode::Files => tls_settings(settings, None),
        TlsMode::SelfSigned => {
            let own = OwnCertificate::new(settings, data, addresses);
            let files = own.keep().await?;
            trust = Some(Trust {
                authority: files.authority,
                name: name_for_clients(settings, addresses),
            });
            tokio::spawn(stop.clone().run_until_cancelled_owned(own.renew()));
            tls_settings(settings, Some(files.server))
        }
        _ => {
            return Ok(ClientPort {
                front: plain(None),
                trust,
            });
        }
    };
    let tls = open_tls(files).await?;
    tokio::spawn(Arc::clone(&tls).follow(stop.clone()));
    reload_on_signal(Arc::clone(&tls), stop.clone())?;
    Ok(ClientPort {
        front: plain(Some(tls)),
        trust,
    })
}

async fn open_tls(files: TlsSettings) -> Result<Arc<Tls>, Failure> {
    let opened = tokio::task::spawn_blocking(move || Tls::open(files)).await;
    opened
        .map_err(|error| Failure::new(format!("the certificate cannot be read: {error}")))?
        .map_err(|error| Failure::new(format!("TLS cannot be spoken: {error}")))
}

/// SIGHUP has the files looked at without waiting.
fn reload_on_signal(tls: Arc<Tls>, stop: CancellationToken) -> Result<(), Failure> {
    let hung_up = signal(SignalKind::hangup());
    let mut hung_up =
        hung_up.map_err(|error| Failure::new(format!("signals cannot be received: {error}")))?;
    let reloading = async move {
        while hung_up.recv().await.is_some() {
            tls.reload_soon();
        }
    };
    tokio::spawn(stop.run_until_cancelled_owned(reloading));
    Ok(())
}

/// The certificate that this node signs for itself.
#[derive(Clone)]
struct OwnCertificate {
    folder: PathBuf,
    names: Vec<String>,
}

impl OwnCertificate {
    fn new(settings: &Settings, data: &Path, addresses: &[SocketAddr]) -> OwnCertificate {
        let mut names = settings.tls.names.clone();
        names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
        names.extend(
            Some(machine_name()).filter(|name| name.split('.').all(|part| !part.is_empty())),
        );
        let listened = addresses.iter().map(|address| address.ip().to_canonical());
        names.extend(listened.map(|ip| match ip.is_unspecified() {
            true => peer_port::own_address().to_string(),
            false => ip.to_string(),
        }));
        let mut each = Vec::new();
        for name in names {
            if !each.contains(&name) {
                each.push(name);
            }
        }
        OwnCertificate {
            folder: data.join("tls"),
            names: each,
        }
    }

    async fn keep(&self) -> Result<ServingFiles, Failure> {
        let own = self.clone();
        let kept = tokio::task::spawn_blocking(move || {
            let now = UnixSeconds::from(SystemTime::now());
            keep_serving_certificate(&own.folder, &own.names, now)
        });
        let failed = |why: String| Failure::new(format!("there is no certificate: {why}"));
        kept.await
            .map_err(|error| failed(error.to_string()))?
            .map_err(|error| failed(error.to_string()))
    }

    async fn renew(self) {
        loop {
            tokio::time::sleep(RENEWAL_EVERY).await;
            if let Err(failure) = self.keep().await {
                tracing::warn!(
                    why = failure.lines.join("; "),
                    "the own certificate was not renewed"
                );
            }
        }
    }
}

/// How clients, also those on other machines, name the registry.
fn name_for_clients(settings: &Settings, addresses: &[SocketAddr]) -> String {
    let Some(first) = addresses.first() else {
        return String::new();
    };
    match settings
        .tls
        .names
        .iter()
        .find(|name| !name.starts_with('*'))
    {
        Some(name) => format!("{name}:{}", first.port()),
        None if first.ip().is_unspecified() => {
            SocketAddr::new(peer_port::own_address(), first.port()).to_string()
        }
        None => super::greeting::name_for_clients(*first),
    }
}
