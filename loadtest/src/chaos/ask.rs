//! One request, to the balancer or to a node, and what came of it.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode};

use super::World;
use super::meter::Repeatable;
use crate::client::{Client, NotConnected, Outgoing, Target};

/// A way to the registry: a connection that is kept, to the balancer or to one node.
pub(super) struct Way {
    client: Client,
    is_front: bool,
}

/// There was no good answer; it may have been done or not.
#[derive(Debug)]
pub(super) struct NoAnswer {
    /// Whether its client should send it again as clients do, since nobody else may.
    pub(super) is_ours_to_repeat: bool,
    /// Whether it never reached anybody, and so was not done and never will be.
    pub(super) was_never_sent: bool,
}

impl Way {
    pub(super) fn front(world: &World) -> Self {
        Self {
            client: Client::new(world.plan.front.clone()),
            is_front: true,
        }
    }

    pub(super) fn to(target: &Arc<Target>) -> Self {
        Self {
            client: Client::new(target.clone()),
            is_front: false,
        }
    }

    /// Sends a request and reads its reply. Answers of 5xx and 429 are none; every other is given as it is.
    pub(super) async fn ask(
        &mut self,
        world: &World,
        request: Request<Outgoing>,
    ) -> Result<Response<Bytes>, NoAnswer> {
        let what = format!("{} {}", request.method(), request.uri());
        let is_write = !matches!(*request.method(), Method::GET | Method::HEAD);
        let is_head = *request.method() == Method::HEAD;
        let repeatable = repeatable(&request);
        let began = Instant::now();
        let outcome = match self.client.send(request).await {
            Ok(head) => self.client.whole(head).await,
            Err(error) => Err(error),
        };
        let (message, is_oci_json, is_cut, was_never_sent) = match outcome {
            Ok(reply) if is_answer(reply.status()) => {
                if self.is_front {
                    world.meter.answered(began, is_write);
                }
                return Ok(reply);
            }
            Ok(reply) => {
                let body = reply.body();
                let shown = String::from_utf8_lossy(&body[..body.len().min(200)]);
                let message = format!("{what}: {}: {shown}", reply.status());
                let is_cut = reply.status() == StatusCode::BAD_GATEWAY;
                (message, is_oci_json(&reply, is_head), is_cut, false)
            }
            Err(error) => {
                let was_never_sent = error.downcast_ref::<NotConnected>().is_some();
                (format!("{what}: {error:#}"), false, true, was_never_sent)
            }
        };
        if self.is_front {
            world.meter.failed(began, repeatable, is_oci_json, message);
        }
        Err(NoAnswer {
            is_ours_to_repeat: is_cut && repeatable == Repeatable::ByClient,
            was_never_sent,
        })
    }
}

fn is_answer(status: StatusCode) -> bool {
    !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS
}

fn repeatable(request: &Request<Outgoing>) -> Repeatable {
    let path = request.uri().path();
    let is_blob = path.contains("/blobs/");
    match *request.method() {
        Method::PATCH | Method::DELETE => Repeatable::ByClient,
        // Bodies of blobs; a closing `PUT` without one is sent again.
        Method::GET | Method::PUT if is_blob => Repeatable::ByClient,
        _ => Repeatable::ByBalancer,
    }
}

/// Whether a body is `{"errors": [{"code": …}]}`, or would be, if the answer to a `HEAD` had one. Spec: distribution-spec 1.1,
/// "Error codes".
fn is_oci_json(reply: &Response<Bytes>, is_head: bool) -> bool {
    let is_json = reply.headers().get(CONTENT_TYPE).is_some_and(|value| {
        value
            .to_str()
            .is_ok_and(|value| value.starts_with("application/json"))
    });
    let body: Option<serde_json::Value> = serde_json::from_slice(reply.body()).ok();
    let has_code = body.is_some_and(|body| body["errors"][0]["code"].is_string());
    is_json && (is_head || has_code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::request;

    #[test]
    fn errors_of_the_specification_are_told_from_pages() {
        let reply = |content_type: &str, body: &'static str| {
            let reply = Response::builder().header(CONTENT_TYPE, content_type);
            reply.body(Bytes::from_static(body.as_bytes())).unwrap()
        };
        let body = r#"{"errors":[{"code":"UNKNOWN","message":"m"}]}"#;
        let is_oci_json_of_get = |reply| is_oci_json(&reply, false);
        assert!(is_oci_json_of_get(reply(
            "application/json; charset=utf-8",
            body
        )));
        assert!(!is_oci_json_of_get(reply("text/html", body)));
        assert!(!is_oci_json_of_get(reply("application/json", "{}")));
        assert!(!is_oci_json_of_get(reply("application/json", "<html>")));
        assert!(is_oci_json(&reply("application/json", ""), true));
        assert!(!is_oci_json(&reply("text/html", ""), true));
    }

    #[test]
    fn what_the_balancer_may_send_twice_is_known() {
        let of = |method, path: &str| repeatable(&request(method, path).unwrap());
        assert_eq!(of(Method::PUT, "/v2/a/manifests/t"), Repeatable::ByBalancer);
        assert_eq!(
            of(Method::POST, "/v2/a/blobs/uploads/"),
            Repeatable::ByBalancer
        );
        assert_eq!(
            of(Method::HEAD, "/v2/a/blobs/sha256:1"),
            Repeatable::ByBalancer
        );
        assert_eq!(
            of(Method::PATCH, "/v2/a/blobs/uploads/1"),
            Repeatable::ByClient
        );
        assert_eq!(
            of(Method::DELETE, "/v2/a/manifests/t"),
            Repeatable::ByClient
        );
    }
}
