//! Ports for servers that cannot be told to choose one themselves.

use std::net::{Ipv4Addr, TcpListener};

/// So many ports of the loopback interface that nothing listened on a moment ago, all different. Whoever uses them must
/// be ready to try again with others: between this answer and their use anybody may take one.
pub fn free<const N: usize>() -> anyhow::Result<[u16; N]> {
    // All are held until all are known, so that no port comes twice.
    let mut held = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    #[test]
    fn ports_differ() {
        let [a, b, c] = super::free().unwrap();
        assert!(a != b && b != c && a != c);
    }
}
