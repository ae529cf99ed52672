//! A client that sends what it is told, right or wrong, and reads one answer.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// No answer takes longer in a test.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request.
#[derive(Clone)]
pub struct Call {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

pub fn call(method: &str, target: impl Into<String>) -> Call {
    Call {
        method: method.into(),
        target: target.into(),
        headers: Vec::new(),
        body: None,
    }
}

pub fn get(target: impl Into<String>) -> Call {
    call("GET", target)
}

impl Call {
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Call {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With a `Content-Length` that is true.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Call {
        let body = body.into();
        self = self.header("Content-Length", body.len().to_string());
        self.body = Some(body);
        self
    }

    /// In chunks, of unknown length.
    pub fn chunked(mut self, body: &[u8]) -> Call {
        self = self.header("Transfer-Encoding", "chunked");
        let mut framed = Vec::new();
        for chunk in body.chunks(1000) {
            framed.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            framed.extend_from_slice(chunk);
            framed.extend_from_slice(b"\r\n");
        }
        framed.extend_from_slice(b"0\r\n\r\n");
        self.body = Some(framed);
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut text = format!(
            "{} {} HTTP/1.1\r\nHost: registry.test\r\n",
            self.method, self.target
        );
        for (name, value) in &self.headers {
            write!(text, "{name}: {value}\r\n").expect("text grows");
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).into_iter().next()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The code of the first error in an OCI error body.
    pub fn code(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/json"),
            "an error body is JSON"
        );
        self.json()["errors"][0]["code"]
            .as_str()
            .expect("an error has a code")
            .to_owned()
    }

    /// Checks the status and gives the answer back.
    #[track_caller]
    pub fn expect(self, status: u16) -> Answer {
        assert_eq!(
            self.status,
            status,
            "{}",
            String::from_utf8_lossy(&self.body)
        );
        self
    }

    /// Checks status and code of an error.
    #[track_caller]
    pub fn expect_error(self, status: u16, code: &str) -> Answer {
        let answer = self.expect(status);
        assert_eq!(answer.code(), code);
        assert_eq!(
            answer.header("docker-distribution-api-version"),
            Some("registry/2.0")
        );
        assert!(answer.header("x-request-id").is_some());
        answer
    }
}

/// A connection that is used for one request after the other.
pub struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Connection {
        let stream = TcpStream::connect(address)
            .await
            .expect("the server listens");
        Connection {
            stream,
            unread: Vec::new(),
        }
    }

    pub async fn send(&mut self, call: &Call) -> Answer {
        // A server that refuses early may close before it has read all: the answer is what counts.
        let _ = self.stream.write_all(&call.bytes()).await;
        self.answer(&call.method).await
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Reads one answer to a request of this method.
    pub async fn answer(&mut self, method: &str) -> Answer {
        tokio::time::timeout(PATIENCE, self.read_answer(method))
            .await
            .expect("an answer in time")
    }

    async fn read_answer(&mut self, method: &str) -> Answer {
        let end = loop {
            if let Some(end) = find(&self.unread, b"\r\n\r\n") {
                break end;
            }
            assert!(
                self.fill().await,
                "the connection ended before an answer: {:?}",
                self.unread
            );
        };
        let rest = self.unread.split_off(end + 4);
        let head =
            String::from_utf8(std::mem::replace(&mut self.unread, rest)).expect("a head is ASCII");
        let mut lines = head.trim_end().split("\r\n");
        let status_line = lines.next().expect("a status line");
        let status = status_line
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .expect("a status");
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(':').expect("a header"))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        let mut answer = Answer {
            status,
            headers,
            body: Vec::new(),
        };
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.body = self.chunks().await;
        } else if method != "HEAD" && status != 204 && status != 304 {
            let length = answer
                .header("content-length")
                .expect("every body has a length")
                .parse()
                .expect("a length is a number");
            while self.unread.len() < length && self.fill().await {}
            assert!(
                self.unread.len() >= length,
                "the body was cut at {} of {length}",
                self.unread.len()
            );
            let rest = self.unread.split_off(length);
            answer.body = std::mem::replace(&mut self.unread, rest);
        }
        answer
    }

    /// A body of unknown length. What the server has not ended as it should is empty.
    async fn chunks(&mut self) -> Vec<u8> {
        while !self.unread.ends_with(b"\r\n0\r\n\r\n") {
            if !self.fill().await {
                return Vec::new();
            }
        }
        let framed = std::mem::take(&mut self.unread);
        let mut rest = &framed[..];
        let mut body = Vec::new();
        while let Some(end) = find(rest, b"\r\n") {
            let length = String::from_utf8_lossy(&rest[..end]).into_owned();
            let length = usize::from_str_radix(&length, 16).expect("a chunk has a length");
            let from = end + 2;
            body.extend_from_slice(&rest[from..from + length]);
            rest = &rest[from + length + 2..];
        }
        body
    }

    /// Whether the server closes the connection now, without sending more.
    pub async fn is_closed(&mut self) -> bool {
        self.unread.is_empty()
            && !tokio::time::timeout(PATIENCE, self.fill())
                .await
                .expect("an end in time")
    }

    async fn fill(&mut self) -> bool {
        let mut buffer = vec![0; 64 * 1024];
        match self.stream.read(&mut buffer).await {
            Ok(0) | Err(_) => false,
            Ok(read) => {
                self.unread.extend_from_slice(&buffer[..read]);
                true
            }
        }
    }
}

pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}
