//! What a person sees on standard output when the registry is up. Programs wait for its `listening on` lines.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use crate::version;

/// The text: where it listens, where its data is, and lines to try.
pub fn greeting(
    addresses: &[SocketAddr],
    passed_over: &[SocketAddr],
    data: &Path,
    blobs: &str,
) -> String {
    let mut text = format!("Holdfast {}\n", version::LONG);
    for address in addresses {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "listening on http://{address}");
    }
    for address in passed_over {
        let _ = writeln!(
            text,
            "not listening on {address}: this machine has no such address"
        );
    }
    let _ = writeln!(text, "data in {}, blobs in {blobs}", data.display());
    if let Some(name) = addresses.first().map(|address| name_for_clients(*address)) {
        let _ = write!(
            text,
            "\nto try it with docker:\n  docker tag IMAGE {name}/hello:v1 && docker push {name}/hello:v1\n\
             to try it with podman:\n  podman push --tls-verify=false IMAGE {name}/hello:v1\n\n"
        );
    }
    text
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

    #[test]
    fn each_listener_has_its_line_and_clients_get_a_name_that_works() {
        let v4: SocketAddr = "127.0.0.1:5000".parse().expect("an address");
        let v6: SocketAddr = "[::1]:5000".parse().expect("an address");
        let text = greeting(&[v4], &[v6], Path::new("/data"), "the folder /data/blobs");
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
    fn an_address_of_the_network_is_named_as_it_is() {
        let address: SocketAddr = "192.0.2.7:5000".parse().expect("an address");
        assert!(
            greeting(&[address], &[], Path::new("/d"), "b")
                .contains("docker push 192.0.2.7:5000/hello:v1\n")
        );
    }
}
