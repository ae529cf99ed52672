//! `If-Match`, `If-None-Match` and `If-Range`: entity tags are digests in quotes.
//!
//! On reads they save bytes (304); on writes they are compare-and-swap, which the log decides, not this file.
//!
//! Spec: RFC 9110 sections 8.8.3 and 13.1.

use http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH, IF_RANGE};
use http::{HeaderMap, Method};
use oci::Digest;
use registry::Precondition;

use crate::problem::Problem;

/// The most entity tags that one header is given.
const ETAGS_MAX: usize = 64;

/// What a conditional header lists.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Etags {
    /// `*`.
    Any,
    /// These. What is no digest of ours is left out: it matches nothing.
    Some(Vec<Etag>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Etag {
    digest: Digest,
    weak: bool,
}

/// What a read with conditions is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadOutcome {
    /// As if there were none.
    Proceed,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// Judges the conditions of a `GET` or `HEAD` of what has this digest.
pub(crate) fn of_read(headers: &HeaderMap, digest: &Digest) -> Result<ReadOutcome, Problem> {
    if let Some(etags) = etags(headers, &IF_MATCH)?
        && !etags.matches(digest, false)
    {
        return Ok(ReadOutcome::Failed);
    }
    if let Some(etags) = etags(headers, &IF_NONE_MATCH)?
        && etags.matches(digest, true)
    {
        return Ok(ReadOutcome::NotModified);
    }
    Ok(ReadOutcome::Proceed)
}

/// Whether the `Range` of a request counts: `If-Range`, if there, must be the strong entity tag of the blob.
pub(crate) fn range_counts(headers: &HeaderMap, digest: &Digest) -> bool {
    let Some(value) = headers.get(IF_RANGE) else {
        return true;
    };
    let etag = value.to_str().ok().and_then(parse_etag);
    etag.is_some_and(|etag| !etag.weak && etag.digest == *digest)
}

/// The precondition of a write, for the log to judge.
pub(crate) fn of_write(
    headers: &HeaderMap,
    method: &Method,
) -> Result<Option<Precondition>, Problem> {
    let matched = etags(headers, &IF_MATCH)?;
    let unmatched = etags(headers, &IF_NONE_MATCH)?;
    match (matched, unmatched) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(Problem::header("If-Match and If-None-Match together")),
        (Some(Etags::Any), None) => Ok(Some(Precondition::Exists)),
        // A weak entity tag never matches where bytes must be the same.
        (Some(Etags::Some(etags)), None) => Ok(Some(Precondition::Matches(
            etags
                .into_iter()
                .filter(|etag| !etag.weak)
                .map(|etag| etag.digest)
                .collect(),
        ))),
        (None, Some(_)) if method == Method::DELETE => {
            Err(Problem::header("If-None-Match on DELETE"))
        }
        (None, Some(Etags::Any)) => Ok(Some(Precondition::Absent)),
        (None, Some(Etags::Some(etags))) => Ok(Some(Precondition::MatchesNone(
            etags.into_iter().map(|etag| etag.digest).collect(),
        ))),
    }
}

impl Etags {
    fn matches(&self, digest: &Digest, weakly: bool) -> bool {
        match self {
            Etags::Any => true,
            Etags::Some(etags) => etags
                .iter()
                .any(|etag| etag.digest == *digest && (weakly || !etag.weak)),
        }
    }
}

fn etags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Etags>, Problem> {
    let mut values = headers.get_all(name).iter().peekable();
    if values.peek().is_none() {
        return Ok(None);
    }
    let mut found = Vec::new();
    let mut listed = 0;
    for value in values {
        let value = value
            .to_str()
            .map_err(|_| Problem::header(&format!("{name} is not ASCII")))?;
        if value.trim() == "*" {
            return Ok(Some(Etags::Any));
        }
        // A comma within quotes would be no digest's, so it is harmless to cut there.
        for item in value.split(',').filter(|item| !item.trim().is_empty()) {
            listed += 1;
            if listed > ETAGS_MAX {
                return Err(Problem::header(&format!(
                    "more than {ETAGS_MAX} entity tags in {name}"
                )));
            }
            found.extend(parse_etag(item));
        }
    }
    Ok(Some(Etags::Some(found)))
}

/// Reads `"sha256:…"` or `W/"sha256:…"`; the quotes may be absent, as some clients have it.
fn parse_etag(text: &str) -> Option<Etag> {
    let text = text.trim();
    let (text, weak) = match text.strip_prefix("W/") {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let bare = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(text);
    let digest = Digest::parse(bare).ok()?;
    Some(Etag { digest, weak })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use oci::Algorithm;

    use super::*;

    fn headers(pairs: &[(HeaderName, String)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn reads_are_judged() {
        let (a, b) = (
            Digest::of(Algorithm::Sha256, b"a"),
            Digest::of(Algorithm::Sha256, b"b"),
        );
        for (name, value, outcome) in [
            (IF_NONE_MATCH, format!("\"{a}\""), ReadOutcome::NotModified),
            (
                IF_NONE_MATCH,
                format!("W/\"{a}\""),
                ReadOutcome::NotModified,
            ),
            (
                IF_NONE_MATCH,
                format!("\"{b}\", \"{a}\""),
                ReadOutcome::NotModified,
            ),
            (IF_NONE_MATCH, "*".into(), ReadOutcome::NotModified),
            (IF_NONE_MATCH, format!("\"{b}\""), ReadOutcome::Proceed),
            (IF_NONE_MATCH, "\"x\"".into(), ReadOutcome::Proceed),
            (IF_MATCH, format!("\"{a}\""), ReadOutcome::Proceed),
            (IF_MATCH, format!("W/\"{a}\""), ReadOutcome::Failed),
            (IF_MATCH, format!("\"{b}\""), ReadOutcome::Failed),
            (IF_MATCH, "*".into(), ReadOutcome::Proceed),
        ] {
            assert_eq!(
                of_read(&headers(&[(name.clone(), value.clone())]), &a).unwrap(),
                outcome,
                "{name}: {value}"
            );
        }
        assert_eq!(
            of_read(&HeaderMap::new(), &a).unwrap(),
            ReadOutcome::Proceed
        );
    }

    #[test]
    fn writes_become_preconditions() {
        let a = Digest::of(Algorithm::Sha256, b"a");
        let of = |name: HeaderName, value: &str| {
            of_write(&headers(&[(name, value.to_owned())]), &Method::PUT).unwrap()
        };
        assert_eq!(of(IF_NONE_MATCH, "*"), Some(Precondition::Absent));
        assert_eq!(of(IF_MATCH, "*"), Some(Precondition::Exists));
        assert_eq!(
            of(IF_MATCH, &format!("\"{a}\"")),
            Some(Precondition::Matches(vec![a]))
        );
        assert_eq!(
            of(IF_MATCH, &format!("W/\"{a}\"")),
            Some(Precondition::Matches(vec![]))
        );
        assert_eq!(of(IF_MATCH, "\"v1\""), Some(Precondition::Matches(vec![])));
        assert_eq!(
            of(IF_NONE_MATCH, &format!("\"{a}\"")),
            Some(Precondition::MatchesNone(vec![a]))
        );
        let both = headers(&[(IF_MATCH, "*".into()), (IF_NONE_MATCH, "*".into())]);
        assert!(of_write(&both, &Method::PUT).is_err());
    }

    #[test]
    fn a_range_counts_only_for_the_same_bytes() {
        let a = Digest::of(Algorithm::Sha256, b"a");
        let counts = |value: &str| range_counts(&headers(&[(IF_RANGE, value.to_owned())]), &a);
        assert!(counts(&format!("\"{a}\"")));
        assert!(!counts(&format!("W/\"{a}\"")));
        assert!(!counts("Sat, 21 Nov 2026 11:00:00 GMT"));
        assert!(range_counts(&HeaderMap::new(), &a));
    }
}
