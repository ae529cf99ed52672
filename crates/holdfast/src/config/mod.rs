//! The configuration: one typed struct from a file, the environment and flags, checked before anything starts.
//!
//! It never guesses: an unknown name, a value out of range and a combination that cannot work are errors, all told at
//! once, each with the setting, where its value comes from, the value, and what is allowed. Secrets are never shown.

mod check;
mod layers;
mod parts;
mod reference;
mod section;
mod settings;
mod value;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

pub use parts::{
    FIRST_NODE, api_settings, front_settings, member_config, registry_settings, speaks_tls,
    storage_settings, tls_settings,
};
pub use reference::reference;
pub use section::Effective;
pub use settings::{
    Access, AccessMode, Limits, LogFormat, RedisMode, SessionPlace, Settings, TlsMode,
};
pub use value::ByteSize;

use layers::Layers;
use section::{Reader, Source};

/// What the command line says about the configuration.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// The file to read.
    pub file: Option<PathBuf>,
    /// Flags, the settings that they set, and their values.
    pub flags: Vec<(&'static str, String, String)>,
}

/// The configuration in effect.
#[derive(Debug, Clone)]
pub struct Configuration {
    /// The values.
    pub settings: Settings,
    /// The values again, as they are shown, with their sources, in the order of the reference.
    pub effective: Vec<Effective>,
}

/// Everything that is wrong with a configuration, a line each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Problems(pub Vec<String>);

impl Configuration {
    /// Reads and checks the configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(
        given: &Given,
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Configuration, Problems> {
        let file = given.file.as_ref().map(|path| {
            let text = std::fs::read_to_string(path);
            (path.display().to_string(), text)
        });
        Configuration::of(file, environment, &given.flags)
    }

    /// What [`load`](Configuration::load) makes of a file's name and content.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn of(
        file: Option<(String, io::Result<String>)>,
        environment: impl Iterator<Item = (OsString, OsString)>,
        flags: &[(&'static str, String, String)],
    ) -> Result<Configuration, Problems> {
        let catalogue = Settings::catalogue();
        let keys: Vec<String> = catalogue
            .iter()
            .flat_map(|section| &section.settings)
            .map(|setting| setting.key.clone())
            .collect();
        let mut layers = Layers::new(&keys);
        if let Some((name, text)) = file {
            layers.add_file(&name, text);
        }
        layers.add_environment(environment);
        for (flag, key, text) in flags {
            layers.add_flag(flag, key, text.clone());
        }
        let mut problems = layers.problems;
        let mut reader = Reader::new(layers.given);
        let settings = Settings::read(&mut reader);
        problems.append(&mut reader.problems);
        if problems.is_empty() {
            problems.append(&mut check::contradictions(&settings));
        }
        if problems.is_empty() {
            Ok(Configuration {
                settings,
                effective: reader.effective,
            })
        } else {
            Err(Problems(problems))
        }
    }

    /// Whether somebody chose the addresses, so that one which cannot be had is an error.
    pub fn listen_was_chosen(&self) -> bool {
        self.effective
            .iter()
            .any(|setting| setting.key == "server.listen" && setting.source != Source::Default)
    }

    /// The configuration as a file that could be given again, with the source of each value beside it.
    pub fn show(&self) -> String {
        let mut text = String::new();
        let mut section = "";
        for setting in &self.effective {
            let (name, word) = setting
                .key
                .rsplit_once('.')
                .expect("every key has a section");
            if name != section {
                text.push_str(&format!(
                    "{}[{name}]\n",
                    if section.is_empty() { "" } else { "\n" }
                ));
                section = name;
            }
            text.push_str(&match &setting.toml {
                None => format!("# {word} is not set\n"),
                Some(_) if setting.secret => format!("# {word} is hidden  # {}\n", setting.source),
                Some(value) => format!("{word} = {value}  # {}\n", setting.source),
            });
        }
        text
    }
}

#[cfg(test)]
mod tests;
