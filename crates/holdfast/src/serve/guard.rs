//! Who makes sure of who asks, put together: what a node checks proofs and signs tokens with, before and after its log is open.
//!
//! Whether rights are asked for at all is in the log: where it is not, nobody has to prove anything.

use std::sync::Arc;
use std::time::Duration;

use auth::outside::{Elsewhere, Outside};
use auth::{Doorkeeper, PasswordChecker, Prover, Signer, TokenIssuer, TokenKeys};
use cluster::Cluster;
use ports::MetadataStore;
use registry::Registry;
use sessions::Sessions;

use super::late_proofs::Late;

/// So many proofs are remembered.
const PROOFS_REMEMBERED: usize = 20_000;

/// What proves and signs.
pub struct Guard {
    doorkeeper: Arc<Doorkeeper>,
    service: String,
    passwords: PasswordChecker,
    prover: Arc<Late<dyn Prover>>,
    signer: Arc<Late<dyn Signer>>,
}

impl Guard {
    /// One that waits for [`Guard::open`] with each question, and asks those `outside` for what is theirs.
    pub fn new(
        log: Arc<dyn MetadataStore>,
        passwords: PasswordChecker,
        service: &str,
        outside: Option<&Arc<Outside>>,
    ) -> Guard {
        let prover: Arc<Late<dyn Prover>> = Arc::new(Late::new());
        let mut doorkeeper = Doorkeeper::new(
            Arc::clone(&prover) as _,
            TokenKeys::new(Arc::clone(&log)),
            TokenIssuer::of_service(service),
            PROOFS_REMEMBERED,
        );
        if let Some(outside) = outside {
            doorkeeper = doorkeeper.with_elsewhere(Arc::new(Elsewhere {
                outside: Arc::clone(outside),
                metadata: log,
                passwords: passwords.clone(),
            }));
        }
        Guard {
            doorkeeper: Arc::new(doorkeeper),
            service: service.to_owned(),
            passwords,
            prover,
            signer: Arc::new(Late::new()),
        }
    }

    /// The node is there: what was asked meanwhile is answered.
    pub fn open(&self, cluster: &Cluster) {
        self.prover.open(cluster.prover(self.passwords.clone()));
        self.signer.open(cluster.token_signer(&self.service));
        cluster.tend_token_keys();
    }

    /// Who makes sure.
    pub fn doorkeeper(&self) -> &Arc<Doorkeeper> {
        &self.doorkeeper
    }

    /// What tokens are given with.
    pub fn token_parts(
        &self,
        registry: &Registry,
        sessions: &Sessions,
        hold: Duration,
    ) -> token_service::Parts {
        token_service::Parts {
            registry: registry.clone(),
            doorkeeper: Arc::clone(&self.doorkeeper),
            signer: Arc::clone(&self.signer) as _,
            logins: sessions.login_gate(),
            hold,
        }
    }

    /// For the server.
    pub fn access(&self) -> api::Access {
        api::Access {
            doorkeeper: Arc::clone(&self.doorkeeper),
            service: self.service.clone(),
        }
    }
}
