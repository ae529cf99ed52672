//! Ports for servers that cannot be told to choose one themselves.

use std::net::{Ipv4Addr, TcpListener};

/// So many ports of the loopback interface that nothing listened on a moment ago, all different. Whoever uses them must
/// be ready to try again with others: between this answer and their use anybody may take one.
pub fn free<const N: usize>() -> anyhow::Result<[u16; N]> {
    free_at(Ipv4Addr::LOCALHOST)
}

/// An address of the loopback network that nobody else is likely to use. A port of it stays free between the death of a
/// server and its next start: connections of others come from 127.0.0.1.
pub fn own_address() -> Ipv4Addr {
    let [a, b, c] = rand::random::<[u8; 3]>();
    // Neither 127.0.…, where everybody is, nor the ends of a network.
    Ipv4Addr::new(127, a.max(1), b, c.clamp(1, 254))
}

/// So many ports of this address that nothing listened on a moment ago, all different.
pub fn free_at<const N: usize>(address: Ipv4Addr) -> anyhow::Result<[u16; N]> {
    // All are held until all are known, so that no port comes twice.
    let mut held = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind((address, 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    #[test]
    fn own_addresses_are_on_this_machine_and_differ() {
        let (one, other) = (super::own_address(), super::own_address());
        assert!(one.is_loopback() && one != other);
        let [a, b] = super::free_at(one).unwrap();
        assert_ne!(a, b);
    }

    #[test]
    fn ports_differ() {
        let [a, b, c] = super::free().unwrap();
        assert!(a != b && b != c && a != c);
    }
}
