//! The fully connected layer: 8-bit weights, the embedding in as many bits as 32-bit sums allow.
//!
//! Goes in: the embedding in floats. Comes out: the logits in floats. Its million weights at 1.0 are read once an
//! inference, so that their bytes are the cost; the embedding is a thousand numbers, and cutting them to seven bits
//! would save nothing. Each call chooses the embedding's scale by its largest value. As naive loops: see
//! [`reference::classifier`](super::reference::classifier).

use super::panel::{self, Cell, Way};
use super::{GROUP, stored};
use crate::aligned::Aligned;
use crate::simd::{F32x4, I32x4};

/// Weights as [`forward`] reads them.
#[derive(Clone, Debug, Default)]
pub struct Packed {
    inputs: usize,
    weights: Aligned<i8>,
    /// Scale and bias of each output, filled up to whole groups.
    scale: Vec<f32>,
    bias: Vec<f32>,
}

impl Packed {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.weights.len() + (self.scale.len() + self.bias.len()) * size_of::<f32>()
    }
}

/// The largest value that the embedding may be quantized to, for sums of `inputs` products to fit 32 bits.
pub fn levels(inputs: usize) -> f32 {
    (i32::MAX / 128 / inputs as i32).min(i16::MAX.into()) as f32
}

/// Packs `kernel` (`[inputs][outputs]`), in its own memory where that is enough, the `scale` of its bytes and the `bias`, in
/// logits.
pub fn pack(kernel: Vec<i8>, scale: &[f32], bias: &[f32]) -> Packed {
    let outputs = bias.len();
    let inputs = kernel.len() / outputs;
    let (weights, _) = panel::pack_weights::<i16>(kernel, outputs, false);
    let fill = |values: &[f32]| {
        let mut values = values.to_vec();
        values.resize(stored(outputs), 0.0);
        values
    };
    Packed { inputs: stored(inputs), weights, scale: fill(scale), bias: fill(bias) }
}

/// The kernel that was packed, `[inputs][outputs]`.
#[inline]
pub fn unpack(packed: &Packed, inputs: usize, outputs: usize) -> Vec<i8> {
    panel::unpack_weights::<i16>(&packed.weights, inputs, outputs, false)
}

/// What one output takes of each of `inputs` values of the embedding.
pub fn column(packed: &Packed, inputs: usize, output: usize) -> Vec<f32> {
    let weight = |input| f32::from(panel::weight::<i16>(&packed.weights, inputs, input, output, false));
    (0..inputs).map(|input| weight(input) * packed.scale[output]).collect()
}

/// Writes one logit an output. `room` holds the quantized embedding meanwhile: [stored] inputs.
pub fn forward(packed: &Packed, embedding: &[f32], room: &mut [i16], logits: &mut [f32]) {
    let room = &mut room[..packed.inputs];
    let step = quantize(embedding, room);
    let blocks = packed.weights.chunks_exact(packed.inputs * GROUP);
    let terms = packed.scale.as_chunks::<GROUP>().0.iter().zip(packed.bias.as_chunks::<GROUP>().0);
    for ((weights, (scale, bias)), logits) in blocks.zip(terms).zip(logits.chunks_mut(GROUP)) {
        let [sums] = i16::tile::<1>(Way::Fours, room, weights, [[I32x4::splat(0); 2]]);
        let mut eight = [0.0; GROUP];
        for (half, sum) in sums.into_iter().enumerate() {
            let scale = F32x4::load(&scale[4 * half..]).mul(F32x4::splat(step));
            let product = sum.to_f32().mul(scale);
            product.add(F32x4::load(&bias[4 * half..])).store(&mut eight[4 * half..]);
        }
        logits.copy_from_slice(&eight[..logits.len()]);
    }
}

/// Fills `room` with the embedding in steps of the returned size, the largest value being [`levels`].
pub(super) fn quantize(embedding: &[f32], room: &mut [i16]) -> f32 {
    let largest = embedding.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let levels = levels(room.len());
    room.fill(0);
    if largest < f32::MIN_POSITIVE {
        return 0.0;
    }
    let factor = levels / largest;
    for (value, room) in embedding.iter().zip(room) {
        *room = (value * factor).round_ties_even() as i16;
    }
    largest / levels
}
