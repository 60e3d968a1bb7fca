//! The foreign formats on real files of `../shared/weights` (or `$MOBILENET_SHARED/weights`): each loads, says where it
//! found what, has the weights that the other formats of the same network have, and answers as the reference did.

#![cfg(not(target_arch = "wasm32"))] // reads files

use mobilenet::Kernel;
use mobilenet::architecture::Normalization;
use mobilenet::{Input, Network, Precision};
use mobilenet_formats::{LoadedModel, ModelOptions, ModelSource, Origin, companion_files, read_source};
use mobilenet_kernels::shape::{Activation, Padding};
use safetensors::SafeTensors;
use std::path::Path;

/// Reads a file and those beside it.
fn load(path: &Path, options: &ModelOptions) -> LoadedModel {
    let bytes = std::fs::read(path).unwrap();
    let names = companion_files(&bytes).unwrap();
    let files: Vec<(String, Vec<u8>)> = names
        .into_iter()
        .map(|name| {
            let bytes = std::fs::read(path.with_file_name(&name)).unwrap();
            (name, bytes)
        })
        .collect();
    let beside: Vec<(&str, &[u8])> =
        files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let source = ModelSource { bytes: &bytes, companions: &beside };
    read_source(&source, options).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A file, what its reference is called, and what must be found.
struct Case {
    file: &'static str,
    expected: Option<&'static str>,
    alpha: f64,
    resolution: usize,
    normalization: Option<Normalization>,
    int8: bool,
}

const fn case(file: &'static str, expected: Option<&'static str>, alpha: f64, resolution: usize) -> Case {
    Case { file, expected, alpha, resolution, normalization: None, int8: false }
}

const fn quantized(mut case: Case, mean: f32, deviation: f32, int8: bool) -> Case {
    case.normalization = Some(Normalization::uniform(mean, deviation));
    case.int8 = int8;
    case
}

const KERAS: Option<&str> = Some("keras_0.25_224");

fn cases() -> Vec<Case> {
    vec![
        case("tflite/mbnet128_0.25_f.tflite", Some("tflite_0.25_128_float"), 0.25, 128),
        case("tflite/mobilenet_v1_0.25_224_f32.tflite", Some("tflite_0.25_224_float"), 0.25, 224),
        case("tflite/mobilenet_v1_0.25_224_f16.tflite", Some("tflite_0.25_224_float16"), 0.25, 224),
        quantized(
            case("tflite/mbnet128_0.25_q.tflite", Some("tflite_0.25_128_int8"), 0.25, 128),
            0.0,
            255.0,
            true,
        ),
        quantized(
            case("tflite/mobilenet_v1_0.25_128_quant.tflite", Some("tflite_0.25_128_uint8"), 0.25, 128),
            128.0,
            128.0,
            false,
        ),
        quantized(
            case("tflite/mobilenet_v1_0.25_224_int8.tflite", Some("tflite_0.25_224_int8"), 0.25, 224),
            127.0,
            127.5,
            true,
        ),
        quantized(
            case("tflite/mobilenet_v1_1.0_224_int8.tflite", Some("tflite_1.0_224_int8"), 1.0, 224),
            128.0,
            128.0,
            true,
        ),
        case("onnx/mobilenet_v1_0.25_224_nchw_opset13.onnx", KERAS, 0.25, 224),
        case("onnx/mobilenet_v1_0.25_224_nhwc_opset13.onnx", KERAS, 0.25, 224),
        case("tfjs/layers_f32_0.25_224/model.json", KERAS, 0.25, 224),
        case("tfjs/layers_f16_0.25_224/model.json", None, 0.25, 224),
        case("tfjs/layers_u8_0.25_224/model.json", None, 0.25, 224),
        case("tfjs/graph_f32_0.25_224/model.json", KERAS, 0.25, 224),
    ]
}

#[test]
fn every_file_says_what_it_is() {
    let Some(root) = mobilenet_testing::shared_path("weights") else { return };
    for case in cases() {
        let reading = load(&root.join(case.file), &ModelOptions::default());
        let architecture = &reading.weights.architecture;
        let origin = |name| reading.properties.iter().find(|property| property.name == name).unwrap().origin;
        assert_eq!(architecture.alpha, case.alpha, "{}", case.file);
        assert_eq!(
            (architecture.resolution, origin("resolution")),
            (case.resolution, Origin::File),
            "{}",
            case.file
        );
        // Explicit zeros below and to the right are Keras' padding, which at even sizes is SAME.
        let same = matches!(architecture.padding, Padding::Same | Padding::Keras);
        assert!(same && origin("padding") == Origin::File, "{}: {:?}", case.file, architecture.padding);
        assert_eq!(
            (architecture.activation, origin("activation")),
            (Activation::Relu6, Origin::File),
            "{}",
            case.file
        );
        match case.normalization {
            Some(wanted) => {
                assert_eq!(origin("normalization"), Origin::File, "{}", case.file);
                let found = architecture.normalization;
                assert!((found.mean[0] - wanted.mean[0]).abs() < 0.01, "{}: {found:?}", case.file);
                assert!((found.deviation[0] - wanted.deviation[0]).abs() < 0.01, "{}: {found:?}", case.file);
            }
            None => assert_eq!(origin("normalization"), Origin::Default, "{}", case.file),
        }
        let official = case.file.contains("128_quant");
        assert_eq!(architecture.classes, if official { 1001 } else { 1000 }, "{}", case.file);
        assert_eq!(architecture.background, official, "{}", case.file);
        if official {
            assert_eq!(architecture.labels.len(), 1001);
            assert_eq!(architecture.labels[0], "background");
            assert!(architecture.labels[1].starts_with("tench"), "{}", architecture.labels[1]);
        }
        assert_eq!(reading.weights.is_int8(), case.int8, "{}", case.file);
        for layer in &reading.weights.layers {
            let known = case.int8 || official;
            assert_eq!(layer.range.is_some(), known, "{}: {}", case.file, layer.name);
        }
    }
}

/// The pictures with their classes of 1000, in the order of `classes.json`.
struct Photos(Vec<(String, usize)>);

impl<'de> serde::Deserialize<'de> for Photos {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> serde::de::Visitor<'de> for InOrder {
            type Value = Photos;
            fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
                formatter.write_str("file names with classes")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut entries: A) -> Result<Photos, A::Error> {
                let mut photos = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    photos.push(entry);
                }
                Ok(Photos(photos))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// Every picture's bytes of color at `resolution`, with its class.
fn photos(root: &Path, resolution: usize) -> Vec<(Vec<u8>, usize)> {
    let Photos(photos) = serde_json::from_slice(&std::fs::read(root.join("classes.json")).unwrap()).unwrap();
    let folder = if resolution == 224 { root.to_owned() } else { root.join(resolution.to_string()) };
    let read = |(name, class): (String, usize)| {
        let picture = image::open(folder.join(&name)).unwrap().to_rgb8();
        assert_eq!(picture.dimensions(), (resolution as u32, resolution as u32), "{name}");
        (picture.into_raw(), class)
    };
    photos.into_iter().map(read).collect()
}

/// Probabilities of every picture.
fn run(reading: &LoadedModel, photos: &[(Vec<u8>, usize)], precision: Precision) -> Vec<Vec<f32>> {
    let mut network = Network::new(&reading.weights, precision).unwrap();
    let Normalization { mean, deviation, .. } = reading.weights.architecture.normalization;
    let one = |(picture, _): &(Vec<u8>, usize)| {
        match network.input() {
            Input::F32(input) => {
                for (index, (value, byte)) in input.iter_mut().zip(picture).enumerate() {
                    *value = (f32::from(*byte) - mean[index % 3]) / deviation[index % 3];
                }
            }
            Input::U8(input) => input.copy_from_slice(picture),
        }
        network.run().to_vec()
    };
    photos.iter().map(one).collect()
}

fn best(probabilities: &[f32]) -> usize {
    // The first of equals, as the reference counts: bytes of probability are often equal.
    (0..probabilities.len()).rev().max_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b])).unwrap()
}

/// The reference's probabilities.
fn expected(root: &Path, name: &str) -> Vec<Vec<f32>> {
    let bytes = std::fs::read(root.join("expected").join(format!("{name}.safetensors"))).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = file.tensor("probabilities").unwrap();
    let (values, _) = tensor.data().as_chunks::<4>();
    let values: Vec<f32> = values.iter().map(|&value| f32::from_le_bytes(value)).collect();
    values.chunks(tensor.shape()[1]).map(<[f32]>::to_vec).collect()
}

/// How often two networks, and one with the truth, agree on the best class.
fn agreement(
    ours: &[Vec<f32>],
    theirs: &[Vec<f32>],
    photos: &[(Vec<u8>, usize)],
) -> (usize, usize, usize, f32) {
    let background = ours[0].len() - 1000;
    let (mut same, mut right, mut theirs_right, mut difference) = (0, 0, 0, 0.0f32);
    for ((ours, theirs), (_, class)) in ours.iter().zip(theirs).zip(photos) {
        same += usize::from(best(ours) == best(theirs));
        right += usize::from(best(ours) == class + background);
        theirs_right += usize::from(best(theirs) == class + background);
        let largest = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        difference = difference.max(largest);
    }
    (same, right, theirs_right, difference)
}

/// How a file's network answers: what was measured, said aloud, then compared with what is asked for.
fn answers(case: &Case, root: &Path, folder: &Path, precision: Precision) {
    let photos = photos(folder, case.resolution);
    let reading = load(&root.join(case.file), &ModelOptions::default());
    let ours = run(&reading, &photos, precision);
    let theirs = expected(root, case.expected.or(KERAS).unwrap());
    let (same, right, theirs_right, difference) = agreement(&ours, &theirs, &photos);
    let count = photos.len();
    eprintln!(
        "{} in {precision:?}: the same as the reference {same} of {count}, right {right} (reference {theirs_right}), \
         largest difference {difference:.2e}",
        case.file
    );
    if case.file.contains("layers_u8") {
        // No reference has run this file. A byte a weight and one scale a tensor, batch norm's statistics included:
        // 39 of 57 agree with the network it was made from when this was written; fewer would be a mistake here.
        assert!(same >= 38, "{}: {same} of {count}", case.file);
    } else if case.normalization.is_some() || case.expected.is_none() {
        let least = if case.alpha == 1.0 { 55 } else { 52 };
        assert!(same >= least, "{}: {same} of {count}", case.file);
        // Two points of 57 pictures are one picture.
        assert!(right.abs_diff(theirs_right) <= 1, "{}: {right} against {theirs_right}", case.file);
    } else {
        assert!(difference < 1e-4, "{}: {difference}", case.file);
        assert_eq!(same, count, "{}", case.file);
    }
}

#[test]
fn every_file_answers_as_its_reference() {
    let Some(root) = mobilenet_testing::shared_path("weights") else { return };
    let Some(folder) = mobilenet_testing::shared_path("photos") else { return };
    for case in cases() {
        answers(&case, &root, &folder, Precision::F32);
    }
}

/// The wide int8 file in our own int8 network, whose activations have seven bits where TFLite's have eight.
#[test]
fn the_wide_int8_file_answers_alike_in_int8() {
    let Some(root) = mobilenet_testing::shared_path("weights") else { return };
    let Some(folder) = mobilenet_testing::shared_path("photos") else { return };
    for case in cases().iter().filter(|case| case.int8 && case.alpha == 1.0) {
        answers(case, &root, &folder, Precision::Int8);
    }
}

/// The 0.25-224 network exists in every format: the same weights come out of each.
#[test]
fn one_network_is_the_same_in_every_format() {
    let Some(root) = mobilenet_testing::shared_path("weights") else { return };
    let first = load(&root.join("tfjs/layers_f32_0.25_224/model.json"), &ModelOptions::default());
    // Largest difference allowed, as a part of the layer's largest weight: folding in single precision, half
    // precision, and steps of 1/255 of a tensor's range before batch norm is folded.
    for (file, allowed) in [
        ("tfjs/graph_f32_0.25_224/model.json", 1e-6),
        ("tflite/mobilenet_v1_0.25_224_f32.tflite", 1e-6),
        ("onnx/mobilenet_v1_0.25_224_nchw_opset13.onnx", 1e-6),
        ("onnx/mobilenet_v1_0.25_224_nhwc_opset13.onnx", 1e-6),
        ("tflite/mobilenet_v1_0.25_224_f16.tflite", 1e-3),
        ("tfjs/layers_f16_0.25_224/model.json", 4e-3),
        ("tflite/mobilenet_v1_0.25_224_int8.tflite", 5e-3),
    ] {
        let other = load(&root.join(file), &ModelOptions::default());
        for (one, two) in first.weights.layers.iter().zip(&other.weights.layers) {
            assert_eq!(one.name, two.name);
            let (kernel, other) = (one.kernel.to_f32(), two.kernel.to_f32());
            let largest = |values: &[f32]| values.iter().map(|value| value.abs()).fold(0.0, f32::max);
            let differences: Vec<f32> = kernel.iter().zip(other.iter()).map(|(a, b)| a - b).collect();
            let worst = largest(&differences) / largest(&kernel);
            assert!(worst <= allowed, "{file}: {} differs by {worst:.2e}", one.name);
            let differences: Vec<f32> = one.bias.iter().zip(&two.bias).map(|(a, b)| a - b).collect();
            let worst = largest(&differences) / largest(&one.bias);
            assert!(worst <= allowed, "{file}: bias of {} differs by {worst:.2e}", one.name);
        }
    }
}

/// Int8 kernels keep their bytes: nothing is multiplied out and quantized again.
#[test]
fn int8_kernels_stay_as_they_are() {
    let Some(root) = mobilenet_testing::shared_path("weights") else { return };
    let reading = load(&root.join("tflite/mobilenet_v1_1.0_224_int8.tflite"), &ModelOptions::default());
    for layer in &reading.weights.layers {
        let Kernel::Int8 { values, scales } = &layer.kernel else { panic!("{} is not int8", layer.name) };
        assert!(values.iter().all(|value| *value >= -127), "{}", layer.name);
        assert!(scales.iter().all(|scale| *scale > 0.0), "{}", layer.name);
        let range = layer.range.unwrap();
        assert!((0.5..40.0).contains(&range), "{}: {range}", layer.name);
    }
}
