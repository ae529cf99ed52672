//! Receives connections: the PROXY header first, then TLS, each within a bounded time; and places requests.
//!
//! It never blocks whoever accepts: what waits for a client waits in the connection's own task. A connection that is plain and
//! owes no PROXY header is handed on untouched.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::HOST;
use http::{HeaderMap, Uri};
use metrics::{counter, describe_counter};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use crate::arrival::{Arrival, ClientPlace, Scheme};
use crate::forwarded::{self, ForwardedBy};
use crate::handshakes::Handshakes;
use crate::plain_http;
use crate::proxy_protocol::{self, HEADER_BYTES_MAX, Header, Origin};
use crate::tls::Tls;
use crate::transport::{Begun, Transport};
use crate::trusted::Networks;

/// Connections on their way in, at once.
const HANDSHAKES_MAX: usize = 512;
/// What every message of TLS begins with at the start of a connection.
const TLS_HANDSHAKE: u8 = 0x16;

const REFUSED: &str = "holdfast_front_refused_total";

/// Tells the recorder what the metrics of this crate mean. Called once, after the recorder was installed.
pub fn describe_metrics() {
    describe_counter!(
        REFUSED,
        "Connections of clients that ended before their first request, by `reason`: `tls` (no handshake), `plain_http` (no TLS on a port of TLS), `proxy` (no PROXY header, or a wrong one, from a trusted proxy), `silent` (too slow), `crowded` (too many at once)."
    );
}

/// Whether trusted proxies begin their connections with a PROXY header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProxyProtocol {
    /// They do not; a header is not understood.
    #[default]
    Off,
    /// They may.
    Optional,
    /// They do, and a connection of theirs without one is ended.
    Required,
}

/// Whom to believe, and for how long to wait.
#[derive(Debug, Clone)]
pub struct FrontSettings {
    /// The proxies whose headers are believed.
    pub trusted_proxies: Networks,
    /// Whether they begin connections with a PROXY header.
    pub proxy_protocol: ProxyProtocol,
    /// Which headers of requests they write.
    pub forwarded_by: ForwardedBy,
    /// How long a connection may take for its PROXY header and its handshake together.
    pub handshake_timeout: Duration,
}

impl Default for FrontSettings {
    fn default() -> FrontSettings {
        FrontSettings {
            trusted_proxies: Networks::default(),
            proxy_protocol: ProxyProtocol::Off,
            forwarded_by: ForwardedBy::XForwarded,
            handshake_timeout: Duration::from_secs(10),
        }
    }
}

/// Why a connection is not served. It was told if it can be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// It ended or could not be read.
    #[error("the connection ended: {0}")]
    Ended(io::Error),
    /// The handshake failed.
    #[error("the TLS handshake failed: {0}")]
    Handshake(io::Error),
    /// It speaks HTTP on a port of TLS, and was told so.
    #[error("it speaks plain HTTP, and this port TLS")]
    PlainHttp,
    /// It speaks something else on a port of TLS.
    #[error("it does not speak TLS")]
    NotTls,
    /// A trusted proxy sent a header that is none, or none where one is required.
    #[error("a trusted proxy sent no PROXY header, or a wrong one")]
    ProxyHeader,
    /// It took too long.
    #[error("it did not say in time who it is")]
    Silent,
    /// It had to make room for others.
    #[error("too many connections are on their way in, most of them from the same address")]
    Crowded,
}

impl Refused {
    fn reason(&self) -> &'static str {
        match self {
            Refused::Ended(_) | Refused::Silent => "silent",
            Refused::Handshake(_) | Refused::NotTls => "tls",
            Refused::PlainHttp => "plain_http",
            Refused::ProxyHeader => "proxy",
            Refused::Crowded => "crowded",
        }
    }
}

/// Receives connections and places requests.
#[derive(Debug, Clone)]
pub struct Front {
    settings: FrontSettings,
    tls: Option<Arc<Tls>>,
    handshakes: Arc<Handshakes>,
}

impl Front {
    /// One that believes whom `settings` name, and speaks TLS if it has any.
    #[must_use]
    pub fn new(settings: FrontSettings, tls: Option<Arc<Tls>>) -> Front {
        Front {
            settings,
            tls,
            handshakes: Arc::new(Handshakes::new(HANDSHAKES_MAX)),
        }
    }

    /// One without TLS that believes nobody.
    #[must_use]
    pub fn plain() -> Front {
        Front::new(FrontSettings::default(), None)
    }

    /// What its TLS goes by, if it speaks TLS.
    #[must_use]
    pub fn tls(&self) -> Option<&Arc<Tls>> {
        self.tls.as_ref()
    }

    /// Makes of a connection what HTTP can be spoken on. Takes at most the handshake's time; may be dropped at any moment,
    /// which ends the connection.
    ///
    /// # Errors
    /// When it is not to be served. There is nothing left to do then.
    pub async fn receive<S>(
        &self,
        stream: S,
        peer: SocketAddr,
    ) -> Result<(Transport<S>, Arrival), Refused>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let owes_header = self.settings.proxy_protocol != ProxyProtocol::Off
            && self.settings.trusted_proxies.contains(peer.ip());
        let stream = Begun::new(stream);
        if self.tls.is_none() && !owes_header {
            return Ok((Transport::Plain(stream), Arrival::plain(peer)));
        }
        let entering = self.handshakes.enter(peer.ip());
        let limit = self.settings.handshake_timeout;
        let received = tokio::select! {
            biased;
            () = entering.ended() => Err(Refused::Crowded),
            received = tokio::time::timeout(limit, self.begin(stream, peer, owes_header)) => {
                received.unwrap_or(Err(Refused::Silent))
            }
        };
        if let Err(refused) = &received {
            counter!(REFUSED, "reason" => refused.reason()).increment(1);
        }
        received
    }

    async fn begin<S>(
        &self,
        mut stream: Begun<S>,
        peer: SocketAddr,
        owes_header: bool,
    ) -> Result<(Transport<S>, Arrival), Refused>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut arrival = Arrival::plain(peer);
        if owes_header {
            let must = self.settings.proxy_protocol == ProxyProtocol::Required;
            let origin = proxy_header(&mut stream, must).await?;
            arrival.source = origin.source.unwrap_or(peer);
            arrival.was_tls = origin.was_tls;
        }
        let Some(tls) = &self.tls else {
            return Ok((Transport::Plain(stream), arrival));
        };
        if stream.ahead().is_empty() {
            stream.look_further(1).await.map_err(Refused::Ended)?;
        }
        match stream.ahead().first() {
            Some(&TLS_HANDSHAKE) => {}
            Some(first) if plain_http::is_begun_by(*first) => {
                plain_http::refuse(stream).await;
                return Err(Refused::PlainHttp);
            }
            _ => return Err(Refused::NotTls),
        }
        let acceptor = TlsAcceptor::from(tls.server_config());
        let stream = acceptor.accept(stream).await;
        let stream = stream.map_err(Refused::Handshake)?;
        let (_, connection) = stream.get_ref();
        arrival.is_tls = true;
        arrival.certificates = connection
            .peer_certificates()
            .map(|chain| chain.iter().map(|one| one.clone().into_owned()).collect());
        Ok((Transport::Tls(Box::new(stream)), arrival))
    }

    /// From where a request of a connection comes.
    #[must_use]
    pub fn place(&self, arrival: &Arrival, target: &Uri, headers: &HeaderMap) -> ClientPlace {
        let source = arrival.source.ip().to_canonical();
        let named = match target.authority() {
            Some(authority) => forwarded::host(authority.as_str()),
            None => headers
                .get(HOST)
                .and_then(|host| host.to_str().ok())
                .and_then(forwarded::host),
        };
        let came = match arrival.is_tls || arrival.was_tls {
            true => Scheme::Https,
            false => Scheme::Http,
        };
        let mut place = ClientPlace {
            address: source,
            peer: arrival.peer,
            scheme: came,
            host: named,
            certificates: arrival.certificates.clone(),
        };
        let trusted = &self.settings.trusted_proxies;
        if trusted.contains(source) {
            let is_trusted = |address| trusted.contains(address);
            let told = forwarded::told(self.settings.forwarded_by, headers, source, is_trusted);
            place.address = told.address;
            place.scheme = told.scheme.unwrap_or(came);
            place.host = told.host.or(place.host);
        }
        place
    }
}

/// Reads the header that a trusted proxy sends, or finds that it sent none.
async fn proxy_header<S: AsyncRead + Unpin>(
    stream: &mut Begun<S>,
    must: bool,
) -> Result<Origin, Refused> {
    loop {
        match proxy_protocol::read(stream.ahead()) {
            Header::Incomplete => {
                let read = stream.look_further(HEADER_BYTES_MAX).await;
                read.map_err(Refused::Ended)?;
            }
            Header::Whole(length, origin) => {
                stream.skip(length);
                return Ok(origin);
            }
            Header::Absent if !must => return Ok(Origin::default()),
            Header::Absent | Header::Malformed => return Err(Refused::ProxyHeader),
        }
    }
}

#[cfg(test)]
#[path = "reception_tests.rs"]
mod tests;
