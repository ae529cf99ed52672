//! Changes to inputs, by their shape. Pure but for the dice.

mod fields;
mod text;

use crate::dice::Dice;
use crate::target::Shape;

/// Changes `input` once; `pool` has others to take pieces from.
pub fn change(shape: Shape, pool: &[Vec<u8>], dice: &mut Dice, input: &mut Vec<u8>) {
    match shape {
        Shape::Text(words) => text::change(words, pool, dice, input),
        Shape::Fields(before) if !dice.once_in(6) => fields::change(before, pool, dice, input),
        Shape::Fields(_) | Shape::Bytes => bytes(pool, dice, input),
        Shape::Records(len) => records(len, pool, dice, input),
    }
}

/// What an input looks like, so that one that looks like another is not kept twice.
pub fn form(shape: Shape, input: &[u8]) -> u64 {
    match shape {
        Shape::Text(_) => text::form(input),
        Shape::Fields(before) => {
            let (kind, fields) = input.split_at(before.min(input.len()));
            fields::form(fields)
                ^ kind
                    .iter()
                    .fold(0, |form, byte| form << 8 | u64::from(*byte))
        }
        // Bits of the length, and the first bytes: kinds and versions stand there.
        Shape::Bytes => input.iter().take(4).fold(
            u64::from(input.len().checked_ilog2().unwrap_or(0)),
            |form, byte| form << 8 | u64::from(*byte),
        ),
        Shape::Records(_) => 1,
    }
}

/// Changes bytes of any kind.
fn bytes(pool: &[Vec<u8>], dice: &mut Dice, input: &mut Vec<u8>) {
    let at = dice.below(input.len() + 1);
    match dice.below(9) {
        0 if at < input.len() => input[at] ^= 1 << dice.below(8),
        1 if at < input.len() => input[at] = *dice.pick(&[0, 1, 0x7f, 0x80, 0xff]),
        2 if at < input.len() => input[at] = dice.byte(),
        3 => input.insert(at, dice.byte()),
        4 => drop(input.drain(at..piece_end(at, input.len(), dice))),
        5 => repeat(at, dice, input),
        6 => input.truncate(at),
        7 => number(at, dice, input),
        _ => splice(pool, dice, input),
    }
}

/// Where a piece that begins at `at` ends: mostly soon.
pub fn piece_end(at: usize, len: usize, dice: &mut Dice) -> usize {
    let longest = if dice.once_in(4) {
        len - at
    } else {
        8.min(len - at)
    };
    at + dice.below(longest + 1)
}

/// Writes a piece once more after itself.
pub fn repeat(at: usize, dice: &mut Dice, input: &mut Vec<u8>) {
    let end = piece_end(at, input.len(), dice);
    let piece = input[at..end].to_vec();
    let times = if dice.once_in(16) { 64 } else { 1 };
    for _ in 0..times {
        input.splice(end..end, piece.iter().copied());
    }
}

/// Writes a number over what is there, in one of the widths and orders that formats have.
fn number(at: usize, dice: &mut Dice, input: &mut [u8]) {
    let number = dice.number();
    let width = *dice.pick(&[1, 2, 4, 8]);
    let bytes = if dice.once_in(2) {
        number.to_le_bytes()[..width].to_vec()
    } else {
        number.to_be_bytes()[8 - width..].to_vec()
    };
    if let Some(place) = input.get_mut(at..at + width) {
        place.copy_from_slice(&bytes);
    }
}

/// Takes a piece of another input.
pub fn splice(pool: &[Vec<u8>], dice: &mut Dice, input: &mut Vec<u8>) {
    if pool.is_empty() {
        return;
    }
    let other = dice.pick(pool);
    let from = dice.below(other.len() + 1);
    let end = piece_end(from, other.len(), dice);
    let at = dice.below(input.len() + 1);
    let over = if dice.once_in(2) {
        at
    } else {
        piece_end(at, input.len(), dice)
    };
    input.splice(at..over, other[from..end].iter().copied());
}

/// Adds, removes, repeats, moves, or changes whole records.
fn records(len: usize, pool: &[Vec<u8>], dice: &mut Dice, input: &mut Vec<u8>) {
    input.truncate(input.len() / len * len);
    let count = input.len() / len;
    let at = dice.below(count + 1) * len;
    match dice.below(6) {
        0 if at < input.len() => drop(input.drain(at..at + len)),
        1 if at < input.len() => {
            let record = input[at..at + len].to_vec();
            let to = dice.below(count + 1) * len;
            input.splice(to..to, record);
        }
        2 | 3 if at < input.len() => input[at + dice.below(len)] = dice.byte(),
        4 if !pool.is_empty() => {
            let other = dice.pick(pool);
            let from = dice.below(other.len() / len + 1) * len;
            let many = dice.below((other.len() - from) / len + 1) * len;
            input.splice(at..at, other[from..from + many].iter().copied());
        }
        _ => {
            let record: Vec<u8> = (0..len).map(|_| dice.byte()).collect();
            input.splice(at..at, record);
        }
    }
}
