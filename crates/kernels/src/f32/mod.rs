//! The kernels in 32-bit floats, written once over the vector types of [`simd`](crate::simd).
//!
//! Inference, one image at a time, from packed weights:
//!
//! - [`window`]: the standard 3×3 convolution (the first layer of a network), as a pointwise one over gathered windows;
//! - [`depthwise`]: the 3×3 depthwise convolution, which slides along a row;
//! - [`pointwise`]: the 1×1 convolution, nine tenths of a MobileNet's arithmetic; a fully connected layer is one of a
//!   single pixel;
//! - [`pool`] and [`softmax`];
//! - [`resample`]: weighted sums of pixels for resizing a camera frame to a network's input.
//!
//! `window` and `depthwise` compute any range of output rows, so that a caller can keep the values between two kernels
//! in the cache or distribute rows over threads. All of them match [`reference`](crate::reference), bit for bit unless
//! multiply-adds are fused.
//!
//! Training, one batch at a time: [`backward`] holds the convolutions forward and backward, [`batch_norm`], [`loss`]
//! and [`matmul`] what they are made of.

pub mod backward;
pub mod batch_norm;
pub mod depthwise;
mod lanes;
pub mod loss;
pub mod matmul;
pub mod pointwise;
pub mod pool;
pub mod resample;
pub mod softmax;
pub mod window;

use super::simd::F32x4;
use crate::shape::Activation;

/// The bounds of an activation as vectors.
#[derive(Clone, Copy)]
struct Bounds(F32x4, F32x4);

impl Bounds {
    fn of(activation: Activation) -> Self {
        let (low, high) = activation.bounds();
        Self(F32x4::splat(low), F32x4::splat(high))
    }

    #[inline(always)]
    fn clamp(self, value: F32x4) -> F32x4 {
        value.max(self.0).min(self.1)
    }
}

#[cfg(test)]
mod tests;
