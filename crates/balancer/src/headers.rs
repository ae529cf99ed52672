//! The headers of a message on its way through: what speaks of one connection only is taken out, and where the request
//! came from is put in. `Host` is never touched.
//!
//! RFC 9110, section 7.6.1, "Connection".

use std::net::{IpAddr, SocketAddr};

use hyper::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What always speaks of one connection only.
const OF_ONE_CONNECTION: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Takes out what speaks of the connection on which the message came: the known headers, and those that `Connection` names.
pub(crate) fn without_connection(headers: &mut HeaderMap) {
    // Two lengths of one message are how requests are smuggled; the chunks are what was read.
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // Neither belongs to a connection, and without them the message would be another one.
        .filter(|name| *name != HOST && *name != CONTENT_LENGTH)
        .collect();
    for name in named.iter().chain(&OF_ONE_CONNECTION) {
        headers.remove(name);
    }
}

/// Makes the headers of a request those that a node gets. `at` is where the balancer was reached.
pub(crate) fn for_node(headers: &mut HeaderMap, client: IpAddr, at: SocketAddr) {
    without_connection(headers);
    // The balancer itself tells the client to go on, when it wants the body.
    headers.remove(EXPECT);
    let came = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut way: Vec<String> = came.map(str::to_owned).collect();
    way.push(client.to_string());
    // What was read as a header and an address can be a header again.
    if let Ok(way) = HeaderValue::from_str(&way.join(", ")) {
        headers.insert(FORWARDED_FOR, way);
    }
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
    let host = match headers.get(HOST) {
        Some(host) => Some(host.clone()),
        None => HeaderValue::from_str(&at.to_string()).ok(),
    };
    if let Some(host) = host {
        headers.insert(FORWARDED_HOST, host.clone());
        headers.insert(HOST, host);
    }
}

/// Gives the request a key of its own, unless the client has: the same for all nodes that it is sent to.
pub(crate) fn add_key(headers: &mut HeaderMap) {
    headers.entry(IDEMPOTENCY_KEY).or_insert_with(|| {
        HeaderValue::from_str(&uuid::Uuid::new_v4().to_string())
            .expect("hexadecimal digits and dashes are a header's value")
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    fn shown(map: &HeaderMap) -> Vec<String> {
        let mut lines: Vec<String> = map
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort_unstable();
        lines
    }

    #[test]
    fn key_is_added_where_there_is_none() {
        let mut headers = HeaderMap::new();
        add_key(&mut headers);
        let added = headers[IDEMPOTENCY_KEY].clone();
        add_key(&mut headers);
        assert_eq!(headers[IDEMPOTENCY_KEY], added);
        let mut other = HeaderMap::new();
        add_key(&mut other);
        assert_ne!(other[IDEMPOTENCY_KEY], added);
    }

    #[test]
    fn headers_of_one_connection_go() {
        let mut headers = map(&[
            ("connection", "keep-alive, X-Mine"),
            ("connection", "host, content-length,, @ @"),
            ("keep-alive", "timeout=5"),
            ("x-mine", "1"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("host", "h"),
            ("content-length", "3"),
            ("range", "bytes=0-1"),
        ]);
        without_connection(&mut headers);
        assert_eq!(
            shown(&headers),
            ["content-length: 3", "host: h", "range: bytes=0-1"]
        );
    }

    #[test]
    fn length_beside_chunks_goes() {
        let mut headers = map(&[("transfer-encoding", "chunked"), ("content-length", "3")]);
        without_connection(&mut headers);
        assert_eq!(shown(&headers), [""; 0]);
    }

    #[test]
    fn node_learns_where_the_request_came_from() {
        let at: SocketAddr = "127.0.0.1:5000".parse().unwrap();
        let mut headers = map(&[
            ("host", "registry.example:5000"),
            ("x-forwarded-for", "192.0.2.9"),
            ("expect", "100-continue"),
        ]);
        for_node(&mut headers, [192, 0, 2, 1].into(), at);
        assert_eq!(
            shown(&headers),
            [
                "host: registry.example:5000",
                "x-forwarded-for: 192.0.2.9, 192.0.2.1",
                "x-forwarded-host: registry.example:5000",
                "x-forwarded-proto: http",
            ]
        );
        let mut headers = HeaderMap::new();
        for_node(&mut headers, [192, 0, 2, 1].into(), at);
        assert_eq!(headers[HOST], "127.0.0.1:5000");
    }
}
