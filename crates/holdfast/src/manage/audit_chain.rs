//! Whether the audit is whole: each record's value of the chain is calculated anew from the record and the value before it.
//!
//! Records come newest first, and none is kept but the last that came. What is told is the first record, in the order in which they
//! were made, that is missing or was changed: from there on nothing can be believed. Rule 8.4.

use std::fmt;

use management::{AuditRecord, audit_chain_value};
use metadata::access::AuditRow;
use metadata::{AUDIT_RECORDS_MAX, audit_chained};

use crate::failure::Failure;

/// The longest line that is read, in bytes.
const LINE_BYTES_MAX: usize = 1024 * 1024;
/// So many of the oldest records may be dropped by the registry while it is read.
const DROPPED_MEANWHILE_MAX: u64 = 10_000;

/// The chain's value after one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    number: u64,
    chain: [u8; 32],
}

impl Mark {
    /// Reads what [`fmt::Display`] wrote.
    ///
    /// # Errors
    /// What it should look like.
    pub fn parse(text: &str) -> Result<Mark, String> {
        let parts = text.split_once(':');
        let parts = parts.and_then(|(number, chain)| {
            Some(Mark {
                number: number.parse().ok()?,
                chain: audit_chain_value(chain)?,
            })
        });
        parts.ok_or_else(|| "it is like 17:1f3a…, with 64 hexadecimal digits".to_owned())
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.number)?;
        self.chain
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Bytes cut into lines, each a record.
#[derive(Default)]
pub struct Lines {
    begun: Vec<u8>,
    count: u64,
}

impl Lines {
    /// Hands over the lines that have come to their end.
    ///
    /// # Errors
    /// When one is no record.
    pub fn take(&mut self, bytes: &[u8], chain: &mut Chain) -> Result<(), Failure> {
        let mut pieces = bytes.split_inclusive(|byte| *byte == b'\n');
        pieces.try_for_each(|piece| {
            self.begun.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                return self.line(chain);
            }
            match self.begun.len() > LINE_BYTES_MAX {
                true => {
                    self.count += 1;
                    Err(self.no_record("it is too long"))
                }
                false => Ok(()),
            }
        })
    }

    /// Hands over the last line, if nothing ends it.
    ///
    /// # Errors
    /// When it is no record.
    pub fn end(&mut self, chain: &mut Chain) -> Result<(), Failure> {
        self.line(chain)
    }

    fn line(&mut self, chain: &mut Chain) -> Result<(), Failure> {
        let line = std::mem::take(&mut self.begun);
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        self.count += 1;
        let record: AuditRecord =
            serde_json::from_slice(&line).map_err(|error| self.no_record(&error.to_string()))?;
        let row = record.row().map_err(|why| self.no_record(why))?;
        chain.take(record.number, row);
        Ok(())
    }

    fn no_record(&self, why: &str) -> Failure {
        Failure::new(format!(
            "line {} is no record of the audit: {why}",
            self.count
        ))
    }
}

/// What is wrong with the audit, and from which record on.
#[derive(Debug, PartialEq, Eq)]
enum Break {
    Missing(u64),
    Changed(u64),
    Remade(u64),
    OutOfOrder(u64),
}

/// The records so far, newest first.
pub struct Chain {
    known: Option<Mark>,
    newest: Option<Mark>,
    /// The last that came.
    oldest: Option<(u64, AuditRow)>,
    count: u64,
    first_break: Option<Break>,
}

impl Chain {
    /// None yet. An earlier look has seen `known`.
    pub fn new(known: Option<Mark>) -> Chain {
        Chain {
            known,
            newest: None,
            oldest: None,
            count: 0,
            first_break: None,
        }
    }

    /// The record before those that have come.
    pub fn take(&mut self, number: u64, row: AuditRow) {
        self.count += 1;
        if let Some((newer, newer_row)) = &self.oldest {
            if number >= *newer {
                self.found(Break::OutOfOrder(number));
            } else if number + 1 < *newer {
                self.found(Break::Missing(number + 1));
            } else if audit_chained(row.chain, newer_row) != newer_row.chain {
                let newer = *newer;
                self.found(Break::Changed(newer));
            }
        } else {
            let chain = row.chain;
            self.newest = Some(Mark { number, chain });
        }
        if let Some(known) = &self.known
            && known.number == number
            && known.chain != row.chain
        {
            self.found(Break::Remade(number));
        }
        self.oldest = Some((number, row));
    }

    /// What is found later was made earlier, and is what is told; nothing is known of records that are in no order.
    fn found(&mut self, found: Break) {
        if !matches!(self.first_break, Some(Break::OutOfOrder(_))) {
            self.first_break = Some(found);
        }
    }

    /// What stands at the beginning, where no record is before.
    fn begin(&mut self) {
        match &self.oldest {
            Some((1, row)) if audit_chained([0; 32], row) != row.chain => {
                self.found(Break::Changed(1));
            }
            // The registry drops the oldest when there are too many, and only then.
            Some((number, _))
                if *number > 1 && self.count + DROPPED_MEANWHILE_MAX < AUDIT_RECORDS_MAX =>
            {
                self.found(Break::Missing(1));
            }
            _ => {}
        }
        let newest = self.newest.as_ref().map_or(0, |mark| mark.number);
        if let Some(known) = &self.known
            && known.number > newest
            && self.first_break.is_none()
        {
            self.found(Break::Missing(newest + 1));
        }
    }

    /// What is to be told.
    ///
    /// # Errors
    /// When a record is missing or was changed, which it says.
    pub fn end(mut self) -> Result<String, Failure> {
        self.begin();
        if let Some(found) = &self.first_break {
            return Err(Failure::new(match found {
                Break::Missing(number) => format!("record {number} is missing"),
                Break::Changed(number) => {
                    format!("record {number} was changed, or was not made after the one before it")
                }
                Break::Remade(number) => format!(
                    "record {number} is not the one that was known: it or one before it was made anew"
                ),
                Break::OutOfOrder(number) => {
                    format!(
                        "record {number} is where an earlier one should be: records come newest first"
                    )
                }
            }));
        }
        let (Some(newest), Some((oldest, _))) = (&self.newest, &self.oldest) else {
            return Ok("there are no records\n".to_owned());
        };
        if let Some(known) = self.known.filter(|known| known.number < *oldest) {
            return Err(Failure::new(format!(
                "record {} was dropped since, as the oldest are: nothing says that those after it were not made anew",
                known.number
            )));
        }
        Ok(format!(
            "whole: {} records, from {oldest} to {}\nlast: {newest}\n\
             Keep the last line, and give it with --known next time: then nobody can have made the records anew.\n",
            self.count, newest.number
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use management::Time;
    use metadata::{LogTime, PrincipalName};

    use super::*;

    /// Records as a log makes them, newest first.
    fn records(count: u64) -> Vec<(u64, AuditRow)> {
        let mut before = [0; 32];
        let mut records: Vec<(u64, AuditRow)> = (1..=count)
            .map(|number| {
                let mut row = AuditRow {
                    time: LogTime(1_700_000_000_000 + number),
                    by: PrincipalName("anna".into()),
                    from: (number % 2 == 0).then(|| IpAddr::from([192, 0, 2, 7])),
                    action: "project.member".into(),
                    target: "team".into(),
                    detail: format!("bob {number}").into(),
                    chain: [0; 32],
                };
                row.chain = audit_chained(before, &row);
                before = row.chain;
                (number, row)
            })
            .collect();
        records.reverse();
        records
    }

    fn export(records: &[(u64, AuditRow)]) -> String {
        let lines = records.iter().map(|(number, row)| {
            let record = AuditRecord {
                number: *number,
                time: Time(row.time),
                by: row.by.to_string(),
                from: row.from.map(|from| from.to_string()),
                action: row.action.to_string(),
                target: row.target.to_string(),
                detail: row.detail.to_string(),
                chain: row.chain.iter().map(|byte| format!("{byte:02x}")).collect(),
            };
            serde_json::to_string(&record).expect("plain data") + "\n"
        });
        lines.collect()
    }

    fn told(text: &str, known: Option<&str>) -> Result<String, String> {
        let known = known.map(|known| Mark::parse(known).expect("a mark"));
        let mut chain = Chain::new(known);
        let mut lines = Lines::default();
        // As a network cuts them.
        let taken = text
            .as_bytes()
            .chunks(7)
            .try_for_each(|piece| lines.take(piece, &mut chain));
        let said = taken
            .and_then(|()| lines.end(&mut chain))
            .and_then(|()| chain.end());
        said.map_err(|failure| failure.lines.join("\n"))
    }

    #[test]
    fn whole_records_are_whole_and_their_last_is_known_again() {
        let told_first = told(&export(&records(5)), None).unwrap();
        assert!(told_first.starts_with("whole: 5 records, from 1 to 5\nlast: 5:"));
        let mark = told_first
            .lines()
            .nth(1)
            .unwrap()
            .trim_start_matches("last: ");
        told(&export(&records(9)), Some(mark)).unwrap();
        assert_eq!(told("", None).unwrap(), "there are no records\n");
    }

    #[test]
    fn the_first_record_that_is_missing_or_changed_is_named() {
        let mut records = records(9);
        let text = |records: &[(u64, AuditRow)]| told(&export(records), None).unwrap_err();
        // Newest first: the fourth from the end is number 4.
        let four = records.remove(5);
        assert_eq!(four.0, 4);
        assert_eq!(text(&records), "record 4 is missing");
        records.insert(5, four);
        records.truncate(7);
        assert_eq!(text(&records), "record 1 is missing");

        let mut records = self::records(9);
        for number in [8, 3] {
            records[9 - number].1.detail = "eve owner".into();
        }
        let changed = "was changed, or was not made after the one before it";
        assert_eq!(text(&records), format!("record 3 {changed}"));
        let mut records = self::records(9);
        records[8].1.by = PrincipalName("eve".into());
        assert_eq!(text(&records), format!("record 1 {changed}"));
        let mut records = self::records(9);
        records[4].1.chain[0] ^= 1;
        assert_eq!(text(&records), format!("record 5 {changed}"));
        records.reverse();
        assert!(text(&records).contains("newest first"));
    }

    #[test]
    fn records_that_were_all_made_anew_are_found_out_by_what_was_known() {
        let mark = |records: &[(u64, AuditRow)]| {
            let told = told(&export(records), None).unwrap();
            let last = told.lines().nth(1).unwrap();
            last.trim_start_matches("last: ").to_owned()
        };
        let known = mark(&records(5));
        let mut before = [0; 32];
        let mut anew = records(6);
        for (number, row) in anew.iter_mut().rev() {
            if *number == 2 {
                row.by = PrincipalName("eve".into());
            }
            row.chain = audit_chained(before, row);
            before = row.chain;
        }
        told(&export(&anew), None).unwrap();
        let found = told(&export(&anew), Some(&known)).unwrap_err();
        assert!(
            found.starts_with("record 5 is not the one that was known"),
            "{found}"
        );
        // The last ones were taken away.
        let found = told(&export(&records(3)), Some(&known)).unwrap_err();
        assert_eq!(found, "record 4 is missing");
    }

    #[test]
    fn what_is_no_record_is_said_with_its_line() {
        let text = export(&records(2));
        for bad in ["{}", "nonsense", &"x".repeat(2 * LINE_BYTES_MAX)] {
            let found = told(&format!("{text}{bad}\n"), None).unwrap_err();
            assert!(found.starts_with("line 3 is no record"), "{found}");
        }
        for bad in ["", "1", "1:zz", ":00", "x:00"] {
            assert!(Mark::parse(bad).is_err(), "{bad}");
        }
    }
}
