//! Whether the addresses may be listened on: what other machines can reach is protected, or said to be meant.

use std::net::SocketAddr;

use crate::config::{AccessMode, Settings, speaks_tls};
use crate::failure::Failure;

/// What is meant though it is dangerous.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Meant {
    /// What is sent is protected, or needs no protection.
    plain: bool,
    /// Rights are asked for, or nobody needs any.
    open: bool,
}

/// The ways out of a start, or of a cluster on one machine to look at.
struct WaysOut {
    plain: &'static str,
    open: &'static str,
}

const OF_A_NODE: WaysOut = WaysOut {
    plain: "give it a certificate (--tls self-signed, or tls.certificate and tls.key), \
            listen on loopback behind a proxy with TLS (--listen 127.0.0.1:5000), \
            or say that it is meant (--allow-plain-http, or server.allow_plain_http)",
    open: "have rights asked for (--access, or access.mode = \"on\"), \
           listen on loopback (--listen 127.0.0.1:5000), \
           or say that it is meant (--allow-open, or access.allow_open)",
};

const OF_A_TRIAL: WaysOut = WaysOut {
    plain: "listen on loopback (--listen 127.0.0.1:5000), \
            or say that it is meant (--allow-plain-http)",
    open: "have rights asked for (--access), listen on loopback (--listen 127.0.0.1:5000), \
           or say that it is meant (--allow-open)",
};

/// Refuses addresses beyond loopback without TLS, or where nobody's rights are asked for, unless that is said to be meant.
///
/// # Errors
/// A line for each, with the ways out.
pub fn check(addresses: &[SocketAddr], settings: &Settings) -> Result<(), Failure> {
    let meant = Meant {
        plain: speaks_tls(settings) || settings.server.allow_plain_http,
        open: settings.access.mode == AccessMode::On || settings.access.allow_open,
    };
    judge(addresses, meant, &OF_A_NODE)
}

/// As [`check`], for a cluster on one machine to look at, which speaks no TLS.
///
/// # Errors
/// A line for each, with the ways out.
pub fn check_trial(addresses: &[SocketAddr], plain: bool, open: bool) -> Result<(), Failure> {
    judge(addresses, Meant { plain, open }, &OF_A_TRIAL)
}

fn judge(addresses: &[SocketAddr], meant: Meant, ways_out: &WaysOut) -> Result<(), Failure> {
    let exposed: Vec<String> = addresses
        .iter()
        .filter(|address| !address.ip().to_canonical().is_loopback())
        .map(ToString::to_string)
        .collect();
    if exposed.is_empty() || (meant.plain && meant.open) {
        return Ok(());
    }
    let exposed = exposed.join(" and ");
    let plain = format!(
        "other machines reach {exposed}, and without TLS whoever is in between reads and changes what is sent: {}",
        ways_out.plain
    );
    let open = format!(
        "other machines reach {exposed}, and whoever does may push, pull and delete, since nobody's rights are asked for: {}",
        ways_out.open
    );
    let told = [(meant.plain, plain), (meant.open, open)];
    Err(Failure {
        lines: told
            .into_iter()
            .filter(|(is_meant, _)| !is_meant)
            .map(|(_, line)| line)
            .collect(),
        exit_code: 2,
    })
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
    fn what_others_reach_has_tls_and_users_or_is_meant() {
        for own in ["127.0.0.1:5000", "127.9.9.9:0", "[::1]:5000"] {
            assert!(checked(own, &[]).is_ok(), "{own}");
        }
        let safe = [
            ("tls.mode", "self-signed"),
            ("server.allow_plain_http", "true"),
        ];
        let closed = [("access.mode", "on"), ("access.allow_open", "true")];
        for others in ["0.0.0.0:5000", "[::]:5000", "192.0.2.7:5000"] {
            let failure = checked(others, &[]).expect_err("it is exposed");
            assert_eq!((failure.exit_code, failure.lines.len()), (2, 2));
            for (line, ways_out) in [
                (
                    0,
                    ["--tls self-signed", "127.0.0.1:5000", "--allow-plain-http"],
                ),
                (1, ["--access", "127.0.0.1:5000", "--allow-open"]),
            ] {
                for way_out in ways_out {
                    assert!(failure.lines[line].contains(way_out), "{:?}", failure.lines);
                }
            }
            for (safe, closed) in safe.iter().zip(closed.iter()) {
                assert!(checked(others, &[*safe, *closed]).is_ok());
                let open = checked(others, &[*safe]).expect_err("it is open").lines;
                assert!(
                    open.len() == 1 && open[0].contains("--allow-open"),
                    "{open:?}"
                );
                let plain = checked(others, &[*closed]).expect_err("it is plain").lines;
                assert!(plain.len() == 1 && plain[0].contains("--tls"), "{plain:?}");
            }
        }
    }

    #[test]
    fn a_trial_is_on_loopback_or_is_meant() {
        let [own, others] =
            ["[::1]:5000", "0.0.0.0:5000"].map(|text| text.parse().expect("an address"));
        assert!(check_trial(&[own], false, false).is_ok());
        assert!(check_trial(&[own, others], true, true).is_ok());
        for (plain, open, lines) in [(false, false, 2), (true, false, 1), (false, true, 1)] {
            let failure = check_trial(&[own, others], plain, open).expect_err("it is exposed");
            assert_eq!(failure.lines.len(), lines, "{:?}", failure.lines);
        }
    }
}
