//! Requests that were damaged on their way, to repositories that no other operation names.

use super::{Operation, Run};
use crate::dice::Dice;
use crate::web::read_all;

/// Sends one, on a connection of its own.
pub fn send(run: &mut Run<'_>, operation: &Operation) {
    let mut dice = Dice::new(u64::from_le_bytes(*operation));
    let mut request = crate::targets::any_request(&mut dice, "wild/repository");
    for _ in 0..1 + dice.below(3) {
        crate::targets::damage(&mut dice, &mut request);
    }
    // A damaged name must not become one of those that the model knows.
    let known = |name: &str| {
        request
            .windows(name.len())
            .any(|part| part == name.as_bytes())
    };
    if ["/v2/a/", "b.c", "team", "from=a", "/a/"]
        .into_iter()
        .any(known)
    {
        return;
    }
    run.model.is_wild = true;
    let came = run.world.send(&request, false);
    if came.starts_with(b"HTTP/1.") {
        read_all(&came, true);
    }
    run.asked += 1;
}
