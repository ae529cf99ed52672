//! How much may be pulled, and how often a password may be tried, as far as the node that takes the request knows.
//!
//! Nothing here waits: a request for a pull or a push is given a gate that answers from memory. Pulls are `GET`s of manifests
//! that are answered; `HEAD` is free and tells what is left.
//!
//! Spec: "Docker Hub usage and limits" for the headers. PROTOCOLS, "Rights".

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use metadata::access::{AccountName, Asker, Who};
use ports::{AddressPrefix, PullAnswer, PullGate, PullLimit, PullSource};

use crate::exchange::Exchange;
use crate::problem::Problem;

/// What counts pulls and failed logins, and how many pulls there may be.
#[derive(Clone)]
pub struct Limits {
    /// What counts.
    pub gate: Arc<dyn PullGate>,
    /// How much an account may pull; without a limit its pulls are not counted.
    pub account: Option<PullLimit>,
    /// How much nobody in particular may pull from one address.
    pub address: Option<PullLimit>,
}

impl Limits {
    /// Whose pulls this asker's are counted with, and how many those may be.
    fn of(&self, asker: &Asker) -> Option<(PullSource, PullLimit)> {
        let account = match &asker.who {
            Who::Anonymous => None,
            Who::Account { name, .. } => Some(name.clone()),
            // Whom others vouch for has a name that no account may have.
            Who::Outside(name) => AccountName::parse(&name.0).ok(),
        };
        let prefix = |from: IpAddr| PullSource::Address(AddressPrefix::of(from));
        match (account, &asker.who) {
            (Some(name), _) => Some((PullSource::Account(name), self.account?)),
            (None, Who::Anonymous) => Some((prefix(asker.from?), self.address?)),
            (None, _) => Some((prefix(asker.from?), self.account?)),
        }
    }
}

/// Counts a pull that is about to be answered, and gives the headers that tell what is left; none where nothing is counted.
///
/// # Errors
/// There is nothing left.
pub(crate) fn take_pull(exchange: &Exchange<'_>) -> Result<HeaderMap, Problem> {
    let Some(limits) = exchange.limits else {
        return Ok(HeaderMap::new());
    };
    let Some((source, limit)) = limits.of(&exchange.asking.asker) else {
        return Ok(HeaderMap::new());
    };
    if exchange.is_head() {
        return Ok(headers(&limits.gate.look_at_pulls(&source, limit)));
    }
    let answer = limits.gate.take_pull(&source, limit);
    match answer.allowed {
        true => Ok(headers(&answer)),
        false => {
            let problem = Problem::too_many_pulls().retry_after(answer.retry_after);
            let told = headers(&answer).into_iter();
            let told = told.filter_map(|(name, value)| Some((name?, value)));
            Err(told.fold(problem, |problem, (name, value)| {
                problem.with_header(name, value)
            }))
        }
    }
}

fn headers(answer: &PullAnswer) -> HeaderMap {
    let told = answer.headers().into_iter();
    let told = told.filter_map(|(name, text)| {
        let value = HeaderValue::from_str(&text).ok()?;
        Some((HeaderName::from_static(name), value))
    });
    told.collect()
}
