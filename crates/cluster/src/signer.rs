//! Certificates, signed by a member: it opens the authority that the log keeps with the key of the cluster's secrets.

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use identity::{Authority, CERTIFICATE_LIFE_DEFAULT, NodeId, RecoveryKey, Role, SigningRequest};
use metadata::{Answer, ClusterId, Query};
use ports::{Deadline, MetadataStore};
use wire::nodes::Certificates;

/// Why there is no certificate, in one line.
pub(crate) type SignFailure = String;

/// Signs for nodes, if this node may.
pub(crate) struct Signer {
    store: Arc<dyn MetadataStore>,
    key: ArcSwapOption<RecoveryKey>,
}

impl Signer {
    pub(crate) fn new(store: Arc<dyn MetadataStore>, key: Option<RecoveryKey>) -> Signer {
        Signer {
            store,
            key: ArcSwapOption::from_pointee(key),
        }
    }

    pub(crate) fn set_key(&self, key: RecoveryKey) {
        self.key.store(Some(Arc::new(key)));
    }

    /// The key of the cluster's secrets.
    pub(crate) fn key(&self) -> Option<Arc<RecoveryKey>> {
        self.key.load_full()
    }

    /// The cluster's authority that signs.
    pub(crate) async fn authority(
        &self,
        cluster: ClusterId,
        deadline: Deadline,
    ) -> Result<Authority, SignFailure> {
        let signing = self.signing(cluster, deadline).await;
        signing.map(|(authority, _)| authority)
    }

    /// The authority that signs, and the certificates of the others that nodes believe.
    async fn signing(
        &self,
        cluster: ClusterId,
        deadline: Deadline,
    ) -> Result<(Authority, Vec<Bytes>), SignFailure> {
        let key = self.key();
        let key = key.ok_or("this node has no key of the cluster's secrets: it is a gateway, or its file cluster.key is missing")?;
        let answered = self.store.read(Query::Authority, deadline).await;
        match answered.map_err(|failure| failure.to_string())?.answer {
            Answer::Authority {
                certificate,
                sealed_key,
                others,
            } => Authority::open(cluster, &certificate, &sealed_key, &key)
                .map(|authority| (authority, others))
                .map_err(|error| error.to_string()),
            _ => Err("the cluster has no authority".to_owned()),
        }
    }

    /// A certificate for `node`.
    pub(crate) async fn sign(
        &self,
        cluster: ClusterId,
        request: &SigningRequest,
        node: NodeId,
        role: Role,
        deadline: Deadline,
    ) -> Result<Certificates, SignFailure> {
        let (authority, others) = self.signing(cluster, deadline).await?;
        let now = SystemTime::now().into();
        let certificate = authority
            .sign(request, node, role, now, CERTIFICATE_LIFE_DEFAULT)
            .map_err(|error| error.to_string())?;
        Ok(Certificates {
            certificate: Bytes::copy_from_slice(&certificate),
            authorities: [Bytes::copy_from_slice(authority.certificate())]
                .into_iter()
                .chain(others)
                .collect(),
        })
    }
}
