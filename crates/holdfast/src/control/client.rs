//! Asks the running node of a data folder.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::message::{Order, Outcome};
use crate::failure::Failure;

/// The socket in the data folder.
const NAME: &str = "control.sock";
/// How long the node may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
/// The longest answer, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Asks the node that runs with this data folder, and gives its answer.
///
/// # Errors
/// What the node says, or that there is none.
pub fn ask(data: &Path, order: &Order) -> Result<Value, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("the work cannot be started: {error}")))?;
    let asked = runtime.block_on(async {
        match tokio::time::timeout(ANSWER_TIME_MAX, talk(data, order)).await {
            Ok(answer) => answer,
            Err(_) => Err(ErrorKind::TimedOut.into()),
        }
    });
    let outcome = asked.map_err(|error| unreachable(data, &error))?;
    match outcome {
        Outcome::Done(value) => Ok(value),
        Outcome::Failed(why) => Err(Failure::new(why)),
    }
}

async fn talk(data: &Path, order: &Order) -> io::Result<Outcome> {
    let stream = socket_of(data, |path| std::os::unix::net::UnixStream::connect(path))?;
    stream.set_nonblocking(true)?;
    let mut stream = UnixStream::from_std(stream)?;
    let mut line = serde_json::to_vec(order)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let mut answer = Vec::new();
    stream
        .take(ANSWER_BYTES_MAX)
        .read_to_end(&mut answer)
        .await?;
    if answer.is_empty() {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&answer)?)
}

/// Gives `work` a path to the socket that is short enough, however long the folder's is: a socket's path has at most 108
/// bytes, and a folder that is open has a short one.
pub fn socket_of<T>(data: &Path, work: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let folder = File::open(data)?;
    let short: PathBuf = format!("/proc/self/fd/{}", folder.as_raw_fd()).into();
    work(&short.join(NAME))
}

fn unreachable(data: &Path, error: &io::Error) -> Failure {
    let data = data.display();
    Failure::new(match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => format!(
            "no node runs with the data folder {data}: start it with `holdfast serve`, or name its folder with --data DIR"
        ),
        ErrorKind::PermissionDenied => format!(
            "this user may not ask the node of the data folder {data}: run the command as the user that runs the node"
        ),
        ErrorKind::TimedOut => format!("the node of the data folder {data} does not answer"),
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => {
            format!("the node of the data folder {data} stopped before it answered")
        }
        _ => format!("the node of the data folder {data} cannot be asked: {error}"),
    })
}
