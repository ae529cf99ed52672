//! What comes in, and JSON that goes out.
//!
//! A body is bounded, and has to say that it is JSON: a form of some web page cannot say so without being asked about.

use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// The most bytes of a body.
const BODY_BYTES_MAX: usize = 256 * 1024;
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A body that was read.
pub(crate) struct Sent<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Sent<T>, Problem> {
        let kind = request.headers().get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(Problem::content_type());
        }
        let bytes = axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX).await;
        let bytes = bytes.map_err(|_| Problem::body_cut())?;
        // What serde says of a wrong value may show the value, which may be a password: only the place is told.
        serde_json::from_slice(&bytes).map(Sent).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let what = match error.classify() {
                serde_json::error::Category::Data => {
                    "a field is missing, unknown or of another kind"
                }
                _ => "it is no JSON",
            };
            Problem::body(format!("{what}, at line {line}, column {column}"))
        })
    }
}

/// The query of a URL that was read.
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Asked<T>, Problem> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(asked)) => Ok(Asked(asked)),
            Err(error) => Err(Problem::invalid(error.body_text())),
        }
    }
}

/// The parts of a path that name something.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Path<T>, Problem> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(named)) => Ok(Path(named)),
            // A part that is no text once it is decoded names nothing.
            Err(error) => Err(Problem::name(error.body_text())),
        }
    }
}

/// What is answered, as JSON.
pub(crate) struct Told<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Told<T> {
    fn into_response(self) -> Response {
        let text = serde_json::to_vec(&self.0).expect("the types of answers are plain data");
        json_text(text)
    }
}

/// A text that is JSON already.
pub(crate) fn json_text(text: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, JSON)], text).into_response()
}

/// Something was made.
pub(crate) fn created<T: Serialize>(told: T) -> Response {
    (StatusCode::CREATED, Told(told)).into_response()
}
