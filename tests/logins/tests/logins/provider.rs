//! An OpenID provider that somebody else wrote, as a process of its own, and a browser in which somebody presses its buttons.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use harness::{Process, ports, tools};
use serde_json::json;

const START_MAX: Duration = Duration::from_secs(60);
/// Somebody may take a free port before it does.
const TRIES: usize = 3;

/// The provider. Ends, and takes its folder along, when dropped.
pub struct Running {
    /// `127.0.0.1:port`.
    pub address: String,
    _process: Process,
    folder: tempfile::TempDir,
}

/// Starts it on a free port.
pub fn start() -> anyhow::Result<Running> {
    let mut tries = 1;
    loop {
        match try_start() {
            Err(_) if tries < TRIES => tries += 1,
            result => return result,
        }
    }
}

fn try_start() -> anyhow::Result<Running> {
    let folder = tempfile::tempdir()?;
    // It takes any.
    std::fs::write(folder.path().join("secret"), "client secret")?;
    let [port] = ports::free()?;
    let ann = json!({
        "sub": "subject-1",
        "preferred_username": "ann",
        "email": "ann@example.org",
        "email_verified": true,
        "groups": ["dev", "no group"],
    });
    let mut command = Command::new(tools::find("oidc-provider-mock")?);
    command.args(["--port", &port.to_string(), "--require-nonce", "true"]);
    command.args(["--user-claims", &ann.to_string()]);
    let mut process = Process::start("oidc-provider-mock", &mut command)?;
    let address = format!("127.0.0.1:{port}");
    process.wait_until("its port", START_MAX, || {
        TcpStream::connect(&address).is_ok()
    })?;
    Ok(Running {
        address,
        _process: process,
        folder,
    })
}

impl Running {
    /// The file with the secret of its client.
    pub fn secret_file(&self) -> std::path::PathBuf {
        self.folder.path().join("secret")
    }
}

/// What a browser does in which somebody presses the button of `ann`, or the other one: where it is sent then.
pub fn press(running: &Running, address: &str, form: &str) -> anyhow::Result<String> {
    let path = address
        .strip_prefix(&format!("http://{}", running.address))
        .unwrap_or(address);
    let mut stream = TcpStream::connect(&running.address)?;
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        running.address,
        form.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let location = answer.lines().find_map(|line| {
        line.strip_prefix("Location: ")
            .or(line.strip_prefix("location: "))
    });
    Ok(location.unwrap_or_default().to_owned())
}
