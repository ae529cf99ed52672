//! What a panic said, on the thread that it was on. While an input is tried, panics are not printed.

use std::cell::{Cell, RefCell};
use std::sync::Once;

thread_local! {
    static LISTENS: Cell<bool> = const { Cell::new(false) };
    static HEARD: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

/// Where something panicked, and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panic {
    /// File and line.
    pub place: String,
    /// What it said.
    pub message: String,
}

/// Has panics of threads that try an input kept instead of printed. Once for a process.
pub fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let printing = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !LISTENS.get() {
                return printing(info);
            }
            let message = info.payload_as_str().unwrap_or("no text").to_owned();
            let place = info
                .location()
                .map_or_else(String::new, |at| format!("{}:{}", at.file(), at.line()));
            HEARD.with_borrow_mut(|heard| {
                heard.get_or_insert(Panic { place, message });
            });
        }));
    });
}

/// Runs `work`, and gives its value, or the first panic on this thread meanwhile, wherever that was caught.
pub fn heard<T>(work: impl FnOnce() -> T) -> Result<T, Panic> {
    LISTENS.set(true);
    HEARD.take();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    LISTENS.set(false);
    match (HEARD.take(), result) {
        (Some(panic), _) => Err(panic),
        (None, Ok(value)) => Ok(value),
        (None, Err(_)) => Err(Panic {
            place: String::new(),
            message: "a panic that the hook did not see".to_owned(),
        }),
    }
}
