//! The 3×3 depthwise convolution of training, one sample at a time, in padded maps that stay in the cache.
//!
//! Per channel, over the nine taps `t`: `y[p] = Σ w[t]·a[s·p + t]`; backward `d_w[t] = Σ a[s·p + t]·d_y[p]` and
//! `d_a[s·p + t] += w[t]·d_y[p]`. Eight channels are computed together, with their weights (or gradients) in registers.

use super::{LayerInput, LayerOutput, Scratch, at_least, pad, padded, unpad};
use crate::f32::batch_norm::{Affine, Moments};
use crate::f32::lanes::{lanes, mul_add, sweep};
use crate::shape::ConvShape;

/// Computes `output = read(input) * kernel` for a batch.
///
/// `kernel` is `[3, 3, channels]`. The output is added to `moments`, which the caller resets.
pub fn forward(
    shape: ConvShape,
    input: &[f32],
    read: &Affine,
    kernel: &[f32],
    output: &mut [f32],
    moments: &mut Moments,
    scratch: &mut Scratch,
) {
    let (height, width) = padded(shape);
    let map = at_least(&mut scratch.input, height * width * shape.input.channels);
    let samples = input.chunks_exact(shape.input.len()).zip(output.chunks_exact_mut(shape.output.len()));
    for (input, output) in samples {
        pad(shape, input, read, map);
        correlate(shape, map, kernel, output);
        moments.add(output);
    }
}

/// Adds the gradient of the kernel to `d_kernel` and writes the gradient of `input`.
///
/// See the [module](super)'s example.
pub fn backward(
    shape: ConvShape,
    output: &LayerOutput,
    input: &mut LayerInput,
    kernel: &[f32],
    d_kernel: &mut [f32],
    scratch: &mut Scratch,
) {
    let (height, width) = padded(shape);
    let channels = shape.input.channels;
    let map = at_least(&mut scratch.input, height * width * channels);
    let d_map = at_least(&mut scratch.d_input, height * width * channels);
    let d_y = at_least(&mut scratch.d_output, shape.output.len());
    let (inputs, outputs) = (shape.input.len(), shape.output.len());
    let gradients = output.d_z.chunks_exact(outputs).zip(output.y.chunks_exact(outputs));
    for (sample, (d_z, y)) in gradients.enumerate() {
        pad(shape, &input.y[sample * inputs..][..inputs], input.read, map);
        output.norm.apply(d_z, y, d_y, channels);
        d_map.fill(0.0);
        sweep!(channels, 8 4 1, gradients_of(shape, map, d_y, kernel, d_kernel, d_map));
        unpad(shape, d_map, sample, input);
    }
}

fn correlate(shape: ConvShape, map: &[f32], kernel: &[f32], output: &mut [f32]) {
    let channels = shape.input.channels;
    let (_, width) = padded(shape);
    let line = width * channels;
    for (row, output) in output.chunks_exact_mut(shape.output.width * channels).enumerate() {
        let rows = &map[row * shape.stride * line..][..3 * line];
        sweep!(channels, 8 4 1, row_of(shape, rows, kernel, output));
    }
}

/// Computes one row of outputs for `L` channels from `channel` on; `rows` are the three padded rows under it.
#[inline(always)]
fn row_of<const L: usize>(
    channel: usize,
    shape: ConvShape,
    rows: &[f32],
    kernel: &[f32],
    output: &mut [f32],
) {
    let channels = shape.input.channels;
    let line = rows.len() / 3;
    let weights: [[f32; L]; 9] = std::array::from_fn(|tap| lanes(kernel, tap * channels + channel));
    let (first, rest) = rows.split_at(line);
    let (second, third) = rest.split_at(line);
    for (column, output) in output.chunks_exact_mut(channels).enumerate() {
        let at = column * shape.stride * channels + channel;
        let mut sums = [0.0; L];
        for (row, values) in [first, second, third].into_iter().enumerate() {
            for tap in 0..3 {
                let values: [f32; L] = lanes(values, at + tap * channels);
                for lane in 0..L {
                    sums[lane] = mul_add(weights[row * 3 + tap][lane], values[lane], sums[lane]);
                }
            }
        }
        output[channel..channel + L].copy_from_slice(&sums);
    }
}

/// Computes both gradients for `L` channels from `channel` on, over one sample. Works on one row of the window at a
/// time, so that three sums, three weights and the gradients of the outputs over a column fit the registers.
#[inline(always)]
fn gradients_of<const L: usize>(
    channel: usize,
    shape: ConvShape,
    map: &[f32],
    d_y: &[f32],
    kernel: &[f32],
    d_kernel: &mut [f32],
    d_map: &mut [f32],
) {
    let channels = shape.input.channels;
    let (_, width) = padded(shape);
    let line = width * channels;
    let mut taps: [Taps<L>; 3] = std::array::from_fn(|row| Taps {
        weights: std::array::from_fn(|tap| lanes(kernel, (3 * row + tap) * channels + channel)),
        sums: [[0.0; L]; 3],
    });
    for (row, d_y) in d_y.chunks_exact(shape.output.width * channels).enumerate() {
        for (tap, taps) in taps.iter_mut().enumerate() {
            let start = (row * shape.stride + tap) * line;
            let (map, d_map) = (&map[start..start + line], &mut d_map[start..start + line]);
            *taps = if shape.stride == 1 {
                taps.stride_1(channel, channels, map, d_y, d_map)
            } else {
                taps.stride_2(channel, channels, map, d_y, d_map)
            };
        }
    }
    for (tap, sums) in taps.iter().flat_map(|taps| &taps.sums).enumerate() {
        for (value, sum) in d_kernel[tap * channels + channel..].iter_mut().zip(sums) {
            *value += sum;
        }
    }
}

/// Three taps of one row of the window: their weights, and the sums of the weights' gradients. Passed by value over a
/// row, which keeps them in registers.
#[derive(Clone, Copy)]
struct Taps<const L: usize> {
    weights: [[f32; L]; 3],
    sums: [[f32; L]; 3],
}

impl<const L: usize> Taps<L> {
    /// Adds the gradients of a row of outputs over one row of the map at stride 1. The windows of three outputs contain
    /// a column: the newest and the two before it.
    #[inline(always)]
    fn stride_1(
        mut self,
        channel: usize,
        channels: usize,
        map: &[f32],
        d_y: &[f32],
        d_map: &mut [f32],
    ) -> Self {
        let mut columns = map.chunks_exact(channels).zip(d_map.chunks_exact_mut(channels));
        let [mut before, mut long_before] = [[0.0; L]; 2];
        let newest = d_y.chunks_exact(channels).map(|d_y| lanes(d_y, channel));
        for gradient in newest.chain([[0.0; L]; 2]) {
            let Some((values, d_values)) = columns.next() else { break };
            self.add(channel, [(0, gradient), (1, before), (2, long_before)], values, d_values);
            (before, long_before) = (gradient, before);
        }
        self
    }

    /// Does the same at stride 2. Even columns belong to the newest output and the one before it, odd ones to the
    /// newest.
    #[inline(always)]
    fn stride_2(
        mut self,
        channel: usize,
        channels: usize,
        map: &[f32],
        d_y: &[f32],
        d_map: &mut [f32],
    ) -> Self {
        let mut columns = map.chunks_exact(channels).zip(d_map.chunks_exact_mut(channels));
        let mut before = [0.0; L];
        for d_y in d_y.chunks_exact(channels) {
            let gradient = lanes(d_y, channel);
            let Some((values, d_values)) = columns.next() else { break };
            self.add(channel, [(0, gradient), (2, before)], values, d_values);
            let Some((values, d_values)) = columns.next() else { break };
            self.add(channel, [(1, gradient)], values, d_values);
            before = gradient;
        }
        if let Some((values, d_values)) = columns.next() {
            self.add(channel, [(2, before)], values, d_values);
        }
        self
    }

    /// Adds the products of one column with the given taps' gradients of outputs.
    #[inline(always)]
    fn add<const N: usize>(
        &mut self,
        channel: usize,
        gradients: [(usize, [f32; L]); N],
        values: &[f32],
        d_values: &mut [f32],
    ) {
        let (Some(values), Some(d_values)) =
            (values[channel..].first_chunk::<L>(), d_values[channel..].first_chunk_mut::<L>())
        else {
            return;
        };
        for (tap, gradient) in gradients {
            for lane in 0..L {
                let sum = &mut self.sums[tap][lane];
                *sum = mul_add(values[lane], gradient[lane], *sum);
                d_values[lane] = mul_add(self.weights[tap][lane], gradient[lane], d_values[lane]);
            }
        }
    }
}
