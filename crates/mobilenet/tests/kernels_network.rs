//! The network as a whole: shapes, what an observer sees, what stays after a run.

#![cfg(not(target_arch = "wasm32"))] // the dependencies of native tests

use mobilenet::architecture::Convolution;
use mobilenet::quantize::quantize;
use mobilenet::{Architecture, Weights};
use mobilenet::{Input, Network, Precision};
use mobilenet_kernels::shape::{Activation, FeatureMap, Padding};

fn network(weights: &Weights) -> Network {
    let mut network = Network::new(weights, Precision::F32).unwrap();
    let Input::F32(input) = network.input() else { panic!("a float network takes floats") };
    mobilenet_testing::networks::fill(input, 7, 1.0);
    network
}

/// Architectures that differ in everything a kernel could trip over.
fn architectures() -> Vec<Architecture> {
    let small = Architecture { alpha: 0.25, resolution: 64, classes: 10, ..Architecture::default() };
    vec![
        small.clone(),
        Architecture { alpha: 0.3, resolution: 33, padding: Padding::Symmetric, ..small.clone() },
        Architecture { alpha: 0.05, resolution: 50, activation: Activation::Relu, ..small.clone() },
        Architecture { alpha: 0.5, resolution: 47, classes: 1, shallow: true, ..small.clone() },
        Architecture { resolution: 32, convolution: Convolution::Standard, ..small },
    ]
}

#[test]
fn what_is_taken_while_packing_is_given_back_and_the_answer_is_the_same() {
    for architecture in architectures() {
        let floats = mobilenet_testing::networks::random(&architecture, 5);
        let mut kept = vec![(floats.clone(), Precision::F32)];
        if architecture.convolution == Convolution::Separable {
            kept.push((quantize(&floats).unwrap(), Precision::Int8));
        }
        for (weights, precision) in kept {
            let mut taken = weights.clone();
            let mut network = Network::from_weights_mut(&mut taken, precision).unwrap();
            let held =
                |weights: &Weights| weights.layers.iter().map(|layer| layer.kernel.len()).sum::<usize>();
            assert!(held(&taken) < held(&weights) / 2, "{precision:?} {architecture:?}");
            network.export_weights(&mut taken);
            assert_eq!(taken, weights);
            let mut other = Network::new(&weights, precision).unwrap();
            for network in [&mut network, &mut other] {
                match network.input() {
                    Input::F32(input) => mobilenet_testing::networks::fill(input, 9, 1.0),
                    Input::U8(input) => {
                        input.iter_mut().enumerate().for_each(|(i, byte)| *byte = (i * 37) as u8)
                    }
                }
                network.run();
            }
            assert_eq!(network.probabilities(), other.probabilities());
            let kernel = weights.layers.last().unwrap().kernel.to_f32().into_owned();
            for class in 0..architecture.classes {
                let column: Vec<f32> =
                    kernel[class..].iter().step_by(architecture.classes).copied().collect();
                assert_eq!(network.classifier(class).unwrap(), column);
            }
            let refused = network.classifier(architecture.classes).unwrap_err().to_string();
            assert!(refused.contains("does not exist"), "{refused}");
        }
    }
}

#[test]
fn observers_see_every_layer_and_change_nothing() {
    for architecture in architectures() {
        let weights = mobilenet_testing::networks::random(&architecture, 3);
        let mut network = network(&weights);
        let probabilities = network.run().to_vec();
        let embedding = network.embedding().to_vec();
        let logits = network.logits().to_vec();
        let (map, features) = network.features();
        let features = features.to_vec();
        assert_eq!(features.len(), map.len());

        let mut seen = Vec::new();
        let mut maps: Vec<(FeatureMap, Vec<f32>)> = Vec::new();
        let observed = network.run_observed(&mut |layer, map, values| {
            seen.push(layer.name.clone());
            maps.push((map, values().into_owned()));
        });
        assert_eq!(observed, probabilities);
        let names: Vec<String> = architecture.layers().into_iter().map(|layer| layer.name).collect();
        assert_eq!(seen, names);
        for ((map, values), layer) in maps.iter().zip(architecture.layers()) {
            assert_eq!(*map, layer.shape.output, "{}", layer.name);
            assert_eq!(values.len(), map.len(), "{}", layer.name);
        }
        let [.., last, pooled, classified] = &maps[..] else { panic!("three layers at least") };
        assert_eq!((&last.1, &pooled.1, &classified.1), (&features, &embedding, &logits));
        let sum: f64 = probabilities.iter().copied().map(f64::from).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    }
}

#[test]
fn the_input_outlives_a_run() {
    let weights = mobilenet_testing::networks::random(&architectures()[0], 5);
    let mut network = network(&weights);
    let first = network.run().to_vec();
    assert_eq!(network.run(), first);
}
