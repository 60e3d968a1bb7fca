//! The 3×3 depthwise convolution of a batch, one picture at a time, in padded maps that stay in the cache.
//!
//! Naively, per channel: `y[p] = Σ w[t]·a[s·p + t]` over the nine taps t; backward `d_w[t] = Σ a[s·p + t]·d_y[p]` and
//! `d_a[s·p + t] += w[t]·d_y[p]`. Eight channels go abreast, their nine weights (or gradients) in registers.

use super::{Here, Previous, Scratch, at_least, back, pad, padded};
use crate::kernels::f32::batch_norm::{Affine, Moments};
use crate::kernels::f32::matmul::mul_add;
use crate::shape::ConvShape;

/// Channels abreast.
const LANES: usize = if cfg!(target_arch = "wasm32") { 4 } else { 8 };

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
        let pixels = d_z.chunks_exact(channels).zip(y.chunks_exact(channels));
        for (d_y, (d_z, y)) in d_y.chunks_exact_mut(channels).zip(pixels) {
            here.norm.apply_pixel(d_z, y, d_y);
        }
        d_map.fill(0.0);
        let mut channel = 0;
        while channel + LANES <= channels {
            gradients_of::<LANES>(shape, channel, map, d_y, kernel, d_kernel, d_map);
            channel += LANES;
        }
        while channel < channels {
            gradients_of::<1>(shape, channel, map, d_y, kernel, d_kernel, d_map);
            channel += 1;
        }
        back(shape, map, d_map, picture, previous);
    }
}

fn correlate(shape: ConvShape, map: &[f32], kernel: &[f32], output: &mut [f32]) {
    let channels = shape.input.channels;
    let (_, width) = padded(shape);
    let line = width * channels;
    for (row, output) in output.chunks_exact_mut(shape.output.width * channels).enumerate() {
        let rows = &map[row * shape.stride * line..][..3 * line];
        let mut channel = 0;
        while channel + LANES <= channels {
            row_of::<LANES>(shape, channel, rows, kernel, output);
            channel += LANES;
        }
        while channel < channels {
            row_of::<1>(shape, channel, rows, kernel, output);
            channel += 1;
        }
    }
}

#[inline(always)]
fn lanes<const L: usize>(values: &[f32], at: usize) -> [f32; L] {
    *values[at..].first_chunk::<L>().expect("the caller sized the map")
}

/// One row of outputs for `L` channels from `channel` on; `rows` are the three padded rows that it looks at.
#[inline(always)]
fn row_of<const L: usize>(
    shape: ConvShape,
    channel: usize,
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

/// Both gradients for `L` channels from `channel` on, over one picture.
#[inline(always)]
fn gradients_of<const L: usize>(
    shape: ConvShape,
    channel: usize,
    map: &[f32],
    d_y: &[f32],
    kernel: &[f32],
    d_kernel: &mut [f32],
    d_map: &mut [f32],
) {
    let channels = shape.input.channels;
    let (_, width) = padded(shape);
    let line = width * channels;
    let weights: [[f32; L]; 9] = std::array::from_fn(|tap| lanes(kernel, tap * channels + channel));
    let mut sums = [[0.0; L]; 9];
    for (row, d_y) in d_y.chunks_exact(shape.output.width * channels).enumerate() {
        let first = row * shape.stride * line + channel;
        for (column, d_y) in d_y.chunks_exact(channels).enumerate() {
            let gradient: [f32; L] = lanes(d_y, channel);
            let at = first + column * shape.stride * channels;
            for (tap, sums) in sums.iter_mut().enumerate() {
                let values: [f32; L] = lanes(map, at + tap / 3 * line + tap % 3 * channels);
                for lane in 0..L {
                    sums[lane] = mul_add(values[lane], gradient[lane], sums[lane]);
                }
            }
        }
        for (column, d_y) in d_y.chunks_exact(channels).enumerate() {
            let gradient: [f32; L] = lanes(d_y, channel);
            let at = first + column * shape.stride * channels;
            for (tap, weights) in weights.iter().enumerate() {
                let at = at + tap / 3 * line + tap % 3 * channels;
                let d_values = d_map[at..].first_chunk_mut::<L>().expect("the caller sized the map");
                for lane in 0..L {
                    d_values[lane] = mul_add(weights[lane], gradient[lane], d_values[lane]);
                }
            }
        }
    }
    for (tap, sums) in sums.iter().enumerate() {
        for (value, sum) in d_kernel[tap * channels + channel..].iter_mut().zip(sums) {
            *value += sum;
        }
    }
}
