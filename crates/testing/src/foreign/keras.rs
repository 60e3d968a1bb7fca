//! Keras' HDF5 files (weights alone, whole model) and its zip, from the layers that TF.js is told.

use super::{Plan, tfjs};
use hdf5_pure::{AttrValue, FileBuilder};
use serde_json::Value;
use std::io::Write;

/// A variable: `conv1/kernel`, its shape and its numbers.
struct Variable {
    layer: String,
    part: String,
    shape: Vec<u64>,
    values: Vec<f32>,
}

/// What the configuration says, and every variable in order.
fn parts(plan: &Plan) -> (Value, Vec<Variable>) {
    let (json, shards) = tfjs::layers(plan, tfjs::Packing::F32, usize::MAX);
    let model: Value = serde_json::from_slice(&json).unwrap();
    let mut data = shards[0].1.as_slice();
    let entries = model["weightsManifest"][0]["weights"].as_array().unwrap();
    let variables = entries.iter().map(|entry| {
        let (layer, part) = entry["name"].as_str().unwrap().split_once('/').unwrap();
        let shape: Vec<u64> =
            entry["shape"].as_array().unwrap().iter().map(|axis| axis.as_u64().unwrap()).collect();
        let (mine, rest) = data.split_at(4 * shape.iter().product::<u64>() as usize);
        data = rest;
        let values = mine.as_chunks::<4>().0.iter().map(|&value| f32::from_le_bytes(value)).collect();
        Variable { layer: layer.into(), part: part.into(), shape, values }
    });
    let variables = variables.collect();
    (model["modelTopology"]["model_config"].clone(), variables)
}

/// Variables, those of one layer side by side.
fn by_layer(variables: &[Variable]) -> impl Iterator<Item = (&str, &[Variable])> {
    variables.chunk_by(|a, b| a.layer == b.layer).map(|group| (group[0].layer.as_str(), group))
}

/// Keras 2's file: `conv1/conv1/kernel:0`, with the configuration where it is a whole model.
pub fn h5(plan: &Plan, whole: bool) -> Vec<u8> {
    let (config, variables) = parts(plan);
    let mut file = FileBuilder::new();
    if whole {
        file.set_attr("model_config", AttrValue::String(config.to_string()));
    }
    for (layer, variables) in by_layer(&variables) {
        let mut outer = file.create_group(layer);
        let mut inner = outer.create_group(layer);
        for variable in variables {
            let dataset = inner.create_dataset(&format!("{}:0", variable.part));
            dataset.with_f32_data(&variable.values).with_shape(&variable.shape);
        }
        outer.add_group(inner.finish());
        file.add_group(outer.finish());
    }
    file.finish().unwrap()
}

/// Keras 3's zip: the configuration, and `layers/conv1/vars/0` in HDF5.
pub fn zip(plan: &Plan) -> Vec<u8> {
    let (config, variables) = parts(plan);
    let mut file = FileBuilder::new();
    let mut layers = file.create_group("layers");
    for (layer, variables) in by_layer(&variables) {
        let mut outer = layers.create_group(layer);
        let mut inner = outer.create_group("vars");
        for (number, variable) in variables.iter().enumerate() {
            let dataset = inner.create_dataset(&number.to_string());
            dataset.with_f32_data(&variable.values).with_shape(&variable.shape);
        }
        outer.add_group(inner.finish());
        layers.add_group(outer.finish());
    }
    file.add_group(layers.finish());
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in [
        ("metadata.json", br#"{"keras_version": "3.0.0"}"#.to_vec()),
        ("config.json", config.to_string().into_bytes()),
        ("model.weights.h5", file.finish().unwrap()),
    ] {
        archive.start_file(name, options).unwrap();
        archive.write_all(&bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}
