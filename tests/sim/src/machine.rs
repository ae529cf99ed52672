//! The machine that a seed runs on: its clocks, its randomness and its process. The only file here with `unsafe`.
//!
//! A seed runs in a process of its own, forked from one that has run nothing, so that nothing of a run depends on another
//! one: not a counter that a library keeps, not the order of threads. In that process the functions of the C library
//! that tell the time, give random bytes and wait are the ones below, which answer from the seed and from the simulated
//! clock. Simulated time stands still while code runs and moves when the runtime waits: by as much as it would have waited.
//! In every other process they do what the C library does.
//!
//! So `std`'s hash maps, tokio's fairness, `Instant` and `SystemTime` are determined without a change of the product.
//!
//! Why `unsafe`: functions of the C library are replaced (`no_mangle`), and called. Each writes only what its caller gave
//! it to write to, and the fork's child touches nothing that another thread of its parent may have locked, but the allocator, which
//! the C library makes safe.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::FromRawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

/// Simulated clocks begin here: late enough that nothing that subtracts goes below zero.
const BEGINNING_NS: u64 = 1_000_000_000_000_000;
/// The wall clock at the beginning, in nanoseconds after the epoch.
const WALL_BEGINNING_NS: i64 = 1_700_000_000_000_000_000;
/// A seed that runs for so long does not end.
const SECONDS_MAX: u32 = 120;
/// The stack of the thread that runs a seed.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// The heap of a seed grows by so much at once.
const HEAP_STEP_BYTES: libc::c_int = 8 * 1024 * 1024;

static SIMULATED: AtomicBool = AtomicBool::new(false);
static NOW_NS: AtomicU64 = AtomicU64::new(BEGINNING_NS);
static WALL_OFFSET_NS: AtomicI64 = AtomicI64::new(0);
/// What the runtime wakes itself with, and whether it has.
static WAKER: AtomicI32 = AtomicI32::new(-1);
static WOKEN: AtomicBool = AtomicBool::new(false);
static RANDOM: AtomicU64 = AtomicU64::new(0);
static PANIC: Mutex<Option<String>> = Mutex::new(None);

/// How much simulated time has passed.
#[must_use]
pub fn elapsed() -> Duration {
    Duration::from_nanos(NOW_NS.load(Relaxed) - BEGINNING_NS)
}

/// The first panic of the run, wherever it was: a task's panic ends that task only.
#[must_use]
pub fn panicked() -> Option<String> {
    PANIC.lock().clone()
}

/// Makes the wall clock jump.
pub fn jump_wall_clock(by_ms: i64) {
    WALL_OFFSET_NS.fetch_add(by_ms.saturating_mul(1_000_000), Relaxed);
}

/// One step of splitmix64, which turns any sequence of states into numbers that look random.
#[must_use]
pub fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Replaces the C library's: all clocks are the simulated one, and that of the time of day has an offset.
#[unsafe(no_mangle)]
extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> libc::c_int {
    if !SIMULATED.load(Relaxed) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) } as libc::c_int;
    }
    let passed = NOW_NS.load(Relaxed) as i64;
    let ns = match clock {
        libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE => {
            WALL_BEGINNING_NS + (passed - BEGINNING_NS as i64) + WALL_OFFSET_NS.load(Relaxed)
        }
        _ => passed,
    };
    let told = libc::timespec {
        tv_sec: ns / 1_000_000_000,
        tv_nsec: ns % 1_000_000_000,
    };
    // SAFETY: the caller gives a place for one `timespec`, as the function's contract says.
    unsafe { time.write(told) };
    0
}

/// Replaces the C library's: the bytes follow from the seed.
#[unsafe(no_mangle)]
extern "C" fn getrandom(
    buffer: *mut libc::c_void,
    len: libc::size_t,
    flags: libc::c_uint,
) -> libc::ssize_t {
    if !SIMULATED.load(Relaxed) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { libc::syscall(libc::SYS_getrandom, buffer, len, flags) } as libc::ssize_t;
    }
    for at in 0..len {
        let state = RANDOM.fetch_add(1, Relaxed);
        // SAFETY: the caller gives a place for `len` bytes.
        unsafe { buffer.cast::<u8>().add(at).write(mix(state) as u8) };
    }
    len as libc::ssize_t
}

/// Replaces the C library's: what the runtime wakes itself with is remembered. It asks the machine twice for each timer else.
#[unsafe(no_mangle)]
extern "C" fn eventfd(initial: libc::c_uint, flags: libc::c_int) -> libc::c_int {
    // SAFETY: the caller's arguments, unchanged.
    let descriptor = unsafe { libc::syscall(libc::SYS_eventfd2, initial, flags) } as libc::c_int;
    if SIMULATED.load(Relaxed) {
        WAKER.store(descriptor, Relaxed);
    }
    descriptor
}

/// Replaces the C library's: what the runtime wakes itself with is no call of the machine.
#[unsafe(no_mangle)]
extern "C" fn write(
    descriptor: libc::c_int,
    bytes: *const libc::c_void,
    len: libc::size_t,
) -> libc::ssize_t {
    if SIMULATED.load(Relaxed) && descriptor == WAKER.load(Relaxed) {
        WOKEN.store(true, Relaxed);
        return len as libc::ssize_t;
    }
    // SAFETY: the caller's arguments, unchanged.
    unsafe { libc::syscall(libc::SYS_write, descriptor, bytes, len) as libc::ssize_t }
}

/// Replaces the C library's: there are no files and no sockets, so nothing is ever ready, and time passes at once.
#[unsafe(no_mangle)]
extern "C" fn epoll_wait(
    epoll: libc::c_int,
    events: *mut libc::epoll_event,
    max: libc::c_int,
    timeout: libc::c_int,
) -> libc::c_int {
    if SIMULATED.load(Relaxed) {
        if !WOKEN.swap(false, Relaxed) {
            // A wait without an end would be one for ever: whoever simulates has a timer that ends the run.
            let ms = u64::try_from(timeout).unwrap_or(1_000);
            NOW_NS.fetch_add(ms * 1_000_000, Relaxed);
        }
        return 0;
    }
    let none: *const libc::sigset_t = std::ptr::null();
    // SAFETY: the caller's arguments, and no mask of signals.
    unsafe {
        libc::syscall(
            libc::SYS_epoll_pwait,
            epoll,
            events,
            max,
            timeout,
            none,
            0usize,
        ) as libc::c_int
    }
}

/// A seed that runs in a process of its own.
pub struct Running {
    process: libc::pid_t,
    report: File,
}

/// Runs `work` on a simulated machine of this seed.
///
/// # Errors
/// When no process can be made.
pub fn start(seed: u64, work: impl FnOnce() -> Vec<u8> + Send + 'static) -> io::Result<Running> {
    let mut ends = [0; 2];
    // SAFETY: a place for two descriptors, which are owned from here on.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as above.
    let (report, sink) = unsafe { (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1])) };
    // SAFETY: the child calls nothing that depends on other threads; see the header.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            drop(report);
            let code = in_child(seed, sink, work);
            // SAFETY: ends this process and nothing else; what its parent would do at exit is not done.
            unsafe { libc::_exit(code) }
        }
        process => Ok(Running { process, report }),
    }
}

fn in_child(seed: u64, mut sink: File, work: impl FnOnce() -> Vec<u8> + Send + 'static) -> i32 {
    // SAFETY: asks for a signal that ends this process.
    unsafe { libc::alarm(SECONDS_MAX) };
    // SAFETY: nobody else is here to allocate. One heap for all threads, which grows in large steps and never shrinks.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_TOP_PAD, HEAP_STEP_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
        libc::mallopt(libc::M_MMAP_THRESHOLD, libc::c_int::MAX);
    }
    std::panic::set_hook(Box::new(|info| {
        PANIC.lock().get_or_insert_with(|| info.to_string());
    }));
    RANDOM.store(mix(seed), Relaxed);
    SIMULATED.store(true, Relaxed);
    // A fresh thread: what the parent's thread remembers of its randomness is not the seed's.
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    let done = thread.spawn(work).map(std::thread::JoinHandle::join);
    match done {
        Ok(Ok(bytes)) => i32::from(sink.write_all(&bytes).is_err()),
        _ => 2,
    }
}

impl Running {
    /// Waits for what the work gave.
    ///
    /// # Errors
    /// When it panicked, or did not end.
    pub fn finish(mut self) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let read = self.report.read_to_end(&mut bytes);
        let mut status = 0;
        // SAFETY: a child of this process that was not waited for yet, and a place for its status.
        let waited = unsafe { libc::waitpid(self.process, &raw mut status, 0) };
        if waited == self.process && libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0 {
            read.map_err(|error| error.to_string())?;
            return Ok(bytes);
        }
        Err(format!(
            "the process of the seed ended with status {status:#x} (a panic, or {SECONDS_MAX} s were not enough)"
        ))
    }
}
