//! Requests that a proper client cannot send: bytes written to a socket, and the answer that came.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// No answer takes longer, on a busy machine either.
const PATIENCE: Duration = Duration::from_secs(60);

/// All that came until the server closed the connection.
pub struct Answer(pub String);

impl Answer {
    /// The status of the first reply; 0 when there was none.
    pub fn status(&self) -> u16 {
        let status = self.0.split(' ').nth(1);
        status.and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// Checks status and code of the first reply.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str, what: &str) {
        assert_eq!(self.status(), status, "{what}: {}", self.0);
        let code = format!("\"code\":\"{code}\"");
        assert!(self.0.contains(&code), "{what}: {}", self.0);
    }
}

/// Writes these bytes and reads until the server closes.
pub async fn exchange(address: &str, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that refuses early may close before it has read all.
    let _ = stream.write_all(request).await;
    read(stream).await
}

/// Writes these bytes, says that no more will come, and reads until the server closes.
pub async fn exchange_cut(address: &str, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    stream.shutdown().await.unwrap();
    read(stream).await
}

async fn read(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    // A reset after the answer is an end too.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes))
        .await
        .unwrap();
    Answer(String::from_utf8_lossy(&bytes).into_owned())
}
