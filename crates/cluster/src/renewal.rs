//! Renews this node's certificate when two thirds of its life are over, without a restart: saved first, then shown.

use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use identity::{NodeIdentity, UnixSeconds};
use ports::Deadline;
use wire::nodes::{Certificates, RenewReply, RenewRequest};

use crate::join::{blocking, in_der};
use crate::node::{Log, Shared};

const LOOK_EVERY: Duration = Duration::from_secs(60);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// Renews as long as the node lives.
pub(crate) async fn renew(shared: Weak<Shared>) {
    while let Some(shared) = shared.upgrade() {
        if let Some(credentials) = shared.credentials()
            && UnixSeconds::from(SystemTime::now()) >= credentials.identity().renew_at()
        {
            let _only = shared.identity_changes.lock().await;
            if let Err(problem) = renew_once(&shared, &credentials.identity()).await {
                tracing::warn!(
                    problem,
                    "this node's certificate could not be renewed; it is tried again"
                );
            }
        }
        drop(shared);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Gets the next certificate, of the authority that signs now. Called by whoever changes the identity alone.
pub(crate) async fn renew_once(
    shared: &Arc<Shared>,
    identity: &Arc<NodeIdentity>,
) -> Result<(), String> {
    let certificates = certificates(shared, identity).await?;
    let (certificate, authorities) = in_der(certificates);
    let renewed = identity.renewed(certificate, authorities);
    let renewed = renewed.map_err(|error| error.to_string())?;
    keep(shared, renewed).await?;
    tracing::info!("this node has a new certificate");
    Ok(())
}

/// Saves an identity of this node, then shows it and believes its authorities.
pub(crate) async fn keep(shared: &Shared, identity: NodeIdentity) -> Result<(), String> {
    let (folder, saved) = (shared.folder().clone(), identity.clone());
    let saved = blocking(move || saved.save(folder.path())).await;
    saved.map_err(|error| error.to_string())?;
    match shared.credentials() {
        Some(credentials) => credentials
            .rotate(identity)
            .map_err(|error| error.to_string()),
        None => Ok(()),
    }
}

async fn certificates(shared: &Shared, identity: &NodeIdentity) -> Result<Certificates, String> {
    let request = identity.signing_request();
    let deadline = Deadline::now() + ANSWER_TIME_MAX;
    if let Log::Member(_) = shared.log() {
        let (node, role) = (identity.node(), identity.role());
        let signer = shared.signer();
        return signer
            .sign(shared.cluster(), &request, node, role, deadline)
            .await;
    }
    let request = RenewRequest {
        signing_request: Bytes::copy_from_slice(request.as_der()),
    };
    let mut problem = "no member is known".to_owned();
    for (node, address) in shared.folder().members() {
        let mut client = shared.connections().node_client(node.0, &address);
        match tokio::time::timeout_at(deadline, client.renew(request.clone())).await {
            Ok(Ok(reply)) => match reply.into_inner() {
                RenewReply::Renewed(certificates) => return Ok(certificates),
                RenewReply::Refused(why) => problem = why,
            },
            Ok(Err(status)) => problem = status.message().to_owned(),
            Err(_) => problem = format!("node {node} does not answer"),
        }
    }
    Err(problem)
}
