//! One connection to a node, and one request on it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use crate::request_body::{Flow, RequestBody};
use crate::settings::Settings;
use crate::transport::Transport;

/// A connection that may be used for one request at a time.
pub(crate) struct Connection {
    sender: SendRequest<RequestBody>,
}

/// Why a request got no answer.
pub(crate) enum Unanswered {
    /// Nothing of it was sent: here it is again.
    NotSent(Box<Request<RequestBody>>),
    /// The node had some of it, and ended the connection or said what is no HTTP.
    Lost,
    /// The node had it and said nothing for too long.
    Late,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When the node refuses, or does not accept in time.
    pub(crate) async fn open(address: SocketAddr, settings: &Settings) -> io::Result<Connection> {
        let stream = timeout(settings.connect_timeout, TcpStream::connect(address)).await??;
        stream.set_nodelay(true)?;
        let transport = Transport::to_node(stream, settings.quiet_timeout);
        let (sender, driver) = Builder::new()
            .max_header_size(settings.head_bytes_max)
            .handshake(TokioIo::new(transport))
            .await
            .map_err(io::Error::other)?;
        // Ends with the connection: when the node ends it, or when `sender` and the body of the last answer are dropped.
        tokio::spawn(async move {
            // Whoever waits for an answer is told; nobody else is concerned.
            let _ = driver.await;
        });
        Ok(Connection { sender })
    }

    /// Whether it can take a request, now or after it has settled.
    pub(crate) async fn is_usable_within(&mut self, within: Duration) -> bool {
        !self.sender.is_closed() && matches!(timeout(within, self.sender.ready()).await, Ok(Ok(())))
    }

    /// Sends a request and waits for the head of its answer: `patience` from when its body has ended. Dropping it ends
    /// the connection.
    pub(crate) async fn send(
        &mut self,
        request: Request<RequestBody>,
        flow: Option<&Flow>,
        patience: Duration,
        gives_up: impl Future<Output = ()>,
    ) -> Result<Response<Incoming>, Unanswered> {
        let mut until = Instant::now() + patience;
        let mut answer = pin!(self.sender.try_send_request(request));
        let mut gives_up = pin!(gives_up);
        loop {
            tokio::select! {
                biased;
                answered = answer.as_mut() => return answered.map_err(|mut error| match error.take_message() {
                    Some(request) => Unanswered::NotSent(Box::new(request)),
                    None => Unanswered::Lost,
                }),
                () = gives_up.as_mut() => return Err(Unanswered::Lost),
                () = sleep_until(until) => {
                    // A body that goes on is bounded itself, and so is a node that takes none of it.
                    let since = flow.map(|flow| flow.ended().unwrap_or_else(Instant::now));
                    match since.map(|since| since + patience) {
                        Some(later) if later > until => until = later,
                        _ => return Err(Unanswered::Late),
                    }
                }
            }
        }
    }
}
