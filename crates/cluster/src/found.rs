//! Founding: a node that was alone gets an authority, a key for secrets and an identity, and can take others in.
//!
//! Order of effects: the key of secrets is kept on this disk; the store is marked and this start recorded; the log takes the
//! authority and this node's row; the identity is kept; the node listens. A crash in between leaves a log that is not founded
//! (it is done again, with the key that is kept), or one that is, and then the identity is made from the log's authority.

use std::time::SystemTime;

use bytes::Bytes;
use identity::{Authority, CERTIFICATE_LIFE_DEFAULT, NodeIdentity, NodeKey, RecoveryKey, Role};
use metadata::{Command, FoundCluster, Refusal, Reply};
use metadata_raft::Member;
use ports::{Deadline, MetadataStore};

use crate::admin::AdminFailure;
use crate::join::blocking;
use crate::node::Shared;
use crate::start_record;

/// Founds the cluster and gives this node's identity and the key of secrets.
pub(crate) async fn found(
    shared: &Shared,
    member: &Member,
    deadline: Deadline,
) -> Result<(NodeIdentity, RecoveryKey), AdminFailure> {
    let failed = |why: String| AdminFailure::Failed(why);
    let folder = shared.folder().clone();
    let (node_key, cluster_key) = blocking(move || {
        let node_key = NodeKey::pending(folder.path())?;
        let cluster_key = match folder.cluster_key()? {
            Some(kept) => kept,
            None => {
                let fresh = RecoveryKey::generate();
                fresh.save(folder.path())?;
                fresh
            }
        };
        Ok::<_, identity::FileError>((node_key, cluster_key))
    })
    .await
    .map_err(|error| failed(error.to_string()))?;
    start_record::record_first(shared.blobs(), shared.cluster(), shared.node(), member)
        .await
        .map_err(|failure| failed(failure.to_string()))?;
    let request = node_key.signing_request();
    let now = SystemTime::now().into();
    let fresh = Authority::create(shared.cluster(), now).map_err(|e| failed(e.to_string()))?;
    let command = Command::FoundCluster(Box::new(FoundCluster {
        node: shared.node(),
        key_hash: request.public_key_hash(),
        announcement: (*shared.announcement()).clone(),
        authority_certificate: Bytes::copy_from_slice(fresh.certificate()),
        sealed_authority_key: fresh.sealed_key(&cluster_key).into(),
    }));
    shared.signer().set_key(cluster_key.clone());
    let authority = match member.propose(command, deadline).await {
        Ok(Reply::Founded { .. }) => fresh,
        // An earlier try got as far as the log and no further.
        Ok(Reply::Refused(Refusal::AlreadyFounded)) => {
            let kept = shared.signer().authority(shared.cluster(), deadline);
            kept.await.map_err(failed)?
        }
        Ok(other) => return Err(failed(format!("the log answered {other:?}"))),
        Err(failure) => return Err(failed(failure.to_string())),
    };
    let certificate = authority
        .sign(
            &request,
            shared.node(),
            Role::Member,
            now,
            CERTIFICATE_LIFE_DEFAULT,
        )
        .map_err(|error| failed(error.to_string()))?;
    let authorities = vec![authority.certificate().clone()];
    let identity = NodeIdentity::new(node_key, certificate, authorities)
        .map_err(|error| failed(error.to_string()))?;
    let (folder, kept) = (shared.folder().clone(), identity.clone());
    let address = shared.announcement().peer_address.clone();
    blocking(move || {
        folder.save_address(&address).map_err(|e| e.to_string())?;
        kept.save(folder.path()).map_err(|e| e.to_string())
    })
    .await
    .map_err(failed)?;
    Ok((identity, cluster_key))
}
