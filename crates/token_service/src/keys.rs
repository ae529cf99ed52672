//! `GET /auth/keys`: the keys whose tokens count, for whoever checks tokens by themselves.
//!
//! Spec: RFC 7517 section 5.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use crate::Parts;
use crate::problem::Problem;

/// Shorter than a new key waits before it signs alone, and long enough to be worth it.
const KEPT: &str = "public, max-age=60";

/// What this node knows: it asks for news by itself, and waits for them only when it knows none.
pub(crate) async fn show(State(parts): State<Arc<Parts>>) -> Result<Response, Problem> {
    let keys = parts.doorkeeper.keys();
    let mut known = keys.known();
    if known.is_empty() {
        known = keys.news(parts.deadline()).await?;
    }
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, KEPT)];
    Ok((headers, known.jwks()).into_response())
}
