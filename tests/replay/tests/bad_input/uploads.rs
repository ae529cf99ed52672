//! Chunks out of order, overlapping, twice, on finished and cancelled uploads, and from two clients at once.

use bytes::Bytes;
use futures::StreamExt as _;
use harness::client::{sha256, with_query};
use harness::{Client, Reply};
use replay::registry;
use tokio::sync::oneshot;

use crate::{refused, unharmed};

/// What is uploaded: 600,000 bytes, all of which tell where they belong.
fn content() -> Vec<u8> {
    (0..150_000_u32).flat_map(u32::to_le_bytes).collect()
}

async fn open(client: &Client) -> String {
    let opened = client.post("/v2/a/blobs/uploads/").send().await.unwrap();
    let opened = opened.expect(202).unwrap();
    opened.location().unwrap().to_owned()
}

async fn chunk(client: &Client, location: &str, first: usize, bytes: &[u8]) -> Reply {
    let range = format!("{first}-{}", first + bytes.len() - 1);
    let patch = client.patch(location).header("Content-Range", &range);
    patch.body(bytes.to_vec()).send().await.unwrap()
}

#[tokio::test]
async fn chunks_where_they_do_not_belong_are_416_with_the_true_range() {
    let (server, client) = registry();
    let content = content();
    let digest = sha256(&content);
    let location = open(&client).await;
    let early = chunk(&client, &location, 200_000, &content[200_000..400_000]).await;
    refused(
        &early,
        416,
        "BLOB_UPLOAD_INVALID",
        "the second before the first",
    );
    assert_eq!(early.header("Range"), Some("0-0"));

    let first = chunk(&client, &location, 0, &content[..200_000]).await;
    let first = first.expect(202).unwrap();
    let mut location = first.location().unwrap().to_owned();
    for (what, start, end) in [
        ("the same again", 0, 200_000),
        ("a part of it again", 50_000, 100_000),
        ("overlapping", 100_000, 300_000),
        ("one byte too early", 199_999, 300_000),
        ("one byte too late", 200_001, 300_000),
        ("out of order", 400_000, 600_000),
    ] {
        let reply = chunk(&client, &location, start, &content[start..end]).await;
        refused(&reply, 416, "BLOB_UPLOAD_INVALID", what);
        assert_eq!(reply.header("Range"), Some("0-199999"), "{what}");
        reply.location().unwrap().clone_into(&mut location);
    }
    let closing = client
        .put(&with_query(&location, "digest", &digest))
        .header("Content-Range", "400000-599999")
        .body(content[400_000..].to_vec());
    let reply = closing.send().await.unwrap();
    refused(&reply, 416, "BLOB_UPLOAD_INVALID", "closing out of order");

    let second = chunk(&client, &location, 200_000, &content[200_000..400_000]).await;
    let second = second.expect(202).unwrap();
    let closing = client
        .put(&with_query(second.location().unwrap(), "digest", &digest))
        .header("Content-Range", "400000-599999")
        .body(content[400_000..].to_vec());
    closing.send().await.unwrap().expect(201).unwrap();
    let pulled = client.get(&format!("/v2/a/blobs/{digest}"));
    assert_eq!(pulled.send().await.unwrap().body, content);
    unharmed(&server).await;
}

#[tokio::test]
async fn ranges_that_are_none_are_refused() {
    let (server, client) = registry();
    let location = open(&client).await;
    for (range, code) in [
        ("abc", "BLOB_UPLOAD_INVALID"),
        ("-", "BLOB_UPLOAD_INVALID"),
        ("4-0", "BLOB_UPLOAD_INVALID"),
        ("-1-3", "BLOB_UPLOAD_INVALID"),
        ("0-99999999999999999999999", "BLOB_UPLOAD_INVALID"),
        ("0-18446744073709551615", "BLOB_UPLOAD_INVALID"),
        ("0-1.5", "BLOB_UPLOAD_INVALID"),
        ("0-9", "SIZE_INVALID"),
        ("0-2", "SIZE_INVALID"),
    ] {
        let patch = client.patch(&location).header("Content-Range", range);
        let reply = patch.body(&b"0123"[..]).send().await.unwrap();
        refused(&reply, 400, code, range);
    }
    let status = client.get(&location).send().await.unwrap();
    let status = status.expect(204).unwrap();
    assert_eq!(status.header("Range"), Some("0-0"), "nothing was taken");
    unharmed(&server).await;
}

#[tokio::test]
async fn finished_and_cancelled_uploads_take_no_more() {
    let (server, client) = registry();
    let digest = sha256(b"0123456789");
    let finished = open(&client).await;
    let closing = with_query(&finished, "digest", &digest);
    for _ in 0..2 {
        // The second is the first one sent again, by a client that missed the answer.
        let put = client.put(&closing).body(&b"0123456789"[..]);
        put.send().await.unwrap().expect(201).unwrap();
    }
    let cancelled = open(&client).await;
    let patched = chunk(&client, &cancelled, 0, b"0123").await;
    let gone = client.delete(patched.location().unwrap()).send().await;
    gone.unwrap().expect(204).unwrap();
    for location in [&finished, &cancelled, patched.location().unwrap()] {
        for (method, target) in [
            ("PATCH", location.to_owned()),
            ("PUT", with_query(location, "digest", &sha256(b"more"))),
            ("GET", location.to_owned()),
            ("DELETE", location.to_owned()),
        ] {
            let ask = client.request(method.parse().unwrap(), &target);
            let reply = ask.body(&b"more"[..]).send().await.unwrap();
            let what = format!("{method} {target}");
            refused(&reply, 404, "BLOB_UPLOAD_UNKNOWN", &what);
        }
        let late = chunk(&client, location, 4, b"4567").await;
        refused(&late, 404, "BLOB_UPLOAD_UNKNOWN", "a late chunk");
    }
    let pulled = client.get(&format!("/v2/a/blobs/{digest}"));
    assert_eq!(pulled.send().await.unwrap().body, &b"0123456789"[..]);
    unharmed(&server).await;
}

/// A body whose second half comes when it is told to; tells when its first half was taken.
fn in_halves(
    content: &[u8],
    begun: oneshot::Sender<()>,
    go_on: oneshot::Receiver<()>,
) -> impl futures::Stream<Item = std::io::Result<Bytes>> + Send + Sync + 'static {
    let (first, second) = content.split_at(content.len() / 2);
    let (first, second) = (first.to_vec(), second.to_vec());
    futures::stream::iter([Ok(Bytes::from(first))]).chain(futures::stream::once(async move {
        // Whoever waits for it may be gone.
        let _ = begun.send(());
        let _ = go_on.await;
        Ok(Bytes::from(second))
    }))
}

#[tokio::test]
async fn of_two_clients_at_once_one_wins_and_bytes_never_mix() {
    let (server, client) = registry();
    let location = open(&client).await;
    let ours: Vec<u8> = content();
    let theirs: Vec<u8> = content().into_iter().rev().collect();
    let (begun, is_begun) = oneshot::channel();
    let (go_on, may_go_on) = oneshot::channel();
    let earlier = client
        .patch(&location)
        .stream(in_halves(&ours, begun, may_go_on))
        .send();
    let later = async {
        is_begun.await.unwrap();
        let patched = client.patch(&location).body(theirs.clone()).send().await;
        go_on.send(()).unwrap();
        patched.unwrap()
    };
    let (earlier, later) = futures::future::join(earlier, later).await;
    // Whichever took the right to write last has won; the other is told where the upload stands: at the winner's end, or, if it
    // is told before the winner may even go on, still at the beginning.
    let earlier = earlier.unwrap();
    let (won, lost, bytes, stands) = match later.status.as_u16() {
        202 => (later, earlier, theirs, "0-599999"),
        _ => (earlier, later, ours, "0-0"),
    };
    let won = won.expect(202).unwrap();
    refused(&lost, 416, "BLOB_UPLOAD_INVALID", "the client that lost");
    assert_eq!(lost.header("Range"), Some(stands));
    let digest = sha256(&bytes);
    let target = with_query(won.location().unwrap(), "digest", &digest);
    let closed = client.put(&target).send().await.unwrap();
    closed.expect(201).unwrap();
    let pulled = client.get(&format!("/v2/a/blobs/{digest}"));
    assert_eq!(pulled.send().await.unwrap().body, bytes);
    unharmed(&server).await;
}
