//! A network of nothing, for browsers: they optimise a function once it has run for a while, on another thread, and
//! until then it runs at a third of its speed. Where the kernels have run before the real network is there, its first
//! answer comes sooner.
//!
//! Goes in: a [`Precision`]. Comes out: nothing but time spent, in the kernels that a network of this precision runs in.

use super::{Network, Precision};
use crate::weights::Provenance;
use crate::{Architecture, Result, Weights};
use crate::{Kernel, LayerWeights};

/// As wide and large as it takes for every loop that matters to run for long enough, packing too.
const SIZE: (f64, usize) = (0.5, 64);

/// Runs of the int8 stem besides: a map of that size takes it few rounds, and the first frame of 224 pixels would spend
/// two thirds of its stem in code that is not optimised yet.
const STEMS: usize = 12;

/// Runs a small network of zeros, packing and all.
pub fn warm_up(precision: Precision) -> Result<()> {
    let (alpha, resolution) = SIZE;
    let architecture = Architecture { alpha, resolution, classes: 16, ..Architecture::default() };
    let mut layers = Vec::new();
    for layer in architecture.layers_with_weights() {
        let outputs = layer.shape.output.channels;
        let length = layer.kernel_shape().unwrap_or_default().iter().product();
        let kernel = match precision {
            Precision::F32 => Kernel::F32(vec![0.0; length]),
            Precision::Int8 => Kernel::Int8 { values: vec![0; length], scales: vec![1.0; outputs] },
        };
        layers.push(LayerWeights { name: layer.name, kernel, bias: vec![0.0; outputs], range: Some(6.0) });
    }
    let (provenance, steps) = (Provenance::default(), Vec::new());
    let mut weights = Weights { architecture, layers, provenance, steps, input_grid: None };
    let mut network = Network::from_weights_mut(&mut weights, precision)?;
    network.run();
    for _ in 0..STEMS {
        network.run_stem_of_bytes();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_in_both_precisions() {
        warm_up(Precision::F32).unwrap();
        warm_up(Precision::Int8).unwrap();
    }
}
