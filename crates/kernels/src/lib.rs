#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

pub mod aligned;
pub mod f32;
pub mod int8;
pub mod layout;
pub mod reference;
pub mod shape;
pub mod simd;

/// `use crate::browser_test as test` in a test module runs its tests in a browser when the target is wasm.
#[cfg(all(test, target_arch = "wasm32"))]
use wasm_bindgen_test::wasm_bindgen_test as browser_test;
#[cfg(all(test, target_arch = "wasm32"))]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);
