//! Where the other nodes reach this one, and the port on which it listens for them.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};

use crate::failure::Failure;

/// The port when nobody chose one.
const PORT: u16 = 5050;
/// How often a port is asked for again, and how long it is waited in between.
const TRIES_MAX: u32 = 100;
const RETRY_AFTER: Duration = Duration::from_millis(20);
/// How many connections the operating system keeps until they are accepted.
const BACKLOG: u32 = 1024;

/// The port, taken.
#[derive(Debug)]
pub struct PeerPort {
    /// Listens.
    pub listener: TcpListener,
    /// `host:port` for the others.
    pub address: String,
}

/// Takes the port of `address`, or `listen` if that is another one.
///
/// # Errors
/// One line that names the fix.
pub fn take(address: &str, listen: Option<SocketAddr>) -> Result<PeerPort, Failure> {
    let wrong = || {
        Failure::new(format!(
            "cluster.peer_address is `{address}`, and has to be HOST:PORT, such as 192.0.2.7:{PORT}"
        ))
    };
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().map_err(|_| wrong())?;
    if host.is_empty() {
        return Err(wrong());
    }
    let listener = match (listen, address.parse::<SocketAddr>()) {
        (Some(listen), _) => bind(listen)?,
        (None, Ok(address)) => bind(address)?,
        // A name: other machines know how to reach it, and this one listens wherever they do.
        (None, Err(_)) => match bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))) {
            Ok(listener) => listener,
            Err(_) => bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))?,
        },
    };
    let taken = listener
        .local_addr()
        .map_err(|error| Failure::new(format!("the port for other nodes is lost: {error}")))?;
    let port = if port == 0 { taken.port() } else { port };
    Ok(PeerPort {
        listener,
        address: format!("{host}:{port}"),
    })
}

/// Takes a port again that this process has just let go, as soon as the operating system gives it.
///
/// # Errors
/// As [`take`], when it does not within a while.
pub async fn take_again(address: &str, listen: Option<SocketAddr>) -> Result<PeerPort, Failure> {
    for _ in 0..TRIES_MAX {
        match take(address, listen) {
            Ok(port) => return Ok(port),
            Err(_) => tokio::time::sleep(RETRY_AFTER).await,
        }
    }
    take(address, listen)
}

/// The address from which this machine reaches others, and the port that nobody chose.
pub fn default_address() -> String {
    SocketAddr::new(own_address(), PORT).to_string()
}

/// No packet is sent: the operating system only looks up the way.
pub(super) fn own_address() -> IpAddr {
    let local = Ipv4Addr::LOCALHOST;
    let far_away = (Ipv4Addr::new(192, 0, 2, 1), 9);
    let own = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect(far_away)?;
        socket.local_addr()
    });
    own.map_or(local.into(), |own| own.ip())
}

fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    let socket = if address.is_ipv6() {
        TcpSocket::new_v6()
    } else {
        TcpSocket::new_v4()
    };
    let bound = socket.and_then(|socket| {
        // A restart must not wait for the connections of the last process to time out.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    });
    bound.map_err(|error| {
        let other = "choose another with --peer-address HOST:PORT";
        Failure::new(match error.kind() {
            ErrorKind::AddrInUse => format!(
                "port {} of {}, for the other nodes, is taken by another program: stop it (`ss -ltnp` shows which), or {other}",
                address.port(),
                address.ip()
            ),
            ErrorKind::AddrNotAvailable => format!(
                "this machine has no address {}, at which other nodes were to reach it: {other}, or set cluster.peer_listen",
                address.ip()
            ),
            _ => format!("{address} cannot be listened on for other nodes: {error}; {other}"),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn any_port_is_taken_and_told() {
        let port = take("127.0.0.1:0", None).expect("a free port");
        let taken = port.listener.local_addr().expect("it listens");
        assert_eq!(port.address, taken.to_string());
        let named = take("localhost:0", Some(SocketAddr::from(([127, 0, 0, 1], 0))));
        let named = named.expect("a free port");
        assert!(named.address.starts_with("localhost:") && !named.address.ends_with(":0"));
    }

    #[tokio::test]
    async fn what_cannot_be_listened_on_is_told() {
        let taken = take("127.0.0.1:0", None).expect("a free port");
        let second = take(&taken.address, None).expect_err("it is taken");
        assert!(
            second.lines[0].contains("taken by another program"),
            "{second:?}"
        );
        for wrong in ["", "host", ":1", "host:port", "host:70000"] {
            assert!(take(wrong, None).is_err(), "{wrong}");
        }
    }
}
