//! Which machines are proxies whose word is believed: networks, as addresses with the length of their prefix.
//!
//! An IPv4 address that came over an IPv6 socket is the IPv4 address that it is.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// A list of networks. The empty one holds nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

/// A text that names no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no network such as 10.0.0.0/8, 192.0.2.7 or fd00::/8")]
pub struct NotANetwork(String);

impl Networks {
    /// Whether `address` lies in one of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Whether nobody lies in them.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each network as it is written.
    pub fn iter(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(ToString::to_string)
    }
}

/// Networks with commas between them; an address without a prefix is itself alone.
impl FromStr for Networks {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Networks, NotANetwork> {
        let parts = text.split(',').map(str::trim);
        let parts = parts.filter(|part| !part.is_empty());
        parts.map(network).collect::<Result<_, _>>().map(Networks)
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iter().collect::<Vec<_>>().join(", "))
    }
}

fn network(text: &str) -> Result<IpNet, NotANetwork> {
    let wrong = || NotANetwork(text.to_owned());
    match text.parse::<IpAddr>() {
        Ok(address) => Ok(IpNet::from(address.to_canonical())),
        // Bits beyond the prefix are more likely a slip of the pen than meant.
        Err(_) => match text.parse::<IpNet>() {
            Ok(network) if network.trunc() == network => Ok(network),
            _ => Err(wrong()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lie_in_their_networks_however_they_came() {
        let networks: Networks = "10.0.0.0/8, 192.0.2.7,fd00::/8".parse().unwrap();
        for inside in ["10.1.2.3", "::ffff:10.1.2.3", "192.0.2.7", "fd12::1"] {
            assert!(networks.contains(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["11.0.0.1", "192.0.2.8", "::ffff:11.0.0.1", "fe80::1", "::"] {
            assert!(!networks.contains(outside.parse().unwrap()), "{outside}");
        }
        assert!(!Networks::default().contains("127.0.0.1".parse().unwrap()));
        assert_eq!(networks.to_string(), "10.0.0.0/8, 192.0.2.7/32, fd00::/8");
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "10.0.0.1/8",
            "10.0.0.0/33",
            "example.com",
            "10.0.0",
            "*",
            "/8",
        ] {
            assert!(text.parse::<Networks>().is_err(), "{text}");
        }
    }
}
