//! Histories as people write them, for fixtures: the same as a counter-example's timeline.
//!
//! ```text
//! a  [----]          push 1 -> done
//! b     [------]     read -> absent
//! c        [----?    push 2
//! ```
//!
//! A line has a client, a bar, and words. `[` is the call, `]` the return, in columns that are times; a bar that ends with `?`
//! is of an operation whose outcome nobody knows. What follows `# ` is said to the reader only.

use crate::{Operation, Outcome};

/// Words that can be read back from what `Display` writes.
pub trait Words: Sized {
    /// Reads them; the error says what was not understood.
    fn parse(words: &str) -> Result<Self, String>;
}

/// Reads a history.
pub fn parse<I: Words, O: Words>(text: &str) -> Result<Vec<Operation<I, O>>, String> {
    let mut operations = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split("# ").next().unwrap_or_default().trim_end();
        if !line.is_empty() {
            let operation = operation(line);
            operations.push(operation.map_err(|error| format!("line {}: {error}", number + 1))?);
        }
    }
    Ok(operations)
}

fn operation<I: Words, O: Words>(line: &str) -> Result<Operation<I, O>, String> {
    let called = line.find('[').ok_or("no `[`")?;
    let rest = &line[called..];
    let length = rest.find([']', '?']).ok_or("a bar that does not end")?;
    let words = rest[length + 1..].trim();
    let is_known = rest.as_bytes()[length] == b']';
    let (input, output) = match words.split_once(" -> ") {
        Some((input, output)) => (input.trim(), Some(output.trim())),
        None => (words, None),
    };
    let outcome = match (is_known, output) {
        (true, Some(output)) => Outcome::Known {
            output: O::parse(output)?,
            returned: (called + length) as u64,
        },
        (false, None) => Outcome::Unknown,
        (true, None) => return Err("it returned, but what?".to_owned()),
        (false, Some(_)) => return Err("an outcome that is both known and unknown".to_owned()),
    };
    Ok(Operation {
        client: line[..called].trim().to_owned(),
        input: I::parse(input)?,
        called: called as u64,
        outcome,
    })
}
