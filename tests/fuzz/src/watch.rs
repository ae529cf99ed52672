//! Ends the process when an input takes for ever, and keeps that input: a loop without an end can be told in no other way.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::corpus;

/// So long may an input take. Far more than the deadline, since the machine may be busy.
const FOR_EVER: Duration = Duration::from_secs(60);
/// How often is looked.
const LOOK: Duration = Duration::from_secs(1);

/// What one thread tries at the moment.
pub struct Slot {
    target: &'static str,
    count: AtomicU64,
    input: Mutex<Vec<u8>>,
}

impl Slot {
    pub fn new(target: &'static str) -> Slot {
        Slot {
            target,
            count: AtomicU64::new(0),
            input: Mutex::new(Vec::new()),
        }
    }

    fn input(&self) -> MutexGuard<'_, Vec<u8>> {
        self.input.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread begins with this input.
    pub fn begin(&self, input: &[u8]) {
        let mut kept = self.input();
        kept.clear();
        kept.extend_from_slice(input);
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Looks at the slots until `ended`. A slot whose thread has ended stays as it is, so `ended` must come soon after that.
pub fn watch(slots: &[Slot], ended: &AtomicBool) {
    let mut seen: Vec<(u64, Instant)> = slots.iter().map(|_| (0, Instant::now())).collect();
    while !ended.load(Ordering::Relaxed) {
        std::thread::park_timeout(LOOK);
        for (slot, seen) in slots.iter().zip(&mut seen) {
            let count = slot.count.load(Ordering::Relaxed);
            if count != seen.0 {
                *seen = (count, Instant::now());
            } else if count > 0 && seen.1.elapsed() > FOR_EVER && !ended.load(Ordering::Relaxed) {
                give_up(slot);
            }
        }
    }
}

fn give_up(slot: &Slot) -> ! {
    let input = slot.input().clone();
    let kept: Result<PathBuf, _> = corpus::keep(slot.target, &input);
    println!(
        "{}: an input of {} bytes took more than {} s; kept: {kept:?}",
        slot.target,
        input.len(),
        FOR_EVER.as_secs()
    );
    std::process::exit(1)
}
