//! Answers at the control socket of a running node.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use cluster::{AdminFailure, Cluster};
use identity::{NodeId, Role};
use ports::MetadataStore;
use serde::Serialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::client::socket_of;
use super::message::{Order, Outcome};
use crate::access::MachineAccess;
use crate::config::Settings;
use crate::failure::Failure;
use crate::serve::{BlobMove, DataFolder, Node, default_peer_address, take_peer_port};

/// Orders at once.
const ORDERS_MAX: usize = 16;
/// The longest order, in bytes.
const ORDER_BYTES_MAX: u64 = 64 * 1024;
/// How long whoever asks may take to do so.
const ASK_TIME_MAX: Duration = Duration::from_secs(10);

/// Answers until it is dropped.
pub struct Answering(JoinHandle<()>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Answers orders about `node` at the socket in the data folder, which this process has in use.
///
/// # Errors
/// When the socket cannot be made.
pub fn serve(
    data: &DataFolder,
    node: &Node,
    settings: &Settings,
    moves: &BlobMove,
) -> Result<Answering, Failure> {
    let unusable = |error: io::Error| {
        Failure::new(format!(
            "the control socket in {} cannot be made: {error}",
            data.path().display()
        ))
    };
    let listener = socket_of(data.path(), |path| {
        // What an earlier process left; it cannot be another one's, since the folder is ours.
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        UnixListener::bind(path)
    })
    .map_err(unusable)?;
    let control = Arc::new(Control {
        cluster: node.cluster().clone(),
        log: node.store(),
        peer_address: settings.cluster.peer_address.clone(),
        peer_listen: settings.cluster.peer_listen,
        token_life: settings.cluster.token_life.0,
        moves: moves.clone(),
        access: node.access(),
    });
    Ok(Answering(tokio::spawn(accept(listener, control))))
}

async fn accept(listener: UnixListener, control: Arc<Control>) {
    let places = Arc::new(Semaphore::new(ORDERS_MAX));
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let control = Arc::clone(&control);
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = control.answer(stream).await {
                tracing::debug!(%error, "an order at the control socket was not answered");
            }
        });
    }
}

struct Control {
    cluster: Cluster,
    log: Arc<dyn MetadataStore>,
    peer_address: Option<String>,
    peer_listen: Option<std::net::SocketAddr>,
    token_life: Duration,
    moves: BlobMove,
    access: MachineAccess,
}

impl Control {
    async fn answer(&self, stream: UnixStream) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        let mut limited = (&mut stream).take(ORDER_BYTES_MAX);
        let asked = limited.read_line(&mut line);
        // Bounded: a line that never ends is cut, and then no order.
        tokio::time::timeout(ASK_TIME_MAX, asked).await??;
        let outcome = match serde_json::from_str(&line) {
            Ok(order) => self.obey(order).await,
            Err(error) => Err(format!("the order cannot be read: {error}")),
        };
        let outcome = match outcome {
            Ok(value) => Outcome::Done(value),
            Err(why) => Outcome::Failed(why),
        };
        let mut answer = serde_json::to_vec(&outcome)?;
        answer.push(b'\n');
        let stream = stream.get_mut();
        stream.write_all(&answer).await?;
        stream.shutdown().await
    }

    async fn obey(&self, order: Order) -> Result<Value, String> {
        let cluster = &self.cluster;
        match order {
            Order::Init { peer_address } => {
                self.moves.refuse_founding(&*self.log).await?;
                // Before the port is taken, which it is.
                cluster
                    .check_alone()
                    .map_err(|failure| failure.to_string())?;
                let address = peer_address.or_else(|| self.peer_address.clone());
                let address = address.unwrap_or_else(default_peer_address);
                let port = take_peer_port(&address, self.peer_listen);
                let port = port.map_err(|failure| failure.lines.join("; "))?;
                let founded = cluster.found(port.listener, &port.address, self.token_life);
                told(founded.await)
            }
            Order::Add { role, seconds } => {
                let role: Role = role.parse().map_err(|error| format!("{error}"))?;
                let life = seconds.map_or(self.token_life, Duration::from_secs);
                told(cluster.issue_token(role, life).await)
            }
            Order::Status => told(cluster.status().await),
            Order::Remove { node, force } => told(cluster.remove(NodeId(node), force).await),
            Order::Promote { node } => told(cluster.promote(NodeId(node)).await),
            Order::TransferLeader { to } => told(cluster.transfer_leader(to.map(NodeId)).await),
            Order::Upgrade => told(cluster.upgrade().await),
            Order::RotateAuthority => told(cluster.rotate_authority().await),
            Order::Adopt { yes } => told(cluster.adopt(yes).await),
            Order::MoveBlobs { to, idle_seconds } => {
                if matches!(cluster.check_alone(), Err(AdminFailure::NotAMember)) {
                    return Err("this node is a gateway: run this on a member".to_owned());
                }
                let idle_max = Duration::from_secs(idle_seconds);
                told(self.moves.begin(cluster, &*self.log, &to, idle_max).await)
            }
            Order::MoveStatus => told(self.moves.state(cluster, &*self.log).await),
            Order::CancelMove => told(self.moves.cancel(&*self.log).await),
            Order::AccessState => told(self.access.state().await),
            Order::SwitchAccessOn => told(self.access.switch_on_now().await),
            Order::SwitchAccessOff => told(self.access.switch_off().await),
            Order::SettleAccess { change } => told(self.access.settle(change).await),
            Order::ResetPassword { user, admin } => told(self.access.reset(&user, admin).await),
            #[cfg(feature = "next-format")]
            Order::Label { label } => told(cluster.set_label(&label).await),
        }
    }
}

fn told<T: Serialize, E: std::fmt::Display>(outcome: Result<T, E>) -> Result<Value, String> {
    let value = outcome.map_err(|failure| failure.to_string())?;
    serde_json::to_value(value).map_err(|error| error.to_string())
}
