//! Int8 on real networks and pictures of `../shared`: what quantising costs, with made-up pictures and with real ones.

#![cfg(not(target_arch = "wasm32"))] // reads files

use mobilenet::Weights;
use mobilenet::image::{Frame, ImageOptions, Resizer};
use mobilenet::quantize::{Calibration, quantize};
use mobilenet::{Input, Network, Precision, Selection};
use mobilenet_formats::{self as formats, ModelOptions};
use mobilenet_kernels::shape::Padding;

/// A picture's bytes of color, and its class of 1000.
type Photo = (Vec<u8>, usize);

/// Every picture at `side` pixels.
fn photos(side: usize) -> Option<Vec<Photo>> {
    let root = mobilenet_testing::shared_path("photos")?;
    let classes = std::fs::read(root.join("classes.json")).unwrap();
    let classes: std::collections::BTreeMap<String, usize> = serde_json::from_slice(&classes).unwrap();
    let folder = if side == 224 { root } else { root.join(side.to_string()) };
    let read = |(name, class): (String, usize)| {
        let picture = image::open(folder.join(name)).unwrap().to_rgb8();
        assert_eq!(picture.dimensions(), (side as u32, side as u32));
        (picture.into_raw(), class)
    };
    Some(classes.into_iter().map(read).collect())
}

fn network(path: &str) -> Option<Weights> {
    let bytes = mobilenet_testing::shared(path)?;
    let options = ModelOptions { padding: Some(Padding::Same), ..ModelOptions::default() };
    Some(formats::read(&bytes, &options).unwrap())
}

/// The class named first for every picture.
fn named(weights: &Weights, precision: Precision, photos: &[Photo]) -> Vec<usize> {
    let mut network = Network::new(weights, precision).unwrap();
    let architecture = weights.architecture.clone();
    let (side, mut resizer) = (architecture.resolution, Resizer::new());
    let one = |(picture, _): &Photo| {
        match network.input() {
            Input::U8(input) => input.copy_from_slice(picture),
            Input::F32(input) => {
                let rgba: Vec<u8> = picture.chunks_exact(3).flat_map(|p| [p[0], p[1], p[2], 255]).collect();
                let frame = Frame::new(&rgba, side, side).unwrap();
                let target = Input::F32(input);
                resizer
                    .resize(&frame, &ImageOptions::default(), side, &architecture.normalization, target)
                    .unwrap();
            }
        }
        Selection::top(1).pick(network.run()).unwrap()[0].index
    };
    photos.iter().map(one).collect()
}

fn right(named: &[usize], weights: &Weights, photos: &[Photo]) -> usize {
    let shift = usize::from(weights.architecture.background);
    named.iter().zip(photos).filter(|(named, (_, class))| **named == class + shift).count()
}

/// Both ways to int8: made-up pictures, and every other one of the real.
fn both(weights: &Weights, photos: &[Photo]) -> [(&'static str, Weights); 2] {
    let mut calibration = Calibration::new(weights).unwrap();
    photos.iter().step_by(2).for_each(|(picture, _)| calibration.add(picture).unwrap());
    [("at load", quantize(weights).unwrap()), ("calibrated", calibration.finish().unwrap())]
}

#[test]
fn the_full_network_keeps_its_answers() {
    let Some(weights) = network("weights/timm/mobilenetv1_100.safetensors") else { return };
    let Some(photos) = photos(224) else { return };
    let floats = named(&weights, Precision::F32, &photos);
    for (way, int8) in both(&weights, &photos) {
        let bytes = named(&int8, Precision::Int8, &photos);
        let same = floats.iter().zip(&bytes).filter(|(a, b)| a == b).count();
        let right = [&floats, &bytes].map(|named| right(named, &weights, &photos));
        eprintln!(
            "1.0-224 {way}: the same {same} of {}, right {} (floats {})",
            photos.len(),
            right[1],
            right[0]
        );
        assert!(same >= 55, "{way}: {same}");
    }
}

#[test]
fn thin_networks_lose_little() {
    let mut lost = [0.0; 2];
    let networks = [
        ("weights/keras/mbnet128_0.25.h5", 128),
        ("weights/keras/mobilenet_v1_0.25_224.h5", 224),
        // Its weights are bytes around a zero point of their own, which are floats here.
        ("weights/tflite/mobilenet_v1_0.25_128_quant.tflite", 128),
    ];
    for (path, side) in networks {
        let Some(mut weights) = network(path) else { return };
        let Some(photos) = photos(side) else { return };
        weights.layers.iter_mut().for_each(|layer| layer.range = None);
        let floats = named(&weights, Precision::F32, &photos);
        let before = right(&floats, &weights, &photos);
        for ((way, int8), lost) in both(&weights, &photos).into_iter().zip(&mut lost) {
            let bytes = named(&int8, Precision::Int8, &photos);
            let same = floats.iter().zip(&bytes).filter(|(a, b)| a == b).count();
            let after = right(&bytes, &weights, &photos);
            eprintln!("{path} {way}: the same {same} of {}, right {after} (floats {before})", photos.len());
            *lost += (before as f64 - after as f64) / photos.len() as f64 * 100.0;
        }
    }
    for (way, lost) in ["at load", "calibrated"].into_iter().zip(lost) {
        let average = lost / networks.len() as f64;
        eprintln!("{way}: {average:.2} points lost on average");
        assert!(average <= 1.5, "{way}: {average:.2} points lost on average");
    }
}
