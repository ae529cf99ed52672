//! What is configured of OpenID providers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::OpenIdError;
use crate::outside::TIMEOUT_MS_MAX;
use crate::outside::form::Form;
use crate::outside::login::{GroupRule, NameRule};

fn scopes() -> Vec<String> {
    ["openid", "profile", "email"].map(str::to_owned).to_vec()
}

fn user_claim() -> String {
    "preferred_username".to_owned()
}

fn timeout_ms() -> u64 {
    5_000
}

/// The time of one request, if it is one in which anything can be done and that anybody can wait.
pub(super) fn time_max(timeout_ms: u64) -> Result<Duration, OpenIdError> {
    match (1..=TIMEOUT_MS_MAX).contains(&timeout_ms) {
        true => Ok(Duration::from_millis(timeout_ms)),
        false => {
            let reason = format!("`timeout_ms` is from 1 to {TIMEOUT_MS_MAX}");
            Err(OpenIdError::Settings(reason))
        }
    }
}

/// A provider by which people log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenIdSettings {
    /// Its address, exactly as it calls itself.
    pub issuer: String,
    /// As what it knows this registry.
    pub client_id: String,
    /// The file of the secret that it gave this registry; none for a public client.
    #[serde(default)]
    pub client_secret_file: Option<PathBuf>,
    /// The file of the authority of its certificate; else those of the machine.
    #[serde(default)]
    pub authority: Option<PathBuf>,
    /// What it is asked to tell.
    #[serde(default = "scopes")]
    pub scopes: Vec<String>,
    /// The claim that names the user.
    #[serde(default = "user_claim")]
    pub user_claim: String,
    /// How it becomes a name.
    #[serde(default)]
    pub name: NameRule,
    /// Whether an `email` may name a user although the provider does not say that it was verified.
    #[serde(default)]
    pub accept_unverified_email: bool,
    /// The claim that names the user's groups; none: groups are managed here.
    #[serde(default)]
    pub groups_claim: Option<String>,
    /// Which of them count.
    #[serde(default)]
    pub groups: GroupRule,
    /// How long one request to it may take.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
}

/// A provider whose tokens jobs show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadSettings {
    /// Its address, exactly as it calls itself (`iss`).
    pub issuer: String,
    /// For whom its tokens have to be (`aud`): something that only this registry is called.
    pub audience: String,
    /// The file of the authority of its certificate; else those of the machine.
    #[serde(default)]
    pub authority: Option<PathBuf>,
    /// As whom the bearers act. The first that fits counts.
    pub rules: Vec<WorkloadRule>,
    /// How long one request to it may take.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
}

/// As whom the bearers of some tokens act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadRule {
    /// What claims have to look like, every one of them. A name that begins with `/` is a JSON pointer into the claims.
    pub claims: BTreeMap<String, Form>,
    /// The robot or user.
    pub acts_as: String,
}
