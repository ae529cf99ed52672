//! stargz, SOCI and their kin: many small ranges of one blob, several in one request.

use crate::registry;

#[tokio::test]
async fn several_ranges_come_in_one_answer() {
    let (_server, client) = registry();
    let content: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let digest = client.push_blob("lazy/app", content.clone()).await.unwrap();
    let get = client
        .get(&format!("/v2/lazy/app/blobs/{digest}"))
        .header("Range", "bytes=0-9,5000-5999,799990-");
    let reply = get.send().await.unwrap().expect(206).unwrap();
    let kind = reply.header("Content-Type").unwrap();
    assert!(
        kind.starts_with("multipart/byteranges; boundary="),
        "{kind}"
    );
    let body = &reply.body[..];
    let has = |part: &[u8]| body.windows(part.len()).any(|window| window == part);
    for (first, last) in [(0, 9), (5000, 5999), (799_990, 799_999)] {
        assert!(
            has(format!("bytes {first}-{last}/800000").as_bytes()),
            "{first}-{last}"
        );
        assert!(has(&content[first..=last]), "{first}-{last}");
    }
}

#[tokio::test]
async fn single_ranges_are_exact() {
    let (_server, client) = registry();
    let content: Vec<u8> = (0..10_000_u32).flat_map(u32::to_le_bytes).collect();
    let digest = client.push_blob("lazy/one", content.clone()).await.unwrap();
    for (asked, first, last) in [
        ("500-1499", 500, 1499),
        ("39990-", 39_990, 39_999),
        ("-10", 39_990, 39_999),
        ("0-99999", 0, 39_999),
    ] {
        let get = client
            .get(&format!("/v2/lazy/one/blobs/{digest}"))
            .header("Range", &format!("bytes={asked}"));
        let reply = get.send().await.unwrap().expect(206).unwrap();
        assert_eq!(reply.body, content[first..=last], "{asked}");
        assert_eq!(
            reply.header("Content-Range"),
            Some(format!("bytes {first}-{last}/40000").as_str())
        );
    }
    for outside in ["40000-", "500-0"] {
        let get = client
            .get(&format!("/v2/lazy/one/blobs/{digest}"))
            .header("Range", &format!("bytes={outside}"));
        let status = get.send().await.unwrap().status.as_u16();
        assert!([416, 200].contains(&status), "{outside}: {status}");
    }
}
