//! A convolution is linear in its input and in its kernel, so its gradients are exact adjoints: for any `x` and `w`,
//! `⟨d_y, conv(x, w)⟩ = ⟨d_x, x⟩ = ⟨d_w, w⟩`. Swept over odd sizes, channel tails, strides and paddings.

use super::*;
#[cfg(target_arch = "wasm32")]
use crate::browser_test as test;
use crate::f32::batch_norm::Moments;
use crate::f32::matmul::PackedMatrix;
use crate::shape::{FeatureMap, Padding};

fn values(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut value = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1u32 << 23) as f32 - 1.0
    };
    (0..count).map(|_| value()).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// Runs both directions of one layer and compares the three inner products.
fn check(shape: ConvShape, depthwise: bool, samples: usize) {
    let (inputs, outputs) = (shape.input.channels, shape.output.channels);
    let taps = shape.kernel * shape.kernel;
    let count = if depthwise { taps * inputs } else { taps * inputs * outputs };
    let (x, w) = (values(samples * shape.input.len(), 1), values(count, 2));
    let (other, d_y) = (values(x.len(), 3), values(samples * shape.output.len(), 4));
    let (read, norm) = (Affine::identity(inputs), Backward::identity(outputs));
    let (mut packed, mut transposed) = (PackedMatrix::default(), PackedMatrix::default());
    if !depthwise {
        packed.pack(taps * inputs, outputs, &w);
        transposed.pack_transposed(outputs, taps * inputs, &w);
    }
    let (mut scratch, mut moments) = (Scratch::default(), Moments::default());
    let mut forward = |x: &[f32]| {
        let mut y = vec![0.0; d_y.len()];
        moments.reset(outputs);
        match (depthwise, shape.kernel) {
            (true, _) => depthwise::forward(shape, x, &read, &w, &mut y, &mut moments, &mut scratch),
            (_, 1) => {
                pointwise::forward(inputs, outputs, x, &read, &packed, &mut y, &mut moments, &mut scratch);
            }
            _ => window::forward(shape, x, &read, &packed, &mut y, &mut moments, &mut scratch),
        }
        let mean = y.iter().step_by(outputs).map(|v| f64::from(*v)).sum::<f64>() / moments.count();
        assert!((moments.mean(0) - mean).abs() < 1e-5);
        y
    };
    let (y, y_other) = (forward(&x), forward(&other));
    let (mut d_x, mut d_w) = (vec![f32::NAN; x.len()], vec![0.0; w.len()]);
    let mut sums = GradientSums::default();
    sums.reset(inputs);
    let output = LayerOutput { y: &y, d_z: &d_y, norm: &norm };
    let mut input = LayerInput { y: &x, read: &read, d_z: &mut d_x, sums: &mut sums };
    match (depthwise, shape.kernel) {
        (true, _) => depthwise::backward(shape, &output, &mut input, &w, &mut d_w, &mut scratch),
        (_, 1) => {
            let (w, scratch) = (&mut d_w, &mut scratch);
            pointwise::backward(inputs, outputs, &output, &mut input, &transposed, w, scratch);
        }
        _ => {
            let back = Some((&mut input, &transposed));
            window::backward(shape, &output, (&x, &read), back, &mut d_w, &mut scratch);
        }
    }
    let size = (y.len() as f64).sqrt() * (taps * inputs) as f64;
    for (name, ours, exact) in [
        ("input", dot(&d_x, &x), dot(&d_y, &y)),
        ("another input", dot(&d_x, &other), dot(&d_y, &y_other)),
        ("kernel", dot(&d_w, &w), dot(&d_y, &y)),
    ] {
        assert!((ours - exact).abs() < 1e-6 * size, "{name}: {ours} against {exact} in {shape:?}");
    }
}

#[test]
fn gradients_are_adjoint_to_the_convolutions() {
    for size in 1..10 {
        for (inputs, outputs) in [(1, 1), (3, 8), (8, 3), (9, 17), (16, 20)] {
            let map = FeatureMap::new(size, size + 2, inputs);
            check(ConvShape::pointwise(map, outputs), false, 3);
            for padding in [Padding::Same, Padding::Symmetric] {
                for stride in [1, 2] {
                    check(ConvShape::window(map, inputs, stride, padding), true, 2);
                    check(ConvShape::window(map, outputs, stride, padding), false, 2);
                }
            }
        }
    }
}
