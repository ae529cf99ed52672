//! Every node follows the cluster's authorities, so that they can be rotated while it runs (rule 5.16): it believes those that
//! the log has, asks for a certificate of the one that signs, and tells the log how far it has got.
//!
//! Order of effects: the identity is saved, then shown and believed, then told to the log. A node that dies in between does it
//! again; what the log was told is never more than what the node has.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use identity::{Authority, NodeIdentity};
use metadata::{Answer, Command, NodeTrust, Query, Refusal, Reply};
use ports::Deadline;
use rustls::pki_types::CertificateDer;
use serde::Serialize;

use crate::admin::{AdminFailure, propose};
use crate::node::{Cluster, Shared};
use crate::renewal;

const LOOK_EVERY: Duration = Duration::from_secs(5);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// The authorities as the log has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Authorities {
    /// By their numbers, in order.
    pub(crate) all: Vec<(u32, Bytes)>,
    /// The one that signs.
    pub(crate) signing: u32,
}

/// How far a rotation of the authority is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RotationLine {
    /// `trust`: nodes learn to believe the new one. `reissue`: they get certificates of it.
    pub step: &'static str,
    /// The nodes that have not got so far.
    pub waits_for: Vec<u64>,
}

/// A rotation that has begun.
#[derive(Debug, Serialize)]
pub struct RotationBegun {
    /// The new authority's fingerprint, which new join tokens carry once it signs.
    pub fingerprint: String,
}

/// Follows as long as the node lives.
pub(crate) async fn follow(shared: Weak<Shared>) {
    while let Some(shared) = shared.upgrade() {
        if let Err(problem) = look(&shared).await {
            tracing::warn!(
                problem,
                "this node could not follow the cluster's authorities; it is tried again"
            );
        }
        drop(shared);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn look(shared: &Arc<Shared>) -> Result<(), String> {
    let Some(credentials) = shared.credentials() else {
        return Ok(());
    };
    // One change of the identity at a time: what was believed is not forgotten by a renewal that began before.
    let _only = shared.identity_changes.lock().await;
    let Ok(authorities) = ask(shared).await else {
        // Nobody answers now; the next look comes soon.
        return Ok(());
    };
    if authorities.all.is_empty() {
        return Ok(());
    }
    let identity = credentials.identity();
    if let Some(believed) = authorities.to_believe(&identity) {
        let changed = identity.believing(believed);
        let changed = changed.map_err(|error| error.to_string())?;
        renewal::keep(shared, changed).await?;
        tracing::info!("this node believes the authorities of the cluster as they are now");
    }
    let identity = credentials.identity();
    if authorities.trust_of(&identity).signed_by < authorities.signing {
        renewal::renew_once(shared, &identity).await?;
    }
    let trust = authorities.trust_of(&credentials.identity());
    tell(shared, trust).await
}

/// The authorities as the log has them.
pub(crate) async fn ask(shared: &Shared) -> Result<Authorities, String> {
    let deadline = Deadline::now() + ANSWER_TIME_MAX;
    let answered = shared.store().read(Query::Authorities, deadline).await;
    match answered.map_err(|failure| failure.to_string())?.answer {
        Answer::Authorities {
            authorities,
            signing,
        } => Ok(Authorities {
            all: authorities,
            signing,
        }),
        _ => Err("the log does not tell its authorities".to_owned()),
    }
}

/// Tells the log, if it has something else.
async fn tell(shared: &Shared, trust: NodeTrust) -> Result<(), String> {
    let node = shared.node();
    let deadline = Deadline::now() + ANSWER_TIME_MAX;
    let nodes = match shared.store().read(Query::Nodes, deadline).await {
        Ok(answered) => match answered.answer {
            Answer::Nodes { nodes } => nodes,
            _ => return Ok(()),
        },
        Err(_) => return Ok(()),
    };
    let own = nodes.iter().find(|known| known.node == node);
    if own.is_none_or(|own| own.removed.is_some() || own.trust == trust) {
        return Ok(());
    }
    let command = Command::NoteTrust { node, trust };
    match shared.store().propose(command, deadline).await {
        Ok(Reply::Done | Reply::Refused(Refusal::NodeRemoved)) | Err(_) => Ok(()),
        Ok(reply) => Err(format!(
            "the log does not take what this node trusts: {reply:?}"
        )),
    }
}

impl Authorities {
    fn number_of(&self, certificate: &CertificateDer<'_>) -> Option<u32> {
        let same = |(_, known): &&(u32, Bytes)| known.as_ref() == certificate.as_ref();
        self.all.iter().find(same).map(|(number, _)| *number)
    }

    /// What the node is to believe, if that is something else than now: what there is, and whoever signed its own
    /// certificate, as long as it shows that one.
    fn to_believe(&self, identity: &NodeIdentity) -> Option<Vec<CertificateDer<'static>>> {
        let issuer = identity.authorities().first()?;
        let listed = self.all.iter();
        let mut wanted: Vec<CertificateDer<'static>> = listed
            .map(|(_, certificate)| CertificateDer::from(certificate.to_vec()))
            .collect();
        if !wanted.contains(issuer) {
            wanted.push(issuer.clone());
        }
        let set = |all: &[CertificateDer<'static>]| -> BTreeSet<Vec<u8>> {
            all.iter().map(|one| one.to_vec()).collect()
        };
        (set(&wanted) != set(identity.authorities())).then_some(wanted)
    }

    /// What the node has of them.
    fn trust_of(&self, identity: &NodeIdentity) -> NodeTrust {
        let believed: BTreeSet<u32> = identity
            .authorities()
            .iter()
            .filter_map(|certificate| self.number_of(certificate))
            .collect();
        let numbers = self.all.iter().map(|(number, _)| *number);
        let issuer = identity.authorities().first();
        NodeTrust {
            believes: numbers
                .take_while(|number| believed.contains(number))
                .last()
                .unwrap_or(0),
            signed_by: issuer
                .and_then(|certificate| self.number_of(certificate))
                .unwrap_or(0),
        }
    }

    /// How far a rotation is; none while there is one authority.
    pub(crate) fn rotation(&self, nodes: &[metadata::NodeView]) -> Option<RotationLine> {
        let [_, (next, _)] = &self.all[..] else {
            return None;
        };
        let next_signs = self.signing == *next;
        let has = |trust: NodeTrust| match next_signs {
            true => trust.signed_by >= *next,
            false => trust.believes >= *next,
        };
        let behind = nodes
            .iter()
            .filter(|node| node.removed.is_none() && !has(node.trust));
        Some(RotationLine {
            step: if next_signs { "reissue" } else { "trust" },
            waits_for: behind.map(|node| node.node.0).collect(),
        })
    }

    /// What the leader proposes next.
    pub(crate) fn next_step(&self, nodes: &[metadata::NodeView]) -> Option<Command> {
        let rotation = self.rotation(nodes)?;
        if !rotation.waits_for.is_empty() {
            return None;
        }
        Some(match rotation.step {
            "trust" => Command::SignWithNextAuthority,
            _ => Command::DropAuthority,
        })
    }
}

impl Cluster {
    /// Begins to rotate the cluster's authority: a new one is believed by every node, then signs, and then the old one is
    /// believed no more. The leader carries it on; a node that does not answer holds it up until it is back or removed.
    ///
    /// # Errors
    /// See [`AdminFailure`].
    pub async fn rotate_authority(&self) -> Result<RotationBegun, AdminFailure> {
        let shared = self.founded_member()?;
        let failed = |why: String| AdminFailure::Failed(why);
        let key = shared.signer().key();
        let key = key.ok_or_else(|| {
            failed("this member does not have the key of the cluster's secrets".to_owned())
        })?;
        let now = std::time::SystemTime::now().into();
        let fresh = Authority::create(shared.cluster(), now).map_err(|e| failed(e.to_string()))?;
        let command = Command::AddAuthority {
            certificate: Bytes::copy_from_slice(fresh.certificate()),
            sealed_key: fresh.sealed_key(&key).into(),
        };
        propose(shared, command).await?;
        tracing::info!("the cluster's authority is being rotated");
        Ok(RotationBegun {
            fingerprint: fresh.fingerprint().to_string(),
        })
    }
}

#[cfg(test)]
#[path = "trust_tests.rs"]
mod tests;
