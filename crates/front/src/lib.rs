//! What stands before HTTP on the client port: TLS, the PROXY protocol, and from where a client really comes.
//!
//! A TCP connection comes in and leaves as a stream of HTTP together with its [`Arrival`]: who connected, for whom, and with
//! which certificate. For each request of it [`Front::place`] tells the client's address and the scheme and host under which
//! it asked. What a connection or a request says of its own origin is believed only from proxies that were named; everything
//! here is bounded in time, number and size, and nothing is ever written to a client but the one answer to those who speak
//! plain HTTP on a port of TLS.
//!
//! Spec: RFC 8446 (TLS 1.3), RFC 7239 (Forwarded), the PROXY protocol's versions 1 and 2.

mod arrival;
mod certificates;
mod forwarded;
mod handshakes;
mod plain_http;
mod proxy_protocol;
mod reception;
#[cfg(test)]
mod test_authority;
mod tls;
mod transport;
mod trusted;

pub use arrival::{Arrival, ClientPlace, Scheme};
pub use certificates::{ClientCertificates, TlsError, TlsSettings, TlsVersion};
pub use forwarded::ForwardedBy;
pub use reception::{Front, FrontSettings, ProxyProtocol, Refused, describe_metrics};
pub use tls::Tls;
pub use transport::Transport;
pub use trusted::{Networks, NotANetwork};
