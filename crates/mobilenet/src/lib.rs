//! MobileNet v1 ([arXiv 1704.04861](https://arxiv.org/abs/1704.04861)): architecture, weights, quantization and inference.
//!
//! * [`architecture`] computes every layer's shape from the hyperparameters, [`cost`] its multiply-adds and parameters;
//! * [`Weights`] holds the parameters with batch normalization folded in, [`quantize`] makes them int8;
//! * [`image`] resizes and normalizes a frame to the network's input;
//! * [`Network`] packs the weights once and runs without allocating;
//! * [`predictions`] picks the most probable classes, [`heatmap`] locates one in the image;
//! * [`Classifier`] is all of it behind one type.

#![forbid(unsafe_code)]

pub mod architecture;
mod classifier;
pub mod cost;
pub mod error;
pub mod heatmap;
pub mod image;
mod input;
pub mod network;
pub mod predictions;
pub mod quantize;
pub mod weights;
pub mod width;

pub use architecture::{Architecture, Layer, LayerKind};
pub use classifier::{Classifier, LayerTiming};
pub use error::{Error, Result};
pub use input::Input;
pub use network::{Network, Observer, Precision, Values, threads, warm_up};
pub use predictions::{Filter, Prediction, Selection};
pub use weights::{Kernel, LayerWeights, Weights};

/// In a browser the tests run under wasm-bindgen's harness: `use crate::browser_test as test` replaces Rust's own `test`.
#[cfg(all(test, target_arch = "wasm32"))]
use wasm_bindgen_test::wasm_bindgen_test as browser_test;
#[cfg(all(test, target_arch = "wasm32"))]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);
