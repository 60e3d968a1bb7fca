//! Weights become a network that runs without allocating, and its answers predictions.
//!
//! Goes in: [`Weights`](crate::Weights), then a frame in [`Network::input`]. Comes out: probabilities, logits, the
//! embedding, the last feature map. `plan` lays out the memory once, `network` is the door, `float` the network in
//! 32-bit floats behind it and `int8` the one in bytes, which `quantise` makes (`no_int8` where the feature is off);
//! `threads` shares their rows out; `predictions` puts names to probabilities, `heatmap` a class to its place in the
//! picture; `warm` runs the kernels before there is a network. Next: `js` and the CLI.

mod float;
pub mod heatmap;
#[cfg(feature = "int8")]
mod int8;
#[cfg(not(feature = "int8"))]
#[path = "no_int8.rs"]
mod int8;
pub mod network;
mod plan;
pub mod predictions;
#[cfg(feature = "int8")]
pub mod quantise;
pub mod threads;
pub mod warm;

pub use network::{Input, Network, Observer, Precision, Values};
pub use predictions::{Filter, Prediction, Selection};
