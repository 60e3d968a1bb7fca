//! Every kernel against its naive reference, to the bit, over awkward sizes and both panel elements.

use super::panel::{self, PanelElement, TILE_PIXELS_DEFAULT, TILE_PIXELS_NATIVE_DOT};
use super::*;
#[cfg(target_arch = "wasm32")]
use crate::browser_test as test;
use crate::shape::{ConvShape, FeatureMap, Padding};

/// A reproducible random number generator (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    fn activations(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.below(128) as u8).collect()
    }

    fn weights(&mut self, count: usize, largest: i8) -> Vec<i8> {
        let span = 2 * largest as u64 + 1;
        (0..count).map(|_| (self.below(span) as i64 - i64::from(largest)) as i8).collect()
    }

    fn numbers(&mut self, count: usize, largest: i32) -> Vec<i32> {
        (0..count).map(|_| self.below(2 * largest as u64 + 1) as i32 - largest).collect()
    }

    fn scales(&mut self, count: usize, middle: f32) -> Vec<f32> {
        (0..count).map(|_| middle * (0.5 + self.below(1000) as f32 / 1000.0)).collect()
    }
}

/// A dense map with padded channels.
fn padded(dense: &[u8], channels: usize) -> Vec<u8> {
    let pad = |pixel: &[u8]| [pixel, &vec![0; padded_channels(channels) - channels]].concat();
    dense.chunks_exact(channels).flat_map(pad).collect()
}

/// A dense map as a panel.
fn panel_of<E: PanelElement>(dense: &[u8], channels: usize, tile_pixels: usize) -> Vec<E> {
    let mut panel =
        vec![E::default(); panel::len(dense.len() / channels, padded_channels(channels), tile_pixels)];
    for (pixel, values) in padded(dense, channels).chunks_exact(padded_channels(channels)).enumerate() {
        for (group, values) in values.chunks_exact(GROUP).enumerate() {
            let lanes = crate::simd::I16x8::load_u8(values);
            let at = panel::offset::<E>(pixel, group * GROUP, padded_channels(channels), tile_pixels);
            E::store_clamped(lanes, &mut panel[at..], tile_pixels);
        }
    }
    panel
}

/// A panel as a dense map.
fn dense_of<E: PanelElement>(panel: &[E], pixels: usize, channels: usize, tile_pixels: usize) -> Vec<u8> {
    let at = |pixel, channel| panel::get(panel, pixel, channel, padded_channels(channels), tile_pixels);
    (0..pixels).flat_map(|pixel| (0..channels).map(move |channel| at(pixel, channel))).collect()
}

fn check_pointwise<E: PanelElement>(
    pixels: usize,
    inputs: usize,
    outputs: usize,
    largest: i8,
    tile_pixels: usize,
) {
    let random = &mut Random(1 + pixels as u64 * 7 + inputs as u64 * 31 + outputs as u64);
    let input = random.activations(pixels * inputs);
    let kernel = random.weights(inputs * outputs, largest);
    let bias = random.numbers(outputs, 5000);
    let scale = random.scales(outputs, 0.5 / (inputs as f32).sqrt() / f32::from(largest));
    let wanted = reference::pointwise(&input, &kernel, &bias, &scale);
    // With capacity to be packed in place, and without.
    let mut given = kernel.clone();
    given.reserve(if inputs.is_multiple_of(2) { 1 << 16 } else { 0 });
    let packed = pointwise::pack::<E>(given, &bias, &scale, tile_pixels);
    assert_eq!(pointwise::unpack::<E>(&packed, inputs, outputs), kernel, "{inputs} → {outputs}");
    let mut output = vec![9; pixels * padded_channels(outputs) + 5];
    pointwise::forward::<E>(&packed, pixels, &panel_of(&input, inputs, tile_pixels), &mut output);
    let (map, beyond) = output.split_at(pixels * padded_channels(outputs));
    assert_eq!(map, padded(&wanted, outputs), "{pixels} pixels, {inputs} → {outputs}");
    assert_eq!(beyond, [9; 5]);
    let distinct: std::collections::BTreeSet<_> = wanted.iter().collect();
    assert!(distinct.len() > 10 || wanted.len() < 200, "the test tells little: {distinct:?}");
}

#[test]
fn pointwise_equals_the_reference() {
    for pixels in 1..=20 {
        for (inputs, outputs) in [(1, 1), (3, 10), (8, 16), (13, 24), (32, 9), (40, 8)] {
            for largest in [60, 127] {
                check_pointwise::<u8>(pixels, inputs, outputs, largest, TILE_PIXELS_DEFAULT);
                check_pointwise::<u8>(pixels, inputs, outputs, largest, TILE_PIXELS_NATIVE_DOT);
                check_pointwise::<i16>(pixels, inputs, outputs, largest, TILE_PIXELS_DEFAULT);
            }
        }
    }
    check_pointwise::<u8>(49, 512, 64, 127, TILE_PIXELS_DEFAULT);
    check_pointwise::<u8>(49, 512, 64, 127, TILE_PIXELS_NATIVE_DOT);
    check_pointwise::<i16>(49, 512, 64, 127, TILE_PIXELS_DEFAULT);
}

/// At the largest weights and activations: sums that overflow 16 bits must not use pairs.
#[test]
fn pointwise_is_exact_at_the_limits() {
    for sign in [1, -1] {
        let input = vec![127; 4 * 64];
        let kernel = vec![127 * sign; 64 * 8];
        let bias = vec![0; 8];
        let scale = vec![0.0001; 8];
        let wanted = reference::pointwise(&input, &kernel, &bias, &scale);
        for tile_pixels in [TILE_PIXELS_DEFAULT, TILE_PIXELS_NATIVE_DOT] {
            let packed = pointwise::pack::<u8>(kernel.clone(), &bias, &scale, tile_pixels);
            let mut output = vec![9; 4 * 8];
            pointwise::forward::<u8>(&packed, 4, &panel_of(&input, 64, tile_pixels), &mut output);
            assert_eq!(output, wanted);
        }
    }
    assert!(!panel::fits_pairs([127, 127, 0, 0, 5, 0, 0, 0]));
    assert!(!panel::fits_pairs([0, 0, -127, -127, 0, 0, -5, 0]));
    assert!(panel::fits_pairs([127, -127, 127, 127, 127, -127, 4, 0]));
    assert!(panel::fits_pairs([127, 127, 127, 127, 4, 0, 0, 4]));
}

fn check_depthwise<E: PanelElement>(map: FeatureMap, stride: usize, padding: Padding, tile_pixels: usize) {
    let FeatureMap { height, width, channels } = map;
    let shape = ConvShape::window(map, channels, stride, padding);
    let random = &mut Random(1 + width as u64 * 7 + channels as u64 * 31 + stride as u64);
    let input = random.activations(map.len());
    let kernel = random.weights(9 * channels, 45);
    let bias: Vec<i16> = random.numbers(channels, 2000).into_iter().map(|bias| bias as i16).collect();
    let factor: Vec<i16> =
        random.numbers(channels, 200).into_iter().map(|value| (value + 400) as i16).collect();
    let wanted = reference::depthwise(&shape, &input, &kernel, &bias, &factor);
    let packed = depthwise::pack(&kernel, &bias, &factor);
    let pixels = shape.output.pixels();
    let mut panel = vec![E::default(); panel::len(pixels, padded_channels(channels), tile_pixels)];
    let input = padded(&input, channels);
    depthwise::forward(&shape, &packed, 0..shape.output.height, &input, &mut panel, tile_pixels);
    let case = format!("{height}×{width}×{channels}, stride {stride}, {padding:?}");
    assert_eq!(dense_of(&panel, pixels, channels, tile_pixels), wanted, "{case}");
    let rows = shape.output.height / 3..shape.output.height;
    let skipped = rows.start * shape.output.width;
    depthwise::forward(&shape, &packed, rows, &input, &mut panel, tile_pixels);
    let some = dense_of(&panel, pixels - skipped, channels, tile_pixels);
    assert_eq!(some, wanted[skipped * channels..], "{case}, some rows");
}

#[test]
fn depthwise_equals_the_reference() {
    for width in 1..=20 {
        for (height, channels) in [(1, 8), (2, 3), (5, 9), (width, 16)] {
            for stride in [1, 2] {
                for padding in [Padding::Same, Padding::Symmetric, Padding::Keras] {
                    if padding == Padding::Keras && stride == 2 && width.min(height) == 1 {
                        continue;
                    }
                    let map = FeatureMap::new(height, width, channels);
                    check_depthwise::<u8>(map, stride, padding, TILE_PIXELS_DEFAULT);
                    check_depthwise::<u8>(map, stride, padding, TILE_PIXELS_NATIVE_DOT);
                    check_depthwise::<i16>(map, stride, padding, TILE_PIXELS_DEFAULT);
                }
            }
        }
    }
}

#[test]
fn fits_detects_overflow_of_sixteen_bits() {
    assert!(depthwise::fits([29, 29, 29, 29, 29, 29, 28, 28, 28], 0));
    assert!(!depthwise::fits([29; 9], 0));
    assert!(!depthwise::fits([-29; 9], 0));
    assert!(!depthwise::fits([127, 127, 3, 0, 0, 0, 0, 0, 0], 200));
    assert!(depthwise::fits([127, -127, 127, -127, 0, 0, 0, 0, 0], 500));
}

#[test]
fn stem_equals_the_reference() {
    for width in 1..=20 {
        for (height, outputs) in [(1, 8), (6, 3), (7, 12), (width, 16)] {
            for padding in [Padding::Same, Padding::Symmetric, Padding::Keras] {
                if padding == Padding::Keras && width.min(height) == 1 {
                    continue;
                }
                let map = FeatureMap::new(height, width, 3);
                let shape = ConvShape::window(map, outputs, 2, padding);
                let random = &mut Random(1 + width as u64 * 7 + height as u64 * 31);
                let input: Vec<u8> = (0..map.len()).map(|_| random.below(256) as u8).collect();
                let kernel = random.numbers(27 * outputs, 2000);
                let kernel: Vec<i16> = kernel.into_iter().map(|weight| weight as i16).collect();
                let bias = random.numbers(outputs, 1 << 24);
                let scale = random.scales(outputs, 1e-6);
                let mean = [123.68, 127.5, 103.9];
                let wanted = reference::stem(&shape, &input, &kernel, &bias, &scale, mean);
                let packed = stem::pack(&kernel, &bias, &scale, mean);
                let case = format!("{height}×{width} → {outputs}, {padding:?}");
                for first in [0, shape.output.height / 2] {
                    let rows = first..shape.output.height;
                    let mut scratch = vec![7; stem::scratch_len(&shape, rows.len())];
                    let mut output = vec![9; rows.len() * shape.output.width * padded_channels(outputs)];
                    stem::forward(&shape, &packed, rows, &input, &mut scratch, &mut output);
                    let wanted = padded(&wanted[first * shape.output.width * outputs..], outputs);
                    assert_eq!(output, wanted, "{case}");
                }
            }
        }
    }
}

#[test]
fn pool_equals_the_reference() {
    for (pixels, channels) in [(1, 8), (49, 20), (300, 9), (1024, 16)] {
        let input = Random(3).activations(pixels * channels);
        let mut output = vec![0.0; channels];
        pool::forward(pixels, &padded(&input, channels), 0.013, &mut output);
        assert_eq!(output, reference::pool(channels, &input, 0.013));
    }
    let mut output = [0.0; 8];
    pool::forward(1000, &[127; 8000], 1.0, &mut output);
    assert_eq!(output, [127_000.0; 8]);
}

#[test]
fn classifier_equals_the_reference() {
    for (inputs, outputs) in [(1, 1), (8, 10), (20, 7), (256, 1000)] {
        let random = &mut Random(5);
        let embedding = random.scales(inputs, 2.0);
        let kernel = random.weights(inputs * outputs, 127);
        let (scale, bias) = (random.scales(outputs, 0.01), random.scales(outputs, 1.0));
        let packed = classifier::pack(kernel.clone(), &scale, &bias);
        assert_eq!(classifier::unpack(&packed, inputs, outputs), kernel);
        let last = kernel[outputs - 1..].iter().step_by(outputs);
        let column: Vec<f32> = last.map(|&weight| f32::from(weight) * scale[outputs - 1]).collect();
        assert_eq!(classifier::column(&packed, inputs, outputs - 1), column);
        let mut logits = vec![0.0; outputs];
        classifier::forward(&packed, &embedding, &mut vec![0; padded_channels(inputs)], &mut logits);
        assert_eq!(logits, reference::classifier(&embedding, &kernel, &scale, &bias));
        let exact: f32 =
            embedding.iter().zip(kernel.iter().step_by(outputs)).map(|(a, &w)| a * f32::from(w)).sum();
        assert!((logits[0] - (exact * scale[0] + bias[0])).abs() < 0.02, "{} {exact}", logits[0]);
    }
    let packed = classifier::pack(vec![127; 1024], &[1.0], &[0.5]);
    let mut logits = [0.0];
    classifier::forward(&packed, &[3.0; 1024], &mut [0; 1024], &mut logits);
    assert!((logits[0] - (127.0 * 3.0 * 1024.0 + 0.5)).abs() < 0.5, "{logits:?}");
    classifier::forward(&packed, &[0.0; 1024], &mut [0; 1024], &mut logits);
    assert_eq!(logits, [0.5]);
}

#[test]
fn packing_detects_where_pairs_fit() {
    let random = &mut Random(11);
    let mut seen = [0; 2];
    for round in 0..2000 {
        let mut kernel = random.weights(GROUP, if round % 2 == 0 { 127 } else { 110 });
        // All of the same sign, so that sums come near the limit.
        kernel
            .iter_mut()
            .for_each(|weight| *weight = if round % 3 == 0 { weight.abs() } else { -weight.abs() });
        let wanted = panel::fits_pairs(kernel[..].try_into().unwrap());
        assert_eq!(panel::pack_weights::<u8>(kernel.clone(), 1, true).1, [wanted], "{kernel:?}");
        seen[usize::from(wanted)] += 1;
        let wide: Vec<i8> = kernel.iter().flat_map(|&weight| [0, 0, 0, 0, 0, weight, 0, 0, 0]).collect();
        assert_eq!(panel::pack_weights::<u8>(wide, 9, true).1, [wanted, true], "{kernel:?}");
    }
    assert!(seen.iter().all(|&count| count > 100), "{seen:?}");
}

#[test]
fn weight_sums_are_those_of_each_output() {
    for (inputs, outputs) in [(1, 1), (5, 7), (300, 8), (1030, 19)] {
        let mut kernel = Random(3).weights(inputs * outputs, 127);
        kernel[0] = -128;
        for (output, sums) in weight_sums(&kernel, outputs).into_iter().enumerate() {
            let weights = || kernel[output..].iter().step_by(outputs).map(|&weight| i32::from(weight));
            assert_eq!(sums, [weights().map(|w| w.max(0)).sum(), weights().map(|w| w.min(0)).sum::<i32>()]);
        }
    }
}
