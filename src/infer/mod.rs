//! Weights become a network that runs without allocating, and its answers predictions.
//!
//! Goes in: [`Weights`](crate::Weights), then a frame in [`Network::input`]. Comes out: probabilities, logits, the
//! embedding, the last feature map. `plan` lays out the memory once, `network` is the door, `float` the network in
//! 32-bit floats behind it and `int8` the one in bytes, which `quantise` makes; `threads` shares their rows out;
//! `predictions` puts names to
//! probabilities, `heatmap` a class to its place in the picture; `warm` runs the kernels before there is a network. Next: `js` and the CLI.

mod float;
pub mod heatmap;
mod int8;
pub mod network;
mod plan;
pub mod predictions;
pub mod quantise;
pub mod threads;
pub mod warm;

pub use network::{Input, Network, Observer, Precision};
pub use predictions::{Filter, Prediction, Selection};
