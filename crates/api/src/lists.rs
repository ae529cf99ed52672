//! The lists: catalog, tags and referrers, in pages.
//!
//! A page that does not end the list has a relative `Link` to the next. `n` is clamped, `n=0` is an empty page.
//!
//! Spec: distribution-spec 1.1, "Listing Tags" and "Listing Referrers"; RFC 8288.

use std::fmt::Write as _;

use http::header::{CACHE_CONTROL, LINK, WARNING};
use http::{HeaderValue, StatusCode};
use oci::{Descriptor, Digest, RepositoryName, Tag};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use registry::Page;
use serde::Serialize;

use crate::exchange::Exchange;
use crate::header;
use crate::problem::Problem;
use crate::reply::{self, Reply};

/// The most referrers of a page: each may carry annotations.
const REFERRERS_MAX: usize = 1000;
/// The most bytes of a page of referrers, since clients take it as a manifest. A single larger one is sent alone.
const REFERRERS_BYTES_MAX: usize = 3 * 1024 * 1024;
/// What a query value keeps as it is.
const QUERY_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

#[derive(Serialize)]
struct Catalog<'a> {
    repositories: Vec<&'a str>,
}

#[derive(Serialize)]
struct TagList<'a> {
    name: &'a str,
    tags: Vec<&'a str>,
}

/// `/v2/_catalog`.
pub(crate) async fn catalog(exchange: &Exchange<'_>) -> Result<Reply, Problem> {
    let after = exchange.query().parsed("last", |text| {
        RepositoryName::parse(text).map_err(Problem::name)
    })?;
    let asked = page_size(exchange)?;
    let page = Page {
        after,
        limit: asked.limit(),
    };
    let list = exchange
        .registry
        .repositories(&exchange.caller(), page)
        .await?;
    let repositories: Vec<&str> = list
        .items
        .iter()
        .take(asked.shown())
        .map(RepositoryName::as_str)
        .collect();
    let next = next_after(list.more, repositories.last().copied());
    let body = serde_json::to_vec(&Catalog { repositories }).expect("strings are JSON");
    let link = next.map(|last| link("/v2/_catalog", asked.n, &[("last", &last)]));
    Ok(finish(header::JSON, body, link, false))
}

/// `…/tags/list`.
pub(crate) async fn tags(
    exchange: &Exchange<'_>,
    repository: &RepositoryName,
) -> Result<Reply, Problem> {
    let tag = |text: &str| Tag::parse(text).map_err(|_| Problem::parameter("last is no tag"));
    let after = exchange.query().parsed("last", tag)?;
    let asked = page_size(exchange)?;
    let page = Page {
        after,
        limit: asked.limit(),
    };
    let served = exchange
        .registry
        .tags(&exchange.caller(), repository, page)
        .await?;
    let list = served.value;
    let tags: Vec<&str> = list
        .items
        .iter()
        .take(asked.shown())
        .map(Tag::as_str)
        .collect();
    let next = next_after(list.more, tags.last().copied());
    let body = serde_json::to_vec(&TagList {
        name: repository.as_str(),
        tags,
    })
    .expect("strings are JSON");
    let link = next.map(|last| {
        link(
            &format!("/v2/{repository}/tags/list"),
            asked.n,
            &[("last", &last)],
        )
    });
    Ok(finish(header::JSON, body, link, served.stale))
}

/// `…/referrers/<digest>`.
pub(crate) async fn referrers(
    exchange: &Exchange<'_>,
    repository: &RepositoryName,
    subject: Digest,
) -> Result<Reply, Problem> {
    let query = exchange.query();
    let after = query.parsed("last", |text| Digest::parse(text).map_err(Problem::digest))?;
    // A `+` that a client forgot to escape came as a space, which no media type has.
    let artifact_type = query.parsed("artifactType", |text| Ok(text.replace(' ', "+")))?;
    let asked = page_size(exchange)?;
    let page = Page {
        after,
        limit: asked.limit().min(REFERRERS_MAX),
    };
    let served = exchange
        .registry
        .referrers(
            &exchange.caller(),
            repository,
            subject,
            artifact_type.clone(),
            page,
        )
        .await?;
    let list = served.value;
    let (body, cut) = index(&list.descriptors[..list.descriptors.len().min(asked.shown())]);
    let next = if asked.n == Some(0) {
        None
    } else {
        cut.or(list.next)
    };
    let link = next.map(|last| {
        let last = last.to_string();
        let mut parameters = vec![("last", last.as_str())];
        parameters.extend(
            artifact_type
                .as_deref()
                .map(|wanted| ("artifactType", wanted)),
        );
        link(
            &format!("/v2/{repository}/referrers/{subject}"),
            asked.n,
            &parameters,
        )
    });
    let content_type = HeaderValue::from_static("application/vnd.oci.image.index.v1+json");
    let mut reply = finish(content_type, body, link, served.stale);
    if artifact_type.is_some() {
        reply.headers_mut().insert(
            header::OCI_FILTERS_APPLIED,
            HeaderValue::from_static("artifactType"),
        );
    }
    Ok(reply)
}

/// An image index of as many descriptors as fit, and the last of them if not all did.
fn index(descriptors: &[Descriptor]) -> (Vec<u8>, Option<Digest>) {
    let mut body = Vec::with_capacity(256 * (descriptors.len() + 1));
    body.extend_from_slice(
        br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":["#,
    );
    let mut cut = None;
    for (position, descriptor) in descriptors.iter().enumerate() {
        if position > 0 {
            if body.len() > REFERRERS_BYTES_MAX {
                cut = Some(descriptors[position - 1].digest);
                break;
            }
            body.push(b',');
        }
        serde_json::to_writer(&mut body, descriptor)
            .expect("a descriptor is JSON and memory takes it");
    }
    body.extend_from_slice(b"]}");
    (body, cut)
}

/// What `n` asks for.
#[derive(Debug, Clone, Copy)]
struct PageSize {
    /// As it was asked, clamped; `None` when it was not.
    n: Option<usize>,
    max: usize,
}

impl PageSize {
    /// How many rows are asked of the registry: for an empty page still one, to see whether the repository exists.
    fn limit(self) -> usize {
        self.shown().max(1)
    }

    /// How many rows are shown.
    fn shown(self) -> usize {
        self.n.unwrap_or(self.max)
    }
}

fn page_size(exchange: &Exchange<'_>) -> Result<PageSize, Problem> {
    let max = exchange.settings.page_size_max;
    let n = exchange.query().parsed("n", |text| {
        if !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Problem::parameter("n is a number of entries, 0 or more"));
        }
        // A number too large to be read is clamped like any other that is too large.
        Ok(text.parse::<usize>().unwrap_or(usize::MAX).min(max))
    })?;
    Ok(PageSize { n, max })
}

/// Where the next page begins, if there is one. A page without entries has none.
fn next_after(more: bool, last: Option<&str>) -> Option<String> {
    if more { last.map(str::to_owned) } else { None }
}

fn link(path: &str, n: Option<usize>, parameters: &[(&str, &str)]) -> HeaderValue {
    let mut target = format!("<{path}?");
    for (name, value) in parameters {
        // Writing into a string cannot fail.
        let _ = write!(
            target,
            "{name}={}&",
            utf8_percent_encode(value, QUERY_VALUE)
        );
    }
    if let Some(n) = n {
        let _ = write!(target, "n={n}&");
    }
    target.pop();
    target.push_str(">; rel=\"next\"");
    header::text(target)
}

fn finish(
    content_type: HeaderValue,
    body: Vec<u8>,
    link: Option<HeaderValue>,
    stale: bool,
) -> Reply {
    let mut reply = reply::whole(StatusCode::OK, content_type, body.into());
    let headers = reply.headers_mut();
    headers.insert(CACHE_CONTROL, header::CACHE_NEVER);
    if let Some(link) = link {
        headers.insert(LINK, link);
    }
    if stale {
        headers.insert(WARNING, header::STALE);
    }
    reply
}

#[cfg(test)]
mod tests {
    use oci::{Algorithm, MediaType};

    use super::*;

    #[test]
    fn link_is_relative_and_escaped() {
        let value = link(
            "/v2/a/referrers/d",
            Some(2),
            &[("last", "sha256:ab"), ("artifactType", "a/b+c")],
        );
        assert_eq!(
            value.to_str().unwrap(),
            "</v2/a/referrers/d?last=sha256%3Aab&artifactType=a%2Fb%2Bc&n=2>; rel=\"next\""
        );
    }

    #[test]
    fn a_page_of_referrers_is_cut_before_clients_refuse_it() {
        let large = |name: &[u8]| {
            let mut descriptor = Descriptor::new(
                MediaType::OCI_MANIFEST,
                Digest::of(Algorithm::Sha256, name),
                1,
            );
            descriptor
                .annotations
                .insert("a".into(), "x".repeat(2 * 1024 * 1024));
            descriptor
        };
        let descriptors = [large(b"1"), large(b"2"), large(b"3")];
        let (body, cut) = index(&descriptors);
        assert_eq!(cut, Some(descriptors[1].digest));
        let read: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(read["manifests"].as_array().unwrap().len(), 2);
        assert_eq!(index(&descriptors[2..]).1, None);
    }
}
