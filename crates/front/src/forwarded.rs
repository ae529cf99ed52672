//! What proxies say in headers of requests: for whom they ask, how the client came, and for which host.
//!
//! Pure. A header is read from its end, where the nearest proxy wrote, and only as far back as one trusted proxy tells of
//! another: everything before that is what a stranger wrote. One kind of header is read, as configured: a proxy that writes
//! one kind passes the other on as the client sent it.
//!
//! Spec: RFC 7239, sections 4 to 6 and 7.4.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};

use crate::arrival::Scheme;

/// So many proxies, one behind the other, are believed.
const PROXIES_MAX: usize = 32;
/// The longest host that is believed.
const HOST_BYTES_MAX: usize = 255;

const X_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Which headers the trusted proxies write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForwardedBy {
    /// `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`.
    #[default]
    XForwarded,
    /// `Forwarded`.
    Forwarded,
}

/// What proxies said and may be believed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) address: IpAddr,
    pub(crate) scheme: Option<Scheme>,
    pub(crate) host: Option<String>,
}

/// What the trusted proxy at `nearest` says, and those before it that are trusted as well.
pub(crate) fn told(
    by: ForwardedBy,
    headers: &HeaderMap,
    nearest: IpAddr,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> Told {
    match by {
        ForwardedBy::XForwarded => x_forwarded(headers, nearest, is_trusted),
        ForwardedBy::Forwarded => forwarded(headers, nearest, is_trusted),
    }
}

fn x_forwarded(headers: &HeaderMap, nearest: IpAddr, is_trusted: impl Fn(IpAddr) -> bool) -> Told {
    let clients = items(headers, &X_FOR);
    let (address, proxies) = walk(
        nearest,
        clients.iter().rev().map(|item| node(item)),
        is_trusted,
    );
    // The proxy that told of the client told the rest, too, unless each overwrites what it got.
    let of_client = |name: &HeaderName| {
        let items = items(headers, name);
        let back = proxies.max(1).min(items.len());
        items
            .len()
            .checked_sub(back)
            .and_then(|at| items.get(at).copied())
    };
    Told {
        address,
        scheme: of_client(&X_PROTO).and_then(Scheme::of),
        host: of_client(&X_HOST).and_then(host),
    }
}

fn forwarded(headers: &HeaderMap, nearest: IpAddr, is_trusted: impl Fn(IpAddr) -> bool) -> Told {
    let elements: Vec<&str> = headers
        .get_all(http::header::FORWARDED)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| split(line, ','))
        .collect();
    let back = elements.iter().rev();
    let clients = back.map(|element| pair(element, "for").and_then(node));
    let (address, proxies) = walk(nearest, clients, is_trusted);
    let of_client = elements
        .len()
        .checked_sub(proxies.max(1))
        .and_then(|at| elements.get(at));
    Told {
        address,
        scheme: of_client
            .and_then(|element| pair(element, "proto"))
            .and_then(Scheme::of),
        host: of_client
            .and_then(|element| pair(element, "host"))
            .and_then(host),
    }
}

/// The first address that is no trusted proxy, and how many proxies have told of the one before them.
fn walk(
    nearest: IpAddr,
    clients: impl Iterator<Item = Option<IpAddr>>,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> (IpAddr, usize) {
    let (mut address, mut proxies) = (nearest, 0);
    for client in clients.take(PROXIES_MAX) {
        let Some(client) = client.filter(|_| is_trusted(address)) else {
            break;
        };
        address = client;
        proxies += 1;
    }
    (address, proxies)
}

/// The items of all lines of a header, in their order.
fn items<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    let lines = headers.get_all(name).iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .collect()
}

/// The value of a pair in one element of `Forwarded`, without its quotes.
fn pair<'a>(element: &'a str, wanted: &str) -> Option<&'a str> {
    split(element, ';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let value = value.trim();
        let bare = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'));
        let is_wanted = name.trim().eq_ignore_ascii_case(wanted);
        is_wanted.then(|| bare.unwrap_or(value))
    })
}

/// The parts between separators that stand in no quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c: char| {
        if escaped {
            escaped = false;
        } else if quoted && c == '\\' {
            escaped = true;
        } else if c == '"' {
            quoted = !quoted;
        }
        c == separator && !quoted
    })
    .map(str::trim)
}

/// An address, with or without its port, as proxies write it.
fn node(text: &str) -> Option<IpAddr> {
    let address = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            let is_port = port.is_empty() || port.starts_with(':');
            address.parse().ok().filter(|_| is_port)?
        }
        None => match text.parse::<IpAddr>() {
            Ok(address) => address,
            Err(_) => text.parse::<SocketAddr>().ok()?.ip(),
        },
    };
    Some(address.to_canonical())
}

/// A host that can be shown and put into an address.
pub(crate) fn host(text: &str) -> Option<String> {
    let is_host = (1..=HOST_BYTES_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b))
        && text
            .parse::<http::uri::Authority>()
            .is_ok_and(|named| !named.host().is_empty());
    is_host.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    /// What is told by the proxy 10.0.0.1, when all of 10.0.0.0/8 are proxies.
    fn heard(by: ForwardedBy, lines: &[(&'static str, &str)]) -> (String, String) {
        let is_proxy = |address: IpAddr| matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 10);
        let told = told(by, &headers(lines), [10, 0, 0, 1].into(), is_proxy);
        let scheme = told.scheme.map_or("", Scheme::as_str);
        let host = told.host.unwrap_or_default();
        (told.address.to_string(), format!("{scheme}://{host}"))
    }

    #[test]
    fn the_last_that_is_no_proxy_is_the_client() {
        for (said, client) in [
            ("192.0.2.1", "192.0.2.1"),
            ("203.0.113.9, 192.0.2.1", "192.0.2.1"),
            ("127.0.0.1,192.0.2.1 , 10.0.0.9", "192.0.2.1"),
            ("10.0.0.7, 10.0.0.9", "10.0.0.7"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("192.0.2.1:4711", "192.0.2.1"),
            ("192.0.2.1, nobody", "10.0.0.1"),
            ("192.0.2.1, nobody, 10.0.0.2", "10.0.0.2"),
            ("", "10.0.0.1"),
        ] {
            let lines = [("x-forwarded-for", said)];
            assert_eq!(heard(ForwardedBy::XForwarded, &lines).0, client, "{said}");
        }
        let two_lines = [
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-for", "192.0.2.1"),
        ];
        assert_eq!(heard(ForwardedBy::XForwarded, &two_lines).0, "192.0.2.1");
    }

    #[test]
    fn scheme_and_host_are_those_that_the_proxy_of_the_client_saw() {
        let heard = |lines: &[_]| heard(ForwardedBy::XForwarded, lines).1;
        let chain = ("x-forwarded-for", "192.0.2.1, 10.0.0.9");
        assert_eq!(
            heard(&[
                chain,
                ("x-forwarded-proto", "https, http"),
                ("x-forwarded-host", "r.example.com:8443")
            ]),
            "https://r.example.com:8443"
        );
        // A client's own words stand before those of the proxies.
        let lines = [
            ("x-forwarded-for", "6.6.6.6, 192.0.2.1"),
            ("x-forwarded-proto", "https, http"),
            ("x-forwarded-host", "evil.example, r.example.com"),
        ];
        assert_eq!(heard(&lines), "http://r.example.com");
        for wrong in ["a b", "a/b", "<a>", "a@b", ""] {
            let lines = [("x-forwarded-host", wrong), ("x-forwarded-proto", "gopher")];
            assert_eq!(heard(&lines), "://", "{wrong}");
        }
    }

    #[test]
    fn the_standard_header_is_read_with_its_quotes() {
        let heard = |line: &str| heard(ForwardedBy::Forwarded, &[("forwarded", line)]);
        let (address, origin) = heard(
            r#"for=6.6.6.6, For="[2001:db8::1]:47";proto=https;Host="r.example.com", for=10.0.0.9;proto=http"#,
        );
        assert_eq!(address, "2001:db8::1");
        assert_eq!(origin, "https://r.example.com");
        assert_eq!(
            heard(r#"for="_a,for=6.6.6.6;\",for=6.6.6.6""#).0,
            "10.0.0.1"
        );
        assert_eq!(heard("for=unknown").0, "10.0.0.1");
        assert_eq!(heard("for=192.0.2.1;by=10.0.0.1").0, "192.0.2.1");
    }

    proptest! {
        #[test]
        fn no_header_panics_and_a_strangers_counts_for_nothing(text in "[ -~]{0,80}", like in "(for|proto|host|=|;|,|\"|\\\\|192[.]0[.]2[.]1|10[.]0[.]0[.]2|\\[::1\\]| ){0,20}") {
            for text in [text, like] {
                let names = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded"];
                let lines = names.map(|name| (name, text.as_str()));
                for by in [ForwardedBy::XForwarded, ForwardedBy::Forwarded] {
                    heard(by, &lines);
                    let nearest = [192, 0, 2, 9].into();
                    let told = told(by, &headers(&lines), nearest, |_| false);
                    prop_assert_eq!(told.address, nearest);
                }
            }
        }
    }

    #[test]
    fn only_the_configured_kind_is_read() {
        let lines = [
            ("x-forwarded-for", "192.0.2.1"),
            ("forwarded", "for=192.0.2.2"),
        ];
        assert_eq!(heard(ForwardedBy::XForwarded, &lines).0, "192.0.2.1");
        assert_eq!(heard(ForwardedBy::Forwarded, &lines).0, "192.0.2.2");
    }
}
