//! Tokens of jobs: a CI system or a cluster says which job it is, and a rule says as whom the job acts here.
//!
//! A rule that any token of the issuer fits is refused: the issuers of public CI systems sign for everybody.

#[cfg(test)]
use std::time::Duration;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use metadata::access::AccountName;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::OpenIdError;
use super::discovery::Discovery;
use super::settings::{WorkloadRule, WorkloadSettings, time_max};
use crate::outside::form::Form;
use crate::outside::https::Fetcher;
use crate::outside::proof::{self, ProofError};

/// All issuers whose jobs may act here. One for the process's life.
#[derive(Default)]
pub struct Workloads(Vec<Workload>);

struct Workload {
    audience: String,
    rules: Vec<(Vec<(String, Form)>, AccountName)>,
    discovery: Discovery,
}

/// A job that was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadProof {
    /// As whom it acts.
    pub account: AccountName,
    /// What its issuer calls it (`sub`): for the log of the node.
    pub subject: String,
    /// Until when its token counts, by this node's clock.
    pub until: SystemTime,
}

impl Workloads {
    /// Reads the files that the settings name, and asks nobody: not to be called where nothing may block.
    ///
    /// # Errors
    /// [`OpenIdError::Settings`] and [`OpenIdError::Trust`].
    pub fn new(settings: Vec<WorkloadSettings>) -> Result<Workloads, OpenIdError> {
        let all = settings.into_iter().map(Workload::new);
        all.collect::<Result<_, _>>().map(Workloads)
    }

    /// Whether a text looks like a token of one of these issuers. It says nothing of whether it counts.
    #[must_use]
    pub fn knows_issuer_of(&self, token: &str) -> bool {
        self.of(token).is_some()
    }

    /// Recognises a job by the token that it shows.
    ///
    /// # Errors
    /// See [`OpenIdError`].
    pub async fn verify(&self, token: &str, now: SystemTime) -> Result<WorkloadProof, OpenIdError> {
        let workload = self.of(token).ok_or(ProofError::Issuer)?;
        workload.verify(token, now).await
    }

    /// See [`Discovery::make_older`].
    #[cfg(test)]
    pub(super) fn make_older(&self, by: Duration) {
        for workload in &self.0 {
            workload.discovery.make_older(by);
        }
    }

    fn of(&self, token: &str) -> Option<&Workload> {
        let issuer = unverified_issuer(token)?;
        self.0
            .iter()
            .find(|workload| workload.discovery.issuer == issuer)
    }
}

/// Whose a token says that it is: good for nothing but to choose whom to ask for keys.
fn unverified_issuer(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Body {
        iss: String,
    }
    proof::key_named_by(token).ok()?;
    let body = token.split('.').nth(1)?;
    let body = URL_SAFE_NO_PAD.decode(body).ok()?;
    let body: Body = serde_json::from_slice(&body).ok()?;
    Some(body.iss)
}

impl Workload {
    fn new(settings: WorkloadSettings) -> Result<Workload, OpenIdError> {
        let issuer = &settings.issuer;
        let wrong = |what: &str| OpenIdError::Settings(format!("{issuer}: {what}"));
        if settings.audience.is_empty() {
            return Err(wrong("`audience` is empty"));
        }
        if settings.rules.is_empty() {
            return Err(wrong("there is no rule as whom its jobs act"));
        }
        let rule = |rule: &WorkloadRule| {
            let account = AccountName::parse(&rule.acts_as);
            let account = account.map_err(|error| wrong(&format!("`acts_as`: {error}")))?;
            let claims = rule.claims.iter();
            let claims: Vec<(String, Form)> = claims
                .map(|(name, form)| (name.clone(), form.clone()))
                .collect();
            match claims.iter().all(|(_, form)| form.is_any()) {
                true => Err(wrong(
                    "every token fits a rule; say which claims it has to have",
                )),
                false => Ok((claims, account)),
            }
        };
        let rules = settings.rules.iter().map(rule);
        let rules = rules.collect::<Result<Vec<_>, _>>()?;
        let time_max = time_max(settings.timeout_ms)?;
        let fetcher = Fetcher::new(settings.authority.as_deref(), time_max)?;
        Ok(Workload {
            discovery: Discovery::new(issuer, fetcher)?,
            rules,
            audience: settings.audience,
        })
    }

    async fn verify(&self, token: &str, now: SystemTime) -> Result<WorkloadProof, OpenIdError> {
        let (kid, _) = proof::key_named_by(token)?;
        let known = self.discovery.known(kid.as_deref()).await?;
        let proof = proof::check(&known.keys, &self.discovery.issuer, token, now)?;
        if !proof.is_for(&self.audience) {
            return Err(ProofError::Audience.into());
        }
        let fitting = self.rules.iter().find(|(claims, _)| {
            claims
                .iter()
                .all(|(name, form)| fits(claim(&proof.claims, name), form))
        });
        let (_, account) = fitting.ok_or(OpenIdError::NoRule)?;
        Ok(WorkloadProof {
            account: account.clone(),
            subject: proof.text("sub").unwrap_or_default().to_owned(),
            until: proof.until,
        })
    }
}

fn claim<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    let Some(path) = name.strip_prefix('/') else {
        return claims.get(name);
    };
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let value = claims.get(&first.replace("~1", "/").replace("~0", "~"))?;
    match rest {
        "" => Some(value),
        rest => value.pointer(&format!("/{rest}")),
    }
}

/// Whether a claim is of a form; of a list, one of its members.
fn fits(value: Option<&Value>, form: &Form) -> bool {
    match value {
        Some(Value::String(text)) => form.fits(text),
        Some(Value::Bool(said)) => form.fits(&said.to_string()),
        Some(Value::Number(number)) => form.fits(&number.to_string()),
        Some(Value::Array(many)) => many
            .iter()
            .any(|one| !one.is_array() && fits(Some(one), form)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(rules: Value) -> WorkloadSettings {
        serde_json::from_value(json!({
            "issuer": "https://ci.example.org",
            "audience": "registry.example.org",
            "authority": null,
            "rules": rules,
        }))
        .unwrap()
    }

    fn refused(settings: WorkloadSettings) -> String {
        match Workload::new(settings) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("it was taken"),
        }
    }

    #[test]
    fn rule_that_everybody_fits_is_refused() {
        let everybody = json!([{"claims": {}, "acts_as": "robot$team+ci"}]);
        assert!(refused(settings(everybody)).contains("every token fits"));
        let everybody = json!([{"claims": {"sub": "*"}, "acts_as": "robot$team+ci"}]);
        assert!(refused(settings(everybody)).contains("every token fits"));
        assert!(refused(settings(json!([]))).contains("no rule"));
        let nobody = json!([{"claims": {"sub": "a"}, "acts_as": "no body"}]);
        assert!(refused(settings(nobody)).contains("acts_as"));
        let mut for_all = settings(json!([{"claims": {"sub": "a"}, "acts_as": "ann"}]));
        for_all.audience = String::new();
        assert!(refused(for_all).contains("audience"));
    }

    #[test]
    fn claims_are_compared_whatever_they_are() {
        let claims = json!({
            "ref": "refs/heads/main",
            "ref_protected": true,
            "project_id": 7,
            "groups": ["a", "b"],
            "kubernetes.io": {"namespace": "prod"},
            "nested": {"list": ["x"]},
        });
        let claims = claims.as_object().unwrap();
        for (name, form, expected) in [
            ("ref", "refs/heads/*", true),
            ("ref", "refs/tags/*", false),
            ("ref_protected", "true", true),
            ("project_id", "7", true),
            ("project_id", "77", false),
            ("groups", "b", true),
            ("groups", "c", false),
            ("/kubernetes.io/namespace", "prod", true),
            ("/nested/list/0", "x", true),
            ("/nested", "*", false),
            ("absent", "*", false),
        ] {
            let form = Form::parse(form).unwrap();
            assert_eq!(fits(claim(claims, name), &form), expected, "{name} {form}");
        }
    }
}
