//! Collects what was given in a file, in the environment and by flags, under the full names of settings.
//!
//! The later layer wins: file, environment, flags. A name that is no setting is an error that names the nearest one;
//! nothing is passed over in silence that might have been meant for Holdfast.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;

use toml::de::{DeTable, DeValue};

use super::section::{Given, Source};

/// The start of every variable that is meant for Holdfast.
const PREFIX: &str = "HOLDFAST_";

/// Variables that are no settings: the file's name, the developer's tools, and the steps of crash tests.
const OTHER_VARIABLES: [&str; 4] = [
    "HOLDFAST_CONFIG",
    "HOLDFAST_CACHE",
    "HOLDFAST_CRASH_AT",
    "HOLDFAST_REVISION",
];

/// Variables that are short for a setting's own.
const SHORT_VARIABLES: [(&str, &str); 2] = [
    ("HOLDFAST_LOG", "log.level"),
    ("HOLDFAST_ADMIN_PASSWORD_FILE", "access.admin_password_file"),
];

/// What was given so far.
#[derive(Debug)]
pub struct Layers<'a> {
    keys: &'a [String],
    /// The last value that was given for each key.
    pub given: BTreeMap<String, Given>,
    /// What was wrong.
    pub problems: Vec<String>,
}

impl<'a> Layers<'a> {
    /// Nothing yet; `keys` are the names of all settings.
    pub fn new(keys: &'a [String]) -> Layers<'a> {
        Layers {
            keys,
            given: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    /// Adds the settings of a file with this content.
    pub fn add_file(&mut self, name: &str, text: io::Result<String>) {
        match text {
            Ok(text) => self.add_toml(name, &text),
            Err(error) => self.problems.push(format!(
                "the configuration file {name} cannot be read: {error}"
            )),
        }
    }

    /// Adds the settings of a file's text.
    pub fn add_toml(&mut self, name: &str, text: &str) {
        match DeTable::parse(text) {
            Ok(table) => self.add_table(name, text, "", table.get_ref()),
            Err(error) => {
                let line = error.span().map_or(1, |span| line_of(text, span.start));
                let what = error.message().replace('\n', " ");
                self.problems
                    .push(format!("{name} line {line}: this is not TOML: {what}"));
            }
        }
    }

    fn add_table(&mut self, name: &str, text: &str, above: &str, table: &DeTable<'_>) {
        for (word, value) in table {
            let key = if above.is_empty() {
                word.get_ref().to_string()
            } else {
                format!("{above}.{}", word.get_ref())
            };
            let line = line_of(text, word.span().start);
            let source = Source::File {
                path: name.to_owned(),
                line,
            };
            match value.get_ref() {
                DeValue::Table(inner) if !self.keys.contains(&key) => {
                    self.add_table(name, text, &key, inner)
                }
                DeValue::Table(_) => self.problems.push(format!(
                    "{name} line {line}: {key} is a setting, not a section"
                )),
                value => self.add(
                    key,
                    scalar(value),
                    matches!(value, DeValue::Array(_)),
                    source,
                ),
            }
        }
    }

    /// Adds the settings of the environment.
    pub fn add_environment(&mut self, variables: impl Iterator<Item = (OsString, OsString)>) {
        for (variable, value) in variables {
            let Some(variable) = variable.to_str().filter(|name| name.starts_with(PREFIX)) else {
                continue;
            };
            let Some(key) = self.key_of_variable(variable) else {
                self.judge_unknown_variable(variable);
                continue;
            };
            let source = Source::Environment {
                variable: variable.to_owned(),
            };
            match value.into_string() {
                Ok(text) => self.add(key, text, false, source),
                Err(_) => self
                    .problems
                    .push(format!("{key} ({source}): must be text in UTF-8")),
            }
        }
    }

    /// Adds one value from the command line.
    pub fn add_flag(&mut self, flag: &'static str, key: &str, text: String) {
        self.add(key.to_owned(), text, false, Source::Flag { flag });
    }

    fn add(&mut self, key: String, text: String, list: bool, source: Source) {
        if self.keys.contains(&key) {
            self.given.insert(key, Given { text, list, source });
        } else {
            let nearest = nearest(&key, self.keys.iter().map(String::as_str)).0;
            self.problems.push(format!(
                "there is no setting {key} ({source}); the nearest is {nearest}"
            ));
        }
    }

    fn key_of_variable(&self, variable: &str) -> Option<String> {
        let of_short =
            |(short, key): &(&str, &str)| (*short == variable).then(|| (*key).to_owned());
        let short = SHORT_VARIABLES.iter().find_map(of_short);
        let long = || self.keys.iter().find(|key| variable_of(key) == variable);
        short.or_else(|| long().cloned())
    }

    /// A variable that is near to a setting's is a mistake. Others are somebody else's: Kubernetes, for one, sets
    /// `HOLDFAST_SERVICE_HOST` and its like in every pod beside a service named `holdfast`.
    fn judge_unknown_variable(&mut self, variable: &str) {
        if OTHER_VARIABLES.contains(&variable) || set_by_kubernetes(variable) {
            return;
        }
        let variables: Vec<String> = self.keys.iter().map(|key| variable_of(key)).collect();
        let short = SHORT_VARIABLES.map(|(short, _)| short);
        let (nearest, similarity) = nearest(
            variable,
            variables
                .iter()
                .map(String::as_str)
                .chain(short)
                .chain(["HOLDFAST_CONFIG"]),
        );
        let in_a_section = self
            .keys
            .iter()
            .filter_map(|key| key.split('.').next())
            .any(|section| {
                variable
                    .strip_prefix(PREFIX)
                    .is_some_and(|rest| rest.starts_with(&format!("{}_", section.to_uppercase())))
            });
        if in_a_section || similarity >= 0.8 {
            self.problems.push(format!(
                "there is no setting for the variable {variable}; the nearest is {nearest}"
            ));
        }
    }
}

/// The variable that sets `key`: `HOLDFAST_`, and the key in capitals with `_` for each dot.
pub fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_uppercase())
}

/// The forms of the variables that Kubernetes makes for each service (its documentation, "Discovering services").
fn set_by_kubernetes(variable: &str) -> bool {
    let ends = ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT"];
    ends.iter().any(|end| variable.ends_with(end))
        || variable.contains("_SERVICE_PORT_")
        || variable.contains("_TCP")
        || variable.contains("_UDP")
}

/// The one of `names` that is most like `name`, and how like it is, from 0 to 1.
fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> (String, f64) {
    let mut best = (String::new(), -1.0);
    for candidate in names {
        let similarity = strsim::normalized_damerau_levenshtein(name, candidate);
        if similarity > best.1 {
            best = (candidate.to_owned(), similarity);
        }
    }
    best
}

/// The text of a value that is no table.
fn scalar(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) if number.radix() == 10 => number.as_str().replace('_', ""),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(items) => items
            .iter()
            .map(|item| scalar(item.get_ref()))
            .collect::<Vec<_>>()
            .join(","),
        DeValue::Table(_) => "{…}".to_owned(),
    }
}

/// The line of a place in a text, from 1 up.
fn line_of(text: &str, place: usize) -> usize {
    text.as_bytes()
        .iter()
        .take(place)
        .filter(|byte| **byte == b'\n')
        .count()
        + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Vec<String> {
        [
            "server.listen",
            "server.data",
            "uploads.part_size",
            "storage.s3.bucket",
            "log.level",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    fn environment(pairs: &[(&str, &str)]) -> Vec<String> {
        let keys = keys();
        let mut layers = Layers::new(&keys);
        layers.add_environment(
            pairs
                .iter()
                .map(|(name, value)| (OsString::from(name), OsString::from(value))),
        );
        layers.problems
    }

    #[test]
    fn the_later_layer_wins() {
        let keys = keys();
        let mut layers = Layers::new(&keys);
        layers.add_toml(
            "f.toml",
            "[server]\ndata = \"a\"\nlisten = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\n",
        );
        layers.add_environment([("HOLDFAST_SERVER_DATA".into(), "b".into())].into_iter());
        layers.add_flag("--data", "server.data", "c".to_owned());
        assert_eq!(layers.problems, Vec::<String>::new());
        assert_eq!(layers.given["server.data"].text, "c");
        assert_eq!(
            layers.given["server.data"].source,
            Source::Flag { flag: "--data" }
        );
        assert_eq!(
            layers.given["server.listen"].text,
            "127.0.0.1:1,127.0.0.1:2"
        );
        assert_eq!(
            layers.given["server.listen"].source,
            Source::File {
                path: "f.toml".to_owned(),
                line: 3
            }
        );
    }

    #[test]
    fn a_misspelt_key_in_a_file_names_its_line_and_the_nearest_key() {
        let keys = keys();
        let mut layers = Layers::new(&keys);
        layers.add_toml(
            "f.toml",
            "\n[uploads]\npart_sise = \"8MiB\"\n[storage.s4]\nbucket = \"b\"\n",
        );
        assert_eq!(
            layers.problems,
            [
                "there is no setting storage.s4.bucket (f.toml line 5); the nearest is storage.s3.bucket",
                "there is no setting uploads.part_sise (f.toml line 3); the nearest is uploads.part_size",
            ]
        );
    }

    #[test]
    fn a_misspelt_variable_names_the_nearest_one() {
        assert_eq!(
            environment(&[("HOLDFAST_UPLOADS_PARTSIZE", "8MiB")]),
            [
                "there is no setting for the variable HOLDFAST_UPLOADS_PARTSIZE; the nearest is HOLDFAST_UPLOADS_PART_SIZE"
            ]
        );
        assert_eq!(
            environment(&[("HOLDFAST_SERVR_LISTEN", "x")]),
            [
                "there is no setting for the variable HOLDFAST_SERVR_LISTEN; the nearest is HOLDFAST_SERVER_LISTEN"
            ]
        );
    }

    #[test]
    fn variables_of_others_are_left_alone() {
        let of_others = [
            ("HOLDFAST_SERVICE_HOST", "10.0.0.1"),
            ("HOLDFAST_PORT_5000_TCP_ADDR", "10.0.0.1"),
            ("HOLDFAST_SERVER_SERVICE_PORT_HTTP", "5000"),
            ("HOLDFAST_CACHE", "/var/cache"),
            ("HOLDFAST_CONFIG", "f.toml"),
            ("HOLD", "x"),
        ];
        assert_eq!(environment(&of_others), Vec::<String>::new());
    }

    #[test]
    fn text_that_is_not_toml_names_its_line() {
        let keys = keys();
        let mut layers = Layers::new(&keys);
        layers.add_toml("f.toml", "[server]\ndata = \n");
        assert!(
            layers.problems[0].starts_with("f.toml line 2: this is not TOML: "),
            "{:?}",
            layers.problems
        );
    }
}
