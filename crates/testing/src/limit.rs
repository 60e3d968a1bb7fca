//! Measures what reading one input takes: more than four times its length and 64 MB is a finding.
//!
//! A test or fuzzer that uses [`within`] declares the allocator:
//! `#[global_allocator] static ALLOCATOR: Measuring = Measuring;`

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The system's allocator, which knows how much is held and how much was at most.
pub struct Measuring;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Measuring {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Relaxed) + layout.size();
        MOST.fetch_max(held, Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Reads an input of so many bytes, which `name` names where it takes too much.
pub fn within<T>(name: &str, input: usize, read: impl FnOnce() -> T) -> T {
    let before = HELD.load(Relaxed);
    MOST.store(before, Relaxed);
    let value = read();
    let took = MOST.load(Relaxed).saturating_sub(before);
    assert!(took <= 4 * input + (64 << 20), "{name}: {took} bytes for an input of {input}");
    value
}
