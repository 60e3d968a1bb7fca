//! `src/kernels` and the letters it is written in, as a crate of their own: loops must be optimised for speed, and
//! everything around them, where a build is to be small, for size; Cargo knows an optimisation level per crate only.
//!
//! The files stand in their rooms in `src`, and `mobilenet` shows them under their names there.

#[path = "../src/kernels/mod.rs"]
pub mod kernels;
#[path = "../src/shape.rs"]
pub mod shape;
