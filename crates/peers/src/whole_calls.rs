//! Calls that are delivered whole, without a connection: for networks that deliver calls and not bytes. Those are simulated
//! ones, where a call may come late, twice or not at all, and thousands of them a second cost little.
//!
//! A call is encoded and decoded as on any connection; only the frames of HTTP/2 are missing. Streams of messages cannot be
//! delivered so: they need a connection.

use std::io;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full};
use tonic::body::Body;
use tower::{BoxError, ServiceExt};

use crate::{Caller, Calls, async_trait};

/// A call, as its caller has encoded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeCall {
    /// Which: the path of a method of `proto/holdfast/v1`.
    pub path: String,
    /// The message, framed.
    pub body: Bytes,
}

/// The answer to a [`WholeCall`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeAnswer {
    headers: HeaderMap,
    body: Bytes,
    trailers: Option<HeaderMap>,
}

/// A network that delivers calls.
#[async_trait]
pub trait CallNetwork: Send + Sync + 'static {
    /// Has a node answer a call. It may have been answered, or will be, whatever the outcome.
    ///
    /// # Errors
    /// When no answer comes back.
    async fn call(&self, node: u64, address: &str, call: WholeCall) -> io::Result<WholeAnswer>;
}

impl Calls {
    /// Answers one call of a node that has proven to be `caller`.
    pub async fn answer(&self, caller: Caller, call: WholeCall) -> WholeAnswer {
        let mut request = Request::new(Body::new(Full::new(call.body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = call.path.parse().unwrap_or(Uri::from_static("/"));
        let headers = request.headers_mut();
        let grpc = HeaderValue::from_static("application/grpc");
        headers.insert(header::CONTENT_TYPE, grpc);
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        request.extensions_mut().insert(Some(caller));
        let answered = self.routes().oneshot(request).await;
        let response = answered.unwrap_or_else(|never| match never {});
        let (head, body) = response.into_parts();
        let Ok(body) = body.collect().await else {
            // What a node makes by itself does not fail; a client takes this for no answer of a node.
            return WholeAnswer {
                headers: HeaderMap::new(),
                body: Bytes::new(),
                trailers: None,
            };
        };
        WholeAnswer {
            headers: head.headers,
            trailers: body.trailers().cloned(),
            body: body.to_bytes(),
        }
    }
}

/// Makes a call over a network of calls.
pub(crate) async fn make(
    network: &dyn CallNetwork,
    node: u64,
    address: &str,
    request: Request<Body>,
) -> Result<Response<Body>, BoxError> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await?.to_bytes();
    let answer = network
        .call(node, address, WholeCall { path, body })
        .await?;
    let trailers = answer.trailers;
    let body = Full::new(answer.body).with_trailers(std::future::ready(trailers.map(Ok)));
    let mut response = Response::new(Body::new(body));
    *response.headers_mut() = answer.headers;
    Ok(response)
}
