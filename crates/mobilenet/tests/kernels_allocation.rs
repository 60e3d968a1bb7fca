//! After `Network::new`, `run` allocates nothing: counted by the allocator of this test's own process.

#![cfg(not(target_arch = "wasm32"))] // the dependencies of native tests

use mobilenet::architecture::{Architecture, Convolution};
use mobilenet::quantize::for_precision;
use mobilenet::{Input, Network, Precision};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, counting.
struct Counting;

thread_local! {
    /// Of this thread: the one that waits for the test allocates too, when it likes.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

#[allow(unsafe_code)] // a global allocator cannot be written without; the library itself is not touched
// SAFETY: every call is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn run_allocates_nothing() {
    let small = Architecture { alpha: 0.25, resolution: 64, classes: 10, ..Architecture::default() };
    let standard = Architecture { convolution: Convolution::Standard, resolution: 32, ..small.clone() };
    for (architecture, precision) in
        [(&small, Precision::F32), (&small, Precision::Int8), (&standard, Precision::F32)]
    {
        let weights = mobilenet_testing::networks::random(architecture, 3);
        let mut network = Network::new(&for_precision(&weights, precision).unwrap(), precision).unwrap();
        match network.input() {
            Input::F32(input) => mobilenet_testing::networks::fill(input, 7, 1.0),
            Input::U8(input) => input.fill(77),
        }
        let before = ALLOCATIONS.get();
        assert!(before > 0, "the counter counts");
        for _ in 0..3 {
            network.run();
        }
        assert_eq!(ALLOCATIONS.get(), before, "{precision:?}");
    }
}
