//! Weights become a network that runs without allocating.

pub mod predictions;

pub use predictions::{Filter, Prediction, Selection};
