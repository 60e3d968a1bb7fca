//! The kernels in 32-bit floats, written once over [`simd`](super::simd).
//!
//! Goes in: dense HWC maps, packed weights. Comes out: dense HWC maps, whole or a range of rows at a time, so that
//! `infer` can keep what passes between two kernels in the cache and hand ranges to threads. `pointwise` does nine
//! tenths of the work, `window` (the stem) is a pointwise over gathered windows, `depthwise` slides. All of them are
//! equal to [`reference`](super::reference): to the bit where multiply-adds are not fused. Next: `infer`.
//!
//! `resample` is the arithmetic of a frame's resize. Next: `image`.
//!
//! `backward`, `batch_norm`, `lanes`, `loss` and `matmul` are for training, a batch at a time. Next: `train`.

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
