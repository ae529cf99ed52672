//! What is fuzzed: one parser, or one thing that takes bytes.

use crate::dice::Dice;

/// One parser.
pub struct Target {
    /// As the command line names it, and the folder of its corpus.
    pub name: &'static str,
    /// Good inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Makes a good input by a grammar.
    pub generate: Option<fn(&mut Dice) -> Vec<u8>>,
    /// How inputs are changed.
    pub shape: Shape,
    /// Makes checksums right again after a change.
    pub repair: Option<fn(&mut Vec<u8>)>,
    /// Forgets what earlier inputs left behind; called before each part of a run.
    pub fresh: fn(),
    /// Takes an input. Panics when something does not hold.
    pub check: fn(&[u8]) -> Verdict,
}

/// What inputs look like, so that changes come near to what is read.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// Text, and the words that it may consist of.
    Text(&'static [&'static str]),
    /// Fields of protobuf, after so many bytes that are none.
    Fields(usize),
    /// Bytes of any kind.
    Bytes,
    /// Records of so many bytes each, which are moved and repeated as they are.
    Records(usize),
}

/// What became of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// How many things were tried: requests of a sequence, otherwise one.
    pub units: u64,
    /// How many of these were accepted.
    pub accepted: u64,
    /// Inputs that went another way differ in it.
    pub way: u64,
}

impl Verdict {
    /// It was read.
    #[must_use]
    pub fn accepted() -> Verdict {
        Verdict {
            units: 1,
            accepted: 1,
            way: 0,
        }
    }

    /// It was refused with this reason, whose numbers do not matter.
    #[must_use]
    pub fn refused(reason: &str) -> Verdict {
        Verdict {
            units: 1,
            accepted: 0,
            way: way_of(reason.as_bytes()) | 1,
        }
    }
}

/// A hash of a text in which digits are equal and a number is as good as any other.
pub fn way_of(text: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut before = 0;
    for byte in text {
        let class = if byte.is_ascii_digit() { b'0' } else { *byte };
        if class == b'0' && before == b'0' {
            continue;
        }
        before = class;
        hash = (hash ^ u64::from(class)).wrapping_mul(0x0100_0000_01b3);
    }
    hash
}
