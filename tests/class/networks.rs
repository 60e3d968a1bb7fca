//! Small networks as files, the same bytes every time.

use mobilenet::{Architecture, Kernel, LayerKind, LayerWeights, Weights};
use mobilenet_formats::safetensors::{self, Storage};

/// Classes of [`architecture`].
pub const LABELS: [&str; 5] = ["apple", "boat", "cat", "door", "eye"];

/// 0.25 MobileNet-32 with five labelled classes.
pub fn architecture() -> Architecture {
    let labels = LABELS.map(String::from).to_vec();
    Architecture { alpha: 0.25, resolution: 32, classes: 5, labels, ..Architecture::default() }
}

/// Weights that keep the signal alive through all layers, so that different pictures get different answers.
pub fn weights(architecture: Architecture) -> Weights {
    let mut state = 0x2545_f491_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    let layers = architecture.layers().into_iter().filter_map(|layer| {
        let shape = layer.kernel_shape()?;
        let inputs = if layer.kind == LayerKind::Depthwise { 9 } else { shape[0] * shape[1] * shape[2] };
        let scale =
            (6.0 / inputs as f32).sqrt() * if layer.kind == LayerKind::Classifier { 3.0 } else { 1.0 };
        let kernel = (0..shape.iter().product()).map(|_| next() * scale).collect();
        let bias = (0..layer.shape.output.channels).map(|_| 0.1 + 0.1 * next()).collect();
        Some(LayerWeights { name: layer.name, kernel: Kernel::F32(kernel), bias, range: None })
    });
    let layers = layers.collect();
    Weights::new(architecture, layers).unwrap()
}

/// The file of [`weights`] of [`architecture`].
pub fn file() -> Vec<u8> {
    safetensors::write(&weights(architecture()), Storage::F32).unwrap()
}

/// A file of some megabytes, whose network needs more memory than its kernels leave between them.
pub fn large_file() -> Vec<u8> {
    let architecture = Architecture { alpha: 0.5, resolution: 160, classes: 1000, ..Architecture::default() };
    safetensors::write(&weights(architecture), Storage::F32).unwrap()
}
