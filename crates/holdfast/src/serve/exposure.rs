//! Whether the addresses may be listened on: what other machines can reach is protected, or said to be meant.

use std::net::SocketAddr;

use crate::config::{Settings, speaks_tls};
use crate::failure::Failure;

/// Refuses addresses beyond loopback without TLS, unless that is said to be meant.
///
/// # Errors
/// One line with the ways out.
pub fn check(addresses: &[SocketAddr], settings: &Settings) -> Result<(), Failure> {
    if speaks_tls(settings) || settings.server.allow_plain_http {
        return Ok(());
    }
    refuse(
        addresses,
        "give it a certificate (--tls self-signed, or tls.certificate and tls.key), \
         listen on loopback behind a proxy with TLS (--listen 127.0.0.1:5000), \
         or say that it is meant (--allow-plain-http, or server.allow_plain_http)",
    )
}

/// As [`check`], for a cluster on one machine to look at, which speaks no TLS.
///
/// # Errors
/// One line with the ways out.
pub fn check_trial(addresses: &[SocketAddr], is_meant: bool) -> Result<(), Failure> {
    if is_meant {
        return Ok(());
    }
    refuse(
        addresses,
        "listen on loopback (--listen 127.0.0.1:5000), \
         or say that it is meant (--allow-plain-http)",
    )
}

fn refuse(addresses: &[SocketAddr], ways_out: &str) -> Result<(), Failure> {
    let exposed: Vec<String> = addresses
        .iter()
        .filter(|address| !address.ip().to_canonical().is_loopback())
        .map(ToString::to_string)
        .collect();
    if exposed.is_empty() {
        return Ok(());
    }
    Err(Failure::of_configuration(format!(
        "other machines reach {}, and without TLS whoever is in between reads and changes what is sent: {ways_out}",
        exposed.join(" and ")
    )))
}

#[cfg(test)]
mod tests {
    use crate::config::{Configuration, Given};

    use super::*;

    fn checked(address: &str, flags: &[(&str, &str)]) -> Result<(), Failure> {
        let flags = flags.iter();
        let given = Given {
            file: None,
            flags: flags
                .map(|(key, value)| ("--set", (*key).to_owned(), (*value).to_owned()))
                .collect(),
        };
        let configuration = Configuration::load(&given, std::iter::empty()).expect("it is right");
        check(
            &[address.parse().expect("an address")],
            &configuration.settings,
        )
    }

    #[test]
    fn what_others_reach_has_tls_or_is_meant() {
        for own in ["127.0.0.1:5000", "127.9.9.9:0", "[::1]:5000"] {
            assert!(checked(own, &[]).is_ok(), "{own}");
        }
        for others in ["0.0.0.0:5000", "[::]:5000", "192.0.2.7:5000"] {
            let failure = checked(others, &[]).expect_err("it is exposed");
            assert_eq!(failure.exit_code, 2);
            for way_out in ["--tls self-signed", "127.0.0.1:5000", "--allow-plain-http"] {
                assert!(failure.lines[0].contains(way_out), "{:?}", failure.lines);
            }
            assert!(checked(others, &[("tls.mode", "self-signed")]).is_ok());
            assert!(checked(others, &[("server.allow_plain_http", "true")]).is_ok());
        }
    }

    #[test]
    fn a_trial_is_on_loopback_or_is_meant() {
        let [own, others] =
            ["[::1]:5000", "0.0.0.0:5000"].map(|text| text.parse().expect("an address"));
        assert!(check_trial(&[own], false).is_ok());
        assert!(check_trial(&[own, others], true).is_ok());
        assert!(check_trial(&[own, others], false).is_err());
    }
}
