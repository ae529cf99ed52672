//! What is known of a connection before its first request, and of each request beyond what its client wrote.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;

/// A connection that has come in.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Who connected.
    pub peer: SocketAddr,
    /// For whom: what a trusted proxy said in a PROXY header, else who connected.
    pub source: SocketAddr,
    /// Whether the connection came to us by TLS.
    pub is_tls: bool,
    /// Whether a trusted proxy said that the client came to it by TLS.
    pub was_tls: bool,
    /// The client's certificate with its chain, the client's own first. There is one only if it was shown, led to one of the
    /// authorities of clients, and was valid.
    pub certificates: Option<Arc<[CertificateDer<'static>]>>,
}

impl Arrival {
    /// A connection of which nothing is known but who connected.
    #[must_use]
    pub fn plain(peer: SocketAddr) -> Arrival {
        Arrival {
            peer,
            source: peer,
            is_tls: false,
            was_tls: false,
            certificates: None,
        }
    }
}

/// How a client came: what an address begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// By TLS.
    Https,
}

impl Scheme {
    /// As it stands in an address.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    pub(crate) fn of(text: &str) -> Option<Scheme> {
        [Scheme::Http, Scheme::Https]
            .into_iter()
            .find(|scheme| text.eq_ignore_ascii_case(scheme.as_str()))
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// From where a request comes, and under which name it was asked: as far as it can be believed.
#[derive(Debug, Clone)]
pub struct ClientPlace {
    /// The client's address. When proxies are trusted, the nearest one that none of them is.
    pub address: IpAddr,
    /// Who connected to us: the client, or a proxy.
    pub peer: SocketAddr,
    /// How the client came to us, or to the first of the trusted proxies between.
    pub scheme: Scheme,
    /// The host, with its port if it has one, that the client asked for: what it wrote, so never a proof of anything. Only
    /// letters, digits and `.-_:[]` are in it.
    pub host: Option<String>,
    /// The client's own verified certificate with its chain, if it came to us by TLS and showed one.
    pub certificates: Option<Arc<[CertificateDer<'static>]>>,
}

impl ClientPlace {
    /// `https://registry.example.com`: what absolute addresses for this client begin with, if it named a host.
    #[must_use]
    pub fn origin(&self) -> Option<String> {
        let host = self.host.as_deref()?;
        Some(format!("{}://{host}", self.scheme))
    }
}
