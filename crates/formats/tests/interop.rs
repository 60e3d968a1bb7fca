//! The networks that `tests/interop/generate.py` writes with TensorFlow, in the folder `$MOBILENET_INTEROP`: how many of how
//! many answer as Keras does, by kind; the rest by name with the reason.

#![cfg(not(target_arch = "wasm32"))] // reads files

use mobilenet::image::{Frame, ImageOptions};
use mobilenet::{Classifier, Precision};
use mobilenet_formats::{ModelOptions, ModelSource, companion_files, read_source};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
struct Expected {
    side: usize,
    probabilities: Vec<Vec<f32>>,
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// Whether the files of `format` answer as they should, and what is wrong where they do not: a refusal, or a difference.
fn agrees(network: &Path, format: &Path, expected: &Expected) -> Result<(), String> {
    let model = entries(format).into_iter().find(|path| name(path).starts_with("model.")).ok_or("no file")?;
    let bytes = std::fs::read(&model).unwrap();
    let sentence = |error: mobilenet::Error| format!("refused: {error}");
    let names = companion_files(&bytes).map_err(sentence)?;
    let files: Vec<(String, Vec<u8>)> =
        names.into_iter().map(|name| (name.clone(), std::fs::read(format.join(&name)).unwrap())).collect();
    let companions: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (&**name, &**bytes)).collect();
    // Weights alone know no size.
    let alone = ["weights", "safetensors"].contains(&&*name(format));
    let resolution = alone.then_some(expected.side);
    let options = ModelOptions { resolution, ..ModelOptions::default() };
    let loaded =
        read_source(&ModelSource { bytes: &bytes, companions: &companions }, &options).map_err(sentence)?;
    let side = expected.side;
    if loaded.weights.architecture.resolution != side {
        return Err(format!("resolution {}", loaded.weights.architecture.resolution));
    }
    let mut classifier = Classifier::new(&loaded.weights, Precision::F32).map_err(sentence)?;
    let pixels = std::fs::read(network.join("frames.rgba")).unwrap();
    for (pixels, wanted) in pixels.chunks_exact(side * side * 4).zip(&expected.probabilities) {
        let frame = Frame::new(pixels, side, side).unwrap();
        classifier.set_frame(&frame, &ImageOptions::default()).unwrap();
        let got = classifier.run();
        if got.len() != wanted.len() {
            return Err(format!("{} classes, not {}", got.len(), wanted.len()));
        }
        let differences = got.iter().zip(wanted).map(|(got, wanted)| (got - wanted).abs());
        let largest = differences.fold(0.0, f32::max);
        if largest.is_nan() || largest > 1e-3 {
            let assumed = &loaded.weights.architecture.assumed;
            return Err(format!("WRONG by {largest:.1e}, assumed {assumed:?}"));
        }
    }
    Ok(())
}

#[test]
fn networks_of_tensorflow_answer_as_keras_does() {
    let Some(root) = std::env::var_os("MOBILENET_INTEROP").map(PathBuf::from) else {
        eprintln!("skipped: set MOBILENET_INTEROP to the folder that tests/interop/generate.py has written");
        return;
    };
    let (mut right, mut all, mut silent) = (0, 0, 0);
    for kind in entries(&root).into_iter().filter(|path| path.is_dir()) {
        let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for network in entries(&kind).into_iter().filter(|path| path.join("done").exists()) {
            let text = std::fs::read(network.join("expected.json")).unwrap();
            let expected: Expected = serde_json::from_slice(&text).unwrap();
            for format in entries(&network).into_iter().filter(|path| path.is_dir()) {
                let Some(_) = entries(&format).first() else { continue };
                let count = counts.entry(name(&format)).or_default();
                count.1 += 1;
                match agrees(&network, &format, &expected) {
                    Ok(()) => count.0 += 1,
                    Err(why) => {
                        silent += usize::from(why.starts_with("WRONG") && why.ends_with("[]"));
                        eprintln!("{}/{}/{}: {why}", name(&kind), name(&network), name(&format));
                    }
                }
            }
        }
        eprintln!("{}: {counts:?}", name(&kind));
        right += counts.values().map(|(right, _)| right).sum::<usize>();
        all += counts.values().map(|(_, all)| all).sum::<usize>();
    }
    eprintln!("{right} of {all} agree; {silent} are wrong without a word");
    assert_eq!(silent, 0, "none may be wrong without a word");
    assert!(right * 100 >= all * 98, "{right} of {all}");
}
