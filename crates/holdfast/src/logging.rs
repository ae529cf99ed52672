//! The log on standard error: text for people on a terminal, JSON elsewhere.
//!
//! Nothing secret is ever logged; types that hold secrets hide them in `Debug`.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{LogFormat, Settings};

/// Starts the log. Called once, before anything that logs.
pub fn start(settings: &Settings) {
    let terminal = std::io::stderr().is_terminal();
    let json = match settings.log.format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let filter = EnvFilter::new(quiet_libraries(&settings.log.level.0));
    let log = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json {
        log.json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .init();
    } else {
        let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        log.with_ansi(colours).init();
    }
}

/// Libraries that tell what only their developers want to know, and from which level on they are heard. What openraft warns
/// of, each time that a peer does not answer, the steward of the group tells once.
const TALKATIVE: [(&str, &str); 6] = [
    ("openraft", "error"),
    ("aws", "warn"),
    ("hyper", "warn"),
    ("h2", "warn"),
    ("rustls", "warn"),
    ("tokio", "warn"),
];

/// Keeps libraries to what concerns others, except those that `level` names and where it lets through no more anyway.
fn quiet_libraries(level: &str) -> String {
    let named = |library: &str| level.split(',').any(|part| part.starts_with(library));
    let lets_through_more = level.split(',').any(|part| {
        matches!(
            part.to_ascii_lowercase().as_str(),
            "info" | "debug" | "trace"
        )
    });
    let quiet = TALKATIVE
        .iter()
        .filter(|(library, _)| lets_through_more && !named(library));
    quiet.fold(level.to_owned(), |filter, (library, level)| {
        format!("{filter},{library}={level}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_quiet_unless_they_are_named() {
        assert_eq!(quiet_libraries("warn"), "warn");
        let filter = quiet_libraries("DEBUG,openraft=info");
        assert!(
            filter.starts_with("DEBUG,openraft=info,aws=warn,"),
            "{filter}"
        );
        assert!(!filter.contains("openraft=warn"), "{filter}");
        assert!(EnvFilter::try_new(filter).is_ok());
    }
}
