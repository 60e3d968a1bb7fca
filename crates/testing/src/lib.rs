//! What the tests of the workspace share: small networks, random numbers, writers of foreign model files, and where the
//! reference data lies. Not published.

#![allow(missing_docs, reason = "a development crate; names and tests say what things are")]

#[cfg(not(target_arch = "wasm32"))]
pub mod foreign;
#[allow(unsafe_code, reason = "a global allocator cannot be written without")]
pub mod limit;
pub mod networks;

use mobilenet::{Architecture, Weights};
use mobilenet::{Kernel, LayerKind, LayerWeights};
use std::path::PathBuf;

/// A file of the reference data beside the repository; `None`, said aloud, where it is absent.
pub fn shared(path: &str) -> Option<Vec<u8>> {
    let found = shared_path(path)?;
    Some(std::fs::read(&found).unwrap_or_else(|error| panic!("{}: {error}", found.display())))
}

/// Where a file or folder of the reference data lies; `None`, said aloud, where it is absent.
pub fn shared_path(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("MOBILENET_SHARED").map(PathBuf::from);
    let root = root.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")));
    let found = root.join(path);
    if !found.exists() {
        eprintln!("skipped: {} is absent (set MOBILENET_SHARED to the folder of the reference data)", path);
        return None;
    }
    Some(found)
}

/// Numbers from a seed, the same on every machine (SplitMix64).
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number from 0 up to `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.bits() % bound.max(1) as u64) as usize
    }

    /// A float from −1 to 1.
    pub fn signed(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

/// A network thin enough for any test: 16 features, 5 classes, 32 pixels.
pub fn small_architecture() -> Architecture {
    let labels = ["ant", "bee", "cat", "dog", "eel"].map(String::from).to_vec();
    Architecture { alpha: 1.0 / 64.0, resolution: 32, classes: 5, labels, ..Architecture::default() }
}

/// Random weights of it.
pub fn small(seed: u64) -> Weights {
    random(small_architecture(), seed)
}

/// Random weights, scaled so that activations neither vanish nor burst.
pub fn random(architecture: Architecture, seed: u64) -> Weights {
    let mut random = Random(seed);
    let layers = architecture.layers_with_weights().into_iter().map(|layer| {
        let shape = layer.kernel_shape().unwrap();
        let fan_in = shape[0] * shape[1] * if layer.kind == LayerKind::Depthwise { 1 } else { shape[2] };
        let scale = (6.0 / fan_in as f32).sqrt();
        let kernel = (0..shape.iter().product()).map(|_| random.signed() * scale).collect();
        let bias = (0..layer.shape.output.channels).map(|_| random.signed() * 0.1).collect();
        LayerWeights { name: layer.name.clone(), kernel: Kernel::F32(kernel), bias, range: None }
    });
    Weights::new(architecture.clone(), layers.collect()).unwrap()
}
