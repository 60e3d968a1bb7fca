//! The 3×3 depthwise convolution of a batch, one picture at a time, in padded maps that stay in the cache.
//!
//! Naively, per channel: `y[p] = Σ w[t]·a[s·p + t]` over the nine taps t; backward `d_w[t] = Σ a[s·p + t]·d_y[p]` and
//! `d_a[s·p + t] += w[t]·d_y[p]`. Eight channels go abreast, their nine weights (or gradients) in registers.

use super::{Here, Previous, Scratch, at_least, back, pad, padded};
use crate::f32::batch_norm::{Affine, Moments};
use crate::f32::lanes::{lanes, mul_add, sweep};
use crate::shape::ConvShape;

/// `output = read(input) * kernel` (kernel `[3, 3, C]`); `moments` (already reset) gathers the output.
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
    let pictures = input.chunks_exact(shape.input.len()).zip(output.chunks_exact_mut(shape.output.len()));
    for (input, output) in pictures {
        pad(shape, input, read, map);
        correlate(shape, map, kernel, output);
        moments.add(output);
    }
}

/// Adds the kernel's gradient to `d_kernel` and passes the gradient on.
pub fn backward(
    shape: ConvShape,
    here: &Here,
    previous: &mut Previous,
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
    let gradients = here.d_z.chunks_exact(outputs).zip(here.y.chunks_exact(outputs));
    for (picture, (d_z, y)) in gradients.enumerate() {
        pad(shape, &previous.y[picture * inputs..][..inputs], previous.read, map);
        here.norm.apply(d_z, y, d_y, channels);
        d_map.fill(0.0);
        sweep!(channels, 8 4 1, gradients_of(shape, map, d_y, kernel, d_kernel, d_map));
        back(shape, d_map, picture, previous);
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

/// One row of outputs for `L` channels from `channel` on; `rows` are the three padded rows that it looks at.
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

/// Both gradients for `L` channels from `channel` on, over one picture: a row of the window after the other, for which three
/// sums, three weights and the gradients of the outputs above a column are all that has to stay in registers.
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
                taps.by_one(channel, channels, map, d_y, d_map)
            } else {
                taps.by_two(channel, channels, map, d_y, d_map)
            };
        }
    }
    for (tap, sums) in taps.iter().flat_map(|taps| &taps.sums).enumerate() {
        for (value, sum) in d_kernel[tap * channels + channel..].iter_mut().zip(sums) {
            *value += sum;
        }
    }
}

/// Three taps side by side: their weights, and the sums of the weights' gradients. Over a row they are held by value, which keeps
/// them in registers.
#[derive(Clone, Copy)]
struct Taps<const L: usize> {
    weights: [[f32; L]; 3],
    sums: [[f32; L]; 3],
}

impl<const L: usize> Taps<L> {
    /// A row of outputs at stride 1 over a row of the map: over each of its columns lie three outputs, the newest and the two
    /// before it.
    #[inline(always)]
    fn by_one(
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

    /// The same at stride 2: even columns lie under the newest output and the one before, odd ones under the newest alone.
    #[inline(always)]
    fn by_two(
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

    /// One column under the outputs whose gradients are given, each by one of the taps.
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
