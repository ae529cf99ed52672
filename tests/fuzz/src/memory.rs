//! Counts what each thread has allocated, so that an input that makes a parser take too much memory is found.
//!
//! The one module with `unsafe`: an allocator cannot be written without. It hands every call to the system's allocator as it
//! came and only counts beside it; the counters are plain cells of the thread that need no memory and no destructor.
#![allow(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static NOW: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

fn count(bytes: isize) {
    // A thread that ends may free after its cells are gone.
    let _ = NOW.try_with(|now| {
        now.set(now.get() + bytes);
        let _ = MOST.try_with(|most| most.set(most.get().max(now.get())));
    });
}

fn signed(bytes: usize) -> isize {
    isize::try_from(bytes).unwrap_or(isize::MAX)
}

// SAFETY: every call goes to the system's allocator with the same arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(signed(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(signed(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-signed(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(signed(size) - signed(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Begins to count from what this thread holds now.
pub fn begin() -> isize {
    let now = NOW.get();
    MOST.set(now);
    now
}

/// The most bytes that this thread has held since [`begin`], beyond what it held then.
pub fn most_since(begun: isize) -> usize {
    usize::try_from(MOST.get() - begun).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_allocated_and_freed_is_counted() {
        let begun = super::begin();
        drop(std::hint::black_box(vec![1_u8; 100_000]));
        assert!((100_000..200_000).contains(&super::most_since(begun)));
    }
}
