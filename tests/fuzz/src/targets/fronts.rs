//! What says from where a client comes: the PROXY protocol's headers, and those that proxies write into requests.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::LazyLock;

use front::{Arrival, ForwardedBy, Front, FrontSettings, ProxyProtocol, Scheme};
use http::Uri;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use tokio::io::AsyncReadExt as _;

use super::{in_runtime, nothing_to_forget, texts};
use crate::target::{Shape, Target, Verdict};

/// The proxy that is believed.
const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn front(proxy_protocol: ProxyProtocol, forwarded_by: ForwardedBy) -> Front {
    let settings = FrontSettings {
        trusted_proxies: "127.0.0.1, 10.0.0.0/8".parse().expect("networks"),
        proxy_protocol,
        forwarded_by,
        ..FrontSettings::default()
    };
    Front::new(settings, None)
}

/// The header of the PROXY protocol, and what follows it: nothing of that is lost.
pub static PROXY_HEADER: Target = Target {
    name: "proxy-header",
    seeds: || {
        let mut seeds = texts([
            "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\nGET / HTTP/1.1\r\n\r\n",
            "PROXY TCP6 2001:db8::1 ::1 1 65535\r\n",
            "PROXY UNKNOWN\r\nGET /",
            "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n",
            "GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n",
        ]);
        let begin = b"\r\n\r\n\0\r\nQUIT\n";
        // IPv4, IPv6, a health check of the proxy's own, and one with a note that the client came by TLS.
        let ipv4 = [192, 0, 2, 1, 192, 0, 2, 2, 0xdc, 4, 1, 0xbb];
        let tls = [0x20, 0, 5, 1, 0, 0, 0, 0];
        for (kind, body) in [
            ([0x21, 0x11], ipv4.to_vec()),
            ([0x21, 0x21], [7; 36].to_vec()),
            ([0x20, 0x00], Vec::new()),
            ([0x21, 0x11], [&ipv4[..], &tls].concat()),
        ] {
            let len = u16::try_from(body.len()).unwrap_or_default().to_be_bytes();
            seeds.push([&begin[..], &kind, &len, &body, b"GET / HTTP/1.1\r\n"].concat());
        }
        seeds
    },
    generate: None,
    shape: Shape::Bytes,
    repair: None,
    fresh: nothing_to_forget,
    check: |input| {
        static FRONTS: LazyLock<[Front; 2]> = LazyLock::new(|| {
            [ProxyProtocol::Optional, ProxyProtocol::Required]
                .map(|protocol| front(protocol, ForwardedBy::XForwarded))
        });
        let [optional, required] = &*FRONTS;
        let [optional, required] = [received(optional, input), received(required, input)];
        match (&optional, &required) {
            (Ok((arrival, rest)), Ok((same, _))) => {
                assert!(input.ends_with(rest) && rest.len() < input.len());
                assert_eq!(arrival.source, same.source);
                Verdict::accepted()
            }
            // There is no header, and so nothing was taken.
            (Ok((arrival, rest)), Err(_)) => {
                assert_eq!(rest, input);
                assert_eq!(arrival.source.ip(), PROXY);
                Verdict::refused("no header")
            }
            (Err(refused), _) => Verdict::refused(refused),
        }
    },
};

fn received(front: &Front, input: &[u8]) -> Result<(Arrival, Vec<u8>), String> {
    in_runtime(async {
        let stream = tokio::io::join(input, tokio::io::sink());
        let peer = SocketAddr::new(PROXY, 4000);
        let (mut stream, arrival) = front
            .receive(stream, peer)
            .await
            .map_err(|refused| refused.to_string())?;
        let mut rest = Vec::new();
        let read = stream.read_to_end(&mut rest).await;
        read.expect("bytes in memory are read");
        Ok((arrival, rest))
    })
}

/// The headers of a request by which proxies say from where it came: lines of a name, a colon and a value.
pub static FORWARDED: Target = Target {
    name: "forwarded",
    seeds: || {
        texts([
            "x-forwarded-for: 192.0.2.1, 10.1.2.3\nx-forwarded-proto: https\nx-forwarded-host: registry.example.org:443",
            "forwarded: for=192.0.2.60;proto=http;by=203.0.113.43, for=\"[2001:db8::1]:4711\";host=\"a.example\"",
            "host: registry.example.org\nforwarded: for=unknown, for=_hidden;proto=https",
            "host: [::1]:5000\nx-forwarded-for: [2001:db8::2]:80\nx-forwarded-proto: http, https",
        ])
    },
    generate: None,
    shape: Shape::Text(&[
        "\n",
        "host: ",
        "x-forwarded-for: ",
        "x-forwarded-proto: ",
        "x-forwarded-host: ",
        "forwarded: ",
        "for=",
        "proto=",
        "host=",
        "by=",
        ";",
        ", ",
        "\"",
        "\\",
        "10.0.0.1",
        "127.0.0.1",
        "192.0.2.7:80",
        "[::1]",
        "::ffff:10.0.0.1",
        "unknown",
        "https",
        "a.example:1",
    ]),
    repair: None,
    fresh: nothing_to_forget,
    check: |input| {
        let mut headers = HeaderMap::new();
        for line in input.split(|byte| *byte == b'\n') {
            let mut parts = line.splitn(2, |byte| *byte == b':');
            let name = parts.next().map(HeaderName::from_bytes);
            let value = parts.next().map(|value| value.trim_ascii());
            if let (Some(Ok(name)), Some(Ok(value))) = (name, value.map(HeaderValue::from_bytes)) {
                // The server takes no more headers either.
                let _ = headers.try_append(name, value);
            }
        }
        let mut accepted = false;
        for by in [ForwardedBy::XForwarded, ForwardedBy::Forwarded] {
            accepted |= check_place(&front(ProxyProtocol::Off, by), &headers);
        }
        match accepted {
            true => Verdict::accepted(),
            false => Verdict::refused("nothing is told"),
        }
    },
};

/// Whether the headers told anything.
fn check_place(front: &Front, headers: &HeaderMap) -> bool {
    let target = Uri::from_static("/v2/");
    let trusted = Arrival::plain(SocketAddr::new(PROXY, 4000));
    let stranger = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));
    let place = front.place(&trusted, &target, headers);
    if let Some(origin) = place.origin() {
        let uri: Uri = origin.parse().expect("an origin is an address");
        assert!(uri.host().is_some_and(|host| !host.is_empty()), "{origin}");
    }
    let of_stranger = Arrival::plain(SocketAddr::new(stranger, 4000));
    let alone = front.place(&of_stranger, &target, headers);
    assert_eq!((alone.address, alone.scheme), (stranger, Scheme::Http));
    // What a stranger says of a host is what stands in `Host`, and nothing else.
    let mut host = HeaderMap::new();
    host.extend(headers.get(HOST).map(|named| (HOST, named.clone())));
    assert_eq!(alone.host, front.place(&of_stranger, &target, &host).host);
    place.address != PROXY || place.scheme == Scheme::Https || place.host != alone.host
}
