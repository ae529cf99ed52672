//! Changes to text: words, numbers, pieces, characters, and values of JSON.

use super::{piece_end, repeat, splice};
use crate::dice::Dice;

/// Characters that end or separate something in one of the grammars, or that nobody expects.
const ODD: &[&str] = &[
    "/", ":", "@", ".", "-", "_", "+", "=", "&", "?", "%", "#", ",", ";", "\"", "'", "\\", "{",
    "}", "[", "]", "(", "*", " ", "\t", "\r", "\n", "\0", "\u{7f}", "ä", "\u{202e}", "🦀", "0",
    "9", "a", "F", "z", "%2f", "%00", "%ff",
];

/// Changes a text once.
pub fn change(words: &[&str], pool: &[Vec<u8>], dice: &mut Dice, input: &mut Vec<u8>) {
    let at = dice.below(input.len() + 1);
    match dice.below(12) {
        0 if at < input.len() => input[at] = dice.pick(ODD).as_bytes()[0],
        1 if at < input.len() => input[at] = dice.byte(),
        2 => insert(at, dice.pick(ODD).as_bytes(), input),
        3 | 4 if !words.is_empty() => insert(at, dice.pick(words).as_bytes(), input),
        5 if !words.is_empty() => {
            let end = word_end(at, input);
            input.splice(at..end, dice.pick(words).bytes());
        }
        6 => drop(input.drain(at..piece_end(at, input.len(), dice))),
        7 => repeat(at, dice, input),
        8 => number(at, dice, input),
        9 | 10 => value(pool, dice, input),
        _ => splice(pool, dice, input),
    }
}

fn insert(at: usize, piece: &[u8], input: &mut Vec<u8>) {
    input.splice(at..at, piece.iter().copied());
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn word_end(at: usize, input: &[u8]) -> usize {
    let len = input[at..]
        .iter()
        .take_while(|byte| is_of_word(**byte))
        .count();
    at + len.max(1).min(input.len() - at)
}

/// Puts another number in the place of the next one.
fn number(at: usize, dice: &mut Dice, input: &mut Vec<u8>) {
    let Some(begin) = input[at..].iter().position(u8::is_ascii_digit) else {
        return insert(at, dice.number().to_string().as_bytes(), input);
    };
    let begin = at + begin;
    let len = input[begin..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let number = match dice.below(8) {
        0 => format!("{}0", u64::MAX),
        1 => format!("-{}", dice.number()),
        2 => format!("0{}", dice.number()),
        _ => dice.number().to_string(),
    };
    input.splice(begin..begin + len, number.bytes());
}

/// Puts a value of JSON, or something in brackets or quotes, in the place of another.
fn value(pool: &[Vec<u8>], dice: &mut Dice, input: &mut Vec<u8>) {
    const OTHERS: &[&str] = &[
        "null",
        "true",
        "0",
        "-1",
        "1e999",
        "\"\"",
        "[]",
        "{}",
        "[[]]",
        "{\"a\":{}}",
        "\"\\ud800\"",
        "\"a\"",
        "2",
    ];
    let Some((begin, end)) = value_from(dice.below(input.len() + 1), input) else {
        return;
    };
    if dice.once_in(2) || pool.is_empty() {
        input.splice(begin..end, dice.pick(OTHERS).bytes());
        return;
    }
    let other = dice.pick(pool);
    if let Some((from, to)) = value_from(dice.below(other.len() + 1), other) {
        input.splice(begin..end, other[from..to].iter().copied());
    }
}

/// The first value at or after `at`.
fn value_from(at: usize, text: &[u8]) -> Option<(usize, usize)> {
    let begins = |byte: &u8| matches!(byte, b'{' | b'[' | b'"');
    let begin = at + text.get(at..)?.iter().position(begins)?;
    let mut depth = 0_usize;
    let mut quoted = false;
    for (offset, byte) in text[begin..].iter().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth += 1,
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth == 0 && !quoted {
            return Some((begin, begin + offset + 1));
        }
    }
    None
}

/// A hash of a text in which all letters are one, all digits are one, and repetition does not count.
pub fn form(text: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut before = 0;
    for byte in text {
        let class = match byte {
            b'0'..=b'9' => b'0',
            b'a'..=b'z' => b'a',
            b'A'..=b'Z' => b'A',
            0x80.. => 0x80,
            other => *other,
        };
        if class != before {
            hash = (hash ^ u64::from(class)).wrapping_mul(0x0100_0000_01b3);
        }
        before = class;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_whole() {
        let text = br#"{"a":[1,{"b":"]"}],"c":2}"#;
        let found = |at| value_from(at, text).map(|(a, b)| String::from_utf8_lossy(&text[a..b]));
        assert_eq!(
            found(0).as_deref(),
            Some(std::str::from_utf8(text).unwrap_or(""))
        );
        assert_eq!(found(4).as_deref(), Some(r#"[1,{"b":"]"}]"#));
        assert_eq!(found(6).as_deref(), Some(r#"{"b":"]"}"#));
    }
}
