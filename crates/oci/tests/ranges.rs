//! Ranges of downloads and of chunks.

use std::collections::BTreeSet;

use oci::{ByteSpan, ChunkRange, RANGES_MAX, RangeSet, Resolved};
use proptest::prelude::*;

/// What is sent of a blob of `total` bytes for this header, as short text: `whole`, `416`, or `start+len` per span.
fn sent(header: &str, total: u64) -> String {
    match RangeSet::parse(header).map_or(Resolved::Whole, |set| set.resolve(total)) {
        Resolved::Whole => "whole".to_owned(),
        Resolved::Unsatisfiable => "416".to_owned(),
        Resolved::Ranges(spans) => {
            let spans: Vec<_> = spans
                .iter()
                .map(|span| format!("{}+{}", span.start, span.len))
                .collect();
            spans.join(" ")
        }
    }
}

#[test]
fn one_range() {
    let cases = [
        // the six of the conformance suite, on its blob of 2048 bytes
        ("bytes=500-1499", 2048, "500+1000"),
        ("bytes=500-", 2048, "500+1548"),
        ("bytes=-500", 2048, "1548+500"),
        ("bytes=2000-5000", 2048, "2000+48"),
        ("bytes=500-0", 2048, "416"),
        ("bytes=5000-10000", 2048, "416"),
        // edges
        ("bytes=0-0", 2048, "0+1"),
        ("bytes=2047-2047", 2048, "2047+1"),
        ("bytes=2048-2048", 2048, "416"),
        ("bytes=2048-", 2048, "416"),
        ("bytes=0-", 2048, "0+2048"),
        ("bytes=-0", 2048, "416"),
        ("bytes=-9999", 2048, "0+2048"),
        ("bytes=0-18446744073709551615", 2048, "0+2048"),
        ("bytes=0-99999999999999999999999", 2048, "0+2048"),
        ("bytes=99999999999999999999999-", 2048, "416"),
        ("bytes=-99999999999999999999999", 2048, "0+2048"),
        (
            "bytes=0-18446744073709551615",
            u64::MAX,
            "0+18446744073709551615",
        ),
        ("BYTES=1-2", 2048, "1+2"),
        ("bytes= 1-2 ", 2048, "1+2"),
        // nothing there
        ("bytes=0-", 0, "416"),
        ("bytes=0-0", 0, "416"),
        ("bytes=-0", 0, "416"),
        ("bytes=-5", 0, "whole"),
    ];
    for (header, total, expected) in cases {
        assert_eq!(sent(header, total), expected, "{header} of {total}");
    }
}

#[test]
fn what_is_no_range_is_ignored() {
    let cases = [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=1",
        "bytes=a-b",
        "bytes=1-b",
        "bytes=1--2",
        "bytes=+1-2",
        "bytes=1-+2",
        "bytes=1- 2",
        "bytes=0x1-2",
        "bytes=1-2;3-4",
        "bytes 1-2",
        "items=1-2",
        "bytes=1-2,x",
        "=1-2",
        "bytes=１-２",
        "bytes==1-2",
        "bytes=1-2-3",
    ];
    for header in cases {
        assert_eq!(sent(header, 2048), "whole", "{header:?}");
    }
}

#[test]
fn several_ranges() {
    let cases = [
        ("bytes=0-9,20-29", "0+10 20+10"),
        ("bytes=20-29,0-9", "20+10 0+10"),
        ("bytes= 0-9 ,, \t20-29,", "0+10 20+10"),
        ("bytes=0-9,10-19", "0+10 10+10"),
        ("bytes=0-9,9-19", "0+20"),
        ("bytes=50-,0-9,-10", "0+10 50+50"),
        ("bytes=0-,0-,0-,-1", "0+100"),
        ("bytes=0-9,500-", "0+10"),
        ("bytes=9-0,0-9", "0+10"),
        ("bytes=500-,600-", "416"),
        ("bytes=0-9,-0", "0+10"),
    ];
    for (header, expected) in cases {
        assert_eq!(sent(header, 100), expected, "{header}");
    }
}

#[test]
fn greedy_requests_get_the_whole() {
    let header = |count: u64| {
        let ranges: Vec<_> = (0..count)
            .map(|i| format!("{}-{}", 10 * i, 10 * i + 1))
            .collect();
        format!("bytes={}", ranges.join(","))
    };
    let most = RangeSet::parse(&header(RANGES_MAX as u64)).expect("as many as are allowed");
    assert_eq!(most.ranges().len(), RANGES_MAX);
    assert_eq!(sent(&header(RANGES_MAX as u64 + 1), 10_000), "whole");
    assert_eq!(
        sent(&format!("bytes={}", "0-,".repeat(100_000)), 10_000),
        "whole"
    );
}

#[test]
fn chunk_ranges_are_read() {
    let cases = [
        ("0-0", 0, 1),
        ("0-1023", 0, 1024),
        (" 1024-2047 ", 1024, 1024),
        ("bytes 0-1023/*", 0, 1024),
        ("bytes 0-1023/1024", 0, 1024),
        ("Bytes 5-9/4096", 5, 5),
        ("bytes 5-9", 5, 5),
        ("1-18446744073709551615", 1, u64::MAX),
    ];
    for (text, start, len) in cases {
        let range = ChunkRange::parse(text).expect(text);
        assert_eq!(
            (range.start(), range.len(), range.end()),
            (start, len, start + (len - 1)),
            "{text}"
        );
    }
}

#[test]
fn what_is_no_chunk_range_is_refused() {
    let cases = [
        "",
        "-",
        "0",
        "0-",
        "-0",
        "1-0",
        "a-b",
        "0-1-2",
        "+0-1",
        "0 - 1",
        "0-1/*",
        "bytes 0-1023/1023",
        "bytes */1024",
        "bytes=0-1023",
        "bytes0-1",
        "0-18446744073709551615",
        "0-18446744073709551616",
        "bytes 0-1/",
        "bytes 0-1/x",
        "items 0-1/*",
        "0-1,2-3",
        "é0-1",
        "bytesé0-1",
    ];
    for text in cases {
        assert!(ChunkRange::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn chunk_ranges_that_cannot_be_counted_are_not_made() {
    assert_eq!(ChunkRange::new(1, 0), None);
    assert_eq!(ChunkRange::new(0, u64::MAX), None);
    assert_eq!(ChunkRange::new(0, 9).map(ChunkRange::len), Some(10));
}

/// The bytes that one range spec means, by the words of RFC 9110.
fn meant(spec: &(Option<u64>, Option<u64>), total: u64) -> BTreeSet<u64> {
    match *spec {
        (Some(first), Some(last)) => (first..=last).filter(|byte| *byte < total).collect(),
        (Some(first), None) => (first..total).collect(),
        (None, len) => (total.saturating_sub(len.unwrap_or(0))..total).collect(),
    }
}

proptest! {
    #[test]
    fn spans_are_disjoint_and_exactly_what_was_meant(
        specs in prop::collection::vec(
            (prop::option::of(0..60_u64), prop::option::of(0..60_u64))
                .prop_filter("one bound at least", |(a, b)| a.is_some() || b.is_some()),
            1..8,
        ),
        total in 1..50_u64,
    ) {
        let number = |n: Option<u64>| n.map_or(String::new(), |n| n.to_string());
        let texts: Vec<_> = specs.iter().map(|(a, b)| format!("{}-{}", number(*a), number(*b))).collect();
        let header = format!("bytes={}", texts.join(","));
        let set = RangeSet::parse(&header).expect("of the grammar");
        prop_assert_eq!(set.to_string(), header);
        let meant: BTreeSet<u64> = specs.iter().flat_map(|spec| meant(spec, total)).collect();
        match set.resolve(total) {
            Resolved::Ranges(spans) => {
                let bytes: Vec<u64> = spans.iter().flat_map(|span: &ByteSpan| span.start..span.end()).collect();
                prop_assert!(spans.iter().all(|span| span.len > 0));
                prop_assert_eq!(bytes.len(), meant.len(), "no byte twice");
                prop_assert_eq!(bytes.into_iter().collect::<BTreeSet<_>>(), meant);
            }
            Resolved::Unsatisfiable => prop_assert!(meant.is_empty()),
            Resolved::Whole => prop_assert!(false, "nothing here is ignored"),
        }
    }

    #[test]
    fn chunk_ranges_are_read_as_they_are_written(start in any::<u64>(), end in any::<u64>()) {
        if let Some(range) = ChunkRange::new(start, end) {
            prop_assert_eq!(ChunkRange::parse(&range.to_string()), Ok(range));
        }
    }
}
