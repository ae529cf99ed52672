//! Who signs tokens: a member, which has the keys; a gateway asks one.

use std::time::Duration;

use async_trait::async_trait;
use ports::Deadline;

use crate::{Claims, ProofFailure, Purpose};

/// Signs tokens with the key that signs now. Private halves never leave the member that signs.
#[async_trait]
pub trait Signer: Send + Sync + 'static {
    /// A token that counts from now on for `life`, with an id of its own. Whoever asks has made sure of what is claimed. May be
    /// repeated: that makes another token.
    ///
    /// # Errors
    /// See [`ProofFailure`].
    async fn sign(
        &self,
        purpose: Purpose,
        claims: &Claims,
        life: Duration,
        deadline: Deadline,
    ) -> Result<String, ProofFailure>;
}
