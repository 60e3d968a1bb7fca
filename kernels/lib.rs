//! `src/kernels`, the letters it is written in and the loops that reading a file consists of, as a crate of their own:
//! loops must be optimised for speed, and everything around them, where a build is to be small, for size; Cargo knows an
//! optimisation level per crate only.
//!
//! The files stand in their rooms in `src`, and `mobilenet` shows them under their names there.

#[path = "../src/kernels/mod.rs"]
pub mod kernels;
#[path = "../src/numbers.rs"]
pub mod numbers;
#[path = "../src/shape.rs"]
pub mod shape;
