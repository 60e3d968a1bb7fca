//! Real networks against what a reference implementation says of real pictures: every probability, every layer.

#![cfg(not(target_arch = "wasm32"))] // reads files

use mobilenet::architecture::Normalization;
use mobilenet::image::{Frame, ImageOptions, Resizer};
use mobilenet::{Input, Network, Precision};
use mobilenet_formats::{self as formats, ModelOptions};
use mobilenet_kernels::shape::Padding;
use mobilenet_testing::{shared, shared_path};
use safetensors::SafeTensors;

/// Every probability must be this close.
const TOLERANCE: f32 = 1e-4;

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

/// The pictures in the order of `classes.json`, RGBA.
fn pictures(folder: &str) -> Option<Vec<image::RgbaImage>> {
    let classes = String::from_utf8(shared("photos/classes.json")?).unwrap();
    // The order of the keys counts, which a map of serde_json does not keep: the names stand on lines of their own.
    let names = classes.lines().filter_map(|line| line.trim().strip_prefix('"')?.split_once('"'));
    let folder = shared_path(folder)?;
    Some(names.map(|(name, _)| image::open(folder.join(name)).unwrap().into_rgba8()).collect())
}

fn show(network: &mut Network, picture: &image::RgbaImage) {
    let frame = Frame::new(picture, picture.width() as usize, picture.height() as usize).unwrap();
    let architecture = network.architecture().clone();
    let Input::F32(values) = network.input() else { panic!("a float network takes floats") };
    let target = Input::F32(values);
    let mut resizer = Resizer::new();
    resizer
        .resize(
            &frame,
            &ImageOptions::default(),
            architecture.resolution,
            &architecture.normalization,
            target,
        )
        .unwrap();
}

fn best(probabilities: &[f32]) -> usize {
    (0..probabilities.len()).max_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b])).unwrap()
}

/// `(x − 128) / 128`, as the reference fed the 1.0-224 network.
fn options(padding: Padding) -> ModelOptions {
    let normalization = Some(Normalization::uniform(128.0, 128.0));
    ModelOptions { padding: Some(padding), normalization, ..ModelOptions::default() }
}

fn agrees(file: &str, expected: &str, photos: &str, options: &ModelOptions) {
    let Some(bytes) = shared(&format!("weights/{file}")) else { return };
    let Some(expected) = shared(&format!("weights/expected/{expected}.safetensors")) else { return };
    let Some(pictures) = pictures(photos) else { return };
    let expected = SafeTensors::deserialize(&expected).unwrap();
    let expected = floats(expected.tensor("probabilities").unwrap().data());
    let weights = formats::read(&bytes, options).unwrap();
    let mut network = Network::new(&weights, Precision::F32).unwrap();
    assert_eq!(pictures.len(), 57);
    let mut worst = 0.0f32;
    for (picture, expected) in pictures.iter().zip(expected.chunks_exact(weights.architecture.classes)) {
        show(&mut network, picture);
        let found = network.run();
        assert_eq!(best(found), best(expected));
        for (found, expected) in found.iter().zip(expected) {
            worst = worst.max((found - expected).abs());
        }
    }
    println!("{file}: largest difference {worst:e}");
    assert!(worst <= TOLERANCE, "{file}: a probability is off by {worst}");
}

#[test]
fn timm_with_the_padding_it_was_trained_with() {
    let file = "timm/mobilenetv1_100.safetensors";
    agrees(file, "timm_mobilenetv1_100_same", "photos", &options(Padding::Same));
}

#[test]
fn timm_with_its_own_padding() {
    let file = "timm/mobilenetv1_100.safetensors";
    agrees(file, "timm_mobilenetv1_100_symmetric", "photos", &options(Padding::Symmetric));
}

#[test]
fn keras_weights_of_the_large_network() {
    let file = "keras/mobilenet_1_0_224_tf.h5";
    agrees(file, "keras_mobilenet_1_0_224", "photos", &options(Padding::Same));
}

#[test]
fn keras_small_networks_in_every_layout() {
    for file in
        ["mobilenet_v1_0.25_224.h5", "mobilenet_v1_0.25_224.keras", "mobilenet_2_5_224_tf_rebuilt_weights.h5"]
    {
        agrees(&format!("keras/{file}"), "keras_0.25_224", "photos", &ModelOptions::default());
    }
    agrees("keras/mbnet128_0.25.h5", "tflite_0.25_128_float", "photos/128", &ModelOptions::default());
}

#[test]
fn every_layer_of_the_first_picture() {
    let Some(bytes) = shared("weights/timm/mobilenetv1_100.safetensors") else { return };
    let name = "weights/expected/layers_1.0_224_same_first_photo.safetensors";
    let Some(expected) = shared(name) else { return };
    let Some(pictures) = pictures("photos") else { return };
    let expected = SafeTensors::deserialize(&expected).unwrap();
    let weights = formats::read(&bytes, &options(Padding::Same)).unwrap();
    let mut network = Network::new(&weights, Precision::F32).unwrap();
    show(&mut network, &pictures[0]);
    let mut seen = 0;
    network.run_observed(&mut |layer, map, values| {
        let tensor = match layer.name.as_str() {
            "conv_preds" => return,
            "global_pool" => "pooled".to_string(),
            _ => format!("layer_{seen:02}"),
        };
        let (expected, values) = (floats(expected.tensor(&tensor).unwrap().data()), values());
        // Maps larger than 14 are given at every 8th row and column.
        let step = if map.height > 14 { 8 } else { 1 };
        let mut next = expected.iter();
        for row in (0..map.height).step_by(step) {
            for column in (0..map.width).step_by(step) {
                let start = (row * map.width + column) * map.channels;
                for found in &values[start..start + map.channels] {
                    let expected = next.next().expect("as many values as the reference has");
                    let off = (found - expected).abs();
                    assert!(off <= 1e-4 * expected.abs().max(1.0), "{}: {found} for {expected}", layer.name);
                }
            }
        }
        assert!(next.next().is_none(), "{}", layer.name);
        seen += 1;
    });
    assert_eq!(seen, 28);
}
