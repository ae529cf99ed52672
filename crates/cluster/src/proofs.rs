//! Proofs and signatures of a member: for itself, and for the nodes that ask it. Rules 8.1 and 8.2.
//!
//! A member whose log is not confirmed says so to whoever asks it, unless they take the last state that it knows: another one may
//! know better. It asks nobody else itself.

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use auth::{
    Claims, MemberProver, PasswordChecker, ProofFailure, Proved, Prover, Purpose, Signer,
    TokenIssuer, parse_scopes,
};
use metadata::{Command, Query, Reply};
use ports::{Answered, Deadline, Health, IdSource as _, MetadataFailure, MetadataStore, RandomIds};
use wire::proofs::{ProveReply, ProveRequest, ProvenAccount, SignReply, SignRequest, TokenPurpose};

use crate::node::{Cluster, Log, Shared};
use crate::remote::Remote;
use crate::token_keys;

/// No caller is waited for longer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// What is to be confirmed is, in this time, or another member is asked.
const CONFIRM_TIME_MAX: Duration = Duration::from_millis(700);

impl Cluster {
    /// Who makes sure of names and secrets: a member does it itself, and for the nodes that ask it from now on; a gateway asks
    /// the members.
    #[must_use]
    pub fn prover(&self, passwords: PasswordChecker) -> Arc<dyn Prover> {
        let shared = self.shared();
        if let Log::Gateway(_) = shared.log() {
            return Arc::new(Remote::new(shared, String::new()));
        }
        let prover = MemberProver {
            metadata: shared.store(),
            passwords: passwords.clone(),
        };
        // Set once, when the node starts.
        drop(shared.passwords.set(passwords));
        Arc::new(prover)
    }

    /// Who signs tokens for `service`: a member does it itself, a gateway asks the members.
    #[must_use]
    pub fn token_signer(&self, service: &str) -> Arc<dyn Signer> {
        let shared = self.shared();
        match shared.log() {
            Log::Gateway(_) => Arc::new(Remote::new(shared, service.to_owned())),
            Log::Member(_) => Arc::new(MemberSigner {
                shared: Arc::downgrade(shared),
                names: TokenIssuer::of_service(service),
            }),
        }
    }

    /// Begins to tend the keys of tokens, whenever this node leads.
    pub fn tend_token_keys(&self) {
        let shared = self.shared();
        let tending = token_keys::serve(Arc::downgrade(shared));
        shared.keep_task(tokio::spawn(tending));
    }
}

/// Signs with the key in the log, which it opens.
struct MemberSigner {
    shared: Weak<Shared>,
    names: TokenIssuer,
}

#[async_trait]
impl Signer for MemberSigner {
    async fn sign(
        &self,
        purpose: Purpose,
        claims: &Claims,
        life: Duration,
        deadline: Deadline,
    ) -> Result<String, ProofFailure> {
        let unavailable = |reason: String| ProofFailure::Unavailable { reason };
        let shared = self.shared.upgrade();
        let shared = shared.ok_or_else(|| unavailable("this node has stopped".to_owned()))?;
        let store = shared.store();
        signed(
            &shared,
            &*store,
            &self.names,
            purpose,
            claims,
            life,
            deadline,
        )
        .await
        .map_err(unavailable)
    }
}

async fn signed(
    shared: &Shared,
    store: &dyn MetadataStore,
    names: &TokenIssuer,
    purpose: Purpose,
    claims: &Claims,
    life: Duration,
    deadline: Deadline,
) -> Result<String, String> {
    let opened = shared.token_keys.signing(shared, store, deadline).await?;
    let now = std::time::SystemTime::now();
    let id = RandomIds.fresh();
    Ok(names.issue(&opened.key, purpose, claims, now, life, id))
}

/// The state that a caller wants to be answered from.
fn state(shared: &Shared, may_be_stale: bool) -> Arc<dyn MetadataStore> {
    match may_be_stale {
        true => shared.store(),
        false => Arc::new(Confirmed(shared.store())),
    }
}

fn until(patience_ms: u64) -> Deadline {
    Deadline::now() + Duration::from_millis(patience_ms).min(ANSWER_TIME_MAX)
}

/// The answer to another node.
pub(crate) async fn prove(shared: &Shared, request: ProveRequest) -> ProveReply {
    let Some(passwords) = shared.passwords.get().filter(|_| shared.member().is_some()) else {
        return ProveReply::Unavailable("this node proves nobody".to_owned());
    };
    let prover = MemberProver {
        metadata: state(shared, request.may_be_stale),
        passwords: passwords.clone(),
    };
    let deadline = until(request.patience_ms);
    match prover.prove(&request.name, request.secret, deadline).await {
        Ok(Some(proved)) => ProveReply::Proved(told(&proved)),
        Ok(None) => ProveReply::Wrong,
        Err(ProofFailure::Busy) => ProveReply::Busy,
        Err(ProofFailure::Unavailable { reason }) => ProveReply::Unavailable(reason),
    }
}

/// The answer to another node.
pub(crate) async fn sign(shared: &Shared, request: SignRequest) -> SignReply {
    if shared.member().is_none() {
        return SignReply::Unavailable("this node signs nothing".to_owned());
    }
    let purpose = match request.purpose {
        TokenPurpose::Access => Purpose::Access,
        TokenPurpose::Refresh => Purpose::Refresh,
    };
    let scopes = match parse_scopes(request.scopes.iter().map(String::as_str)) {
        Ok(scopes) => scopes,
        Err(error) => return SignReply::Unavailable(error.to_string()),
    };
    let claims = Claims {
        account: request.account.map(proved),
        scopes,
    };
    let names = TokenIssuer::of_service(&request.service);
    let life = Duration::from_millis(request.life_ms).min(auth::REFRESH_LIFE);
    let store = state(shared, request.may_be_stale);
    let deadline = until(request.patience_ms);
    match signed(shared, &*store, &names, purpose, &claims, life, deadline).await {
        Ok(token) => SignReply::Signed(token),
        Err(why) => SignReply::Unavailable(why),
    }
}

/// As it is told to another node.
pub(crate) fn told(proved: &Proved) -> ProvenAccount {
    ProvenAccount {
        name: proved.name.clone(),
        generation: proved.generation,
        token: proved.token,
    }
}

/// As another node has told it.
pub(crate) fn proved(account: ProvenAccount) -> Proved {
    Proved {
        name: account.name,
        generation: account.generation,
        token: account.token,
    }
}

/// A log that answers only what it can confirm, and soon.
struct Confirmed(Arc<dyn MetadataStore>);

#[async_trait]
impl MetadataStore for Confirmed {
    async fn propose(
        &self,
        command: Command,
        deadline: Deadline,
    ) -> Result<Reply, MetadataFailure> {
        self.0.propose(command, deadline).await
    }

    async fn read(&self, query: Query, deadline: Deadline) -> Result<Answered, MetadataFailure> {
        let soon = Deadline::now() + CONFIRM_TIME_MAX;
        self.0.read(query, deadline.min(soon)).await
    }

    async fn read_even_stale(
        &self,
        query: Query,
        deadline: Deadline,
    ) -> Result<Answered, MetadataFailure> {
        self.read(query, deadline).await
    }

    fn health(&self) -> Health {
        self.0.health()
    }
}
