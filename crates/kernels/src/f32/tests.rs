//! Every fast kernel against the reference, over awkward sizes: bit-identical unless multiply-adds are
//! fused, else within a few roundings of the magnitude of the terms.

use super::*;
#[cfg(target_arch = "wasm32")]
use crate::browser_test as test;
use crate::layout::transpose;
use crate::shape::{ConvShape, FeatureMap, Padding};
use crate::{reference, simd::FUSED};

const ACTIVATIONS: [Activation; 3] = [Activation::None, Activation::Relu, Activation::Relu6];
const PADDINGS: [Padding; 3] = [Padding::Same, Padding::Symmetric, Padding::Keras];

/// Numbers in ±1, the same for the same seed (xorshift).
fn random(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    (0..len).map(next).collect()
}

/// The values of a map, followed by NaN where a larger buffer holds values of another map.
fn random_map(map: FeatureMap) -> Vec<f32> {
    let mut values = random(map.len(), 1);
    values.extend(std::iter::repeat_n(f32::NAN, 3 * map.width * map.channels));
    values
}

/// Compares sums of `terms` products of numbers in ±1: with and without fusing they differ by a rounding per term.
fn compare(got: &[f32], wanted: &[f32], terms: usize, what: &str) {
    assert_eq!(got.len(), wanted.len(), "{what}");
    let tolerance = if FUSED { terms as f32 * (terms as f32).sqrt() * f32::EPSILON } else { 0.0 };
    for (index, (got, wanted)) in got.iter().zip(wanted).enumerate() {
        assert!((got - wanted).abs() <= tolerance, "{what}: value {index} is {got}, not {wanted}");
    }
}

#[test]
fn unpack_inverts_pack() {
    for inputs in [1, 3, 8, 27] {
        for outputs in 1..50 {
            let (kernel, bias) = (random(inputs * outputs, 1), random(outputs, 2));
            let packed = pointwise::pack(kernel.clone(), &bias);
            assert_eq!(pointwise::unpack(&packed), kernel);
            let rows = transpose(&kernel, inputs, outputs);
            let from_rows = pointwise::pack_rows_of_inputs(rows, &bias);
            assert_eq!(pointwise::unpack(&from_rows), kernel);
            // The padding of a last panel, too.
            assert_eq!(from_rows.bytes(), packed.bytes());
            let (input, mut got, mut wanted) = (random(inputs, 5), vec![0.0; outputs], vec![0.0; outputs]);
            pointwise::forward(&from_rows, Activation::Relu, &input, &mut got);
            pointwise::forward(&packed, Activation::Relu, &input, &mut wanted);
            assert_eq!(got, wanted);
            let channels = outputs;
            let (kernel, bias) = (random(9 * channels, 3), random(channels, 4));
            assert_eq!(depthwise::unpack(&depthwise::pack(&kernel, &bias)), kernel);
        }
    }
}

#[test]
fn pointwise_equals_the_reference() {
    for pixels in (1..8).chain([13, 19, 49]) {
        for inputs in [1, 2, 3, 8, 27, 33] {
            for outputs in (1..=20).chain([31, 32, 33, 48]) {
                let shape = ConvShape::pointwise(FeatureMap::new(1, pixels, inputs), outputs);
                let activation = ACTIVATIONS[(pixels + inputs + outputs) % 3];
                let (input, kernel) = (random(pixels * inputs, 1), random(inputs * outputs, 2));
                let bias = random(outputs, 3);
                let (mut got, mut wanted) = (vec![f32::NAN; pixels * outputs], vec![0.0; pixels * outputs]);
                pointwise::forward(&pointwise::pack(kernel.clone(), &bias), activation, &input, &mut got);
                reference::convolution(&shape, activation, &input, &kernel, &bias, &mut wanted);
                compare(&got, &wanted, inputs, &format!("{pixels} pixels, {inputs} to {outputs}"));
            }
        }
    }
}

/// Calls `check` with every width and height that matters, both strides and both paddings.
fn windows(channels: &[usize], mut check: impl FnMut(FeatureMap, usize, Padding, usize)) {
    for width in 1..=20 {
        for height in [1, 2, 3, 6, 7] {
            for stride in [1, 2] {
                for padding in PADDINGS {
                    // A pixel before which and after which there is nothing has no window.
                    if padding == Padding::Keras && stride == 2 && width.min(height) == 1 {
                        continue;
                    }
                    for &channels in channels {
                        check(
                            FeatureMap::new(height, width, channels),
                            stride,
                            padding,
                            width + height + channels,
                        );
                    }
                }
            }
        }
    }
}

fn check_depthwise(map: FeatureMap, stride: usize, padding: Padding, seed: usize) {
    let shape = ConvShape::window(map, map.channels, stride, padding);
    let activation = ACTIVATIONS[seed % 3];
    let (input, kernel) = (random_map(map), random(9 * map.channels, 2));
    let bias = random(map.channels, 3);
    let (mut got, mut wanted) = (vec![f32::NAN; shape.output.len()], vec![0.0; shape.output.len()]);
    let packed = depthwise::pack(&kernel, &bias);
    // In two ranges of rows, as a caller with bands or threads computes them.
    let (rows, line) = (shape.output.height, shape.output.width * map.channels);
    let (top, bottom) = got.split_at_mut(rows / 2 * line);
    depthwise::forward(&shape, &packed, activation, 0..rows / 2, &input, top);
    depthwise::forward(&shape, &packed, activation, rows / 2..rows, &input, bottom);
    reference::depthwise(&shape, activation, &input, &kernel, &bias, &mut wanted);
    compare(&got, &wanted, 9, &format!("{map:?} at stride {stride}, {padding:?}"));
}

#[test]
fn depthwise_equals_the_reference() {
    // 128 channels have rows in parts, 260 channels use patches.
    windows(&[1, 2, 3, 4, 5, 7, 8, 9, 16, 19, 32, 37, 128, 260], check_depthwise);
}

#[test]
fn depthwise_patches_of_a_few_rows_equal_the_reference() {
    // A patch holds one or two output rows of the first map and no row of the second, which falls back to parts.
    for map in [
        FeatureMap::new(11, 70, 261),
        FeatureMap::new(5, 171, 256),
        FeatureMap::new(14, 14, 512),
        FeatureMap::new(7, 7, 1024),
    ] {
        for stride in [1, 2] {
            for padding in PADDINGS {
                check_depthwise(map, stride, padding, stride + map.width);
            }
        }
    }
}

#[test]
fn window_equals_the_reference() {
    windows(&[1, 3, 8], |map, stride, padding, seed| {
        let outputs = [5, 16, 32][seed % 3];
        let shape = ConvShape::window(map, outputs, stride, padding);
        let activation = ACTIVATIONS[seed % 3];
        let (input, kernel) = (random_map(map), random(9 * map.channels * outputs, 2));
        let bias = random(outputs, 3);
        let (mut got, mut wanted) = (vec![f32::NAN; shape.output.len()], vec![0.0; shape.output.len()]);
        let packed = window::pack(kernel.clone(), &bias);
        let mut scratch = vec![f32::NAN; window::scratch_len(&shape)];
        let (rows, line) = (shape.output.height, shape.output.width * outputs);
        let (top, bottom) = got.split_at_mut(rows / 2 * line);
        window::forward(&shape, &packed, activation, 0..rows / 2, &input, &mut scratch, top);
        window::forward(&shape, &packed, activation, rows / 2..rows, &input, &mut scratch, bottom);
        reference::convolution(&shape, activation, &input, &kernel, &bias, &mut wanted);
        compare(&got, &wanted, 9 * map.channels, &format!("{map:?} at stride {stride}, {padding:?}"));
    });
}

#[test]
fn pool_equals_the_reference() {
    for pixels in 1..=20 {
        for channels in 1..=20 {
            let map = FeatureMap::new(1, pixels, channels);
            let input = random(map.len(), 4);
            let (mut got, mut wanted) = (vec![f32::NAN; channels], vec![0.0; channels]);
            pool::forward(&input, &mut got);
            reference::pool(map, &input, &mut wanted);
            assert_eq!(got, wanted, "{map:?}");
        }
    }
}

#[test]
fn softmax_is_accurate_to_a_few_units_in_the_last_place() {
    for classes in (1..=20).chain([1000, 1001]) {
        for scale in [0.1, 1.0, 10.0, 60.0] {
            let logits: Vec<f32> = random(classes, 5).iter().map(|logit| logit * scale).collect();
            let (mut got, mut wanted) = (vec![f32::NAN; classes], vec![0.0; classes]);
            softmax::forward(&logits, &mut got);
            reference::softmax(&logits, &mut wanted);
            for (got, wanted) in got.iter().zip(&wanted) {
                // Either may be zero below 1e-37.
                let tolerance = 4.0 * f32::EPSILON * wanted + 1e-37;
                assert!((got - wanted).abs() <= tolerance, "{classes} classes: {got}, not {wanted}");
            }
        }
    }
    let mut certain = [0.0; 3];
    softmax::forward(&[-1e30, 1e30, 0.0], &mut certain);
    assert_eq!(certain, [0.0, 1.0, 0.0]);
}
