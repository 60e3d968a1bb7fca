//! The class as a page uses it, in a real browser: every kind of frame, every option, every error, and memory.
//!
//! `wasm-pack test --headless --chrome`. The networks are small and made here; nothing is fetched but what these pages
//! serve themselves.
#![cfg(target_arch = "wasm32")]

mod callers;
mod errors;
mod frames;
mod loading;
mod memory;
mod networks;
mod page;
mod teaching;

wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);
