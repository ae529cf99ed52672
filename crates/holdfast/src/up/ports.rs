//! Ports of this machine for the nodes: the ones that they had, or any that are free.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// The address that was `known`, if nobody listens there, or one that is free. Between this answer and its use anybody may
/// take it; the node then says so and can be started again.
pub fn free(known: Option<SocketAddr>) -> io::Result<SocketAddr> {
    let known = known.filter(|address| TcpListener::bind(address).is_ok());
    match known {
        Some(address) => Ok(address),
        None => TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_is_kept_unless_it_is_taken() {
        let first = free(None).unwrap();
        assert_eq!(free(Some(first)).unwrap(), first);
        let _taken = TcpListener::bind(first).unwrap();
        assert_ne!(free(Some(first)).unwrap(), first);
    }
}
