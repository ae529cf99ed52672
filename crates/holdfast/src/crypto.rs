//! The one provider of cryptography in the process, so that no library brings or chooses another.

/// Makes aws-lc the process' provider for TLS. May be called again.
pub fn install() {
    // It fails only when there is one already, which is this one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
