//! TFLite in all its numbers, on files made here: what comes back, what the file says of itself, and its label zip.

#![cfg(not(target_arch = "wasm32"))] // the writers are native

use mobilenet::Kernel;
use mobilenet::{Error, Weights};
use mobilenet_formats::safetensors::{Storage, write};
use mobilenet_formats::{LoadedModel, ModelOptions, ModelSource, Origin, read_source};
use mobilenet_testing::foreign::tflite::{self, Numbers};
use mobilenet_testing::foreign::{Border, plan};

fn read(bytes: &[u8]) -> Result<LoadedModel, Error> {
    read_source(&ModelSource::alone(bytes), &ModelOptions::default())
}

fn written(weights: &Weights, numbers: Numbers) -> LoadedModel {
    read(&tflite::file(&plan(weights, Border::Keras, None), numbers).bytes()).unwrap()
}

#[test]
fn halves_come_back_as_halves() {
    let weights = mobilenet_testing::small(1);
    for (found, given) in written(&weights, Numbers::F16).weights.layers.iter().zip(&weights.layers) {
        let halves: Vec<f32> =
            given.kernel.to_f32().iter().map(|&value| half::f16::from_f32(value).to_f32()).collect();
        assert_eq!((&found.kernel, &found.bias), (&Kernel::F32(halves), &given.bias));
    }
}

#[test]
fn int8_kernels_come_back_as_bytes() {
    let weights = mobilenet_testing::small(2);
    for numbers in [Numbers::Hybrid, Numbers::Int8] {
        let reading = written(&weights, numbers);
        assert!(reading.weights.is_int8(), "{numbers:?}");
        let quantized = numbers == Numbers::Int8;
        for (found, given) in reading.weights.layers.iter().zip(&weights.layers) {
            let Kernel::Int8 { scales, .. } = &found.kernel else { panic!() };
            let pairs =
                found.kernel.to_f32().into_owned().into_iter().zip(given.kernel.to_f32().into_owned());
            for (index, (found, given)) in pairs.enumerate() {
                let step = scales[index % scales.len()];
                assert!((found - given).abs() <= step * 0.501, "{found} and {given}, in steps of {step}");
            }
            let classifier = found.name == "conv_preds";
            match (quantized, classifier) {
                (false, _) => assert_eq!(found.range, None),
                (true, false) => assert_eq!(found.range, Some(tflite::RANGE), "{}", found.name),
                (true, true) => assert!(found.range.is_some()),
            }
        }
        assert_eq!(reading.weights.steps.len(), if quantized { 29 } else { 0 });
        // Bytes from 0 to the range, and logits in steps of their own, whatever their zero point.
        let (logits, inner) = reading.weights.steps.split_last().unwrap_or((&0.25, &[]));
        assert!((logits - 0.25).abs() < 1e-6, "{logits}");
        assert!(inner.iter().all(|step| (step - tflite::RANGE / 255.0).abs() < 1e-6), "{inner:?}");
        let native = write(&reading.weights, Storage::F32).unwrap();
        assert_eq!(read(&native).unwrap().weights, reading.weights, "{numbers:?}");
    }
}

#[test]
fn uint8_kernels_come_back_by_their_zero_point() {
    let weights = mobilenet_testing::small(3);
    let reading = written(&weights, Numbers::Uint8);
    assert_eq!(reading.weights.steps.len(), 29);
    for (found, given) in reading.weights.layers.iter().zip(&weights.layers) {
        let (found, given) = (found.kernel.to_f32(), given.kernel.to_f32());
        let ends = given.iter().fold((0.0_f32, 0.0_f32), |(a, b), &value| (a.min(value), b.max(value)));
        let step = (ends.1 - ends.0) / 255.0;
        for (found, given) in found.iter().zip(given.iter()) {
            assert!((found - given).abs() <= step * 1.001, "{found} and {given}, in steps of {step}");
        }
    }
}

#[test]
fn quantised_inputs_say_how_bytes_are_taken() {
    let weights = mobilenet_testing::small(4);
    for numbers in [Numbers::Int8, Numbers::Uint8] {
        let reading = written(&weights, numbers);
        let found = reading.weights.architecture.normalization;
        let property = reading.properties.iter().find(|property| property.name == "normalization").unwrap();
        assert_eq!(property.origin, Origin::File);
        assert!(found.deviation.iter().all(|deviation| (deviation - 128.0).abs() < 1e-3), "{found:?}");
        assert!(found.mean.iter().all(|mean| (mean - 128.0).abs() < 1e-3), "{numbers:?}: {found:?}");
    }
}

#[test]
fn metadata_gives_normalisation_licence_and_labels() {
    let weights = mobilenet_testing::small(5);
    let mut file = tflite::file(&plan(&weights, Border::Keras, None), Numbers::F32);
    let (mean, deviation) = ([120.0, 110.0, 100.0], [60.0, 61.0, 62.0]);
    file.metadata = Some(tflite::metadata(&mean, &deviation, "Apache-2.0", "names.txt"));
    let bytes = file.bytes();
    let names = "ant\nbee\ncat\ndog\neel\n";
    for deflated in [false, true] {
        let reading = read(&tflite::with_labels(&bytes, "names.txt", names, deflated)).unwrap();
        let architecture = &reading.weights.architecture;
        assert_eq!(
            (architecture.normalization.mean, architecture.normalization.deviation),
            (mean, deviation)
        );
        assert_eq!(reading.weights.provenance.licence, "Apache-2.0");
        assert_eq!(architecture.labels, ["ant", "bee", "cat", "dog", "eel"], "deflated: {deflated}");
        let property = reading.properties.iter().find(|property| property.name == "labels").unwrap();
        assert_eq!(property.origin, Origin::File);
    }
    // A zip that is damaged, or that holds another file than the one named, costs the labels and nothing else.
    for other in [
        tflite::with_labels(&bytes, "other.txt", names, true),
        {
            let mut cut = tflite::with_labels(&bytes, "names.txt", names, true);
            let at = bytes.len() + 40;
            cut[at] ^= 0xff;
            cut
        },
        tflite::with_labels(&bytes, "names.txt", &"a label of many\n".repeat(2_000_000), true),
    ] {
        let reading = read(&other).unwrap();
        assert!(reading.weights.architecture.labels.is_empty());
        assert_eq!(reading.weights.layers, weights.layers);
    }
}
