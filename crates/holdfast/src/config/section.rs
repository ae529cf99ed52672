//! Makes a typed struct of settings and what is known about each from one list, and reads values into it.
//!
//! Reading never stops at the first mistake: everything that is wrong is told at once.

use std::collections::BTreeMap;
use std::fmt;

use super::value::SettingValue;

/// What is known about one setting.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Its full name, such as `server.listen`.
    pub key: String,
    /// What it is for.
    pub doc: String,
    /// What its values look like.
    pub form: &'static str,
    /// The text of its default; empty when it is not set.
    pub default: &'static str,
    /// The lowest and the highest value allowed.
    pub range: Option<(&'static str, &'static str)>,
    /// Whether its value is never shown.
    pub secret: bool,
}

/// A group of settings that belong together.
#[derive(Debug, Clone)]
pub struct Section {
    /// As it stands in a file between brackets.
    pub name: &'static str,
    /// What it is about.
    pub doc: String,
    /// Its settings.
    pub settings: Vec<Setting>,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// A configuration file.
    File {
        /// As it was named.
        path: String,
        /// From 1 up.
        line: usize,
    },
    /// A variable of the environment.
    Environment {
        /// Its name.
        variable: String,
    },
    /// The command line.
    Flag {
        /// The flag.
        flag: &'static str,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::File { path, line } => write!(f, "{path} line {line}"),
            Source::Environment { variable } => f.write_str(variable),
            Source::Flag { flag } => f.write_str(flag),
        }
    }
}

/// A value as somebody wrote it.
#[derive(Debug, Clone)]
pub struct Given {
    /// Its text; the items of a list are separated by commas.
    pub text: String,
    /// Whether it was written as a list.
    pub list: bool,
    /// Where.
    pub source: Source,
}

/// A setting's value as it is in effect.
#[derive(Debug, Clone)]
pub struct Effective {
    /// The setting.
    pub key: &'static str,
    /// As it stands in a file; `None` when it is not set. Never shown when `secret`.
    pub toml: Option<String>,
    /// Whether it is never shown.
    pub secret: bool,
    /// Where it comes from.
    pub source: Source,
}

/// Reads settings, and remembers what was wrong and where each came from.
#[derive(Debug)]
pub struct Reader {
    given: BTreeMap<String, Given>,
    pub(super) problems: Vec<String>,
    pub(super) effective: Vec<Effective>,
}

impl Reader {
    /// Of what was given under known keys.
    pub fn new(given: BTreeMap<String, Given>) -> Reader {
        Reader {
            given,
            problems: Vec::new(),
            effective: Vec::new(),
        }
    }

    /// The value of `key`, which `check` accepts; after a problem its default.
    pub fn take<T: SettingValue>(
        &mut self,
        key: &'static str,
        default: &'static str,
        check: impl Fn(&T) -> Result<(), String>,
    ) -> T {
        let default_value = || T::parse(default).expect("a test reads every default");
        let (value, source) = match self.given.remove(key) {
            None => (default_value(), Source::Default),
            Some(given) => match read(&given, &check) {
                Ok(value) => (value, given.source),
                Err(wrong) => {
                    let shown = if T::SECRET { "(hidden)" } else { &given.text };
                    self.problems
                        .push(format!("{key} = {shown:?} ({}): {wrong}", given.source));
                    (default_value(), Source::Default)
                }
            },
        };
        self.effective.push(Effective {
            key,
            toml: value.toml(),
            secret: T::SECRET,
            source,
        });
        value
    }
}

/// Reads one value and checks it.
fn read<T: SettingValue>(
    given: &Given,
    check: &impl Fn(&T) -> Result<(), String>,
) -> Result<T, String> {
    if given.list && !T::LIST {
        return Err(format!("must be {}, not a list", T::FORM));
    }
    let value = T::parse(given.text.trim())?;
    check(&value)?;
    Ok(value)
}

/// Whether `value` lies in a range; one that is not set does.
pub fn within<T: SettingValue + PartialOrd>(
    value: &T,
    low: &str,
    high: &str,
) -> Result<(), String> {
    let bound = |text| T::parse(text).expect("a test reads every bound");
    if value.toml().is_none() || (bound(low) <= *value && *value <= bound(high)) {
        Ok(())
    } else {
        Err(format!("must be between {low} and {high}"))
    }
}

/// Puts the lines of a documentation comment together.
pub fn doc_text(lines: &[&str]) -> String {
    lines
        .iter()
        .map(|line| line.trim())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Defines [`Settings`](super::Settings), its sections, and what is known about them.
macro_rules! sections {
    ($(
        $(#[doc = $section_doc:literal])+
        $section:ident: $Section:ident as $name:literal {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $kind:ty = $default:literal $(in $low:literal ..= $high:literal)?;
            )+
        }
    )+) => {
        /// The configuration in effect.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Settings {
            $($(#[doc = $section_doc])+ pub $section: $Section,)+
        }

        $(
            $(#[doc = $section_doc])+
            #[derive(Debug, Clone, PartialEq)]
            pub struct $Section {
                $($(#[doc = $doc])+ pub $field: $kind,)+
            }
        )+

        impl Settings {
            /// Reads every setting.
            pub(super) fn read(reader: &mut $crate::config::section::Reader) -> Settings {
                Settings {
                    $($section: $Section {
                        $($field: reader.take::<$kind>(
                            concat!($name, ".", stringify!($field)),
                            $default,
                            |_value| {
                                $($crate::config::section::within(_value, $low, $high)?;)?
                                Ok(())
                            },
                        ),)+
                    },)+
                }
            }

            /// What is known about every setting.
            pub fn catalogue() -> Vec<$crate::config::section::Section> {
                use $crate::config::value::SettingValue;
                vec![$($crate::config::section::Section {
                    name: $name,
                    doc: $crate::config::section::doc_text(&[$($section_doc),+]),
                    settings: vec![$($crate::config::section::Setting {
                        key: concat!($name, ".", stringify!($field)).to_owned(),
                        doc: $crate::config::section::doc_text(&[$($doc),+]),
                        form: <$kind as SettingValue>::FORM,
                        default: $default,
                        range: [$(($low, $high))?].first().copied(),
                        secret: <$kind as SettingValue>::SECRET,
                    },)+],
                },)+]
            }
        }
    };
}
pub(super) use sections;
