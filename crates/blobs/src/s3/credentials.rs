//! Where the credentials for S3 come from.
//!
//! Must never log one. Nothing is asked for here: the first signed call does that, and a source that does not answer
//! is asked again by the next.

use std::path::PathBuf;

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::web_identity_token::{StaticConfiguration, WebIdentityTokenCredentialsProvider};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use ports::BlobFailure;

use crate::settings::{CredentialsFrom, S3Settings};

const ROLE_SESSION_NAME: &str = "holdfast";

/// What to sign with.
pub(super) enum Signing {
    /// These.
    With(SharedCredentialsProvider),
    /// Whatever the usual chain finds.
    Default,
    /// Nothing.
    Anonymous,
}

pub(super) fn signing(
    settings: &S3Settings,
    config: &ProviderConfig,
) -> Result<Signing, BlobFailure> {
    let keys = keys(settings);
    Ok(match settings.credentials {
        CredentialsFrom::Auto | CredentialsFrom::Keys if keys.is_some() => Signing::With(
            SharedCredentialsProvider::new(keys.expect("it was looked at just above")),
        ),
        CredentialsFrom::Auto => Signing::Default,
        CredentialsFrom::Keys => {
            let reason = "storage.s3.access_key_id and secret_access_key must be set".to_owned();
            return Err(BlobFailure::Denied { reason });
        }
        CredentialsFrom::Anonymous => Signing::Anonymous,
        CredentialsFrom::Environment => Signing::With(SharedCredentialsProvider::new(
            EnvironmentVariableCredentialsProvider::new(),
        )),
        CredentialsFrom::Profile | CredentialsFrom::File => {
            Signing::With(profile(settings, config))
        }
        CredentialsFrom::WebIdentity => Signing::With(web_identity(settings, config)?),
        CredentialsFrom::Instance => {
            let container = EcsCredentialsProvider::builder().configure(config).build();
            let instance = ImdsCredentialsProvider::builder().configure(config).build();
            let chain = CredentialsProviderChain::first_try("container", container)
                .or_else("instance", instance);
            Signing::With(SharedCredentialsProvider::new(chain))
        }
    })
}

fn keys(settings: &S3Settings) -> Option<Credentials> {
    let id = settings.access_key_id.as_ref()?;
    let secret = settings.secret_access_key.as_ref()?.reveal();
    let token = settings
        .session_token
        .as_ref()
        .map(|token| token.reveal().to_owned());
    Some(Credentials::new(id, secret, token, None, "configuration"))
}

fn profile(settings: &S3Settings, config: &ProviderConfig) -> SharedCredentialsProvider {
    let mut builder = ProfileFileCredentialsProvider::builder().configure(config);
    if let Some(file) = &settings.credentials_file {
        let files = EnvConfigFiles::builder()
            .with_file(EnvConfigFileKind::Credentials, file)
            .build();
        builder = builder.profile_files(files);
    }
    if let Some(name) = &settings.profile {
        builder = builder.profile_name(name);
    }
    SharedCredentialsProvider::new(builder.build())
}

fn web_identity(
    settings: &S3Settings,
    config: &ProviderConfig,
) -> Result<SharedCredentialsProvider, BlobFailure> {
    let mut builder = WebIdentityTokenCredentialsProvider::builder().configure(config);
    if settings.web_identity_token_file.is_some() || settings.role_arn.is_some() {
        let role_arn = settings
            .role_arn
            .clone()
            .or_else(|| std::env::var("AWS_ROLE_ARN").ok());
        let from_environment =
            || std::env::var_os("AWS_WEB_IDENTITY_TOKEN_FILE").map(PathBuf::from);
        let token_file = settings
            .web_identity_token_file
            .clone()
            .or_else(from_environment);
        let (Some(role_arn), Some(web_identity_token_file)) = (role_arn, token_file) else {
            let reason =
                "storage.s3.role_arn and web_identity_token_file belong together".to_owned();
            return Err(BlobFailure::Denied { reason });
        };
        let session_name = ROLE_SESSION_NAME.to_owned();
        builder = builder.static_configuration(StaticConfiguration {
            web_identity_token_file,
            role_arn,
            session_name,
        });
    }
    Ok(SharedCredentialsProvider::new(builder.build()))
}
