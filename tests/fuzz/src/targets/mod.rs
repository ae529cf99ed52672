//! Every target, in one table.

#[cfg(not(test))]
mod configuration;
mod files;
mod fronts;
mod http;
mod keys;
mod management;
mod manifests;
mod messages;
mod proofs;
mod records;
mod signed;
mod words;

use tokio::runtime::{Builder, Runtime};

use crate::requests::REQUESTS;
use crate::target::Target;
pub use http::{any_request, damage, request};

/// All of them, in the order in which they run.
#[must_use]
pub fn all() -> Vec<&'static Target> {
    let mut all = vec![
        &words::REFERENCE,
        &words::NAME,
        &words::DIGEST,
        &words::MEDIA_TYPE,
        &words::UPLOAD_ID,
        &words::RANGE,
        &words::CONTENT_RANGE,
        &manifests::MANIFEST,
        &manifests::DESCRIPTOR,
        &http::HTTP,
        &http::HTTP2,
        &REQUESTS,
        &records::ENTRY,
        &records::LOG_ENTRY,
        &records::REPLY,
        &records::ROW,
        &records::VOTE,
        &records::APPLIED_STATE,
        &records::MEMBER_IDENTITY,
        &records::SNAPSHOT_PARTS,
        &records::COPIED_SEGMENT,
        &files::SEGMENT,
        &files::VOTE_FILE,
        &files::MEMBER_FILE,
        &files::SNAPSHOT,
        &messages::QUERY,
        &messages::ANSWER,
        &keys::OBJECT_KEY,
        &keys::ROW_KEY,
        &keys::MIDSTATE,
        &keys::START,
        &keys::JOIN_TOKEN,
        &keys::RECOVERY_KEY,
        &keys::CERTIFICATE,
        &keys::SEALED,
        &fronts::PROXY_HEADER,
        &fronts::FORWARDED,
        &proofs::AUTHORIZATION,
        &proofs::TOKEN,
        &proofs::SCOPES,
        &proofs::OUTSIDE_TOKEN,
        &proofs::OUTSIDE_KEYS,
        &proofs::LDAP_NAMES,
        &proofs::HTPASSWD,
        &proofs::ACCOUNT_NAME,
        &management::MANAGEMENT,
        #[cfg(not(test))]
        &configuration::CONFIGURATION,
    ];
    all.extend(messages::MESSAGES);
    all
}

/// For targets that keep nothing from one input to the next.
fn nothing_to_forget() {}

/// Runs what waits for nothing but timers, which are due at once.
fn in_runtime<T>(work: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: Runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without I/O needs nothing");
    }
    RUNTIME.with(|runtime| runtime.block_on(work))
}

/// Texts as inputs.
fn texts<const N: usize>(texts: [&str; N]) -> Vec<Vec<u8>> {
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}
