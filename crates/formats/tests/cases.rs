//! Models that people describe in public reports, written by their frameworks, in `../shared/cases/models`: each answers as
//! its framework did, in both precisions, and again from its native file.

#![cfg(not(target_arch = "wasm32"))] // reads files

use mobilenet::image::{Frame, ImageOptions};
use mobilenet::{Classifier, Precision, Weights};
use mobilenet_formats::safetensors::{Storage, write};
use mobilenet_formats::{LoadedModel, ModelOptions, ModelSource, companion_files, read, read_source};
use serde::Deserialize;
use std::path::Path;

#[derive(Deserialize)]
struct Expected {
    side: usize,
    frames: usize,
    probabilities: Vec<Vec<f32>>,
}

fn load(folder: &Path) -> Result<LoadedModel, mobilenet::Error> {
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let model = files.iter().find(|path| name(path).starts_with("model.")).unwrap();
    let bytes = std::fs::read(model).unwrap();
    let companions: Vec<(String, Vec<u8>)> = companion_files(&bytes)?
        .into_iter()
        .map(|name| (name.clone(), std::fs::read(folder.join(&name)).unwrap()))
        .collect();
    let companions: Vec<(&str, &[u8])> =
        companions.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    // Weights alone say no size.
    let expected: Expected = expected(folder);
    let options = ModelOptions { resolution: Some(expected.side), ..ModelOptions::default() };
    read_source(&ModelSource { bytes: &bytes, companions: &companions }, &options)
}

fn expected(folder: &Path) -> Expected {
    serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap()
}

/// Probabilities of every frame.
fn run(weights: &Weights, folder: &Path, precision: Precision) -> Vec<Vec<f32>> {
    let Expected { side, frames, .. } = expected(folder);
    let pixels = std::fs::read(folder.join("frames.rgba")).unwrap();
    assert_eq!(pixels.len(), frames * side * side * 4);
    let mut classifier = Classifier::new(weights, precision).unwrap();
    let one = |pixels: &[u8]| {
        let frame = Frame::new(pixels, side, side).unwrap();
        classifier.set_frame(&frame, &ImageOptions::default()).unwrap();
        classifier.run().to_vec()
    };
    pixels.chunks_exact(side * side * 4).map(one).collect()
}

fn best(values: &[f32]) -> usize {
    (0..values.len()).rev().max_by(|a, b| values[*a].total_cmp(&values[*b])).unwrap()
}

#[test]
fn every_case_answers_as_its_framework_did() {
    let Some(root) = mobilenet_testing::shared_path("cases/models") else { return };
    let mut folders: Vec<_> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let mut failures = Vec::new();
    for folder in &folders {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let loaded = match load(folder) {
            Ok(loaded) => loaded,
            Err(error) => {
                failures.push(format!("{name}: {error}"));
                continue;
            }
        };
        let quantized = name.contains("qdq") || name.contains("16x8");
        let wanted = expected(folder).probabilities;
        let got = run(&loaded.weights, folder, Precision::F32);
        let largest = |got: &[Vec<f32>]| {
            let pairs = got.iter().flatten().zip(wanted.iter().flatten());
            pairs.map(|(got, wanted)| (got - wanted).abs()).fold(0.0, f32::max)
        };
        let same = |got: &[Vec<f32>]| {
            // Probabilities in bytes are often equal: any of the best is right.
            let right = |(got, wanted): &(&Vec<f32>, &Vec<f32>)| {
                let most = wanted.iter().copied().fold(0.0, f32::max);
                wanted[best(got)] >= most - if quantized { 1.0 / 255.0 } else { 0.0 }
            };
            got.iter().zip(&wanted).filter(right).count()
        };
        let int8 = run(&loaded.weights, folder, Precision::Int8);
        eprintln!(
            "{name}: difference {:.1e}, same class {} of {}; int8 {:.1e}, {}; assumed {:?}",
            largest(&got),
            same(&got),
            wanted.len(),
            largest(&int8),
            same(&int8),
            loaded.weights.architecture.assumed
        );
        let agrees = if quantized { same(&got) == wanted.len() } else { largest(&got) < 1e-3 };
        if !agrees || got[0].len() != wanted[0].len() {
            failures.push(format!("{name}: differs by {}, {:?}", largest(&got), loaded.properties));
        }
        if same(&int8) + 1 < wanted.len() {
            failures.push(format!("{name} in int8: {} of {} agree", same(&int8), wanted.len()));
        }
        let native = write(&loaded.weights, Storage::F32).unwrap();
        let again = read(&native, &ModelOptions::default()).unwrap();
        assert_eq!(again, loaded.weights, "{name}");
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), folders.len(), failures.join("\n"));
}
