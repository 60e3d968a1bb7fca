//! Small networks that the tests make themselves: the same numbers for the same seed, everywhere.

use mobilenet::{Architecture, Weights};
use mobilenet::{Kernel, LayerKind, LayerWeights};

/// Numbers in ±`scale`, the same for the same `seed` (xorshift).
pub fn fill(values: &mut [f32], seed: u32, scale: f32) {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    for value in values {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        *value = (state as f32 / u32::MAX as f32 * 2.0 - 1.0) * scale;
    }
}

/// Weights that keep activations alive through all layers: uniform with He's variance, small biases.
pub fn random(architecture: &Architecture, seed: u32) -> Weights {
    let layers = architecture.layers_with_weights().into_iter().enumerate().map(|(index, layer)| {
        let [height, width, inputs, outputs] = layer.kernel_shape().unwrap();
        let taps = if layer.kind == LayerKind::Depthwise { 9 } else { height * width * inputs };
        let mut kernel = vec![0.0; height * width * inputs * outputs];
        fill(&mut kernel, seed + 2 * index as u32, (6.0 / taps as f32).sqrt());
        let mut bias = vec![0.0; layer.shape.output.channels];
        fill(&mut bias, seed + 2 * index as u32 + 1, 0.1);
        LayerWeights { name: layer.name, kernel: Kernel::F32(kernel), bias, range: None }
    });
    Weights::new(architecture.clone(), layers.collect()).unwrap()
}
