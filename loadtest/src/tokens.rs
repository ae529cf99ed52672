//! `token`: asks for tokens by docker's token flow, each time a new one, as a cluster's nodes do that pull at once.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use http::{HeaderValue, StatusCode};
use parking_lot::Mutex;
use serde::Deserialize;

use crate::client::{Client, Target, get};
use crate::report::{Recorder, Report};
use crate::run::{Bounds, closed_loop};

/// What is asked for.
pub struct Plan {
    /// The registry, and who asks.
    pub target: Arc<Target>,
    /// The service that tokens are for, as the registry's challenge names it.
    pub service: String,
    /// What tokens are to be good for: `repository:NAME:pull`.
    pub scope: String,
    /// Where tokens go, one a line.
    pub into: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Answer {
    token: String,
}

/// Asks until the bounds are reached.
pub async fn run(plan: Plan, bounds: Bounds) -> anyhow::Result<Report> {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("service", &plan.service);
    query.append_pair("scope", &plan.scope);
    let path: Arc<str> = format!("/auth/token?{}", query.finish()).into();
    let given = Arc::new(Mutex::new(Vec::new()));
    let keeps = plan.into.is_some();
    let worker = {
        let given = given.clone();
        move |mut client: Client, _number: u64, recorder: Recorder| {
            let (path, given) = (path.clone(), given.clone());
            async move {
                let began = Instant::now();
                let outcome = one(&mut client, &path).await.map(|token| {
                    recorder.done("token", began, token.len() as u64);
                    if keeps {
                        given.lock().push(token);
                    }
                });
                (client, outcome)
            }
        }
    };
    let clients = (0..bounds.concurrency)
        .map(|_| Client::new(plan.target.clone()))
        .collect();
    let recorder = Recorder::new(&["token"]);
    let report = closed_loop("token", bounds, recorder, clients, worker).await;
    if let Some(file) = &plan.into {
        let lines = given.lock().join("\n");
        std::fs::write(file, lines).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(report)
}

async fn one(client: &mut Client, path: &str) -> anyhow::Result<String> {
    let reply = client.call(get(path)?, &[StatusCode::OK]).await?;
    let answer: Answer = serde_json::from_slice(reply.body()).context("no token was given")?;
    Ok(answer.token)
}

/// Tokens of a file, one a line, as headers.
pub fn read(file: &std::path::Path) -> anyhow::Result<Vec<HeaderValue>> {
    let text = std::fs::read_to_string(file);
    let text = text.with_context(|| format!("cannot read {}", file.display()))?;
    let header = |token: &str| {
        let mut value = HeaderValue::from_str(&format!("Bearer {token}"))?;
        value.set_sensitive(true);
        anyhow::Ok(value)
    };
    text.lines().map(header).collect()
}
