//! The configuration: a file and the environment. The module is the program's own, taken as source, since a program is no library.

use std::ffi::OsString;

use super::{nothing_to_forget, texts};
use crate::config::Configuration;
use crate::target::{Shape, Target, Verdict};

const WORDS: &[&str] = &[
    "[server]\n",
    "[storage]\n",
    "[storage.s3]\n",
    "[uploads]\n",
    "[cluster]\n",
    "[log]\n",
    "[registry]\n",
    "listen = ",
    "data = ",
    "part_size = ",
    "kind = \"s3\"\n",
    "kind = \"folder\"\n",
    "bucket = \"b\"\n",
    "\"127.0.0.1:5000\"",
    "\"[::1]:0\"",
    "\"8MiB\"",
    "\"10s\"",
    "\"0s\"",
    "\"1TiB\"",
    "\"18446744073709551615B\"",
    "\"99999999999999999999h\"",
    "[1, 2]",
    "{ a = 1 }",
    "true",
    "0x10",
    "1_000",
    "1e400",
    "inf",
    "1979-05-27T07:32:00Z",
    "\"\"\"\n",
    "'''",
    "\\u0000",
    "\n#",
    "HOLDFAST_SERVER_LISTEN=",
    "HOLDFAST_LOG=debug",
    "HOLDFAST_UPLOADS_PART_SIZE=",
    "HOLDFAST_SERVER_DATA=",
    "\0",
];

/// A file, and after a zero byte lines of the environment.
pub static CONFIGURATION: Target = Target {
    name: "configuration",
    seeds: || {
        let default = match load(b"") {
            Ok(configuration) => configuration.show(),
            Err(_) => String::new(),
        };
        let mut all = texts([
            "[server]\nlisten = [\"127.0.0.1:5000\"]\ndata = \"/var/lib/holdfast\"\n[uploads]\npart_size = \"8MiB\"\n",
            "[storage]\nkind = \"folder\"\n\0HOLDFAST_LOG=debug\nHOLDFAST_UPLOADS_PART_SIZE=16MiB\nOTHER=x",
        ]);
        all.push(default.into_bytes());
        all
    },
    generate: None,
    shape: Shape::Text(WORDS),
    repair: None,
    fresh: nothing_to_forget,
    check: |input| match load(input) {
        Ok(configuration) => {
            let shown = configuration.show();
            // A secret is not shown, so that the file without it may lack what it needs.
            let has_secret = configuration
                .effective
                .iter()
                .any(|setting| setting.secret && setting.toml.is_some());
            if !has_secret {
                let again = load(shown.as_bytes());
                let again = again.unwrap_or_else(|error| panic!("{error}: {shown}"));
                let values = |of: &Configuration| -> Vec<_> {
                    of.effective.iter().map(|one| one.toml.clone()).collect()
                };
                assert_eq!(values(&again), values(&configuration));
            }
            Verdict::accepted()
        }
        Err(problem) => Verdict::refused(problem.split(':').next().unwrap_or_default()),
    },
};

fn load(input: &[u8]) -> Result<Configuration, String> {
    let (file, environment) = match input.iter().position(|byte| *byte == 0) {
        Some(at) => (&input[..at], &input[at + 1..]),
        None => (input, &b""[..]),
    };
    let file = String::from_utf8_lossy(file).into_owned();
    let environment = String::from_utf8_lossy(environment).into_owned();
    let variables = environment.lines().map(|line| {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        (OsString::from(name), OsString::from(value))
    });
    Configuration::of(Some(("file".to_owned(), Ok(file))), variables, &[])
        .map_err(|error| error.to_string())
}
