//! The fully connected layer: 8-bit weights, and the embedding in as many bits as 32-bit sums allow.
//!
//! Input and output are floats. At width 1.0 the layer reads a million weights once per inference, so their bytes are
//! the cost; the embedding is a thousand numbers, and seven bits for these would save nothing. Each call chooses the
//! scale of the embedding by its largest value. As naive loops:
//! [`reference::classifier`](super::reference::classifier).

use super::panel::{self, DotKernel, PanelElement};
use super::{GROUP, padded_channels};
use crate::aligned::Aligned;
use crate::simd::{F32x4, I32x4};

/// A kernel `[inputs][outputs]` with scale and bias, packed for [`forward`].
#[derive(Clone, Debug, Default)]
pub struct PackedClassifier {
    inputs: usize,
    weights: Aligned<i8>,
    /// One per output, padded to whole groups; `bias` likewise.
    scale: Vec<f32>,
    bias: Vec<f32>,
}

impl PackedClassifier {
    /// Returns the size in bytes.
    pub fn bytes(&self) -> usize {
        self.weights.len() + (self.scale.len() + self.bias.len()) * size_of::<f32>()
    }
}

/// Returns the largest value that the embedding can be quantized to such that sums of `inputs` products fit 32 bits.
pub fn quantized_limit(inputs: usize) -> f32 {
    (i32::MAX / 128 / inputs as i32).min(i16::MAX.into()) as f32
}

/// Packs `kernel` (`[inputs][outputs]`), the `scale` of each output's weights and the `bias`, in logits.
///
/// The memory of `kernel` is reused if its capacity suffices.
///
/// # Panics
///
/// If there are no outputs.
pub fn pack(kernel: Vec<i8>, scale: &[f32], bias: &[f32]) -> PackedClassifier {
    let outputs = bias.len();
    let inputs = kernel.len() / outputs;
    let (weights, _) = panel::pack_weights::<i16>(kernel, outputs, false);
    let fill = |values: &[f32]| {
        let mut values = values.to_vec();
        values.resize(padded_channels(outputs), 0.0);
        values
    };
    PackedClassifier { inputs: padded_channels(inputs), weights, scale: fill(scale), bias: fill(bias) }
}

/// Returns the kernel that was packed, `[inputs][outputs]`.
#[inline]
pub fn unpack(packed: &PackedClassifier, inputs: usize, outputs: usize) -> Vec<i8> {
    panel::unpack_weights::<i16>(&packed.weights, inputs, outputs, false)
}

/// Returns one output's weights in floats, one for each of `inputs` values of the embedding.
pub fn column(packed: &PackedClassifier, inputs: usize, output: usize) -> Vec<f32> {
    let weight = |input| f32::from(panel::weight::<i16>(&packed.weights, inputs, input, output, false));
    (0..inputs).map(|input| weight(input) * packed.scale[output]).collect()
}

/// Computes one logit per output. `scratch` receives the quantized embedding, with [padded](super::padded_channels)
/// inputs.
///
/// # Panics
///
/// If `scratch` is too short.
///
/// # Examples
///
/// ```
/// use mobilenet_kernels::int8::classifier;
///
/// let kernel = vec![100, -100, 50, 0]; // two inputs, two outputs
/// let packed = classifier::pack(kernel, &[0.01, 0.01], &[0.0, 0.5]);
/// let (mut scratch, mut logits) = ([0; 8], [0.0; 2]);
/// classifier::forward(&packed, &[2.0, 1.0], &mut scratch, &mut logits);
/// assert!((logits[0] - 2.5).abs() < 1e-3 && (logits[1] + 1.5).abs() < 1e-3);
/// ```
pub fn forward(packed: &PackedClassifier, embedding: &[f32], scratch: &mut [i16], logits: &mut [f32]) {
    let scratch = &mut scratch[..packed.inputs];
    let step = quantize(embedding, scratch);
    let blocks = packed.weights.chunks_exact(packed.inputs * GROUP);
    let terms = packed.scale.as_chunks::<GROUP>().0.iter().zip(packed.bias.as_chunks::<GROUP>().0);
    for ((weights, (scale, bias)), logits) in blocks.zip(terms).zip(logits.chunks_mut(GROUP)) {
        let [sums] = i16::tile::<1>(DotKernel::Quad, scratch, weights, [[I32x4::splat(0); 2]]);
        let mut eight = [0.0; GROUP];
        for (half, sum) in sums.into_iter().enumerate() {
            let scale = F32x4::load(&scale[4 * half..]).mul(F32x4::splat(step));
            let product = sum.to_f32().mul(scale);
            product.add(F32x4::load(&bias[4 * half..])).store(&mut eight[4 * half..]);
        }
        logits.copy_from_slice(&eight[..logits.len()]);
    }
}

/// Quantizes the embedding to `scratch`, its largest magnitude to [`quantized_limit`], and returns the size of a step.
pub(super) fn quantize(embedding: &[f32], scratch: &mut [i16]) -> f32 {
    let largest = embedding.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let limit = quantized_limit(scratch.len());
    scratch.fill(0);
    if largest < f32::MIN_POSITIVE {
        return 0.0;
    }
    let factor = limit / largest;
    for (value, scratch) in embedding.iter().zip(scratch) {
        *scratch = (value * factor).round_ties_even() as i16;
    }
    largest / limit
}
