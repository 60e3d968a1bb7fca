//! MobileNet v1 ([arXiv 1704.04861](https://arxiv.org/abs/1704.04861)) for the browser and for the desk.
//!
//! The modules stand in the order the data flows:
//!
//! 1. [`shape`], [`model`]: what a MobileNet is, what it costs, the form its weights take;
//! 2. [`formats`]: bytes of a model file become [`Weights`], and back;
//! 3. [`kernels`]: arithmetic on slices, over a small vector vocabulary;
//! 4. [`image`]: a frame of any size becomes the network's input;
//! 5. [`infer`]: weights become a network that runs without allocating, and predictions;
//! 6. [`train`]: labelled pictures become weights;
//! 7. `js` (in the browser only): the `MobileNet` class.

pub mod error;
#[cfg(test)]
pub mod numbers;
#[cfg(test)]
pub mod shape;
#[cfg(not(test))]
pub use mobilenet_kernels::{numbers, shape};

pub mod model;

pub mod formats;

// Compiled as a crate of its own, for speed whatever the rest is compiled for; its tests run with all others.
#[cfg(test)]
pub mod kernels;
#[cfg(not(test))]
pub use mobilenet_kernels::kernels;

pub mod image;

pub mod infer;

pub mod train;

#[cfg(all(target_arch = "wasm32", feature = "class"))]
pub mod js;
#[cfg(all(target_arch = "wasm32", feature = "readers", not(feature = "class")))]
#[path = "js/reader.rs"]
pub mod js;

pub use error::{Error, Result};
pub use model::{Architecture, Weights};

/// The tests of the kernels run in a browser too: there `use crate::browser_test as test` stands for Rust's own `test`.
#[cfg(all(test, target_arch = "wasm32"))]
use wasm_bindgen_test::wasm_bindgen_test as browser_test;
#[cfg(all(test, target_arch = "wasm32"))]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);
