//! The machine of a run: its time and its randomness, which are all that a seed decides below the program.
//!
//! The C library's `clock_gettime` and `getrandom` are defined here. On the thread of a run they answer from the simulated
//! clock and from the seed; on any other thread they ask the system. So `Instant`, `SystemTime`, the order of hash maps,
//! ids and election timeouts are all the seed's, without a change of the program. The one file here with `unsafe`.

#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};

use crate::dice::Dice;

/// The monotonic clock begins here: nothing begins at zero.
const BEGIN_MS: u64 = 1_000_000;
/// What the time of day is then, in milliseconds since the epoch.
const DAY_MS: u64 = 1_800_000_000_000;

thread_local! {
    /// Milliseconds of the simulated clock; `None` on threads that are no run.
    static NOW: Cell<Option<u64>> = const { Cell::new(None) };
    static DICE: RefCell<Dice> = const { RefCell::new(Dice::new(0)) };
}

/// Makes this thread the one of a run.
pub fn begin(seed: u64) {
    DICE.set(Dice::new(seed));
    NOW.set(Some(BEGIN_MS));
}

/// Milliseconds since the run began.
#[must_use]
pub fn now_ms() -> u64 {
    NOW.get().map_or(0, |now| now - BEGIN_MS)
}

/// Sets the clock.
pub fn set_now_ms(ms: u64) {
    NOW.set(Some(BEGIN_MS + ms));
}

/// The time of day on a right clock.
#[must_use]
pub fn day_ms() -> u64 {
    DAY_MS + now_ms()
}

/// # Safety
/// As the C library's: `time` is null or points to a `timespec`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> i32 {
    let now = NOW.try_with(Cell::get).ok().flatten();
    let ms = match (now, clock) {
        (
            Some(now),
            libc::CLOCK_MONOTONIC
            | libc::CLOCK_MONOTONIC_COARSE
            | libc::CLOCK_MONOTONIC_RAW
            | libc::CLOCK_BOOTTIME,
        ) => now,
        (Some(now), libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE) => DAY_MS + now - BEGIN_MS,
        // SAFETY: the arguments are the caller's, who keeps the contract of the call.
        _ => return unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) as i32 },
    };
    if !time.is_null() {
        let value = libc::timespec {
            tv_sec: (ms / 1000) as i64,
            tv_nsec: (ms % 1000 * 1_000_000) as i64,
        };
        // SAFETY: it is not null, and the caller says that it points to a `timespec`.
        unsafe { time.write(value) };
    }
    0
}

/// # Safety
/// As the C library's: `buffer` points to `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut libc::c_void, len: usize, flags: u32) -> isize {
    if NOW.try_with(Cell::get).ok().flatten().is_none() {
        // SAFETY: the arguments are the caller's, who keeps the contract of the call.
        return unsafe { libc::syscall(libc::SYS_getrandom, buffer, len, flags) as isize };
    }
    // SAFETY: the caller says that there are so many bytes.
    let bytes = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), len) };
    DICE.with_borrow_mut(|dice| dice.fill(bytes));
    isize::try_from(len).unwrap_or(isize::MAX)
}
