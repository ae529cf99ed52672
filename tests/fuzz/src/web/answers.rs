//! Reads HTTP/1.1 answers, strictly: what a server writes has to be right, whatever it was asked.

use bytes::Bytes;

/// One answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Names in small letters, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The value of a header; the first, if there are several.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The code of its error body.
    pub fn code(&self) -> Option<String> {
        let body: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        Some(body["errors"][0]["code"].as_str()?.to_owned())
    }

    /// Checks what holds of every answer: no 5xx, and errors of the registry's paths in the body that the specification wants.
    pub fn check(&self, is_head: bool) {
        assert!(
            self.status < 500,
            "{} {:?}",
            self.status,
            String::from_utf8_lossy(&self.body)
        );
        let is_ours = self.header("docker-distribution-api-version").is_some();
        if self.status >= 400 && is_ours && !is_head {
            let code = self.code();
            assert!(
                code.is_some_and(|code| !code.is_empty()),
                "an error without a code: {self:?}"
            );
        }
    }
}

/// Takes one answer from the start of what came, and says how long it was. `None` while it is not whole.
///
/// # Panics
/// When it is no answer.
pub fn take_one(came: &[u8], is_head: bool) -> Option<(Answer, usize)> {
    let (status, headers, head_len) = head(came)?;
    if (100..200).contains(&status) {
        let (answer, len) = take_one(&came[head_len..], is_head)?;
        return Some((answer, head_len + len));
    }
    let mut answer = Answer {
        status,
        headers,
        body: Bytes::new(),
    };
    if is_head || status == 204 || status == 304 {
        return Some((answer, head_len));
    }
    let rest = &came[head_len..];
    let (body, len) = body(&answer, rest)?;
    answer.body = body;
    Some((answer, head_len + len))
}

/// Status, headers, and how long the head is.
type Head = (u16, Vec<(String, String)>, usize);

fn head(came: &[u8]) -> Option<Head> {
    let end = came.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&came[..end]).expect("heads are ASCII");
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = first
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.get(2..5));
    let status = status.and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no answer begins so: {first:?}"));
    let header = |line: &str| {
        let (name, value) = line.split_once(':').expect("a header has a colon");
        assert!(!name.is_empty() && !name.contains(' '), "{line:?}");
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    Some((status, lines.map(header).collect(), end + 4))
}

fn body(answer: &Answer, rest: &[u8]) -> Option<(Bytes, usize)> {
    if let Some(len) = answer.header("content-length") {
        let len: usize = len.parse().expect("a length is a number");
        return Some((Bytes::copy_from_slice(rest.get(..len)?), len));
    }
    if answer.header("transfer-encoding") != Some("chunked") {
        return Some((Bytes::new(), 0));
    }
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let line_end = rest[at..].windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&rest[at..at + line_end]).expect("sizes are ASCII");
        let size = usize::from_str_radix(size, 16).expect("sizes are hexadecimal");
        at += line_end + 2;
        body.extend_from_slice(rest.get(at..at + size)?);
        at += size + 2;
        if size == 0 {
            return (at <= rest.len()).then(|| (body.into(), at));
        }
    }
}

/// Reads everything that came on a connection. What is asked is not known, so an answer whose body is missing before the next
/// one, or at the end, is one to a `HEAD`.
pub fn read_all(mut came: &[u8], may_be_cut: bool) -> Vec<Answer> {
    let mut all = Vec::new();
    while !came.is_empty() {
        let taken = take_one(came, false).filter(|(answer, len)| {
            let next = &came[*len..];
            answer.body.is_empty() || next.is_empty() || next.starts_with(b"HTTP/1.")
        });
        let (answer, len, is_head) = match taken {
            Some((answer, len)) => (answer, len, false),
            None => match take_one(came, true) {
                Some((answer, len)) => (answer, len, true),
                None => {
                    assert!(
                        may_be_cut,
                        "half an answer: {:?}",
                        String::from_utf8_lossy(came)
                    );
                    return all;
                }
            },
        };
        answer.check(is_head);
        came = &came[len..];
        all.push(answer);
        if is_head && !came.is_empty() && !came.starts_with(b"HTTP/1.") {
            // The body of an answer that was cut.
            assert!(
                may_be_cut,
                "no answer begins so: {:?}",
                String::from_utf8_lossy(came)
            );
            return all;
        }
    }
    all
}
