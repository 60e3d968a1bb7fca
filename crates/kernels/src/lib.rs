#![doc = include_str!("../README.md")]

pub mod aligned;
pub mod f32;
pub mod int8;
pub mod layout;
pub mod reference;
pub mod shape;
pub mod simd;

/// In a browser the tests run under wasm-bindgen's harness: `use crate::browser_test as test` replaces Rust's own `test`.
#[cfg(all(test, target_arch = "wasm32"))]
use wasm_bindgen_test::wasm_bindgen_test as browser_test;
#[cfg(all(test, target_arch = "wasm32"))]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);
