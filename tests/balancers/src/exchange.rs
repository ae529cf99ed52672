//! HTTP/1.1 by hand, as far as the nodes of this suite need it: a head, a body that is counted and forgotten, an answer.

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::TcpStream;

/// Heads are no longer than this, nor are the lines of chunks.
const HEAD_BYTES_MAX: u64 = 64 * 1024;

/// The head of a request.
pub struct Head {
    pub method: String,
    pub target: String,
    pub key: Option<String>,
    length: u64,
    is_chunked: bool,
    expects_continue: bool,
}

/// The next head, or nothing when the other side has ended the connection between two requests.
pub async fn read_head(stream: &mut BufStream<TcpStream>) -> anyhow::Result<Option<Head>> {
    let mut lines = Vec::new();
    loop {
        let line = read_line(stream).await?;
        match line.as_deref() {
            None if lines.is_empty() => return Ok(None),
            None => bail!("the connection ended within a head"),
            Some("") => break,
            Some(line) => lines.push(line.to_owned()),
        }
    }
    let mut words = lines.first().context("an empty head")?.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        bail!("odd request line: {lines:?}");
    };
    let value = |name: &str| {
        let mut fields = lines[1..].iter().filter_map(|line| line.split_once(':'));
        let found = fields.find(|(field, _)| field.eq_ignore_ascii_case(name))?;
        Some(found.1.trim().to_ascii_lowercase())
    };
    Ok(Some(Head {
        method: method.to_owned(),
        target: target.to_owned(),
        key: value("idempotency-key"),
        length: value("content-length").map_or(Ok(0), |length| length.parse())?,
        is_chunked: value("transfer-encoding").is_some_and(|coding| coding == "chunked"),
        expects_continue: value("expect").is_some(),
    }))
}

/// Reads the body to its end and tells of each piece's length. Nothing of it is kept.
pub async fn read_body(
    stream: &mut BufStream<TcpStream>,
    head: &Head,
    mut count: impl FnMut(u64),
) -> anyhow::Result<()> {
    if head.expects_continue {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        stream.flush().await?;
    }
    if !head.is_chunked {
        return skip(stream, head.length, &mut count).await;
    }
    loop {
        let line = read_line(stream).await?.context("ended within a body")?;
        let length = u64::from_str_radix(&line, 16).with_context(|| format!("chunk {line:?}"))?;
        skip(stream, length, &mut count).await?;
        let end = read_line(stream).await?;
        ensure!(end.as_deref() == Some(""), "a chunk is longer than it says");
        if length == 0 {
            return Ok(());
        }
    }
}

async fn skip(
    stream: &mut BufStream<TcpStream>,
    mut left: u64,
    count: &mut impl FnMut(u64),
) -> anyhow::Result<()> {
    while left > 0 {
        let there = stream.fill_buf().await?.len();
        ensure!(there > 0, "ended within a body");
        let taken = there.min(usize::try_from(left).unwrap_or(usize::MAX));
        stream.consume(taken);
        left -= taken as u64;
        count(taken as u64);
    }
    Ok(())
}

async fn read_line(stream: &mut BufStream<TcpStream>) -> anyhow::Result<Option<String>> {
    let mut line = String::new();
    let read = stream.take(HEAD_BYTES_MAX).read_line(&mut line).await?;
    if read == 0 {
        return Ok(None);
    }
    let line = line
        .strip_suffix("\r\n")
        .context("a line without its end")?;
    Ok(Some(line.to_owned()))
}
