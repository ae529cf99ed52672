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
    let filter = EnvFilter::new(&settings.log.level.0);
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
