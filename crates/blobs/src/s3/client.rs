//! The client for S3, as the settings want it: address, certificates, proxy, timeouts, credentials, checksums.
//!
//! Nothing is sent here but, when no region is set and the service is AWS, a question to the instance for its own.

use std::path::Path;
use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient,
};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use ports::BlobFailure;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::credentials::{self, Signing};
use crate::settings::{Checksums, S3Settings};

/// Hosts that a proxy never reaches: this machine and the metadata services of instances and containers.
const NEVER_PROXIED: &str = "localhost,127.0.0.1,::1,169.254.169.254,169.254.170.2,169.254.170.23";
/// What `storage.s3.proxy` says to have none, whatever the environment says.
const NO_PROXY: &str = "none";
const REGION_DEFAULT: &str = "us-east-1";

/// The clients of one store.
pub(super) struct Clients {
    /// For everything else.
    pub(super) usual: Client,
    /// For small reads. Without TLS, it opens a connection for each: a server that keeps TCP's default (Garage does)
    /// holds the last bytes of an answer back until the ones before are acknowledged, and on a connection that has been
    /// used for a while the system delays that by 40 ms. A fresh one acknowledges at once.
    pub(super) small_reads: Client,
}

pub(super) async fn clients(settings: &S3Settings) -> Result<Clients, BlobFailure> {
    let usual = client(settings).await?;
    let has_tls = settings
        .endpoint
        .as_deref()
        .is_none_or(|endpoint| endpoint.starts_with("https:"));
    let small_reads = if has_tls {
        usual.clone()
    } else {
        let http = http_client(settings, Some(0))?;
        Client::from_conf(usual.config().to_builder().http_client(http).build())
    };
    Ok(Clients { usual, small_reads })
}

async fn client(settings: &S3Settings) -> Result<Client, BlobFailure> {
    let http = http_client(settings, None)?;
    let region = region(settings, http.clone()).await;
    let provider_config = ProviderConfig::without_region()
        .with_region(Some(region.clone()))
        .with_http_client(http.clone());
    let signing = credentials::signing(settings, &provider_config)?;
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .region(region)
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .timeout_config(timeouts(settings));
    loader = match signing {
        Signing::With(provider) => loader.credentials_provider(provider),
        Signing::Default => match &settings.profile {
            Some(profile) => loader.profile_name(profile),
            None => loader,
        },
        Signing::Anonymous => loader.no_credentials(),
    };
    let shared = loader.load().await;
    let mut config = aws_sdk_s3::config::Builder::from(&shared)
        .force_path_style(settings.path_style.unwrap_or(settings.endpoint.is_some()));
    if let Some(endpoint) = &settings.endpoint {
        config = config.endpoint_url(endpoint);
    }
    let wants_checksums = match settings.checksums {
        Checksums::Auto => settings.endpoint.is_none(),
        Checksums::Always => true,
        Checksums::Never => false,
    };
    if !wants_checksums {
        config = config
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    }
    Ok(Client::from_conf(config.build()))
}

fn timeouts(settings: &S3Settings) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_millis(settings.connect_timeout_ms))
        .operation_attempt_timeout(Duration::from_millis(settings.attempt_timeout_ms))
        .build()
}

async fn region(settings: &S3Settings, http: SharedHttpClient) -> Region {
    if let Some(region) = &settings.region {
        return Region::new(region.clone());
    }
    if settings.endpoint.is_some() {
        // Such services mostly take any; the metadata service of an instance would not know theirs.
        let named = std::env::var("AWS_REGION").unwrap_or_else(|_| REGION_DEFAULT.to_owned());
        return Region::new(named);
    }
    let config = ProviderConfig::without_region().with_http_client(http);
    let mut profile = ProfileFileRegionProvider::builder().configure(&config);
    if let Some(name) = &settings.profile {
        profile = profile.profile_name(name);
    }
    let chain = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(profile.build())
        .or_else(ImdsRegionProvider::builder().configure(&config).build());
    chain
        .region()
        .await
        .unwrap_or_else(|| Region::from_static(REGION_DEFAULT))
}

/// `idle_max`: how many idle connections are kept.
fn http_client(
    settings: &S3Settings,
    idle_max: Option<usize>,
) -> Result<SharedHttpClient, BlobFailure> {
    let tls = match &settings.ca_file {
        Some(file) => own_authorities(file)?,
        None => TlsContext::default(),
    };
    let proxy = proxy(settings)?;
    Ok(
        Builder::new().build_with_connector_fn(move |connector_settings, components| {
            let mut connector = Connector::builder()
                .proxy_config(proxy.clone())
                .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
                .tls_context(tls.clone());
            connector.set_pool_max_idle_per_host(idle_max);
            connector.set_connector_settings(connector_settings.cloned());
            connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
            connector.build()
        }),
    )
}

fn own_authorities(file: &Path) -> Result<TlsContext, BlobFailure> {
    let wrong = |reason: String| BlobFailure::Other {
        reason: format!("storage.s3.ca_file {}: {reason}", file.display()),
    };
    let pem = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
    // The client would panic on its first connection.
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => {
            return Err(wrong("it holds no certificate".to_owned()));
        }
        Err(error) => return Err(wrong(error.to_string())),
        Ok(_) => {}
    }
    let store = TrustStore::empty().with_pem_certificate(pem);
    TlsContext::builder()
        .with_trust_store(store)
        .build()
        .map_err(|error| wrong(error.to_string()))
}

fn proxy(settings: &S3Settings) -> Result<ProxyConfig, BlobFailure> {
    match settings.proxy.as_deref() {
        None => Ok(ProxyConfig::from_env()),
        Some(NO_PROXY) => Ok(ProxyConfig::disabled()),
        Some(address) => {
            let proxy = ProxyConfig::all(address).map_err(|error| BlobFailure::Other {
                reason: format!("storage.s3.proxy: {error}"),
            })?;
            let own = settings.no_proxy.as_deref().unwrap_or_default();
            Ok(proxy.no_proxy(format!("{NEVER_PROXIED},{own}")))
        }
    }
}
