//! Files that are no MobileNet v1: each is refused by what it is, or by the node that differs, with what to do.

#![cfg(not(target_arch = "wasm32"))] // the writers are native

use mobilenet::architecture::HeadActivation;
use mobilenet_formats::{ModelOptions, ModelSource, read_source};
use mobilenet_testing::foreign::{Border, Files, Kind, Plan, every, keras, plan};
use mobilenet_testing::small;

fn refused((bytes, files): &Files) -> String {
    let beside: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (&**name, &**bytes)).collect();
    let source = ModelSource { bytes, companions: &beside };
    read_source(&source, &ModelOptions::default()).map(|_| ()).expect_err("a MobileNet v1").to_string()
}

fn alone(bytes: impl AsRef<[u8]>) -> String {
    refused(&(bytes.as_ref().to_vec(), Vec::new()))
}

/// A zip with these entries.
fn zip(names: &[&str]) -> Vec<u8> {
    use std::io::Write;
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for name in names {
        archive.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(b"x").unwrap();
    }
    archive.finish().unwrap().into_inner()
}

#[test]
fn other_files_are_called_what_they_are() {
    let torch = zip(&["archive/data.pkl", "archive/data/0"]);
    for (bytes, what, cure) in [
        (&b""[..], "empty", "download"),
        (b"<!doctype html>", "web page", "address"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS", "git lfs pull"),
        (&[0x1f, 0x8b, 8, 0], "gzip", "unpack"),
        (b"Rar!\x1a\x07\0", "archive", "unpack"),
        (b"7z\xbc\xaf\x27\x1c", "archive", "unpack"),
        (&[0x80, 2, 0x8a], "pickle", "save_file"),
        (&torch, "PyTorch", "save_file"),
        (
            &zip(&["model.json", "weights.bin", "metadata.json"]),
            "Teachable Machine",
            "unpack it and load its model.json",
        ),
        (&zip(&["keras_model.h5", "labels.txt"]), "Teachable Machine", "keras_model.h5"),
        (&zip(&["model_unquant.tflite", "labels.txt"]), "TFLite", "unpack"),
        (&zip(&["m/saved_model.pb"]), "SavedModel", "tf2onnx"),
        (&zip(&["Manifest.json", "Data/model.mlmodel"]), "Core ML", "convert"),
        (&zip(&["readme.txt"]), "no `config.json`", "Keras 3"),
        (&[0x08, 1, 0x12, 9, 0x0a], "SavedModel", "tf2onnx"),
        (b"\x0a\x0bPlaceholder\x12", ".pb", "tf2onnx"),
        (b"\x0a\x09MOBILENET\x1a\x0bConvolution", "Caffe", "ONNX"),
        (b"name: \"MOBILENET\"\nlayer {", "Caffe", "ONNX"),
        (b"\x93NUMPY\x01\0", "NumPy", "safetensors"),
        (b"GGUF\x03\0\0\0", "language model", "not a MobileNet v1"),
        (&[0x08, 4, 0x12, 0], "Core ML", "convert the model it was made from"),
        (&[0xff; 64], "no known format", "damaged"),
    ] {
        let said = alone(bytes);
        assert!(said.contains(what) && said.contains(cure), "{what}: {said}");
    }
}

/// Every format of a plan that another function changes.
fn every_format(change: impl Fn(&mut Plan)) -> Vec<(&'static str, Files)> {
    let mut plan = plan(&small(1), Border::Same, None).dense();
    change(&mut plan);
    let mut files = every(&plan);
    files.push(("keras h5", (keras::h5(&plan, true), Vec::new())));
    files.push(("keras zip", (keras::zip(&plan), Vec::new())));
    files
}

#[test]
fn other_networks_are_refused_by_the_node_and_by_name() {
    type Change = fn(&mut Plan);
    let cases: [(Change, &[&str]); 7] = [
        // Every name as in MobileNet v2's files, and the first layer that differs.
        (
            |plan| {
                plan.remove(&["conv_pw_1"]);
                plan.steps.iter_mut().for_each(|step| step.name = format!("MobilenetV2_{}", step.name));
            },
            &["MobileNet v2", "expected"],
        ),
        (
            |plan| plan.insert("conv_pw_3", "bneck", Kind::Activation(HeadActivation::Sigmoid)),
            &["`bneck`", "expected"],
        ),
        // Without its classifier.
        (
            |plan| {
                let at = plan.at("conv_preds");
                plan.steps.truncate(at);
            },
            &["without its classifier", "include_top"],
        ),
        (|plan| plan.insert("predictions", "tanh", Kind::Skip(3)), &["forks to"]),
        (
            |plan| {
                plan.steps.pop();
                let kind = Kind::Activation(HeadActivation::Tanh);
                plan.steps.push(mobilenet_testing::foreign::Step { name: "last".into(), kind });
            },
            &["`last`", "softmax or sigmoid"],
        ),
        (|plan| plan.insert("conv1", "bent", Kind::Activation(HeadActivation::Tanh)), &["`bent`", "`conv1`"]),
        (
            |plan| {
                let at = plan.at("global_average_pooling2d");
                plan.steps.remove(at);
            },
            &["global_pool"],
        ),
    ];
    for (number, (change, wanted)) in cases.into_iter().enumerate() {
        for (format, files) in every_format(change) {
            let said = refused(&files);
            let all = wanted.iter().all(|part| said.contains(part));
            assert!(all, "case {number}, {format}: {said}");
        }
    }
}

#[test]
fn other_names_are_refused_by_what_they_are() {
    use safetensors::tensor::{Dtype, TensorView, serialize};
    let file = |names: &[&str]| {
        let view = || TensorView::new(Dtype::F32, vec![1], &[0; 4]).unwrap();
        serialize(names.iter().map(|name| (*name, view())), None).unwrap()
    };
    for (names, wanted) in [
        (&["features.18.0.weight", "features.0.0.weight"][..], "MobileNet v2"),
        (&["MobilenetV2/Conv/weights"], "MobileNet v2"),
        (&["blocks.1.0.se.conv_reduce.weight", "block_1_expand/kernel"], "MobileNet v2"),
        (&["layer1.0.conv1.weight", "conv1.weight"], "ResNet"),
        (&["vit.embeddings.weight"], "vision transformer"),
        (&["conv_stem.weight", "ema.conv_stem.weight"], "two networks"),
        (&["something"], "`something`"),
        (&[], "no tensor at all"),
    ] {
        let said = alone(file(names));
        assert!(said.starts_with("not a MobileNet v1: ") && said.contains(wanted), "{names:?}: {said}");
    }
}
