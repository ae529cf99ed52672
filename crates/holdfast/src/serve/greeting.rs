//! What a person sees on standard output when the registry is up. Programs wait for its `listening on` lines.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use super::client_port::Trust;
use crate::access::{Switched, shown_once};
use crate::version;

/// What has started.
pub struct Started<'a> {
    /// Where it listens.
    pub addresses: &'a [SocketAddr],
    /// Addresses that this machine does not have, which nobody chose.
    pub passed_over: &'a [SocketAddr],
    /// Whether clients speak TLS.
    pub is_tls: bool,
    /// What clients need to trust its certificate, if it has signed that itself.
    pub trust: Option<&'a Trust>,
    /// Its folder.
    pub data: &'a Path,
    /// Where blobs are.
    pub blobs: &'a str,
    /// What the start has done about access.
    pub access: &'a Switched,
}

/// The text: where it listens, where its data is, and lines to try.
pub fn greeting(started: &Started<'_>) -> String {
    let mut text = format!("Holdfast {}\n", version::LONG);
    let scheme = if started.is_tls { "https" } else { "http" };
    for address in started.addresses {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "listening on {scheme}://{address}");
    }
    for address in started.passed_over {
        let _ = writeln!(
            text,
            "not listening on {address}: this machine has no such address"
        );
    }
    let (data, blobs) = (started.data.display(), started.blobs);
    let _ = writeln!(text, "data in {data}, blobs in {blobs}");
    if let Some(trust) = started.trust {
        text.push_str(&how_to_trust(trust));
    }
    text.push_str(&who_rules(started.access));
    let here = started
        .addresses
        .first()
        .map(|first| name_for_clients(*first));
    let name = started.trust.map(|trust| trust.name.clone()).or(here);
    let flag = if started.is_tls {
        ""
    } else {
        " --tls-verify=false"
    };
    if let Some(name) = name {
        if !matches!(started.access, Switched::Nothing) {
            let _ = writeln!(
                text,
                "\nto log in with docker:\n  docker login -u admin {name}"
            );
        }
        let _ = write!(
            text,
            "\nto try it with docker:\n  docker tag IMAGE {name}/hello:v1 && docker push {name}/hello:v1\n\
             to try it with podman:\n  podman push{flag} IMAGE {name}/hello:v1\n\n"
        );
    }
    text
}

/// Who may do everything, when this start has decided that.
fn who_rules(access: &Switched) -> String {
    let how = match access {
        Switched::Nothing => return String::new(),
        Switched::OldAdmin => "the user admin was there, and has its old password\n".to_owned(),
        Switched::Drawn(password) => shown_once("admin", password),
        Switched::FromFile(file) => {
            format!("the password of admin is that in {}\n", file.display())
        }
    };
    format!("rights are asked for from now on\n{how}")
}

/// What to run, or to write, on a client's machine. The authority's file is named where it is here.
fn how_to_trust(Trust { authority, name }: &Trust) -> String {
    let file = authority.display();
    format!(
        "its certificate is signed by the authority in {file}\n\
         \nto have docker trust it:\n  mkdir -p '/etc/docker/certs.d/{name}' && cp '{file}' '/etc/docker/certs.d/{name}/ca.crt'\n\
         to have podman, buildah and skopeo trust it:\n  mkdir -p '/etc/containers/certs.d/{name}' && cp '{file}' '/etc/containers/certs.d/{name}/ca.crt'\n\
         to have containerd trust it, in /etc/containerd/certs.d/{name}/hosts.toml:\n  server = \"https://{name}\"\n  [host.\"https://{name}\"]\n  ca = \"{file}\"\n"
    )
}

/// How a client on this machine names the registry. Docker speaks plain HTTP to `localhost` without being told to.
pub fn name_for_clients(address: SocketAddr) -> String {
    if address.ip().is_loopback() || address.ip().is_unspecified() {
        format!("localhost:{}", address.port())
    } else {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<'a>(addresses: &'a [SocketAddr], passed_over: &'a [SocketAddr]) -> Started<'a> {
        Started {
            addresses,
            passed_over,
            is_tls: false,
            trust: None,
            data: Path::new("/data"),
            blobs: "the folder /data/blobs",
            access: &Switched::Nothing,
        }
    }

    #[test]
    fn each_listener_has_its_line_and_clients_get_a_name_that_works() {
        let v4: SocketAddr = "127.0.0.1:5000".parse().expect("an address");
        let v6: SocketAddr = "[::1]:5000".parse().expect("an address");
        let text = greeting(&of(&[v4], &[v6]));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "listening on http://127.0.0.1:5000");
        assert_eq!(
            lines[2],
            "not listening on [::1]:5000: this machine has no such address"
        );
        assert_eq!(lines[3], "data in /data, blobs in the folder /data/blobs");
        assert!(
            text.contains("podman push --tls-verify=false IMAGE localhost:5000/hello:v1\n"),
            "{text}"
        );
    }

    #[test]
    fn password_is_shown_when_it_was_drawn() {
        let address: SocketAddr = "127.0.0.1:5000".parse().expect("an address");
        let told = |access: &Switched| {
            let started = of(std::slice::from_ref(&address), &[]);
            greeting(&Started { access, ..started })
        };
        let drawn = told(&Switched::Drawn("abcdefgh".to_owned().into()));
        let line = "the password of admin, shown this once: abcdefgh";
        assert!(drawn.lines().any(|told| told == line), "{drawn}");
        assert!(
            drawn.contains("  docker login -u admin localhost:5000\n"),
            "{drawn}"
        );
        let file = told(&Switched::FromFile("/secret".into()));
        assert!(
            file.contains("the password of admin is that in /secret\n"),
            "{file}"
        );
        let nothing = told(&Switched::Nothing);
        assert!(!nothing.contains("admin"), "{nothing}");
    }

    #[test]
    fn an_address_of_the_network_is_named_as_it_is() {
        let address: SocketAddr = "192.0.2.7:5000".parse().expect("an address");
        assert!(greeting(&of(&[address], &[])).contains("docker push 192.0.2.7:5000/hello:v1\n"));
    }

    #[test]
    fn clients_are_told_how_to_trust_a_certificate_of_its_own() {
        let address: SocketAddr = "192.0.2.7:5000".parse().expect("an address");
        let trust = Trust {
            authority: "/data/tls/authority.pem".into(),
            name: "r.example.com:5000".to_owned(),
        };
        let text = greeting(&Started {
            is_tls: true,
            trust: Some(&trust),
            ..of(&[address], &[])
        });
        for line in [
            "listening on https://192.0.2.7:5000",
            "  mkdir -p '/etc/docker/certs.d/r.example.com:5000' && cp '/data/tls/authority.pem' '/etc/docker/certs.d/r.example.com:5000/ca.crt'",
            "  mkdir -p '/etc/containers/certs.d/r.example.com:5000' && cp '/data/tls/authority.pem' '/etc/containers/certs.d/r.example.com:5000/ca.crt'",
            "  [host.\"https://r.example.com:5000\"]",
            "  ca = \"/data/tls/authority.pem\"",
            "  podman push IMAGE r.example.com:5000/hello:v1",
        ] {
            assert!(text.lines().any(|told| told == line), "{line}\n{text}");
        }
    }
}
