//! Keys of JSON objects that no two parsers can read differently.
//!
//! Parsers disagree on which of two equal keys counts, and Go's ignores case (and folds `ſ` and the Kelvin sign). An
//! object in which that matters is refused: a client and the registry could see different layers in it. Keys that are
//! not the specification's may be anything, but once only.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Which keys an object has had so far.
pub(crate) struct Keys {
    known: &'static [&'static str],
    seen: BTreeSet<String>,
}

impl Keys {
    /// For an object whose fields are `known`, which are ASCII without upper-case duplicates.
    pub(crate) fn new(known: &'static [&'static str]) -> Keys {
        Keys {
            known,
            seen: BTreeSet::new(),
        }
    }

    /// Takes note of a key, or says why it must be refused.
    pub(crate) fn admit<E: serde::de::Error>(&mut self, key: &str) -> Result<(), E> {
        if let Some(known) = self
            .known
            .iter()
            .find(|known| key != **known && folds_to(key, known))
        {
            return Err(E::custom(format_args!(
                "a key differs from `{known}` by letter case only"
            )));
        }
        if self.seen.insert(key.to_owned()) {
            Ok(())
        } else {
            Err(E::custom("an object has the same key twice"))
        }
    }
}

/// Whether Go's `encoding/json` takes `key` for `known`.
fn folds_to(key: &str, known: &str) -> bool {
    let fold = |c: char| match c {
        'ſ' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    key.chars().map(fold).eq(known.chars().map(fold))
}

/// A value of which nothing is kept. Unlike serde's `IgnoredAny`, for which serde_json skips over strings unread, it is
/// JSON to every parser: no half of a surrogate pair, no number out of range. Recursive: ask [`is_nested_deeper`] first.
pub(crate) struct Skipped;

impl<'de> Deserialize<'de> for Skipped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Skipped)
    }
}

impl<'de> Visitor<'de> for Skipped {
    type Value = Skipped;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Skipped, E> {
        Ok(Skipped)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Skipped, E> {
        Ok(Skipped)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Skipped, E> {
        Ok(Skipped)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Skipped, E> {
        Ok(Skipped)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Skipped, E> {
        Ok(Skipped)
    }

    fn visit_str<E>(self, _: &str) -> Result<Skipped, E> {
        Ok(Skipped)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Skipped, A::Error> {
        while seq.next_element::<Skipped>()?.is_some() {}
        Ok(Skipped)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Skipped, A::Error> {
        while map.next_entry::<Skipped, Skipped>()?.is_some() {}
        Ok(Skipped)
    }
}

/// Whether arrays and objects are nested deeper than `depth_max`. Counts brackets outside of strings, in one pass and
/// without a stack, so that it may be asked before anything parses the text; of text that is not JSON the answer
/// means nothing.
pub(crate) fn is_nested_deeper(text: &[u8], depth_max: usize) -> bool {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > depth_max {
                    return true;
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}
