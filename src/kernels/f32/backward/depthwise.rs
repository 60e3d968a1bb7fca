//! The 3×3 depthwise convolution of a batch, one picture at a time, in padded maps that stay in the cache.
//!
//! Naively, per channel: `y[p] = Σ w[t]·a[s·p + t]` over the nine taps t; backward `d_w[t] = Σ a[s·p + t]·d_y[p]` and
//! `d_a[s·p + t] += w[t]·d_y[p]`. Eight channels go abreast, their nine weights (or gradients) in registers.

use super::{Here, Previous, Scratch, at_least, back, pad, padded};
use crate::kernels::f32::batch_norm::{Affine, Moments};
use crate::kernels::f32::lanes::{LANES, for_lanes, lanes, mul_add};
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
    let same = shape.input.height == shape.output.height && shape.input.width == shape.output.width;
    if same && shape.stride == 1 && (shape.pad_top, shape.pad_left) == (1, 1) {
        gather(shape, here, previous, kernel, d_kernel, scratch);
    } else {
        scatter(shape, here, previous, kernel, d_kernel, scratch);
    }
}

/// With stride 1 every pixel of the input collects what the nine outputs around it send back: the gradient gets the
/// border, and the input's gradient is written once, behind the clamp.
fn gather(
    shape: ConvShape,
    here: &Here,
    previous: &mut Previous,
    kernel: &[f32],
    d_kernel: &mut [f32],
    scratch: &mut Scratch,
) {
    let (channels, size) = (shape.input.channels, shape.input.len());
    let (line, padded_line) = (shape.input.width * channels, (shape.input.width + 2) * channels);
    let d_y = at_least(&mut scratch.d_output, (shape.input.height + 2) * padded_line);
    d_y.fill(0.0);
    for picture in (0..here.y.len()).step_by(size) {
        let rows = d_y[padded_line..].chunks_exact_mut(padded_line);
        let given = here.d_z[picture..][..size].chunks_exact(line).zip(here.y[picture..].chunks_exact(line));
        for (row, (d_z, y)) in rows.zip(given) {
            let pixels = d_z.chunks_exact(channels).zip(y.chunks_exact(channels));
            for (d_y, (d_z, y)) in row[channels..].chunks_exact_mut(channels).zip(pixels) {
                here.norm.apply_pixel(d_z, y, d_y);
            }
        }
        let rows = previous.y[picture..][..size].chunks_exact(line);
        let rows = rows.zip(previous.d_z[picture..][..size].chunks_exact_mut(line));
        for (row, (y, d_z)) in rows.enumerate() {
            let around = std::array::from_fn(|next| &d_y[(row + next) * padded_line..][..padded_line]);
            for_lanes!(channels, |channel, L| {
                gather_row::<L>(channel, around, previous.read, y, kernel, d_kernel, d_z);
            });
            for (d_z, y) in d_z.chunks_exact(channels).zip(y.chunks_exact(channels)) {
                previous.sums.add_pixel(d_z, y);
            }
            previous.sums.flush();
        }
    }
}

/// Both gradients of a row of the input for `L` channels from `channel` on; `around` are the padded rows of the
/// output's gradient above, beside and below it.
#[inline(always)]
fn gather_row<const L: usize>(
    channel: usize,
    around: [&[f32]; 3],
    read: &Affine,
    y: &[f32],
    kernel: &[f32],
    d_kernel: &mut [f32],
    d_z: &mut [f32],
) {
    let channels = kernel.len() / 9;
    let weights: [[f32; L]; 9] = std::array::from_fn(|tap| lanes(kernel, tap * channels + channel));
    let mut sums = [[0.0; L]; 9];
    let [above, beside, below] = around.map(|row| windows(row, channels, 1));
    let pixels = y.chunks_exact(channels).zip(d_z.chunks_exact_mut(channels));
    'pixels: for ((y, d_z), ((above, beside), below)) in pixels.zip(above.zip(beside).zip(below)) {
        let value = read.read_lanes::<L>(channel, lanes(y, channel));
        let mut d_value = [0.0; L];
        for (row, window) in [above, beside, below].into_iter().enumerate() {
            for column in 0..3 {
                // Never short; a panic here would keep the sums in memory.
                let Some(d_y) = window[column * channels + channel..].first_chunk::<L>() else {
                    break 'pixels;
                };
                // The output below has seen this pixel through the tap above, and so on.
                let tap = 8 - (3 * row + column);
                for lane in 0..L {
                    d_value[lane] = mul_add(weights[tap][lane], d_y[lane], d_value[lane]);
                    sums[tap][lane] = mul_add(value[lane], d_y[lane], sums[tap][lane]);
                }
            }
        }
        d_z[channel..channel + L].copy_from_slice(&read.back_lanes(value, d_value));
    }
    add_taps(&sums, channels, channel, d_kernel);
}

/// Adds what was summed for `L` channels from `channel` on to the kernel's gradient.
#[inline(always)]
fn add_taps<const L: usize>(sums: &[[f32; L]; 9], channels: usize, channel: usize, d_kernel: &mut [f32]) {
    for (tap, sums) in sums.iter().enumerate() {
        for (value, sum) in d_kernel[tap * channels + channel..].iter_mut().zip(sums) {
            *value += sum;
        }
    }
}

/// With another stride the gradient of every output goes to the nine pixels that it has seen.
fn scatter(
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
        for_lanes!(channels, |channel, L| {
            gradients_of::<L>(shape, channel, map, d_y, kernel, d_kernel, d_map);
        });
        back(shape, map, d_map, picture, previous);
    }
}

fn correlate(shape: ConvShape, map: &[f32], kernel: &[f32], output: &mut [f32]) {
    let channels = shape.input.channels;
    let (_, width) = padded(shape);
    let line = width * channels;
    for (row, output) in output.chunks_exact_mut(shape.output.width * channels).enumerate() {
        let rows = &map[row * shape.stride * line..][..3 * line];
        for_lanes!(channels, |channel, L| { row_of::<L>(shape, channel, rows, kernel, output) });
    }
}

/// Every window of three pixels in a padded row, `stride` pixels apart.
#[inline(always)]
fn windows(row: &[f32], channels: usize, stride: usize) -> impl Iterator<Item = &[f32]> {
    row.windows(3 * channels).step_by(stride * channels)
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
    let windows = |row| windows(row, channels, shape.stride);
    let windows = windows(first).zip(windows(second)).zip(windows(third));
    for (output, ((first, second), third)) in output.chunks_exact_mut(channels).zip(windows) {
        let mut sums = [0.0; L];
        for (row, values) in [first, second, third].into_iter().enumerate() {
            for tap in 0..3 {
                let values: [f32; L] = lanes(values, tap * channels + channel);
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
    add_taps(&sums, channels, channel, d_kernel);
}
