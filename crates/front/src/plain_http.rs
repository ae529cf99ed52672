//! The one answer to a client that speaks plain HTTP on a port of TLS, so that whoever reads it knows what is wrong.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// How long a client may take to read the answer, and how much it may send meanwhile.
const GOODBYE_MAX: Duration = Duration::from_secs(2);
const UNREAD_BYTES_MAX: u64 = 256 * 1024;

const BODY: &str = "{\"errors\":[{\"code\":\"UNSUPPORTED\",\"message\":\"this port speaks TLS, and the request came as plain HTTP: use https://\"}]}\n";

/// Whether a connection that begins with this byte speaks HTTP: its methods are capitals, and TLS begins otherwise.
pub(crate) fn is_begun_by(first: u8) -> bool {
    first.is_ascii_uppercase()
}

/// Answers, and ends the connection. Its failing is nothing to anybody.
pub(crate) async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Docker-Distribution-API-Version: registry/2.0\r\nConnection: close\r\n\r\n{BODY}",
        BODY.len()
    );
    let goodbye = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        // A socket that is closed with bytes unread takes the answer away again.
        let mut rest = (&mut stream).take(UNREAD_BYTES_MAX);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    let _ = tokio::time::timeout(GOODBYE_MAX, goodbye).await;
}
