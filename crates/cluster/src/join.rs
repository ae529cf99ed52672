//! Joining a cluster: one question to a member, asked until somebody decides it.
//!
//! Order of effects: the key is kept before it is told to anyone; the log gives this key a node's id; the certificate, the
//! key of secrets and the addresses are kept. A joiner that dies in between asks again with the same key and gets the same
//! id, so that its token is not lost.

use std::io;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use identity::{
    FileError, JoinToken, NodeIdentity, NodeKey, PeerRefusal, RecoveryKey, Role, TokenRefusal,
};
use metadata::{JoinTokenId, NodeAnnouncement};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use wire::nodes::{Certificates, JoinReply, JoinRequest, Joined, JoinerProof};
use wire::peer::PeerMessage;

use crate::folder::NodeFolder;

/// The longest message of a joiner or to one, in bytes.
pub(crate) const MESSAGE_BYTES_MAX: u32 = 4 * 1024 * 1024;
/// How long one member may take to answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(20);
/// Between two rounds over the addresses.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// While nobody answers, it is said so often.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// What a node wants.
#[derive(Debug)]
pub struct JoinWish {
    /// `host:port` of members.
    pub seeds: Vec<String>,
    /// What lets it in.
    pub token: JoinToken,
    /// What it says of itself.
    pub announcement: NodeAnnouncement,
}

/// It did not join, and trying again would not help.
#[derive(Debug, thiserror::Error)]
pub enum JoinFailure {
    /// The token is not for this node now.
    #[error(transparent)]
    Token(#[from] TokenRefusal),
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FileError),
    /// The addresses cannot be kept.
    #[error("the addresses of the members cannot be kept: {0}")]
    Addresses(io::Error),
    /// A member said no.
    #[error("the cluster does not take this node in: {0}")]
    Refused(String),
    /// Whoever answers belongs to another cluster than the token.
    #[error(
        "the join token is of another cluster than every address that was given, or older than the cluster's authority: {0}"
    )]
    Foreign(String),
    /// What the member gave makes no node.
    #[error("what the member answered makes no node: {0}")]
    Unusable(String),
}

/// Joins, however long it takes until a member answers, and keeps what makes this node one of the cluster.
///
/// # Errors
/// See [`JoinFailure`]: none of it passes by itself. May be called again after a crash at any point.
pub async fn join(folder: &NodeFolder, wish: &JoinWish) -> Result<NodeIdentity, JoinFailure> {
    let role = wish.token.role();
    let kept = folder.clone();
    let key = blocking(move || NodeKey::pending(kept.path())).await?;
    let request = JoinRequest {
        proof: JoinerProof::Token {
            token: JoinTokenId(wish.token.id().0),
            secret: *wish.token.secret().as_bytes(),
        },
        role,
        signing_request: Bytes::copy_from_slice(key.signing_request().as_der()),
        announcement: wish.announcement.clone(),
    };
    let mut said = None;
    loop {
        let mut foreign = 0;
        for seed in &wish.seeds {
            let answer = tokio::time::timeout(ANSWER_TIME_MAX, ask(seed, wish, &request)).await;
            let problem = match answer {
                Ok(Ok(JoinReply::Joined(joined))) => return keep(folder, key, *joined).await,
                Ok(Ok(JoinReply::Refused(why))) => return Err(JoinFailure::Refused(why)),
                Ok(Ok(JoinReply::Later(why))) => why,
                Ok(Ok(JoinReply::Fresh { .. })) => "it belongs to no cluster itself".to_owned(),
                Ok(Err(error)) => match identity::tls_error(&error) {
                    Some(why) => {
                        let refusal = identity::refusal(why);
                        foreign += usize::from(refusal == Some(PeerRefusal::OtherAuthority));
                        identity::explain(why)
                    }
                    None => error.to_string(),
                },
                Err(_) => "it did not answer in time".to_owned(),
            };
            if foreign == wish.seeds.len() {
                return Err(JoinFailure::Foreign(problem));
            }
            // Only when nobody answers: the members count the token's life by the log's time.
            wish.token.check(role, SystemTime::now().into())?;
            if said.is_none_or(|at: tokio::time::Instant| at.elapsed() > SAY_EVERY) {
                said = Some(tokio::time::Instant::now());
                tracing::warn!(
                    member = seed,
                    problem,
                    "this node waits to join the cluster"
                );
            }
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

async fn ask(seed: &str, wish: &JoinWish, request: &JoinRequest) -> io::Result<JoinReply> {
    let mut stream = mesh::connect_to_join(seed, &wish.token).await?;
    send(&mut stream, request).await?;
    receive(&mut stream).await
}

/// Keeps what makes this node one of the cluster.
pub(crate) async fn keep(
    folder: &NodeFolder,
    key: NodeKey,
    joined: Joined,
) -> Result<NodeIdentity, JoinFailure> {
    let unusable = |error: &dyn std::fmt::Display| JoinFailure::Unusable(error.to_string());
    let (certificate, authorities) = in_der(joined.certificates);
    let identity = NodeIdentity::new(key, certificate, authorities).map_err(|e| unusable(&e))?;
    if identity.node() != joined.node {
        return Err(unusable(&"the certificate is of another node"));
    }
    if (identity.role() == Role::Member) != joined.cluster_key.is_some() {
        return Err(unusable(
            &"a member, and nobody else, is given the key of secrets",
        ));
    }
    let (folder, identity_kept) = (folder.clone(), identity.clone());
    blocking(move || {
        folder
            .save_members(&joined.members)
            .map_err(JoinFailure::Addresses)?;
        if let Some(key) = joined.cluster_key {
            RecoveryKey::from_bytes(key).save(folder.path())?;
        }
        // The last: with it the folder is a node's.
        identity_kept.save(folder.path())?;
        Ok::<(), JoinFailure>(())
    })
    .await?;
    Ok(identity)
}

/// Certificates as the libraries take them.
pub(crate) fn in_der(
    certificates: Certificates,
) -> (
    rustls::pki_types::CertificateDer<'static>,
    Vec<rustls::pki_types::CertificateDer<'static>>,
) {
    let der = |bytes: Bytes| rustls::pki_types::CertificateDer::from(Vec::from(bytes));
    let authorities = certificates.authorities.into_iter().map(der).collect();
    (der(certificates.certificate), authorities)
}

/// Runs what blocks where it may.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let worked = tokio::task::spawn_blocking(work).await;
    worked.expect("what blocks neither panics nor is cancelled")
}

/// Writes one message, its length before it.
pub(crate) async fn send(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &impl PeerMessage,
) -> io::Result<()> {
    let bytes = message.encode();
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_u32(length).await?;
    stream.write_all(&bytes).await?;
    stream.flush().await
}

/// Reads one message.
pub(crate) async fn receive<M: PeerMessage>(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<M> {
    let length = stream.read_u32().await?;
    if length > MESSAGE_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a message of {length} bytes, and {MESSAGE_BYTES_MAX} are the most"),
        ));
    }
    let mut bytes = Vec::new();
    // Grows with what comes, not with what is announced.
    let read = stream.take(length.into()).read_to_end(&mut bytes).await?;
    if read < usize::try_from(length).map_err(io::Error::other)? {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    M::decode(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
