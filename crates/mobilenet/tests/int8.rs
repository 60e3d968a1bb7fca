//! Networks in 8-bit integers against the same networks in floats: on small ones made here, and on the real ones
//! where they lie beside the repository.

#![cfg(not(target_arch = "wasm32"))] // the dependencies of native tests

use mobilenet::Kernel;
use mobilenet::quantize::{Calibration, quantize};
use mobilenet::{Architecture, Weights};
use mobilenet::{Input, Network, Precision};
use mobilenet_formats as formats;
use mobilenet_formats::safetensors::{Storage, write};
use mobilenet_kernels::shape::{Activation, Padding};

fn frame(side: usize, seed: u64) -> Vec<u8> {
    let mut random = mobilenet_testing::Random(seed);
    (0..side * side * 3).map(|_| random.below(256) as u8).collect()
}

fn probabilities(network: &mut Network, frame: &[u8]) -> Vec<f32> {
    let normalization = network.architecture().normalization;
    match network.input() {
        Input::U8(input) => input.copy_from_slice(frame),
        Input::F32(input) => {
            for (index, (byte, value)) in frame.iter().zip(input).enumerate() {
                let (mean, deviation) = (normalization.mean[index % 3], normalization.deviation[index % 3]);
                *value = (f32::from(*byte) - mean) / deviation;
            }
        }
    }
    network.run().to_vec()
}

/// Largest difference of an embedding's value, in shares of the largest value.
fn embeddings_apart(weights: &Weights, int8: &Weights, frame: &[u8]) -> f32 {
    let mut floats = Network::new(weights, Precision::F32).unwrap();
    let mut bytes = Network::new(int8, Precision::Int8).unwrap();
    probabilities(&mut floats, frame);
    probabilities(&mut bytes, frame);
    let largest = floats.embedding().iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let apart = floats.embedding().iter().zip(bytes.embedding()).map(|(a, b)| (a - b).abs());
    apart.fold(0.0, f32::max) / largest
}

#[test]
fn small_networks_in_int8_stay_near_the_floats() {
    for activation in [Activation::Relu6, Activation::Relu] {
        for padding in [Padding::Same, Padding::Symmetric] {
            let architecture =
                Architecture { activation, padding, ..mobilenet_testing::small_architecture() };
            let weights = mobilenet_testing::random(architecture, 5);
            let picture = frame(weights.architecture.resolution, 7);
            let mut calibration = Calibration::new(&weights).unwrap();
            assert!(calibration.finish().is_err(), "nothing was seen");
            calibration.add(&picture).unwrap();
            assert!(calibration.add(&picture[1..]).is_err());
            for int8 in [quantize(&weights).unwrap(), calibration.finish().unwrap()] {
                let apart = embeddings_apart(&weights, &int8, &picture);
                assert!(apart < 0.15, "{activation:?}, {padding:?}: {apart}");
            }
        }
    }
}

#[test]
fn observed_layers_end_in_the_same_answer() {
    let weights = mobilenet_testing::small(3);
    let mut network = Network::new(&quantize(&weights).unwrap(), Precision::Int8).unwrap();
    assert_eq!(network.precision(), Precision::Int8);
    let answer = probabilities(&mut network, &frame(32, 1));
    let mut names = Vec::new();
    let observed = network
        .run_observed(&mut |layer, map, values| {
            assert_eq!(values().len(), map.len());
            names.push(layer.name.clone());
        })
        .to_vec();
    assert_eq!(answer, observed);
    let all: Vec<String> = network.layers().iter().map(|layer| layer.name.clone()).collect();
    assert_eq!(names, all);
}

#[test]
fn int8_weights_come_back_as_they_are() {
    let once = quantize(&mobilenet_testing::small(3)).unwrap();
    assert!(once.is_int8());
    assert_eq!(quantize(&once).unwrap(), once);
}

/// A damaged file: without a refusal the depthwise kernel would look for a coarser scale for ever.
#[test]
fn a_scale_that_is_not_above_zero_is_refused() {
    let whole = quantize(&mobilenet_testing::small(3)).unwrap();
    for (layer, wrong) in [(1, 0.0), (2, -1.0)] {
        let mut weights = whole.clone();
        let Kernel::Int8 { scales, .. } = &mut weights.layers[layer].kernel else { panic!("it is in bytes") };
        scales[3] = wrong;
        let name = weights.layers[layer].name.clone();
        let written = write(&weights, Storage::F32);
        let read = written.and_then(|bytes| formats::read(&bytes, &formats::ModelOptions::default()));
        let said = read.err().map(|error| error.to_string());
        assert_eq!(said.unwrap(), format!("tensor: `{name}/scale` has a value that is not above 0"));
    }
}
