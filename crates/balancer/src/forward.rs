//! One request: to the node whose turn it is, and to others when that one fails and it does no harm.
//!
//! A node that takes no connection costs nothing: nothing was sent. After a node had some of the request, it goes to
//! another one only if it may be repeated and its body is still there. Once an answer has begun it is the answer.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::header::{HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, Uri, Version};
use tokio::time::timeout;

use crate::answer_body::AnswerBody;
use crate::connection::{Connection, Unanswered};
use crate::headers;
use crate::node::{Condition, Node};
use crate::problem::Problem;
use crate::repeat::{self, Manner};
use crate::request_body::{Flow, RequestBody};
use crate::server::Shared;

/// The most tries of one request. Idle connections that have ended meanwhile cost one each.
const TRIES_MAX: usize = 10;

/// The two ends of a client's connection.
#[derive(Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) client: SocketAddr,
    pub(crate) here: SocketAddr,
}

/// What every try of a request says again.
struct Head {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

/// A try that brought no answer.
enum Failed {
    /// Nothing was sent.
    NoNode(RequestBody),
    /// Something was; the problem is what the client is told if it ends here.
    After(Problem),
}

/// The answer to a request: a node's, or the balancer's own.
pub(crate) async fn answer(
    shared: &Shared,
    ends: Ends,
    request: Request<Incoming>,
) -> Response<AnswerBody> {
    shared.counts.requests();
    match forward(shared, ends, request).await {
        Ok(answer) => answer,
        Err(problem) => {
            if problem.is_ours() {
                shared.counts.failed();
            }
            problem.answer()
        }
    }
}

async fn forward(
    shared: &Shared,
    ends: Ends,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Problem> {
    let (parts, body) = request.into_parts();
    let manner = repeat::manner(&parts.method, &parts.uri);
    let mut headers = parts.headers;
    let uri = uri_for_node(&parts.method, parts.uri, &mut headers).ok_or(Problem::Unreadable)?;
    headers::for_node(&mut headers, ends.client.ip(), ends.here);
    if manner.wants_key {
        headers::add_key(&mut headers);
    }
    let head = Head {
        method: parts.method,
        uri,
        headers,
    };
    let body = receive(shared, manner, body).await?;
    try_nodes(shared, manner, &head, body).await
}

/// The target as a node gets it, and the host that an absolute one names.
fn uri_for_node(method: &Method, uri: Uri, headers: &mut HeaderMap) -> Option<Uri> {
    if *method == Method::CONNECT {
        return None;
    }
    let authority = uri.authority().map(|authority| authority.as_str());
    if let Some(host) = authority.and_then(|host| HeaderValue::from_str(host).ok()) {
        headers.insert(HOST, host);
    }
    Some(Uri::from(uri.into_parts().path_and_query?))
}

/// Receives the body, whole if it may have to be sent again.
async fn receive(shared: &Shared, manner: Manner, body: Incoming) -> Result<RequestBody, Problem> {
    let settings = &shared.settings;
    if body.is_end_stream() {
        return Ok(RequestBody::Kept(Bytes::new()));
    }
    if !manner.may_repeat {
        return Ok(RequestBody::streamed(
            VecDeque::new(),
            body,
            settings.quiet_timeout,
        ));
    }
    let received = RequestBody::receive(body, settings.kept_bytes_max, settings.quiet_timeout);
    match timeout(settings.whole_body_timeout, received).await {
        Ok(Ok(body)) => Ok(body),
        // The client is gone, or has broken its own promise.
        Ok(Err(_)) => Err(Problem::Unreadable),
        Err(_) => Err(Problem::SlowClient),
    }
}

async fn try_nodes(
    shared: &Shared,
    manner: Manner,
    head: &Head,
    mut body: RequestBody,
) -> Result<Response<AnswerBody>, Problem> {
    let kept = match &body {
        RequestBody::Kept(bytes) if manner.may_repeat => Some(bytes.clone()),
        _ => None,
    };
    let mut tried: Vec<Arc<Node>> = Vec::new();
    let mut problem = Problem::NoNode;
    for _ in 0..TRIES_MAX {
        let Some(node) = shared.nodes.next(&tried) else {
            break;
        };
        // What cannot be repeated does not risk a connection that may have ended meanwhile.
        let idle = match &kept {
            Some(_) => node.idle_connection(&shared.settings).await,
            None => None,
        };
        let was_idle = idle.is_some();
        match try_node(shared, manner, head, body, &node, idle).await {
            Ok(answer) => return Ok(answer),
            Err(Failed::NoNode(unsent)) => body = unsent,
            Err(Failed::After(what)) => {
                problem = what;
                let Some(kept) = &kept else { break };
                body = RequestBody::Kept(kept.clone());
                shared.counts.repeated();
            }
        }
        if was_idle {
            // It may have ended for reasons of its own, and the others with it: the node is asked again, on a new one.
            node.forget_connections();
        } else {
            tried.push(node);
        }
    }
    Err(problem)
}

async fn try_node(
    shared: &Shared,
    manner: Manner,
    head: &Head,
    body: RequestBody,
    node: &Arc<Node>,
    idle: Option<Connection>,
) -> Result<Response<AnswerBody>, Failed> {
    let settings = &shared.settings;
    let mut connection = match idle {
        Some(connection) => connection,
        None => match Connection::open(node.address, settings).await {
            Ok(connection) => connection,
            Err(_) => {
                node.found(Condition::Down);
                return Err(Failed::NoNode(body));
            }
        },
    };
    let flow = body.flow();
    let is_kept = flow.is_none();
    let patience = if is_kept && manner.is_brief {
        settings.brief_answer_timeout
    } else {
        settings.quiet_timeout
    };
    let may_leave = is_kept && manner.may_repeat;
    let gives_up = went_down(node, may_leave);
    let request = head.request(body);
    let answered = connection
        .send(request, flow.as_deref(), patience, gives_up)
        .await;
    match answered {
        Ok(answer) => {
            node.answered();
            let (mut parts, body) = answer.into_parts();
            headers::without_connection(&mut parts.headers);
            let settings = Arc::clone(settings);
            let body = AnswerBody::of_node(body, Arc::clone(node), connection, settings);
            Ok(Response::from_parts(parts, body))
        }
        Err(Unanswered::NotSent(request)) => Err(Failed::NoNode(request.into_body())),
        Err(Unanswered::Late) => Err(Failed::After(Problem::Late)),
        Err(Unanswered::Lost) => Err(Failed::After(match flow.as_deref().map(Flow::has_failed) {
            Some(true) => Problem::Unreadable,
            _ => Problem::Lost,
        })),
    }
}

/// Ends when a node is found to be down that was not before: it may hang, and would keep the request for its full time.
async fn went_down(node: &Node, may_leave: bool) {
    let mut condition = node.watch();
    if may_leave && *condition.borrow_and_update() != Condition::Down {
        // The sender lives as long as the node.
        let _ = condition
            .wait_for(|condition| *condition == Condition::Down)
            .await;
    } else {
        std::future::pending().await
    }
}

impl Head {
    fn request(&self, body: RequestBody) -> Request<RequestBody> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = self.headers.clone();
        request
    }
}
