//! `holdfast audit …`: what was done, as a table, and line by line for programs, and whether it is whole.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use management::{AuditList, AuditRecord, Time};

use super::audit_chain::{Chain, Lines, Mark};
use super::{Asked, Place, input, print};
use crate::failure::Failure;

/// What is done with the audit.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Lists records, newest first
    List {
        #[command(flatten)]
        wanted: Wanted,
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: usize,
        #[command(flatten)]
        asked: Asked,
    },
    /// Prints every record, newest first, each a line of JSON
    Export {
        #[command(flatten)]
        wanted: Wanted,
        #[command(flatten)]
        place: Place,
    },
    /// Calculates the chain of the records anew, and says which is the first that is missing or was changed
    ///
    /// Reads every record from the registry, or an export of all of them from a file. A registry whose operator has made the whole
    /// chain anew is found out by what an earlier run has printed, given with --known.
    Verify {
        /// An export to read in place of a registry's records; `-` is standard input
        #[arg(long, value_name = "FILE", conflicts_with = "url")]
        file: Option<PathBuf>,
        /// The number and the chain's value of a record, as an earlier run has printed them
        #[arg(long, value_name = "NUMBER:CHAIN", value_parser = Mark::parse)]
        known: Option<Mark>,
        #[command(flatten)]
        place: Place,
    },
}

/// Which records.
#[derive(Debug, Args)]
pub struct Wanted {
    /// Only what this account did
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Only actions that begin so, as in `project.`
    #[arg(long)]
    action: Option<String>,
    /// Only targets that begin so
    #[arg(long)]
    target: Option<String>,
    /// Only from this time on
    #[arg(long, value_name = "TIME", value_parser = input::time)]
    from: Option<Time>,
    /// Only before this time
    #[arg(long, value_name = "TIME", value_parser = input::time)]
    until: Option<Time>,
}

impl Wanted {
    fn query(&self) -> Vec<(&'static str, String)> {
        let texts = [
            ("by", &self.by),
            ("action", &self.action),
            ("target", &self.target),
        ];
        let times = [("from", self.from), ("until", self.until)];
        let texts = texts
            .into_iter()
            .filter_map(|(name, text)| Some((name, text.clone()?)));
        let times = times
            .into_iter()
            .filter_map(|(name, time)| Some((name, time?.to_string())));
        texts.chain(times).collect()
    }
}

fn borrowed<'a>(query: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    query
        .iter()
        .map(|(name, value)| (*name, &**value))
        .collect()
}

/// Does it.
///
/// # Errors
/// What the registry says.
pub fn run(command: &AuditCommand) -> Result<(), Failure> {
    match command {
        AuditCommand::List {
            wanted,
            limit,
            asked,
        } => {
            let client = asked.place.client()?;
            let mut records: Vec<AuditRecord> = Vec::new();
            let mut before = None;
            while records.len() < *limit {
                let mut query = wanted.query();
                let left = (limit - records.len()).min(1_000);
                query.push(("n", left.to_string()));
                query.extend(before.map(|before: u64| ("before", before.to_string())));
                let page: AuditList = client.get(&["audit"], &borrowed(&query))?;
                records.extend(page.records);
                before = page.next;
                if before.is_none() {
                    break;
                }
            }
            print::either(asked.json, &records, || table(&records))
        }
        AuditCommand::Export { wanted, place } => {
            let query = wanted.query();
            let path = ["audit", "export"];
            place.client()?.stream(&path, &borrowed(&query), print::raw)
        }
        AuditCommand::Verify { file, known, place } => {
            verify(file.as_deref(), known.as_ref(), place)
        }
    }
}

/// Reads all records and says whether they are whole.
fn verify(file: Option<&Path>, known: Option<&Mark>, place: &Place) -> Result<(), Failure> {
    let mut lines = Lines::default();
    let mut chain = Chain::new(known.cloned());
    match file {
        None => {
            let client = place.client()?;
            client.stream(&["audit", "export"], &[], |bytes| {
                lines.take(bytes, &mut chain)
            })?;
        }
        Some(file) => {
            let unreadable =
                |error| Failure::new(format!("{} cannot be read: {error}", file.display()));
            let mut from: Box<dyn Read> = match file == Path::new("-") {
                true => Box::new(std::io::stdin().lock()),
                false => Box::new(File::open(file).map_err(unreadable)?),
            };
            let mut buffer = vec![0; 64 * 1024];
            loop {
                match from.read(&mut buffer).map_err(unreadable)? {
                    0 => break,
                    read => lines.take(&buffer[..read], &mut chain)?,
                }
            }
        }
    }
    lines.end(&mut chain)?;
    crate::print(&chain.end()?)
}

fn table(records: &[AuditRecord]) -> String {
    let rows = records.iter().map(|record| {
        [
            record.number.to_string(),
            record.time.to_string(),
            record.by.clone(),
            print::maybe(record.from.as_ref()),
            record.action.clone(),
            record.target.clone(),
            record.detail.clone(),
        ]
    });
    print::table(
        ["number", "time", "by", "from", "action", "target", "detail"],
        rows,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_of_records() {
        let record = |number, from: Option<&str>| AuditRecord {
            number,
            time: Time::parse("2027-01-31T12:00:00Z").unwrap(),
            by: "anna".to_owned(),
            from: from.map(ToOwned::to_owned),
            action: "project.member".to_owned(),
            target: "team".to_owned(),
            detail: "bob developer".to_owned(),
            chain: "00".repeat(32),
        };
        let records = [record(12, Some("192.0.2.7")), record(3, None)];
        expect_test::expect![[r#"
             number  time                  by    from       action          target  detail
             12      2027-01-31T12:00:00Z  anna  192.0.2.7  project.member  team    bob developer
             3       2027-01-31T12:00:00Z  anna             project.member  team    bob developer
        "#]]
        .assert_eq(&table(&records));
    }
}
