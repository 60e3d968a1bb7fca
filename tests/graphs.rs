//! Foreign formats on files made here: what was written comes back, other networks are refused by the node that differs,
//! and damaged bytes give a sentence.

mod common;
mod foreign;

use common::Random;
use foreign::{Border, Kind, Plan, onnx, plan, tfjs};
use mobilenet::formats::{Options, Reading, Source, read_source};
use mobilenet::shape::Padding;

type Files = (Vec<u8>, Vec<(String, Vec<u8>)>);

fn read((bytes, files): &Files) -> Result<Reading, mobilenet::Error> {
    let beside: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (&**name, &**bytes)).collect();
    read_source(&Source { bytes, beside: &beside }, &Options::default())
}

/// A plan in every format.
fn every(plan: &Plan) -> Vec<(&'static str, Files)> {
    let style = onnx::Style::default();
    let (external, weights) = onnx::bytes(plan, onnx::Style { external: true, old: true, ..style });
    vec![
        ("onnx", (onnx::bytes(plan, style).0, Vec::new())),
        ("onnx nhwc", (onnx::bytes(plan, onnx::Style { channels_last: true, ..style }).0, Vec::new())),
        ("onnx external", (external, vec![("weights.bin".into(), weights)])),
        ("tfjs layers", tfjs::layers(plan, tfjs::Packing::F32, 1 << 20)),
        ("tfjs layers in shards", tfjs::layers(plan, tfjs::Packing::F32, 1001)),
        ("tfjs graph", tfjs::graph(plan, tfjs::Packing::F32, 1 << 20)),
    ]
}

#[test]
fn what_was_written_comes_back() {
    let weights = common::small(1);
    for (border, padding) in [
        (Border::Same, Padding::Same),
        (Border::Keras, Padding::Same),
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
    let weights = common::small(2);
    let plan = plan(&weights, Border::Keras, Some(&mut Random(3)));
    let files = every(&plan);
    let first = read(&files[0].1).unwrap().weights;
    assert_ne!(first.layers, weights.layers);
    assert_eq!(first.architecture.epsilon, 1e-3);
    for (format, files) in &files[1..] {
        assert_eq!(read(files).unwrap().weights.layers, first.layers, "{format}");
    }
}

#[test]
fn another_network_is_refused_by_the_first_node_that_differs() {
    let weights = common::small(4);
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
    after.steps.push(foreign::Step { name: "more".into(), kind: Kind::Sigmoid });
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
fn damaged_bytes_give_a_sentence() {
    let weights = common::small(5);
    let mut random = Random(6);
    for (_, (bytes, beside)) in every(&plan(&weights, Border::Keras, None)) {
        for _ in 0..150 {
            let mut bytes = bytes.clone();
            match random.below(3) {
                0 => bytes.truncate(random.below(bytes.len())),
                1 => {
                    for _ in 0..=random.below(8) {
                        let at = random.below(bytes.len());
                        bytes[at] ^= 1 << random.below(8);
                    }
                }
                _ => {
                    let (from, to) = (random.below(bytes.len()), random.below(bytes.len()));
                    let length = random.below(64).min(bytes.len() - from.max(to));
                    bytes.copy_within(from..from + length, to);
                }
            }
            let mut beside = beside.clone();
            if let Some((_, shard)) = beside.first_mut()
                && random.below(4) == 0
            {
                shard.truncate(random.below(shard.len()));
            }
            if let Err(error) = read(&(bytes, beside)) {
                assert!(!error.to_string().is_empty());
            }
        }
    }
}
