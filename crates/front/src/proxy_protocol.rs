//! The header by which a proxy of connections says for whom it connects, in both of its versions.
//!
//! Pure: bytes in, what they say out. It never takes a byte beyond the header, and never asks for more than
//! [`HEADER_BYTES_MAX`]. What a header adds beyond addresses counts for nothing but "the client came by TLS".
//!
//! Spec: <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>, sections 2.1 and 2.2.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest header that is read; real ones have some hundred bytes.
pub(crate) const HEADER_BYTES_MAX: usize = 4096;

const V1_BEGIN: &[u8] = b"PROXY ";
/// With both addresses of IPv6 in full.
const V1_BYTES_MAX: usize = 107;
const V2_BEGIN: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_FIXED_BYTES: usize = 16;
/// The kind of the note about TLS, and the bit in it that says that there was TLS.
const NOTE_TLS: u8 = 0x20;
const CLIENT_TLS: u8 = 0x01;

/// What the first bytes of a connection say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// It may be a header, and is not whole.
    Incomplete,
    /// There is none.
    Absent,
    /// It begins like one and is none.
    Malformed,
    /// There is one, of so many bytes.
    Whole(usize, Origin),
}

/// For whom a proxy connects.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Nobody when the proxy connects for itself, as for a health check.
    pub(crate) source: Option<SocketAddr>,
    /// Whether the client came to the proxy by TLS.
    pub(crate) was_tls: bool,
}

/// Reads what `bytes` begin with.
pub(crate) fn read(bytes: &[u8]) -> Header {
    if begins(bytes, V2_BEGIN) {
        version_2(bytes)
    } else if begins(bytes, V1_BEGIN) {
        version_1(bytes)
    } else {
        Header::Absent
    }
}

/// Whether `bytes` begin with `begin`, as far as they go.
fn begins(bytes: &[u8], begin: &[u8]) -> bool {
    let shared = bytes.len().min(begin.len());
    bytes[..shared] == begin[..shared]
}

fn version_1(bytes: &[u8]) -> Header {
    let line = &bytes[..bytes.len().min(V1_BYTES_MAX)];
    let Some(end) = line.windows(2).position(|two| two == b"\r\n") else {
        return match line.len() {
            V1_BYTES_MAX => Header::Malformed,
            _ => Header::Incomplete,
        };
    };
    let words = std::str::from_utf8(&line[..end]).ok();
    match words.and_then(origin_of_line) {
        Some(origin) => Header::Whole(end + 2, origin),
        None => Header::Malformed,
    }
}

fn origin_of_line(line: &str) -> Option<Origin> {
    let words: Vec<&str> = line.split(' ').collect();
    let source = match words[..] {
        [_, "UNKNOWN", ..] => None,
        [_, family, source, to, port, to_port] => {
            let source: IpAddr = source.parse().ok()?;
            let to: IpAddr = to.parse().ok()?;
            let is_of_family = match family {
                "TCP4" => source.is_ipv4() && to.is_ipv4(),
                "TCP6" => source.is_ipv6() && to.is_ipv6(),
                _ => false,
            };
            let port: u16 = port.parse().ok()?;
            to_port.parse::<u16>().ok()?;
            Some(SocketAddr::new(is_of_family.then_some(source)?, port))
        }
        _ => return None,
    };
    Some(Origin {
        source,
        was_tls: false,
    })
}

fn version_2(bytes: &[u8]) -> Header {
    let Some((fixed, rest)) = bytes.split_first_chunk::<V2_FIXED_BYTES>() else {
        return Header::Incomplete;
    };
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if V2_FIXED_BYTES + length > HEADER_BYTES_MAX {
        return Header::Malformed;
    }
    let Some(rest) = rest.get(..length) else {
        return Header::Incomplete;
    };
    let origin = match fixed[12] {
        // "Local": the proxy's own connection.
        0x20 => Some(Origin::default()),
        0x21 => origin_of_rest(fixed[13], rest),
        _ => None,
    };
    match origin {
        Some(origin) => Header::Whole(V2_FIXED_BYTES + length, origin),
        None => Header::Malformed,
    }
}

fn origin_of_rest(family: u8, rest: &[u8]) -> Option<Origin> {
    let (source, notes) = match family {
        0x11 => {
            let (at, notes) = rest.split_first_chunk::<12>()?;
            let address = Ipv4Addr::new(at[0], at[1], at[2], at[3]);
            let port = u16::from_be_bytes([at[8], at[9]]);
            (Some(SocketAddr::from((address, port))), notes)
        }
        0x21 => {
            let (at, notes) = rest.split_first_chunk::<36>()?;
            let (address, _) = at.split_first_chunk::<16>()?;
            let port = u16::from_be_bytes([at[32], at[33]]);
            let address = Ipv6Addr::from(*address);
            (Some(SocketAddr::from((address, port))), notes)
        }
        // Sockets of the proxy's machine, and what it does not tell.
        0x00 | 0x31 => return Some(Origin::default()),
        _ => return None,
    };
    let was_tls = says_tls(notes)?;
    Some(Origin { source, was_tls })
}

/// Whether one of the notes after the addresses says that there was TLS. `None` when they are torn.
fn says_tls(mut notes: &[u8]) -> Option<bool> {
    let mut was_tls = false;
    while !notes.is_empty() {
        let (head, rest) = notes.split_first_chunk::<3>()?;
        let length = usize::from(u16::from_be_bytes([head[1], head[2]]));
        let (value, rest) = rest.split_at_checked(length)?;
        if head[0] == NOTE_TLS {
            was_tls |= value.first()? & CLIENT_TLS != 0;
        }
        notes = rest;
    }
    Some(was_tls)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(length: usize, source: &str) -> Header {
        let origin = Origin {
            source: Some(source.parse().unwrap()),
            was_tls: false,
        };
        Header::Whole(length, origin)
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = V2_BEGIN.to_vec();
        bytes.extend([command, family]);
        bytes.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
        bytes.extend(rest);
        bytes
    }

    #[test]
    fn first_version_is_a_line() {
        let line = b"PROXY TCP4 192.0.2.1 198.51.100.9 56324 443\r\nGET / HTTP/1.1\r\n";
        assert_eq!(read(line), whole(45, "192.0.2.1:56324"));
        let line = b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n";
        assert_eq!(read(line), whole(32, "[2001:db8::1]:1"));
        let nobody = Header::Whole(15, Origin::default());
        assert_eq!(read(b"PROXY UNKNOWN\r\n"), nobody);
    }

    #[test]
    fn second_version_tells_tls_too() {
        let four = [192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x34, 1, 187];
        assert_eq!(read(&v2(0x21, 0x11, &four)), whole(28, "192.0.2.1:4660"));
        let mut noted = four.to_vec();
        noted.extend([0x04, 0, 1, 0, NOTE_TLS, 0, 5, CLIENT_TLS, 0, 0, 0, 0]);
        let origin = Origin {
            source: Some("192.0.2.1:4660".parse().unwrap()),
            was_tls: true,
        };
        assert_eq!(read(&v2(0x21, 0x11, &noted)), Header::Whole(40, origin));
        let mut six = Ipv6Addr::LOCALHOST.octets().to_vec();
        six.extend([0; 16]);
        six.extend([0, 7, 0, 8]);
        assert_eq!(read(&v2(0x21, 0x21, &six)), whole(52, "[::1]:7"));
        let check = read(&v2(0x20, 0, &[]));
        assert_eq!(check, Header::Whole(16, Origin::default()));
    }

    #[test]
    fn what_is_torn_or_wrong_is_no_header() {
        for wrong in [
            &b"PROXY TCP4 ::1 ::1 1 2\r\n"[..],
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 70000\r\n",
            b"PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
            b"PROXY\n\r\n",
            &[b"PROXY UNKNOWN ".as_slice(), &[b'x'; 120]].concat(),
            &v2(0x22, 0x11, &[0; 12]),
            &v2(0x11, 0x11, &[0; 12]),
            &v2(0x21, 0x12, &[0; 12]),
            &v2(0x21, 0x11, &[0; 11]),
            &v2(0x21, 0x11, &[0; 14]),
            &v2(0x21, 0x11, &[0; 5000]),
        ] {
            assert!(
                matches!(read(wrong), Header::Malformed | Header::Absent),
                "{wrong:?}"
            );
        }
        for request in [&b"PUT /v2/ HTTP/1.1"[..], b"POST ", b"\x16\x03\x01", b"GET"] {
            assert_eq!(read(request), Header::Absent, "{request:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_headers_come_byte_by_byte(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            read(&bytes);
            for command in [0x20, 0x21] {
                for family in [0x11, 0x21, 0x00] {
                    let header = v2(command, family, &bytes);
                    for end in 0..header.len() {
                        prop_assert_eq!(read(&header[..end]), Header::Incomplete);
                    }
                    if let Header::Whole(length, _) = read(&header) {
                        prop_assert_eq!(length, header.len());
                    }
                }
            }
        }
    }
}
