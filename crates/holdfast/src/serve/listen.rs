//! Takes the addresses to listen on, before anything else is touched.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

use crate::failure::Failure;

/// How many connections the operating system keeps until they are accepted.
const BACKLOG: u32 = 1024;

/// What was taken.
#[derive(Debug)]
pub struct Listening {
    /// In the order in which they were asked for.
    pub listeners: Vec<TcpListener>,
    /// Addresses that this machine does not have, which nobody chose.
    pub passed_over: Vec<SocketAddr>,
}

/// Listens on `addresses`. Of addresses that nobody `chose`, those of IPv6 may be missing.
///
/// # Errors
/// One line that names the fix.
pub fn listen(addresses: &[SocketAddr], chosen: bool) -> Result<Listening, Failure> {
    let mut listening = Listening {
        listeners: Vec::new(),
        passed_over: Vec::new(),
    };
    for address in addresses {
        match bind(*address) {
            Ok(listener) => listening.listeners.push(listener),
            Err(error) if may_be_missing(*address, chosen, &error) => {
                listening.passed_over.push(*address)
            }
            Err(error) => return Err(refused(*address, &error)),
        }
    }
    Ok(listening)
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() {
        TcpSocket::new_v6()
    } else {
        TcpSocket::new_v4()
    }?;
    // A restart must not wait for the connections of the last process to time out.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Whether the machine has no IPv6, and nobody asked for it.
fn may_be_missing(address: SocketAddr, chosen: bool, error: &io::Error) -> bool {
    // EAFNOSUPPORT has no kind of its own.
    let without_family =
        error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error());
    address.is_ipv6() && !chosen && (error.kind() == ErrorKind::AddrNotAvailable || without_family)
}

fn refused(address: SocketAddr, error: &io::Error) -> Failure {
    let other = "choose another with --listen ADDR:PORT";
    Failure::new(match error.kind() {
        ErrorKind::AddrInUse => format!(
            "port {} of {} is taken by another program: stop it (`ss -ltnp` shows which), or {other}",
            address.port(),
            address.ip()
        ),
        ErrorKind::PermissionDenied => format!(
            "port {} may not be opened by this user: {other}, above 1023, or grant CAP_NET_BIND_SERVICE",
            address.port()
        ),
        ErrorKind::AddrNotAvailable => {
            format!("this machine has no address {}: {other}", address.ip())
        }
        _ => format!("{address} cannot be listened on: {error}; {other}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[tokio::test]
    async fn any_port_is_taken_when_0_is_asked_for() {
        let listening = listen(&[loopback(0), loopback(0)], true).expect("two free ports");
        let ports: Vec<u16> = listening
            .listeners
            .iter()
            .map(|l| l.local_addr().expect("it listens").port())
            .collect();
        assert!(
            ports[0] != 0 && ports[1] != 0 && ports[0] != ports[1],
            "{ports:?}"
        );
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_told() {
        let first = listen(&[loopback(0)], true).expect("a free port");
        let address = first.listeners[0].local_addr().expect("it listens");
        let failure = listen(&[address], true).expect_err("it is taken");
        assert_eq!(
            failure.lines,
            [format!(
                "port {} of 127.0.0.1 is taken by another program: stop it (`ss -ltnp` shows which), or choose another with --listen ADDR:PORT",
                address.port()
            )]
        );
    }

    #[test]
    fn only_an_ipv6_address_that_nobody_chose_may_be_missing() {
        let v6: SocketAddr = "[::1]:5000".parse().expect("an address");
        let missing = io::Error::from(ErrorKind::AddrNotAvailable);
        let no_family = io::Error::from(rustix::io::Errno::AFNOSUPPORT);
        assert!(may_be_missing(v6, false, &missing));
        assert!(may_be_missing(v6, false, &no_family));
        assert!(!may_be_missing(v6, true, &missing));
        assert!(!may_be_missing(loopback(5000), false, &missing));
        assert!(!may_be_missing(
            v6,
            false,
            &io::Error::from(ErrorKind::AddrInUse)
        ));
    }
}
