//! Foreign formats on files made here: what was written comes back, other networks are refused by the node that differs.

#![cfg(not(target_arch = "wasm32"))] // the writers are native

use mobilenet_formats::{LoadedModel, ModelOptions, ModelSource, read_source};
use mobilenet_kernels::shape::Padding;
use mobilenet_testing::Random;
use mobilenet_testing::foreign::{Border, Files, Kind, every, keras, plan};

fn read((bytes, files): &Files) -> Result<LoadedModel, mobilenet::Error> {
    let beside: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (&**name, &**bytes)).collect();
    read_source(&ModelSource { bytes, companions: &beside }, &ModelOptions::default())
}

#[test]
fn what_was_written_comes_back() {
    let weights = mobilenet_testing::small(1);
    for (border, padding) in [
        (Border::Same, Padding::Same),
        (Border::Keras, Padding::Keras),
        (Border::Symmetric, Padding::Symmetric),
    ] {
        for plan in [plan(&weights, border, None), plan(&weights, border, None).dense()] {
            for (format, files) in every(&plan) {
                let reading = read(&files).unwrap_or_else(|error| panic!("{format}, {border:?}: {error}"));
                assert_eq!(reading.weights.architecture.padding, padding, "{format}, {border:?}");
                assert_eq!(reading.weights.architecture.resolution, 32, "{format}");
                assert_eq!(reading.weights.layers, weights.layers, "{format}, {border:?}");
            }
        }
    }
}

#[test]
fn batch_norm_is_folded_alike() {
    let weights = mobilenet_testing::small(2);
    let plan = plan(&weights, Border::Keras, Some(&mut Random(3)));
    let files = every(&plan);
    let first = read(&files[0].1).unwrap().weights;
    assert_ne!(first.layers, weights.layers);
    assert_eq!(first.architecture.epsilon, 1e-3);
    let (tflite, others) = files[1..].split_last().unwrap();
    for (format, files) in others {
        assert_eq!(read(files).unwrap().weights.layers, first.layers, "{format}");
    }
    // TFLite has no batch norm: factors and summands that were computed in single precision stand for it.
    for (folded, given) in read(&tflite.1).unwrap().weights.layers.iter().zip(&first.layers) {
        let pairs = folded.kernel.to_f32().into_owned().into_iter().zip(given.kernel.to_f32().into_owned());
        for (folded, given) in pairs.chain(folded.bias.iter().copied().zip(given.bias.iter().copied())) {
            assert!((folded - given).abs() <= 1e-5 * given.abs().max(1.0), "{folded} and {given}");
        }
    }
}

#[test]
fn another_network_is_refused_by_the_first_node_that_differs() {
    let weights = mobilenet_testing::small(4);
    let start = || plan(&weights, Border::Keras, None);
    let mut extra = start();
    extra.insert("conv_dw_5", "squeeze", Kind::Sigmoid);
    let mut missing = start();
    missing.remove(&["conv_dw_3", "conv_pw_3"]);
    let mut residual = start();
    let from = residual.at("conv_pw_4_relu");
    residual.insert("conv_dw_6", "add", Kind::Skip(from));
    let mut bare = start();
    bare.remove(&["conv_pw_2_relu"]);
    let mut after = start();
    after.steps.push(mobilenet_testing::foreign::Step { name: "more".into(), kind: Kind::Sigmoid });
    for (name, plan, node) in [
        ("an extra layer", extra, "`squeeze`"),
        ("a missing block", missing, "conv_dw_4"),
        ("a residual connection", residual, "forks"),
        ("no activation", bare, "conv_pw_2"),
        ("a layer after softmax", after, "`more`"),
    ] {
        for (format, files) in every(&plan) {
            let refusal = read(&files).expect_err(name).to_string();
            assert!(refusal.starts_with("not a MobileNet v1: "), "{format}, {name}: {refusal}");
            assert!(refusal.contains(node), "{format}, {name}: {refusal}");
        }
    }
}

#[test]
fn keras_files_come_back() {
    let weights = mobilenet_testing::small(5);
    let plain = plan(&weights, Border::Keras, None);
    let normed = plan(&weights, Border::Keras, Some(&mut Random(6)));
    let wanted = read(&every(&normed)[3].1).unwrap().weights;
    for (plan, wanted) in [(plain, &weights), (normed, &wanted)] {
        for (kind, bytes) in [
            ("weights", keras::h5(&plan, false)),
            ("model", keras::h5(&plan, true)),
            ("zip", keras::zip(&plan)),
        ] {
            let reading = read(&(bytes, Vec::new())).unwrap_or_else(|error| panic!("{kind}: {error}"));
            assert_eq!(reading.weights.layers, wanted.layers, "{kind}");
            let said = reading.properties.iter().find(|property| property.name == "resolution").unwrap();
            assert_eq!(said.value, if kind == "weights" { "224" } else { "32" }, "{kind}");
        }
    }
}
