//! What a browser is shown: plain pages without scripts, which load nothing and may be framed by nobody.

use axum::http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER, X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use metadata::access::AccountName;

const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:42rem;margin:4rem auto;padding:0 1rem;color:#1b1f24;background:#fff}\
pre{background:#f2f4f7;padding:1rem;overflow:auto;user-select:all}\
button{font:inherit;padding:.5rem 1rem;border:0;border-radius:.3rem;background:#0b5cad;color:#fff}\
@media(prefers-color-scheme:dark){body{color:#e6e9ed;background:#16191d}pre{background:#23282e}}";

/// Why a login by a browser comes to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nobody configured one.
    NoProvider,
    /// This is not the login that was begun, or it is too old.
    Again,
    /// The provider, or the log, refuses.
    Refused(String),
    /// The name is somebody else's here.
    OtherSource,
    /// A part does not answer.
    Later,
    /// Only the operator can do something about it.
    Misconfigured,
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let again = "<p><a href=\"/auth/openid/login\">Log in</a></p>";
        let (status, said, next) = match &self {
            Trouble::NoProvider => (
                StatusCode::NOT_FOUND,
                "Nobody logs in to this registry by a browser.".to_owned(),
                "",
            ),
            Trouble::Again => (
                StatusCode::BAD_REQUEST,
                "This login was not begun in this browser, or too long ago. Begin again.".to_owned(),
                again,
            ),
            Trouble::Refused(why) => (StatusCode::FORBIDDEN, escaped(why), again),
            Trouble::OtherSource => (
                StatusCode::FORBIDDEN,
                "Your name belongs to another user of this registry. Ask its administrators.".to_owned(),
                "",
            ),
            Trouble::Later => (
                StatusCode::SERVICE_UNAVAILABLE,
                "A part that is needed for this login does not answer. Try again in a moment.".to_owned(),
                again,
            ),
            Trouble::Misconfigured => (
                StatusCode::BAD_GATEWAY,
                "The provider cannot be used as it is configured; the registry's log tells more to its operators.".to_owned(),
                "",
            ),
        };
        let mut reply = page(status, "No login", &format!("<p>{said}</p>{next}"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let headers = reply.headers_mut();
            headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
        }
        reply
    }
}

/// Asks whether a token is wanted.
pub(super) fn wanted(name: &AccountName, days: u64) -> Response {
    let name = escaped(name.as_str());
    let text = format!(
        "<p>You are <strong>{name}</strong>.</p>\
         <p>Docker and the command line sign in with a personal access token. One that is made here counts for {days} days, and is \
         shown once.</p>\
         <form method=\"post\" action=\"/auth/openid/token\"><button>Make a token</button></form>"
    );
    page(StatusCode::OK, "Logged in", &text)
}

/// Shows a token.
pub(super) fn made(name: &AccountName, host: &str, token: &str, days: u64) -> Response {
    let (name, host, token) = (escaped(name.as_str()), escaped(host), escaped(token));
    let text = format!(
        "<p>The token of <strong>{name}</strong>, which counts for {days} days. Nobody can show it again.</p>\
         <pre>{token}</pre>\
         <p>It is the password for</p>\
         <pre>docker login -u {name} {host}</pre>"
    );
    page(StatusCode::OK, "Your token", &text)
}

fn page(status: StatusCode, title: &str, text: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title} · Holdfast</title><style>{STYLE}</style><h1>{title}</h1>{text}</html>"
    );
    let headers: [(HeaderName, &str); 4] = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_FRAME_OPTIONS, "DENY"),
    ];
    (status, headers, html).into_response()
}

/// A text that is nothing but a text.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        assert_eq!(
            escaped("<a href=\"x\">&'"),
            "&lt;a href=&quot;x&quot;&gt;&amp;&#39;"
        );
        assert_eq!(escaped("ann@example.org"), "ann@example.org");
    }
}
