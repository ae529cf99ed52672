//! What kinds of values settings have, and how each is read from text and written back.
//!
//! Every kind can be written so that reading it gives the same value again; units are part of the text ("128MiB",
//! "10s"), never of a setting's name.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use blobs::Secret;
use front::{Networks, NotANetwork};
use tracing_subscriber::EnvFilter;

/// A kind of value.
pub trait SettingValue: Sized {
    /// What it looks like, for the reference and for errors: "a size such as 128MiB".
    const FORM: &'static str;
    /// Whether its text is never shown.
    const SECRET: bool = false;
    /// Whether it is written as a list.
    const LIST: bool = false;

    /// Reads it; the error says what would be right.
    fn parse(text: &str) -> Result<Self, String>;

    /// As it stands in a TOML file; `None` when it is not set.
    fn toml(&self) -> Option<String>;
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// A length of time, to the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// Which log lines are written: a level, or levels by module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(pub String);

/// The words for levels of the log.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The units of sizes, the largest first.
const SIZE_UNITS: [(&str, u64); 5] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, bytes) = SIZE_UNITS
            .into_iter()
            .find(|(_, bytes)| self.0 >= *bytes && self.0.is_multiple_of(*bytes))
            .unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.0 / bytes)
    }
}

impl SettingValue for ByteSize {
    const FORM: &'static str = "a size such as 512B, 64KiB, 128MiB or 2GiB";

    fn parse(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit = text[digits.len()..].trim();
        let count: u64 = digits.parse().map_err(|_| expected::<Self>())?;
        let bytes = match unit {
            "" => 1,
            _ => {
                SIZE_UNITS
                    .into_iter()
                    .find(|(name, _)| *name == unit)
                    .ok_or_else(expected::<Self>)?
                    .1
            }
        };
        count
            .checked_mul(bytes)
            .map(ByteSize)
            .ok_or_else(|| "is more than any disk holds".to_owned())
    }

    fn toml(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl SettingValue for Span {
    const FORM: &'static str = "a duration such as 500ms, 10s, 5m or 24h";

    fn parse(text: &str) -> Result<Self, String> {
        let duration = humantime::parse_duration(text).map_err(|_| expected::<Self>())?;
        if duration.subsec_nanos() % 1_000_000 == 0 {
            Ok(Span(duration))
        } else {
            Err("must be a whole number of milliseconds".to_owned())
        }
    }

    fn toml(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
}

impl SettingValue for Secret {
    const FORM: &'static str = "a secret text";
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        Ok(Secret::new(text))
    }

    fn toml(&self) -> Option<String> {
        Some(quoted(self.reveal()))
    }
}

impl SettingValue for LogFilter {
    const FORM: &'static str = "`off`, `error`, `warn`, `info`, `debug` or `trace`, or levels by module such as `info,registry=debug`";

    fn parse(text: &str) -> Result<Self, String> {
        // The library takes a word that is no level for a module's name, and so a misspelt level for nothing.
        let is_level = |word: &str| LEVELS.contains(&word.to_ascii_lowercase().as_str());
        let right = text
            .split(',')
            .map(str::trim)
            .all(|part| match part.rsplit_once('=') {
                Some((module, level)) => !module.is_empty() && is_level(level),
                None => is_level(part),
            });
        match EnvFilter::try_new(text) {
            Ok(_) if right => Ok(LogFilter(text.to_owned())),
            _ => Err(expected::<Self>()),
        }
    }

    fn toml(&self) -> Option<String> {
        Some(quoted(&self.0))
    }
}

impl SettingValue for u32 {
    const FORM: &'static str = "a whole number";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| expected::<Self>())
    }

    fn toml(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl SettingValue for bool {
    const FORM: &'static str = "`true` or `false`";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| expected::<Self>())
    }

    fn toml(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl SettingValue for String {
    const FORM: &'static str = "a text";

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn toml(&self) -> Option<String> {
        Some(quoted(self))
    }
}

impl SettingValue for PathBuf {
    const FORM: &'static str = "a path";

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            Err("must not be empty".to_owned())
        } else {
            Ok(PathBuf::from(text))
        }
    }

    fn toml(&self) -> Option<String> {
        Some(quoted(&self.to_string_lossy()))
    }
}

impl SettingValue for SocketAddr {
    const FORM: &'static str = "an address such as \"127.0.0.1:5050\" or \"[::]:5050\"";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| expected::<Self>())
    }

    fn toml(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
}

impl SettingValue for Vec<SocketAddr> {
    const FORM: &'static str = "a list of addresses such as [\"127.0.0.1:5000\", \"[::1]:5000\"]";
    const LIST: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let address = part.parse().map_err(|_| {
                format!("has `{part}`, which is no address such as 127.0.0.1:5000 or [::1]:5000")
            })?;
            if addresses.contains(&address) && address.port() != 0 {
                return Err(format!("names {address} twice"));
            }
            addresses.push(address);
        }
        if addresses.is_empty() {
            Err("must name at least one address".to_owned())
        } else {
            Ok(addresses)
        }
    }

    fn toml(&self) -> Option<String> {
        let items: Vec<String> = self
            .iter()
            .map(|address| quoted(&address.to_string()))
            .collect();
        Some(format!("[{}]", items.join(", ")))
    }
}

impl SettingValue for Vec<String> {
    const FORM: &'static str = "a list of texts";
    const LIST: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect())
    }

    fn toml(&self) -> Option<String> {
        let items: Vec<String> = self.iter().map(|item| quoted(item)).collect();
        Some(format!("[{}]", items.join(", ")))
    }
}

impl SettingValue for Networks {
    const FORM: &'static str = "a list of networks such as [\"10.0.0.0/8\", \"192.0.2.7\"]";
    const LIST: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|error: NotANetwork| format!("names a wrong one: {error}"))
    }

    fn toml(&self) -> Option<String> {
        let items: Vec<String> = self.iter().map(|item| quoted(&item)).collect();
        Some(format!("[{}]", items.join(", ")))
    }
}

impl<T: SettingValue> SettingValue for Option<T> {
    const FORM: &'static str = T::FORM;
    const SECRET: bool = T::SECRET;
    const LIST: bool = T::LIST;

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            Ok(None)
        } else {
            T::parse(text).map(Some)
        }
    }

    fn toml(&self) -> Option<String> {
        self.as_ref().and_then(T::toml)
    }
}

/// Says by which words the variants of an enum are set.
macro_rules! words {
    ($name:ty { $($variant:ident = $word:literal,)+ } form $form:literal) => {
        impl $crate::config::value::SettingValue for $name {
            const FORM: &'static str = $form;

            fn parse(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(<$name>::$variant),)+
                    _ => Err($crate::config::value::expected::<Self>()),
                }
            }

            fn toml(&self) -> Option<String> {
                Some(match self { $(<$name>::$variant => concat!("\"", $word, "\"").to_owned(),)+ })
            }
        }
    };
}
pub(crate) use words;

/// The error of a value that is not of its kind.
pub fn expected<T: SettingValue>() -> String {
    format!("must be {}", T::FORM)
}

/// A TOML string of `text`.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_units_and_written_with_the_largest_that_is_exact() {
        for (text, bytes, shown) in [
            ("0", 0, "0B"),
            ("1000", 1000, "1000B"),
            ("512B", 512, "512B"),
            ("64KiB", 65_536, "64KiB"),
            ("1024KiB", 1 << 20, "1MiB"),
            ("128 MiB", 128 << 20, "128MiB"),
            ("2TiB", 2 << 40, "2TiB"),
        ] {
            assert_eq!(ByteSize::parse(text), Ok(ByteSize(bytes)), "{text}");
            assert_eq!(ByteSize(bytes).to_string(), shown);
            assert_eq!(ByteSize::parse(shown), Ok(ByteSize(bytes)));
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "",
            "MiB",
            "-1",
            "1.5GiB",
            "8MB",
            "8mib",
            "99999999999TiB",
            "1 2",
            "1MiBx",
        ] {
            assert!(ByteSize::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_need_a_unit_and_are_whole_milliseconds() {
        assert_eq!(Span::parse("90s"), Ok(Span(Duration::from_secs(90))));
        assert_eq!(Span::parse("250ms"), Ok(Span(Duration::from_millis(250))));
        assert_eq!(Span(Duration::from_secs(90)).to_string(), "1m 30s");
        assert_eq!(Span::parse("1m 30s"), Ok(Span(Duration::from_secs(90))));
        for text in ["", "10", "-1s", "1us", "soon"] {
            assert!(Span::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lists_of_addresses_may_end_in_a_comma_but_name_none_twice() {
        let two = Vec::<SocketAddr>::parse("127.0.0.1:5000, [::1]:5000,").expect("two addresses");
        assert_eq!(two.len(), 2);
        assert_eq!(
            Vec::<SocketAddr>::parse("127.0.0.1:0,127.0.0.1:0")
                .expect("any ports")
                .len(),
            2
        );
        for text in ["", "localhost:5000", "127.0.0.1", "127.0.0.1:1,127.0.0.1:1"] {
            assert!(Vec::<SocketAddr>::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_misspelt_level_is_refused() {
        for text in ["info", "WARN", "info,registry=debug", "error,api=trace"] {
            assert!(LogFilter::parse(text).is_ok(), "{text}");
        }
        for text in ["", "debgu", "info,registry=debgu", "info,", "=info"] {
            assert!(LogFilter::parse(text).is_err(), "{text}");
        }
    }
}
