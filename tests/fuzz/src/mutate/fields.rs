//! Changes to protobuf that leave it well-formed: fields are taken apart, changed, and written with right lengths.
//!
//! Source: protobuf.dev, "Encoding".

use super::piece_end;
use crate::dice::Dice;

/// How deep messages are taken apart.
const DEPTH_MAX: usize = 6;

/// One field.
#[derive(Debug, Clone, PartialEq)]
struct Field {
    number: u64,
    value: Value,
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Varint(u64),
    Eight([u8; 8]),
    Four([u8; 4]),
    Bytes(Vec<u8>),
    Message(Vec<Field>),
}

/// Changes one field somewhere in the message that stands after so many bytes.
pub fn change(before: usize, pool: &[Vec<u8>], dice: &mut Dice, input: &mut Vec<u8>) {
    let after = |bytes: &[u8]| read(bytes.get(before..)?, DEPTH_MAX);
    let Some(mut fields) = after(input) else {
        return super::bytes(pool, dice, input);
    };
    let other = match pool.is_empty() {
        true => None,
        false => after(dice.pick::<Vec<u8>>(pool)),
    };
    change_message(&mut fields, other.as_deref().unwrap_or(&[]), dice);
    input.truncate(before);
    write(&fields, input);
}

fn change_message(fields: &mut Vec<Field>, other: &[Field], dice: &mut Dice) {
    let at = dice.below(fields.len() + 1);
    if at == fields.len() || dice.once_in(6) {
        return change_list(fields, at, other, dice);
    }
    match &mut fields[at].value {
        Value::Varint(number) => {
            *number = match dice.below(3) {
                0 => number.wrapping_add(1),
                1 => *number ^ 1 << dice.below(64),
                _ => dice.number(),
            };
        }
        Value::Eight(bytes) => *bytes = dice.number().to_le_bytes(),
        Value::Four(bytes) => bytes.copy_from_slice(&dice.number().to_le_bytes()[..4]),
        Value::Bytes(bytes) => change_bytes(bytes, dice),
        Value::Message(inner) => {
            let inside = other.iter().find_map(|field| match &field.value {
                Value::Message(inside) => Some(inside.as_slice()),
                _ => None,
            });
            change_message(inner, inside.unwrap_or(other), dice);
        }
    }
}

fn change_list(fields: &mut Vec<Field>, at: usize, other: &[Field], dice: &mut Dice) {
    match dice.below(6) {
        0 if at < fields.len() => drop(fields.remove(at)),
        1 if at < fields.len() => fields.insert(at, fields[at].clone()),
        2 if at < fields.len() => {
            let to = dice.below(fields.len());
            fields.swap(at, to);
        }
        3 if at < fields.len() => fields[at].number = 1 + dice.next() % 20,
        4 if !other.is_empty() => fields.insert(at, dice.pick(other).clone()),
        _ => {
            let number = 1 + dice.next() % 12;
            let place = fields.partition_point(|field| field.number <= number);
            let value = fresh(dice, 2);
            fields.insert(place, Field { number, value });
        }
    }
}

fn fresh(dice: &mut Dice, depth: usize) -> Value {
    match dice.below(if depth == 0 { 5 } else { 7 }) {
        0..=2 => Value::Varint(dice.number()),
        3 => Value::Bytes(b"text".to_vec()),
        4 => Value::Bytes((0..dice.below(40)).map(|_| dice.byte()).collect()),
        _ => {
            let count = 1 + dice.below(3) as u64;
            let field = |number| Field {
                number,
                value: fresh(dice, depth - 1),
            };
            Value::Message((1..=count).map(field).collect())
        }
    }
}

fn change_bytes(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.below(bytes.len() + 1);
    match dice.below(6) {
        0 if at < bytes.len() => bytes[at] = dice.byte(),
        1 => bytes.insert(at, *dice.pick(b"a0/:.-_\0\x80")),
        2 => drop(bytes.drain(at..piece_end(at, bytes.len(), dice))),
        3 => super::repeat(at, dice, bytes),
        4 => {
            bytes.resize(
                *dice.pick(&[0, 1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 255]),
                b'a',
            );
        }
        _ if at < bytes.len() => bytes[at] = bytes[at].wrapping_add(1),
        _ => bytes.clear(),
    }
}

fn read(mut bytes: &[u8], depth: usize) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut bytes)?),
            1 => Value::Eight(take(&mut bytes, 8)?.try_into().ok()?),
            5 => Value::Four(take(&mut bytes, 4)?.try_into().ok()?),
            2 => {
                let len = usize::try_from(varint(&mut bytes)?).ok()?;
                let inner = take(&mut bytes, len)?;
                match read(inner, depth.saturating_sub(1)) {
                    Some(fields) if depth > 0 && !inner.is_empty() => Value::Message(fields),
                    _ => Value::Bytes(inner.to_vec()),
                }
            }
            _ => return None,
        };
        let number = key >> 3;
        if number == 0 {
            return None;
        }
        fields.push(Field { number, value });
    }
    Some(fields)
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in 0..10 {
        let byte = take(bytes, 1)?[0];
        number |= u64::from(byte & 0x7f).checked_shl(7 * shift)?;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn write(fields: &[Field], out: &mut Vec<u8>) {
    for field in fields {
        let kind = match field.value {
            Value::Varint(_) => 0,
            Value::Eight(_) => 1,
            Value::Bytes(_) | Value::Message(_) => 2,
            Value::Four(_) => 5,
        };
        write_varint(field.number << 3 | kind, out);
        match &field.value {
            Value::Varint(number) => write_varint(*number, out),
            Value::Eight(bytes) => out.extend_from_slice(bytes),
            Value::Four(bytes) => out.extend_from_slice(bytes),
            Value::Bytes(bytes) => {
                write_varint(bytes.len() as u64, out);
                out.extend_from_slice(bytes);
            }
            Value::Message(inner) => {
                let mut bytes = Vec::new();
                write(inner, &mut bytes);
                write_varint(bytes.len() as u64, out);
                out.extend_from_slice(&bytes);
            }
        }
    }
}

fn write_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

/// Which fields there are, in their order; bytes of one kind are one.
pub fn form(input: &[u8]) -> u64 {
    fn add(fields: &[Field], mut hash: u64) -> u64 {
        for field in fields {
            let (kind, inner) = match &field.value {
                Value::Varint(number) => (u64::from(number.checked_ilog2().unwrap_or(0)), None),
                Value::Eight(_) => (70, None),
                Value::Four(_) => (71, None),
                Value::Bytes(bytes) => (72 + u64::from(bytes.is_empty()), None),
                Value::Message(inner) => (74, Some(inner)),
            };
            hash = (hash ^ (field.number << 8 | kind)).wrapping_mul(0x0100_0000_01b3);
            if let Some(inner) = inner {
                hash = add(inner, hash).rotate_left(7);
            }
        }
        hash
    }
    read(input, DEPTH_MAX).map_or(2, |fields| add(&fields, 0xcbf2_9ce4_8422_2325))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_as_it_was() {
        let golden =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/wire/golden");
        let mut seen = 0;
        for entry in std::fs::read_dir(golden).expect("golden files").flatten() {
            let bytes = std::fs::read(entry.path()).expect("a file");
            let mut again = Vec::new();
            write(&read(&bytes, DEPTH_MAX).expect("protobuf"), &mut again);
            assert_eq!(again, bytes, "{:?}", entry.path());
            seen += 1;
        }
        assert!(seen > 100);
    }
}
