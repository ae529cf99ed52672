//! The id of a request: the client's own if it is sane, else one of ours. It is returned and stands in the log.

use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderValue};

use crate::header;

/// The most characters of an id that is taken over.
const ID_MAX: usize = 64;

/// Makes ids: random for this process, then counting.
pub(crate) struct RequestIds {
    process: u32,
    next: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new() -> RequestIds {
        let (random, ..) = uuid::Uuid::new_v4().as_fields();
        RequestIds {
            process: random,
            next: AtomicU64::new(1),
        }
    }

    /// The id of a request with these headers.
    pub(crate) fn id(&self, headers: &HeaderMap) -> HeaderValue {
        match headers.get(header::REQUEST_ID) {
            Some(given) if is_sane(given.as_bytes()) => given.clone(),
            _ => {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                header::text(format!("{:08x}-{number:x}", self.process))
            }
        }
    }
}

fn is_sane(id: &[u8]) -> bool {
    (1..=ID_MAX).contains(&id.len())
        && id
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"._-:".contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sane_ids_are_taken_over() {
        let ids = RequestIds::new();
        let given = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::REQUEST_ID, HeaderValue::from_str(text).unwrap());
            ids.id(&headers)
        };
        assert_eq!(given("a-1.b"), "a-1.b");
        assert_ne!(given("a b"), "a b");
        let long = "x".repeat(65);
        assert_ne!(given(&long), long.as_str());
        assert_ne!(ids.id(&HeaderMap::new()), ids.id(&HeaderMap::new()));
    }
}
