//! The pool of threads in the browser: rayon's, run by Web Workers that share this memory.
//!
//! Goes in: workers that `pkg/src/load.js` started, each of which calls [`run_thread`] and waits. Comes out: rayon's
//! global pool, of which the thread that calls [`start_threads`] is one. Next: whatever in `infer` asks rayon.
//!
//! The workers come to rayon, not rayon to the workers, so that the loader alone decides how a worker is started: by an
//! address that bundlers see and a strict content security policy allows.

use mobilenet_js::{Error, ErrorCode, Result};
use rayon::{ThreadBuilder, ThreadPoolBuilder};
use std::sync::{Condvar, Mutex, PoisonError, TryLockError};
use wasm_bindgen::prelude::*;

/// Threads that rayon wants run and no worker has taken yet.
static WANTED: Mutex<Vec<ThreadBuilder>> = Mutex::new(Vec::new());
static CAME: Condvar = Condvar::new();

/// The memory that the workers are to share.
#[wasm_bindgen(js_name = threadMemory)]
pub fn thread_memory() -> JsValue {
    wasm_bindgen::memory()
}

/// A worker becomes a thread of the pool; returns only if the pool ends.
#[wasm_bindgen(js_name = runThread)]
pub fn run_thread() {
    let mut wanted = WANTED.lock().unwrap_or_else(PoisonError::into_inner);
    let thread = loop {
        match wanted.pop() {
            Some(thread) => break thread,
            None => wanted = CAME.wait(wanted).unwrap_or_else(PoisonError::into_inner),
        }
    };
    drop(wanted);
    thread.run();
}

/// Makes the pool of `count` threads: this one, and `count − 1` workers that are in [`run_thread`].
///
/// Throws where there is a pool already.
#[wasm_bindgen(js_name = startThreads)]
pub fn start_threads(count: usize) -> Result<()> {
    let built = ThreadPoolBuilder::new()
        .num_threads(count)
        .use_current_thread()
        .spawn_handler(|thread| {
            // A page's own thread must not wait for a lock, and the workers hold this one for an instant only.
            let mut wanted = loop {
                match WANTED.try_lock() {
                    Ok(wanted) => break wanted,
                    Err(TryLockError::Poisoned(poisoned)) => break poisoned.into_inner(),
                    Err(TryLockError::WouldBlock) => std::hint::spin_loop(),
                }
            };
            wanted.push(thread);
            CAME.notify_one();
            Ok(())
        })
        .build_global();
    match built {
        Ok(()) => Ok(()),
        Err(error) => {
            let message = format!("threads: the pool could not be started: {error}");
            Err(Error::new(ErrorCode::UnsupportedEngine, message))
        }
    }
}
