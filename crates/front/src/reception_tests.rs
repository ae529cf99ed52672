//! Connections as clients and proxies make them: TLS of both versions, certificates of clients, PROXY headers, and what is
//! neither.

use futures::FutureExt as _;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::certificates::{ClientCertificates, TlsSettings, TlsVersion};
use crate::test_authority::{Signed, TestAuthority};

const NAME: &str = "registry.example.com";
const PROXY: &str = "10.0.0.1:1000";
const STRANGER: &str = "192.0.2.66:1000";

fn front(tls: Option<TlsSettings>, proxy_protocol: ProxyProtocol) -> Front {
    let settings = FrontSettings {
        trusted_proxies: "10.0.0.0/8".parse().unwrap(),
        proxy_protocol,
        ..FrontSettings::default()
    };
    Front::new(settings, tls.map(|tls| Tls::open(tls).unwrap()))
}

type Received = Result<(Transport<DuplexStream>, Arrival), Refused>;

async fn call(
    front: &Front,
    config: ClientConfig,
    before: &[u8],
) -> (io::Result<TlsStream<DuplexStream>>, Received) {
    let (mut near, far) = duplex(64 * 1024);
    near.write_all(before).await.unwrap();
    let mut config = config;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    let connecting = async {
        let name = ServerName::try_from(NAME).unwrap();
        let mut stream = connector.connect(name, near).await?;
        // In TLS 1.3 a client is done before its certificate was looked at.
        stream.write_all(b"hello").await?;
        Ok(stream)
    };
    tokio::join!(connecting, front.receive(far, PROXY.parse().unwrap()))
}

struct Files {
    folder: tempfile::TempDir,
    authority: TestAuthority,
    settings: TlsSettings,
}

fn files() -> Files {
    let folder = tempfile::tempdir().unwrap();
    let authority = TestAuthority::new();
    let settings = authority.sign(NAME, 90).keep(folder.path());
    Files {
        folder,
        authority,
        settings,
    }
}

#[tokio::test]
async fn both_versions_are_spoken_unless_only_the_later_is_wanted() {
    let Files {
        folder: _folder,
        authority,
        settings,
    } = files();
    let both = front(Some(settings.clone()), ProxyProtocol::Off);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let (client, received) = call(&both, authority.client(None, version), b"").await;
        let client = client.unwrap();
        let (_, connection) = client.get_ref();
        assert_eq!(connection.protocol_version(), Some(version.version));
        assert_eq!(connection.alpn_protocol(), Some(&b"h2"[..]));
        let (mut stream, arrival) = received.unwrap();
        assert!(arrival.is_tls && arrival.certificates.is_none());
        let mut said = [0; 5];
        stream.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"hello");
    }
    let later = TlsSettings {
        version_min: TlsVersion::Tls13,
        ..settings
    };
    let later = front(Some(later), ProxyProtocol::Off);
    let old = authority.client(None, &rustls::version::TLS12);
    let (client, received) = call(&later, old, b"").await;
    assert!(client.is_err());
    assert!(matches!(received, Err(Refused::Handshake(_))));
}

#[tokio::test]
async fn certificates_of_clients_are_optional_or_required_and_never_wrong() {
    let Files {
        folder,
        authority,
        settings,
    } = files();
    let clients = TestAuthority::new();
    let authorities = folder.path().join("clients.pem");
    std::fs::write(&authorities, &clients.pem).unwrap();
    let right = clients.sign("robot", 10);
    let stranger = TestAuthority::new().sign("robot", 10);
    let ended = clients.sign("robot", -1);
    let fronts = [ClientCertificates::Optional, ClientCertificates::Required].map(|wanted| {
        let settings = TlsSettings {
            client_certificates: wanted,
            client_authorities: Some(authorities.clone()),
            ..settings.clone()
        };
        front(Some(settings), ProxyProtocol::Off)
    });
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let with = |own: Option<&Signed>| authority.client(own, version);
        for front in &fronts {
            let (_, received) = call(front, with(Some(&right)), b"").await;
            let chain = received.unwrap().1.certificates.unwrap();
            assert_eq!(chain.len(), 1);
            for wrong in [&stranger, &ended] {
                let (_, received) = call(front, with(Some(wrong)), b"").await;
                assert!(matches!(received, Err(Refused::Handshake(_))));
            }
        }
        let (_, received) = call(&fronts[0], with(None), b"").await;
        assert!(received.unwrap().1.certificates.is_none());
        let (_, received) = call(&fronts[1], with(None), b"").await;
        assert!(matches!(received, Err(Refused::Handshake(_))));
    }
}

#[tokio::test]
async fn proxy_header_comes_before_tls() {
    let Files {
        folder: _folder,
        authority,
        settings,
    } = files();
    let front = front(Some(settings), ProxyProtocol::Required);
    let config = authority.client(None, &rustls::version::TLS13);
    let header = b"PROXY TCP4 192.0.2.7 10.0.0.9 4711 443\r\n";
    let (client, received) = call(&front, config, header).await;
    client.unwrap();
    let (_, arrival) = received.unwrap();
    assert_eq!(arrival.source, "192.0.2.7:4711".parse().unwrap());
    assert_eq!(arrival.peer, PROXY.parse().unwrap());
}

/// What becomes of a plain connection from there that begins so.
async fn plain(front: &Front, from: &str, bytes: &[u8]) -> Result<(SocketAddr, String), Refused> {
    let (mut near, far) = duplex(64 * 1024);
    near.write_all(bytes).await.unwrap();
    near.shutdown().await.unwrap();
    let (mut stream, arrival) = front.receive(far, from.parse().unwrap()).await?;
    let mut rest = String::new();
    stream
        .read_to_string(&mut rest)
        .await
        .map_err(Refused::Ended)?;
    Ok((arrival.source, rest))
}

#[tokio::test]
async fn proxy_headers_are_believed_from_trusted_proxies_only() {
    let header = "PROXY TCP6 2001:db8::7 ::1 4711 443\r\n";
    let request = "PUT /v2/ HTTP/1.1\r\n\r\n";
    let both = format!("{header}{request}");
    let [off, optional, required] = [
        ProxyProtocol::Off,
        ProxyProtocol::Optional,
        ProxyProtocol::Required,
    ]
    .map(|protocol| front(None, protocol));
    let client: SocketAddr = "[2001:db8::7]:4711".parse().unwrap();

    for front in [&optional, &required] {
        let (source, rest) = plain(front, PROXY, both.as_bytes()).await.unwrap();
        assert_eq!((source, rest.as_str()), (client, request));
    }
    // Who is no proxy has sent no header, but a request that HTTP will refuse.
    for front in [&off, &optional, &required] {
        let (source, rest) = plain(front, STRANGER, both.as_bytes()).await.unwrap();
        assert_eq!(
            (source, rest.as_str()),
            (STRANGER.parse().unwrap(), both.as_str())
        );
    }
    let (source, rest) = plain(&optional, PROXY, request.as_bytes()).await.unwrap();
    assert_eq!((source, rest.as_str()), (PROXY.parse().unwrap(), request));
    let refused = plain(&required, PROXY, request.as_bytes()).await;
    assert!(matches!(refused, Err(Refused::ProxyHeader)));
    let refused = plain(
        &optional,
        PROXY,
        b"PROXY TCP4 nobody\r\nGET / HTTP/1.1\r\n\r\n",
    )
    .await;
    assert!(matches!(refused, Err(Refused::ProxyHeader)));
    let refused = plain(&optional, PROXY, b"PROXY TCP4 1").await;
    assert!(matches!(refused, Err(Refused::Ended(_))));
}

#[tokio::test]
async fn plain_http_on_a_port_of_tls_is_told_so() {
    let Files {
        folder: _folder,
        authority: _authority,
        settings,
    } = files();
    let front = front(Some(settings), ProxyProtocol::Off);
    let (mut near, far) = duplex(64 * 1024);
    let asking = async {
        near.write_all(b"GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        near.read_to_string(&mut answer).await.unwrap();
        drop(near);
        answer
    };
    let (answer, received) = tokio::join!(asking, front.receive(far, STRANGER.parse().unwrap()));
    assert!(matches!(received, Err(Refused::PlainHttp)));
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("use https://"), "{answer}");
    let refused = plain(&front, STRANGER, b"\x00\x01").await;
    assert!(matches!(refused, Err(Refused::NotTls)));
}

#[tokio::test]
async fn silence_ends_in_time_and_plain_connections_are_not_waited_for() {
    let Files {
        folder: _folder,
        authority: _authority,
        settings,
    } = files();
    let impatient = FrontSettings {
        handshake_timeout: Duration::from_millis(1),
        ..FrontSettings::default()
    };
    let tls = Front::new(impatient, Some(Tls::open(settings).unwrap()));
    let from = STRANGER.parse().unwrap();
    let (_near, far) = duplex(64);
    let refused = tls.receive(far, from).await;
    assert!(matches!(refused, Err(Refused::Silent)));
    let (_near, far) = duplex(64);
    let received = Front::plain().receive(far, from).now_or_never();
    assert!(received.unwrap().is_ok());
}

#[test]
fn headers_about_origins_are_believed_from_trusted_proxies_only() {
    let front = front(None, ProxyProtocol::Off);
    let mut headers = HeaderMap::new();
    headers.insert(HOST, "node1:5000".parse().unwrap());
    headers.insert("x-forwarded-for", "198.51.100.3".parse().unwrap());
    headers.insert("x-forwarded-proto", "https".parse().unwrap());
    headers.insert("x-forwarded-host", "r.example.com".parse().unwrap());
    let target = Uri::from_static("/v2/");

    let place = front.place(
        &Arrival::plain(STRANGER.parse().unwrap()),
        &target,
        &headers,
    );
    assert_eq!(place.address, STRANGER.parse::<SocketAddr>().unwrap().ip());
    assert_eq!(place.origin().as_deref(), Some("http://node1:5000"));

    let place = front.place(&Arrival::plain(PROXY.parse().unwrap()), &target, &headers);
    assert_eq!(place.address.to_string(), "198.51.100.3");
    assert_eq!(place.origin().as_deref(), Some("https://r.example.com"));

    // A proxy of connections passes on what its client wrote.
    let arrival = Arrival {
        source: STRANGER.parse().unwrap(),
        was_tls: true,
        ..Arrival::plain(PROXY.parse().unwrap())
    };
    let place = front.place(&arrival, &target, &headers);
    assert_eq!(place.address, arrival.source.ip());
    assert_eq!(place.origin().as_deref(), Some("https://node1:5000"));

    let in_http2 = Uri::from_static("http://r2.example.com/v2/");
    let place = front.place(
        &Arrival::plain(STRANGER.parse().unwrap()),
        &in_http2,
        &headers,
    );
    assert_eq!(place.host.as_deref(), Some("r2.example.com"));
}
