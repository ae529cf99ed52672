//! The connection of a node that has no certificate yet: it knows the authority's fingerprint, from its join token, and
//! nothing else. The other half is [`Credentials::joining_server_config`](crate::Credentials::joining_server_config).

use std::sync::Arc;

use rustls::client::{ClientConfig, Resumption};
use rustls::version::TLS13;

use crate::ALPN_JOIN;
use crate::credentials::provider;
use crate::fingerprint::AuthorityFingerprint;
use crate::verifier::FingerprintVerifier;

/// For a node that joins: TLS 1.3 with [`ALPN_JOIN`], to any member whose chain ends in the authority with this
/// `fingerprint`. The member sends that authority's certificate along. Nothing secret may be sent before the handshake
/// is complete.
pub fn joining_client_config(fingerprint: AuthorityFingerprint) -> Arc<ClientConfig> {
    let provider = provider();
    let verifier = FingerprintVerifier {
        fingerprint,
        algorithms: provider.signature_verification_algorithms,
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has cipher suites of TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![ALPN_JOIN.to_vec()];
    Arc::new(config)
}
