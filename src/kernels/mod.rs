//! Arithmetic on slices: kernels know shapes, not MobileNet.
//!
//! Goes in: maps as slices in HWC order, packed weights, a [`ConvShape`](crate::shape::ConvShape). Comes out: the
//! next map. `reference` is the definition of correct, `f32` and `int8` are fast and tested against it, `simd` is the
//! vocabulary that they are written in. Next: `infer` and `train` string them together.

pub mod aligned;
pub mod f32;
pub mod int8;
pub mod reference;
pub mod simd;
