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
}

/// The manner of this request.
pub(crate) fn manner(method: &Method, uri: &Uri) -> Manner {
    let is_read = [Method::GET, Method::HEAD, Method::OPTIONS].contains(method);
    let names_digest = || {
        let pairs = uri.query().unwrap_or_default().split('&');
        pairs.into_iter().any(|pair| pair.starts_with("digest="))
    };
    let (may_repeat, is_brief) = match place(uri.path()) {
        Place::Manifest if is_read => (true, true),
        _ if is_read => (true, false),
        // With a digest it brings a whole blob, which a node may take its time for.
        Place::Uploads if method == Method::POST => (true, !names_digest()),
        Place::Manifest if method == Method::PUT => (true, true),
        Place::Upload if method == Method::PUT => (true, false),
        _ => (false, false),
    };
    Manner {
        may_repeat,
        is_brief,
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
    /// Anything else.
    Other,
}

fn place(path: &str) -> Place {
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

    /// `R` may be repeated, `b` is brief.
    fn of(method: &str, target: &str) -> &'static str {
        let method: Method = method.parse().unwrap();
        match manner(&method, &target.parse().unwrap()) {
            Manner {
                may_repeat: false,
                is_brief: false,
            } => "-",
            Manner {
                may_repeat: false,
                is_brief: true,
            } => "b",
            Manner {
                may_repeat: true,
                is_brief: false,
            } => "R",
            Manner {
                may_repeat: true,
                is_brief: true,
            } => "Rb",
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
            ("PUT", "/v2/a/b/c/manifests/v1", "Rb"),
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
