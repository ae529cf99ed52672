//! Which thing a path names.
//!
//! Repository names contain slashes, so a path below `/v2/` is read from the right, where its endpoint stands. Each
//! part is percent-decoded once and then validated; an escaped slash never becomes a separator. What comes out holds
//! only types that cannot be wrong.
//!
//! Spec: distribution-spec 1.1, "Endpoints".

use std::borrow::Cow;

use http::Method;
use oci::{Digest, Reference, RepositoryName, UploadId};
use percent_encoding::percent_decode_str;

use crate::problem::Problem;

/// What a path below `/v2` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/v2/`.
    Base,
    /// `/v2/_catalog`.
    Catalog,
    /// `…/tags/list`.
    Tags(RepositoryName),
    /// `…/manifests/<tag-or-digest>`.
    Manifest(RepositoryName, Reference),
    /// `…/blobs/<digest>`.
    Blob(RepositoryName, Digest),
    /// `…/blobs/uploads/`.
    Uploads(RepositoryName),
    /// `…/blobs/uploads/<id>`.
    Upload(RepositoryName, UploadId),
    /// `…/referrers/<digest>`.
    Referrers(RepositoryName, Digest),
}

/// The kind of a route, for logs and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum RouteKind {
    Base,
    Catalog,
    Tags,
    Manifest,
    Blob,
    Uploads,
    Upload,
    Referrers,
    /// Pages and probes outside `/v2`.
    Page,
    /// The management API.
    Management,
    /// Where tokens are given.
    Auth,
    /// Nothing that exists.
    None,
}

impl RouteKind {
    /// Every kind, in the order of its number.
    pub(crate) const ALL: [RouteKind; 12] = [
        RouteKind::Base,
        RouteKind::Catalog,
        RouteKind::Tags,
        RouteKind::Manifest,
        RouteKind::Blob,
        RouteKind::Uploads,
        RouteKind::Upload,
        RouteKind::Referrers,
        RouteKind::Page,
        RouteKind::Management,
        RouteKind::Auth,
        RouteKind::None,
    ];

    /// As metrics and logs show it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            RouteKind::Base => "base",
            RouteKind::Catalog => "catalog",
            RouteKind::Tags => "tags",
            RouteKind::Manifest => "manifest",
            RouteKind::Blob => "blob",
            RouteKind::Uploads => "uploads",
            RouteKind::Upload => "upload",
            RouteKind::Referrers => "referrers",
            RouteKind::Page => "page",
            RouteKind::Management => "management",
            RouteKind::Auth => "auth",
            RouteKind::None => "none",
        }
    }

    /// The methods that it takes, as `Allow` lists them.
    pub(crate) const fn allow(self) -> &'static str {
        match self {
            RouteKind::Base
            | RouteKind::Catalog
            | RouteKind::Tags
            | RouteKind::Referrers
            | RouteKind::Page => "GET, HEAD, OPTIONS",
            RouteKind::Manifest => "GET, HEAD, PUT, DELETE, OPTIONS",
            RouteKind::Blob => "GET, HEAD, DELETE, OPTIONS",
            RouteKind::Uploads => "POST, OPTIONS",
            RouteKind::Upload => "GET, HEAD, PATCH, PUT, DELETE, OPTIONS",
            RouteKind::Management => "GET, HEAD, POST, PATCH, PUT, DELETE, OPTIONS",
            RouteKind::Auth => "GET, HEAD, POST, OPTIONS",
            RouteKind::None => "OPTIONS",
        }
    }

    /// Whether it takes this method. The conditions are the words of [`RouteKind::allow`].
    pub(crate) fn takes(self, method: &Method) -> bool {
        let method = method.as_str();
        self.allow().split(", ").any(|allowed| allowed == method)
    }
}

/// A path below `/v2`, cut but not yet validated.
enum Cut<'a> {
    Base,
    Catalog,
    Tags(&'a str),
    Manifest(&'a str, &'a str),
    Blob(&'a str, &'a str),
    Uploads(&'a str),
    Upload(&'a str, &'a str),
    Referrers(&'a str, &'a str),
    Nothing,
}

/// Whether a path is the registry protocol's.
pub(crate) fn is_protocol(path: &str) -> bool {
    path.strip_prefix("/v2")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The kind of what `path` names, whether its parts are valid or not.
pub(crate) fn kind(path: &str) -> RouteKind {
    match cut(path) {
        Cut::Base => RouteKind::Base,
        Cut::Catalog => RouteKind::Catalog,
        Cut::Tags(_) => RouteKind::Tags,
        Cut::Manifest(..) => RouteKind::Manifest,
        Cut::Blob(..) => RouteKind::Blob,
        Cut::Uploads(_) => RouteKind::Uploads,
        Cut::Upload(..) => RouteKind::Upload,
        Cut::Referrers(..) => RouteKind::Referrers,
        Cut::Nothing => RouteKind::None,
    }
}

/// What `path` names.
pub(crate) fn parse(path: &str) -> Result<Route, Problem> {
    Ok(match cut(path) {
        Cut::Base => Route::Base,
        Cut::Catalog => Route::Catalog,
        Cut::Tags(name) => Route::Tags(repository(name)?),
        Cut::Manifest(name, reference) => {
            let name = repository(name)?;
            let reference = decode(reference).ok_or_else(Problem::reference_not_text)?;
            Route::Manifest(
                name,
                Reference::parse(&reference).map_err(Problem::reference)?,
            )
        }
        Cut::Blob(name, text) => Route::Blob(repository(name)?, digest(text)?),
        Cut::Uploads(name) => Route::Uploads(repository(name)?),
        Cut::Upload(name, id) => Route::Upload(
            repository(name)?,
            UploadId::parse(id).map_err(|_| Problem::upload_unknown())?,
        ),
        Cut::Referrers(name, text) => Route::Referrers(repository(name)?, digest(text)?),
        Cut::Nothing => return Err(Problem::no_endpoint()),
    })
}

fn cut(path: &str) -> Cut<'_> {
    let rest = match path.strip_prefix("/v2") {
        Some("" | "/") => return Cut::Base,
        Some(rest) => match rest.strip_prefix('/') {
            Some(rest) => rest,
            None => return Cut::Nothing,
        },
        None => return Cut::Nothing,
    };
    if rest == "_catalog" {
        return Cut::Catalog;
    }
    let Some((head, last)) = rest.rsplit_once('/') else {
        return Cut::Nothing;
    };
    match last {
        "" => {
            return head
                .strip_suffix("/blobs/uploads")
                .map_or(Cut::Nothing, Cut::Uploads);
        }
        "uploads" => {
            if let Some(name) = head.strip_suffix("/blobs") {
                return Cut::Uploads(name);
            }
        }
        "list" => {
            if let Some(name) = head.strip_suffix("/tags") {
                return Cut::Tags(name);
            }
        }
        _ => {}
    }
    if let Some(name) = head.strip_suffix("/manifests") {
        Cut::Manifest(name, last)
    } else if let Some(name) = head.strip_suffix("/blobs/uploads") {
        Cut::Upload(name, last)
    } else if let Some(name) = head.strip_suffix("/blobs") {
        Cut::Blob(name, last)
    } else if let Some(name) = head.strip_suffix("/referrers") {
        Cut::Referrers(name, last)
    } else {
        Cut::Nothing
    }
}

fn repository(raw: &str) -> Result<RepositoryName, Problem> {
    let text = decode(raw).ok_or_else(Problem::name_not_text)?;
    // An escaped slash is another name to whoever stands between the client and us: it is never taken for a separator.
    if text.matches('/').count() != raw.matches('/').count() {
        return Err(Problem::name(oci::NameError::Malformed));
    }
    RepositoryName::parse(&text).map_err(Problem::name)
}

fn digest(raw: &str) -> Result<Digest, Problem> {
    let text = decode(raw).ok_or_else(|| Problem::digest(oci::DigestError::Malformed))?;
    Digest::parse(&text).map_err(Problem::digest)
}

fn decode(raw: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(raw).decode_utf8().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn name(text: &str) -> RepositoryName {
        RepositoryName::parse(text).unwrap()
    }

    #[test]
    fn endpoints_are_found_from_the_right() {
        let digest = Digest::parse(DIGEST).unwrap();
        let id = "0123abcd-0000-4000-8000-000000000001";
        let upload = UploadId::parse(id).unwrap();
        let table: Vec<(String, Route)> = vec![
            ("/v2".into(), Route::Base),
            ("/v2/".into(), Route::Base),
            ("/v2/_catalog".into(), Route::Catalog),
            ("/v2/a/tags/list".into(), Route::Tags(name("a"))),
            (
                "/v2/a/manifests/tags/list".into(),
                Route::Tags(name("a/manifests")),
            ),
            (
                "/v2/a/b/c/manifests/v1".into(),
                Route::Manifest(name("a/b/c"), Reference::parse("v1").unwrap()),
            ),
            (
                "/v2/manifests/manifests/manifests".into(),
                Route::Manifest(name("manifests"), Reference::parse("manifests").unwrap()),
            ),
            (
                "/v2/a/manifests/uploads".into(),
                Route::Manifest(name("a"), Reference::parse("uploads").unwrap()),
            ),
            (
                format!("/v2/a/manifests/{DIGEST}"),
                Route::Manifest(name("a"), Reference::Digest(digest)),
            ),
            (
                format!("/v2/a/manifests/{}", DIGEST.replace(':', "%3A")),
                Route::Manifest(name("a"), Reference::Digest(digest)),
            ),
            (
                format!("/v2/blobs/blobs/{DIGEST}"),
                Route::Blob(name("blobs"), digest),
            ),
            ("/v2/a/blobs/uploads".into(), Route::Uploads(name("a"))),
            ("/v2/a/blobs/uploads/".into(), Route::Uploads(name("a"))),
            (
                format!("/v2/a/blobs/uploads/{id}"),
                Route::Upload(name("a"), upload),
            ),
            (
                format!("/v2/a/blobs/uploads/blobs/uploads/{id}"),
                Route::Upload(name("a/blobs/uploads"), upload),
            ),
            (
                format!("/v2/a/referrers/{DIGEST}"),
                Route::Referrers(name("a"), digest),
            ),
        ];
        for (path, expected) in table {
            assert_eq!(parse(&path).unwrap(), expected, "{path}");
        }
    }

    #[test]
    fn bad_paths_are_refused_with_their_code() {
        let long = format!("/v2/{}/tags/list", "a".repeat(300));
        for (path, status, code) in [
            ("/v2/../../etc/passwd/manifests/x", 400, "NAME_INVALID"),
            ("/v2/a/../b/manifests/x", 400, "NAME_INVALID"),
            ("/v2/a%2fb/manifests/x", 400, "NAME_INVALID"),
            ("/v2/a%2Fb/tags/list", 400, "NAME_INVALID"),
            ("/v2/a%00b/manifests/x", 400, "NAME_INVALID"),
            ("/v2/a%0ab/manifests/x", 400, "NAME_INVALID"),
            ("/v2/a%252fb/manifests/x", 400, "NAME_INVALID"),
            ("/v2/a%ff/manifests/x", 400, "NAME_INVALID"),
            ("/v2/Upper/manifests/x", 400, "NAME_INVALID"),
            ("/v2/a//b/manifests/x", 400, "NAME_INVALID"),
            ("/v2//a/manifests/x", 400, "NAME_INVALID"),
            (&long, 400, "NAME_INVALID"),
            ("/v2/a/manifests/.x", 400, "MANIFEST_INVALID"),
            ("/v2/a/manifests/x%2fy", 400, "MANIFEST_INVALID"),
            ("/v2/a/manifests/sha256:abc", 400, "DIGEST_INVALID"),
            ("/v2/a/blobs/sha256:abc", 400, "DIGEST_INVALID"),
            (
                "/v2/a/blobs/md5:d41d8cd98f00b204e9800998ecf8427e",
                400,
                "DIGEST_INVALID",
            ),
            ("/v2/a/blobs/x", 400, "DIGEST_INVALID"),
            ("/v2/a/referrers/x", 400, "DIGEST_INVALID"),
            ("/v2/a/blobs/uploads/x", 404, "BLOB_UPLOAD_UNKNOWN"),
            ("/v2/manifests/x", 404, "UNSUPPORTED"),
            ("/v2/tags/list", 404, "UNSUPPORTED"),
            ("/v2/a/b", 404, "UNSUPPORTED"),
            ("/v2/a/manifests/", 404, "UNSUPPORTED"),
            ("/v2x/", 404, "UNSUPPORTED"),
        ] {
            let problem = parse(path).expect_err(path);
            assert_eq!(
                (problem.status().as_u16(), problem.code()),
                (status, code),
                "{path}"
            );
        }
    }

    #[test]
    fn methods_are_those_that_allow_lists() {
        assert!(RouteKind::Upload.takes(&Method::PATCH));
        assert!(!RouteKind::Uploads.takes(&Method::GET));
        assert!(!RouteKind::Blob.takes(&Method::from_bytes(b"GE").unwrap()));
        for (position, kind) in RouteKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, position);
        }
    }

    #[test]
    fn fuzz_route() {
        bolero::check!()
            .with_type::<String>()
            .for_each(|tail: &String| {
                for path in [
                    format!("/v2/{tail}"),
                    format!("/v2/{tail}/manifests/{tail}"),
                    tail.clone(),
                ] {
                    if let Ok(route) = parse(&path) {
                        let _ = kind(&path);
                        assert!(is_protocol(&path));
                        if let Route::Manifest(name, _) | Route::Tags(name) | Route::Uploads(name) =
                            route
                        {
                            assert!(!name.as_str().contains("..") && name.as_str().len() <= 255);
                        }
                    } else {
                        assert!(
                            parse(&path)
                                .expect_err("refused twice")
                                .status()
                                .is_client_error()
                        );
                    }
                }
            });
    }
}
