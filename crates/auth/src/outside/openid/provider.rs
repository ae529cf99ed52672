//! A provider by which people log in: sends browsers there, and exchanges what they come back with.

use std::path::Path;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};
use zeroize::Zeroizing;

use super::OpenIdError;
use super::discovery::{Discovery, Known};
use super::flow::{Callback, Pending, refusal};
use super::identity;
use super::settings::{OpenIdSettings, time_max};
use crate::outside::https::{Fetcher, may_be_asked};
use crate::outside::login::Login;
use crate::outside::proof;

/// See the module. One for the process's life.
pub struct Provider {
    settings: OpenIdSettings,
    secret: Option<Zeroizing<String>>,
    discovery: Discovery,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    #[serde(default)]
    access_token: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl Provider {
    /// Reads the files that the settings name, and asks nobody: not to be called where nothing may block.
    ///
    /// # Errors
    /// [`OpenIdError::Settings`] and [`OpenIdError::Trust`].
    pub fn new(settings: OpenIdSettings) -> Result<Provider, OpenIdError> {
        if settings.client_id.is_empty() {
            return Err(OpenIdError::Settings("`client_id` is empty".to_owned()));
        }
        if !settings.name.form.has_one_star() {
            let reason = "`name.form` has to have one `*`, which stands for the name";
            return Err(OpenIdError::Settings(reason.to_owned()));
        }
        let secret = settings.client_secret_file.as_deref().map(read_secret);
        let time_max = time_max(settings.timeout_ms)?;
        let fetcher = Fetcher::new(settings.authority.as_deref(), time_max)?;
        Ok(Provider {
            discovery: Discovery::new(&settings.issuer, fetcher)?,
            secret: secret.transpose()?,
            settings,
        })
    }

    /// What is configured.
    #[must_use]
    pub fn settings(&self) -> &OpenIdSettings {
        &self.settings
    }

    /// Begins a login: where the browser is sent, and what is kept until it comes back to `redirect_uri`, an address of this
    /// registry that the provider was told of.
    ///
    /// # Errors
    /// When the provider is not known and cannot be asked. It may be repeated.
    pub async fn begin(
        &self,
        redirect_uri: &str,
        now: SystemTime,
    ) -> Result<(Url, Pending), OpenIdError> {
        let is_good = Url::parse(redirect_uri).is_ok_and(|url| may_be_asked(&url));
        if !is_good {
            let reason =
                format!("`{redirect_uri}`, to which the provider sends back, is not https");
            return Err(OpenIdError::Settings(reason));
        }
        let known = self.discovery.known(None).await?;
        let endpoint = known.authorization_endpoint.as_ref();
        let endpoint = endpoint.ok_or(OpenIdError::Nonsense("it has no place to log in"))?;
        let pending = Pending::draw(redirect_uri, now);
        let scopes = &self.settings.scopes;
        let address = pending.address(endpoint, &self.settings.client_id, scopes);
        Ok((address, pending))
    }

    /// Ends a login: exchanges the code with which the browser came back. The code serves once, so that this must not be repeated.
    ///
    /// # Errors
    /// See [`OpenIdError`].
    pub async fn finish(
        &self,
        pending: &Pending,
        callback: &Callback,
        now: SystemTime,
    ) -> Result<Login, OpenIdError> {
        let known = self.discovery.known(None).await?;
        let names_issuer = known.answers_name_issuer;
        let code = pending.code(callback, &self.settings.issuer, names_issuer, now)?;
        let tokens = self.exchange(&known, pending.exchange(code)).await?;
        let (kid, _) = proof::key_named_by(&tokens.id_token)?;
        let known = self.discovery.known(kid.as_deref()).await?;
        let nonce = &pending.nonce;
        let proof = identity::check(&self.settings, &known.keys, &tokens.id_token, nonce, now)?;
        let mut claims = proof.claims;
        if identity::lacks(&self.settings, &claims)
            && let (Some(url), Some(access)) = (&known.userinfo_endpoint, &tokens.access_token)
        {
            self.add_user_info(&mut claims, url, access).await?;
        }
        identity::login(&self.settings, &claims)
    }

    async fn exchange(
        &self,
        known: &Known,
        mut form: Vec<(&'static str, String)>,
    ) -> Result<Tokens, OpenIdError> {
        let endpoint = known.token_endpoint.as_ref();
        let endpoint = endpoint.ok_or(OpenIdError::Nonsense("it has no place for codes"))?;
        let id = &self.settings.client_id;
        let mut authorization = None;
        match &self.secret {
            Some(secret) if !known.wants_secret_in_form => {
                let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
                let pair = Zeroizing::new(format!("{}:{}", encoded(id), encoded(secret)));
                authorization = Some(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
            }
            Some(secret) => {
                form.push(("client_id", id.clone()));
                form.push(("client_secret", secret.to_string()));
            }
            None => form.push(("client_id", id.clone())),
        }
        let form = Serializer::new(String::new()).extend_pairs(form).finish();
        let fetcher = &self.discovery.fetcher;
        let answer = fetcher
            .post_form(endpoint, form, authorization.as_deref())
            .await?;
        if answer.status != StatusCode::OK {
            let refused = serde_json::from_slice::<Refusal>(&answer.body);
            let said =
                refused.map_or_else(|_| answer.status.to_string(), |said| refusal(&said.error));
            return Err(OpenIdError::Refused(said));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|_| OpenIdError::Nonsense("it gave no ID token for a code"))
    }

    /// Adds what the provider tells only there; what was signed stays.
    async fn add_user_info(
        &self,
        claims: &mut Map<String, Value>,
        url: &Url,
        access_token: &str,
    ) -> Result<(), OpenIdError> {
        let body = self.discovery.fetcher.get(url, Some(access_token)).await?;
        let told: Map<String, Value> = serde_json::from_slice(&body)
            .map_err(|_| OpenIdError::Nonsense("what it tells of a user is no JSON object"))?;
        // Core 1.0 section 5.3.2: it could be about somebody else.
        if told.get("sub").is_none() || told.get("sub") != claims.get("sub") {
            return Err(OpenIdError::Nonsense("it tells of another user"));
        }
        for (claim, value) in told {
            claims.entry(claim).or_insert(value);
        }
        Ok(())
    }
}

fn read_secret(path: &Path) -> Result<Zeroizing<String>, OpenIdError> {
    let read = std::fs::read_to_string(path).map(Zeroizing::new);
    let text = read.map_err(|error| {
        OpenIdError::Settings(format!("{} cannot be read: {error}", path.display()))
    })?;
    match text.trim() {
        "" => Err(OpenIdError::Settings(format!(
            "{} is empty",
            path.display()
        ))),
        secret => Ok(Zeroizing::new(secret.to_owned())),
    }
}
