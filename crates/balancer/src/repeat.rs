//! Which requests may be sent to a second node after a first one had them: those that have the same effect twice as once.
//!
//! A pure function of method and path, with the rules of `deploy/haproxy/haproxy.cfg`. It must never say yes to a `PATCH`:
//! the first node may have taken the bytes, and the second would take them again.

use hyper::{Method, Uri};

/// How a request is to be handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Manner {
    /// It may be sent again, as long as its body is still there.
    pub(crate) may_repeat: bool,
    /// A node that is well begins its answer within ten seconds.
    pub(crate) is_brief: bool,
    /// It moves tags: a node that hung must not do it after another node has, and later ones of the client's.
    pub(crate) wants_key: bool,
}

/// The manner of this request.
pub(crate) fn manner(method: &Method, uri: &Uri) -> Manner {
    let is_read = [Method::GET, Method::HEAD, Method::OPTIONS].contains(method);
    let names_digest = || {
        let pairs = uri.query().unwrap_or_default().split('&');
        pairs.into_iter().any(|pair| pair.starts_with("digest="))
    };
    let place = place(uri.path());
    let wants_key = matches!(place, Place::Manifest) && method == Method::PUT;
    let (may_repeat, is_brief) = match place {
        Place::Manifest | Place::Token if is_read => (true, true),
        _ if is_read => (true, false),
        // With a digest it brings a whole blob, which a node may take its time for.
        Place::Uploads if method == Method::POST => (true, !names_digest()),
        Place::Manifest if method == Method::PUT => (true, true),
        // Another token is as good.
        Place::Token if method == Method::POST => (true, true),
        Place::Upload if method == Method::PUT => (true, false),
        _ => (false, false),
    };
    Manner {
        may_repeat,
        is_brief,
        wants_key,
    }
}

/// What a path names.
enum Place {
    /// Where uploads begin.
    Uploads,
    /// One upload.
    Upload,
    /// A manifest.
    Manifest,
    /// Where tokens are given.
    Token,
    /// Anything else.
    Other,
}

fn place(path: &str) -> Place {
    if path == "/auth/token" {
        return Place::Token;
    }
    let Some(path) = path.strip_prefix("/v2/") else {
        return Place::Other;
    };
    let is_repository = |name: &str| !name.is_empty();
    let open = path.strip_suffix('/').unwrap_or(path);
    if open
        .strip_suffix("/blobs/uploads")
        .is_some_and(is_repository)
    {
        return Place::Uploads;
    }
    let Some((above, last)) = path.rsplit_once('/') else {
        return Place::Other;
    };
    match last {
        "" => Place::Other,
        _ if above
            .strip_suffix("/blobs/uploads")
            .is_some_and(is_repository) =>
        {
            Place::Upload
        }
        _ if above.strip_suffix("/manifests").is_some_and(is_repository) => Place::Manifest,
        _ => Place::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `R` may be repeated, `b` is brief, `k` gets a key; `-` nothing of it.
    fn of(method: &str, target: &str) -> String {
        let method: Method = method.parse().unwrap();
        let manner = manner(&method, &target.parse().unwrap());
        let signs = [
            (manner.may_repeat, 'R'),
            (manner.is_brief, 'b'),
            (manner.wants_key, 'k'),
        ];
        let signs: String = signs
            .iter()
            .filter(|(is, _)| *is)
            .map(|(_, sign)| sign)
            .collect();
        if signs.is_empty() {
            "-".to_owned()
        } else {
            signs
        }
    }

    #[test]
    fn what_has_the_same_effect_twice_is_repeated() {
        let table = [
            ("GET", "/v2/a/blobs/sha256:0", "R"),
            ("HEAD", "/v2/a/manifests/v1", "Rb"),
            ("OPTIONS", "/", "R"),
            ("POST", "/v2/a/b/blobs/uploads/", "Rb"),
            ("POST", "/v2/a/blobs/uploads", "Rb"),
            ("POST", "/v2/a/blobs/uploads/?mount=sha256:0&from=b", "Rb"),
            ("POST", "/v2/a/blobs/uploads/?digest=sha256:0", "R"),
            ("POST", "/v2/a/blobs/uploads/?x=1&digest=sha256:0", "R"),
            ("GET", "/auth/token?service=holdfast", "Rb"),
            ("POST", "/auth/token", "Rb"),
            ("PUT", "/auth/token", "-"),
            ("POST", "/auth/token/x", "-"),
            ("PUT", "/v2/a/b/c/manifests/v1", "Rbk"),
            ("PUT", "/v2/a/blobs/uploads/0198?digest=sha256:0", "R"),
            ("PATCH", "/v2/a/blobs/uploads/0198", "-"),
            ("PATCH", "/v2/a/manifests/v1", "-"),
            ("DELETE", "/v2/a/manifests/v1", "-"),
            ("POST", "/v2/a/manifests/v1", "-"),
            ("POST", "/v2//blobs/uploads/", "-"),
            ("PUT", "/v2/a/manifests/", "-"),
            ("PUT", "/v2/a/blobs/uploads/", "-"),
            ("PUT", "/v3/a/manifests/v1", "-"),
            ("PUT", "/v2/", "-"),
        ];
        for (method, target, expected) in table {
            assert_eq!(of(method, target), expected, "{method} {target}");
        }
    }
}
