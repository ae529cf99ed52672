//! Azure's SDK, Apple's `container` and others that begin a partly filled upload again at byte 0.

use harness::client::{sha256, with_query};

use crate::registry;

#[tokio::test]
async fn upload_begun_again_at_byte_0_is_told_where_it_stands() {
    let (_server, client) = registry();
    let content: Vec<u8> = (0..50_000_u32).flat_map(u32::to_le_bytes).collect();
    let opened = client
        .post("/v2/azure/app/blobs/uploads/")
        .send()
        .await
        .unwrap()
        .expect(202)
        .unwrap();
    let first = client
        .patch(opened.location().unwrap())
        .header("Content-Range", "0-99999")
        .body(content[..100_000].to_vec());
    let first = first.send().await.unwrap().expect(202).unwrap();
    assert_eq!(first.header("Range"), Some("0-99999"));
    let location = first.location().unwrap();

    let again = client
        .patch(location)
        .header("Content-Range", "0-99999")
        .body(content[..100_000].to_vec());
    let refused = again.send().await.unwrap().expect(416).unwrap();
    assert_eq!(refused.header("Range"), Some("0-99999"), "the true offset");
    assert_eq!(refused.error_code().as_deref(), Some("BLOB_UPLOAD_INVALID"));

    for status in [client.get(location), client.head(location)] {
        let status = status.send().await.unwrap().expect(204).unwrap();
        assert_eq!(status.header("Range"), Some("0-99999"));
    }
    let rest = client
        .patch(location)
        .header("Content-Range", "100000-199999")
        .body(content[100_000..].to_vec());
    let rest = rest.send().await.unwrap().expect(202).unwrap();
    let target = with_query(rest.location().unwrap(), "digest", &sha256(&content));
    client
        .put(&target)
        .send()
        .await
        .unwrap()
        .expect(201)
        .unwrap();
}

#[tokio::test]
async fn finished_and_cancelled_uploads_are_gone() {
    let (_server, client) = registry();
    let opened = client
        .post("/v2/azure/gone/blobs/uploads/")
        .send()
        .await
        .unwrap()
        .expect(202)
        .unwrap();
    let location = opened.location().unwrap();
    client
        .delete(location)
        .send()
        .await
        .unwrap()
        .expect(204)
        .unwrap();
    let late = client
        .patch(location)
        .body(&b"late"[..])
        .send()
        .await
        .unwrap()
        .expect(404)
        .unwrap();
    assert_eq!(late.error_code().as_deref(), Some("BLOB_UPLOAD_UNKNOWN"));
}
