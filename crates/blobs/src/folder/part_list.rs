//! The list of the parts that make an object, as it is kept beside them.
//!
//! ```text
//! holdfast parts 1
//! 1 8388608
//! 4 17
//! crc32 0a1b2c3d
//! ```
//!
//! Numbers rise, sizes are bytes, and the checksum covers all before its line. A list that is damaged must never be
//! read as a shorter one. This format is persisted: a change needs a new number in the first line, and old lists are
//! read for ever.

use std::fmt::Write;

const HEAD: &str = "holdfast parts 1\n";

/// A part of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ListedPart {
    pub(super) number: u32,
    pub(super) size: u64,
}

/// The text of a list.
pub(super) fn write(parts: &[ListedPart]) -> String {
    let mut text = HEAD.to_owned();
    for part in parts {
        writeln!(text, "{} {}", part.number, part.size).expect("a string takes any text");
    }
    let sum = crc32fast::hash(text.as_bytes());
    writeln!(text, "crc32 {sum:08x}").expect("a string takes any text");
    text
}

/// Reads a list; `None` when it is damaged or of an unknown format.
pub(super) fn read(text: &str) -> Option<Vec<ListedPart>> {
    let sum_at = text.rfind("crc32 ")?;
    let (body, sum_line) = text.split_at(sum_at);
    if sum_line != format!("crc32 {:08x}\n", crc32fast::hash(body.as_bytes())) {
        return None;
    }
    let parts: Option<Vec<ListedPart>> = body.strip_prefix(HEAD)?.lines().map(read_part).collect();
    parts.filter(|parts| parts.is_sorted_by(|a, b| a.number < b.number))
}

fn read_part(line: &str) -> Option<ListedPart> {
    let (number, size) = line.split_once(' ')?;
    Some(ListedPart {
        number: number.parse().ok()?,
        size: size.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: [ListedPart; 3] = [
        ListedPart {
            number: 1,
            size: 8_388_608,
        },
        ListedPart {
            number: 4,
            size: 8_388_608,
        },
        ListedPart {
            number: 10_000,
            size: 17,
        },
    ];

    #[test]
    fn the_golden_list_is_read_for_ever() {
        let golden = include_str!("../../tests/golden/part_list_1.txt");
        assert_eq!(read(golden).unwrap(), PARTS);
        assert_eq!(write(&PARTS), golden);
    }

    #[test]
    fn no_damage_goes_unseen() {
        let text = write(&PARTS);
        for end in 0..text.len() {
            assert_eq!(read(&text[..end]), None, "cut at {end}");
        }
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            assert_eq!(
                String::from_utf8(bytes).ok().and_then(|text| read(&text)),
                None,
                "flipped at {at}"
            );
        }
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        for left_out in 0..lines.len() {
            let rest: String = lines
                .iter()
                .enumerate()
                .filter(|(n, _)| *n != left_out)
                .map(|(_, line)| *line)
                .collect();
            assert_eq!(read(&rest), None, "without line {left_out}");
        }
    }
}
