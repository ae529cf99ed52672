//! What is configured of OpenID providers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

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
