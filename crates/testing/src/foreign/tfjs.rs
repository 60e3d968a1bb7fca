//! `model.json` and shards of TF.js, as a layers or a graph model.

use super::{Kind, Plan, floats};
use mobilenet::architecture::HeadActivation;
use serde_json::{Value, json};

/// A weight that is yet to be written.
struct Weight {
    name: String,
    shape: Vec<usize>,
    values: Vec<f32>,
    whole: bool,
}

/// How weights lie in the shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Singles.
    F32,
    /// Halves.
    F16,
    /// One byte each, with the smallest value and a scale.
    U8,
    /// Two bytes each, the same way.
    U16,
}

/// Manifest and shards of at most `shard` bytes.
fn pack(weights: &[Weight], packing: Packing, shard: usize) -> (Value, Vec<(String, Vec<u8>)>) {
    let (mut entries, mut bytes) = (Vec::new(), Vec::new());
    for Weight { name, shape, values, whole } in weights {
        let mut entry =
            json!({ "name": name, "shape": shape, "dtype": if *whole { "int32" } else { "float32" } });
        let least = values.iter().copied().fold(f32::INFINITY, f32::min);
        let most = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut quantized = |steps: f32, kind: &str| {
            let scale = if most > least { (most - least) / steps } else { 1.0 };
            entry["quantization"] =
                json!({ "dtype": kind, "min": least, "scale": scale, "original_dtype": "float32" });
            values.iter().map(|value| ((value - least) / scale).round() as u16).collect::<Vec<u16>>()
        };
        if *whole {
            bytes.extend(values.iter().flat_map(|value| (*value as i32).to_le_bytes()));
        } else {
            match packing {
                Packing::F32 => bytes.extend(floats(values)),
                Packing::F16 => {
                    entry["quantization"] = json!({ "dtype": "float16", "original_dtype": "float32" });
                    bytes.extend(values.iter().flat_map(|value| half::f16::from_f32(*value).to_le_bytes()));
                }
                Packing::U8 => bytes.extend(quantized(255.0, "uint8").iter().map(|value| *value as u8)),
                Packing::U16 => {
                    bytes.extend(quantized(65535.0, "uint16").iter().flat_map(|value| value.to_le_bytes()))
                }
            }
        }
        entries.push(entry);
    }
    let count = bytes.len().div_ceil(shard);
    let name = |index: usize| format!("group1-shard{}of{count}.bin", index + 1);
    let shards: Vec<_> =
        bytes.chunks(shard).enumerate().map(|(index, part)| (name(index), part.to_vec())).collect();
    let paths: Vec<&String> = shards.iter().map(|(name, _)| name).collect();
    (json!([{ "paths": paths, "weights": entries }]), shards)
}

/// A layers model.
pub fn layers(plan: &Plan, packing: Packing, shard: usize) -> (Vec<u8>, Vec<(String, Vec<u8>)>) {
    let side = plan.resolution;
    let mut weights = Vec::new();
    let mut layers = vec![json!({
        "class_name": "InputLayer", "name": "input_1", "inbound_nodes": [],
        "config": { "name": "input_1", "batch_input_shape": [null, side, side, 3] },
    })];
    let mut before = "input_1".to_owned();
    for step in &plan.steps {
        let name = &step.name;
        let mut add = |part: &str, shape: &[usize], values: &[f32]| {
            let (name, shape, values) = (format!("{name}/{part}"), shape.to_vec(), values.to_vec());
            weights.push(Weight { name, shape, values, whole: false });
        };
        let (class, mut config) = match &step.kind {
            Kind::Pad([top, bottom, left, right]) => {
                ("ZeroPadding2D", json!({ "padding": [[top, bottom], [left, right]] }))
            }
            Kind::Conv { kernel, shape, depthwise, bias, stride, same } => {
                add(if *depthwise { "depthwise_kernel" } else { "kernel" }, shape, kernel);
                if let Some(bias) = bias {
                    add("bias", &[bias.len()], bias);
                }
                let config = json!({
                    "kernel_size": [shape[0], shape[1]], "strides": [stride, stride], "use_bias": bias.is_some(),
                    "padding": if *same { "same" } else { "valid" }, "activation": "linear",
                });
                (if *depthwise { "DepthwiseConv2D" } else { "Conv2D" }, config)
            }
            Kind::Dense { kernel, shape, bias } => {
                add("kernel", shape, kernel);
                add("bias", &[bias.len()], bias);
                ("Dense", json!({ "activation": "linear", "use_bias": true, "units": shape[1] }))
            }
            Kind::BatchNorm { gamma, beta, mean, variance, epsilon } => {
                let length = [gamma.len()];
                add("gamma", &length, gamma);
                add("beta", &length, beta);
                add("moving_mean", &length, mean);
                add("moving_variance", &length, variance);
                (
                    "BatchNormalization",
                    json!({ "axis": [3], "epsilon": format!("{epsilon}").parse::<f64>().unwrap() }),
                )
            }
            Kind::Clip(most) if most.is_infinite() => ("Activation", json!({ "activation": "relu" })),
            Kind::Clip(most) => {
                ("ReLU", json!({ "max_value": most, "negative_slope": 0.0, "threshold": 0.0 }))
            }
            Kind::Affine(scale, offset) => ("Rescaling", json!({ "scale": scale, "offset": offset })),
            Kind::Mean => ("GlobalAveragePooling2D", json!({ "keepdims": true })),
            Kind::Reshape(length) => ("Reshape", json!({ "target_shape": [length] })),
            Kind::Softmax => ("Activation", json!({ "activation": "softmax" })),
            Kind::Sigmoid => ("Activation", json!({ "activation": "sigmoid" })),
            Kind::Nothing => ("RandomFlip", json!({ "mode": "horizontal" })),
            Kind::Activation(activation) => {
                use HeadActivation as A;
                let name = match activation {
                    A::LeakyRelu(_) => "leaky",
                    A::Elu(_) => "elu",
                    A::Selu => "selu",
                    A::Gelu => "gelu",
                    A::Swish => "swish",
                    A::HardSwish => "hard_silu",
                    A::Sigmoid => "sigmoid",
                    A::Tanh => "tanh",
                    A::Softplus => "softplus",
                    A::Softmax => "softmax",
                    _ => "unknown",
                };
                match activation {
                    A::LeakyRelu(slope) => ("LeakyReLU", json!({ "alpha": slope })),
                    A::Elu(alpha) => ("ELU", json!({ "alpha": alpha })),
                    _ => ("Activation", json!({ "activation": name })),
                }
            }
            Kind::Skip(_) => ("Add", json!({})),
        };
        config["name"] = json!(name);
        let mut inbound = vec![json!([before, 0, 0, {}])];
        if let Kind::Skip(from) = step.kind {
            inbound.push(json!([plan.steps[from].name, 0, 0, {}]));
        }
        layers
            .push(json!({ "class_name": class, "name": name, "config": config, "inbound_nodes": [inbound] }));
        before = name.clone();
    }
    let (manifest, shards) = pack(&weights, packing, shard);
    let topology = json!({
        "keras_version": "2.15.0", "backend": "tensorflow",
        "model_config": { "class_name": "Functional", "config": { "name": "mobilenet", "layers": layers } },
    });
    let model = json!({ "format": "layers-model", "modelTopology": topology, "weightsManifest": manifest });
    (serde_json::to_vec(&model).unwrap(), shards)
}

/// A graph model.
pub fn graph(plan: &Plan, packing: Packing, shard: usize) -> (Vec<u8>, Vec<(String, Vec<u8>)>) {
    use base64::Engine;
    let text = |text: &str| json!({ "s": base64::engine::general_purpose::STANDARD.encode(text) });
    let side = plan.resolution.to_string();
    let shape = json!({ "dim": [{ "size": "-1" }, { "size": side }, { "size": side }, { "size": "3" }] });
    let mut nodes =
        vec![json!({ "name": "input", "op": "Placeholder", "attr": { "shape": { "shape": shape } } })];
    let mut weights: Vec<Weight> = Vec::new();
    let mut before = "input".to_owned();
    for step in &plan.steps {
        let name = step.name.as_str();
        let mut constants = Vec::new();
        let mut constant = |part: &str, shape: &[usize], values: &[f32], whole: bool| {
            let full = format!("{name}/{part}");
            constants.push(json!({ "name": full, "op": "Const", "attr": {} }));
            weights.push(Weight {
                name: full.clone(),
                shape: shape.to_vec(),
                values: values.to_vec(),
                whole,
            });
            full
        };
        let mut extra = Vec::new();
        let (op, inputs, attr) = match &step.kind {
            Kind::Pad(sides) => {
                let [top, bottom, left, right] = sides.map(|side| side as f32);
                let pads = constant("paddings", &[4, 2], &[0., 0., top, bottom, left, right, 0., 0.], true);
                ("Pad", vec![pads], json!({}))
            }
            Kind::Conv { kernel, shape, depthwise, bias, stride, same } => {
                let mut inputs = vec![constant("weights", shape, kernel, false)];
                let stride = stride.to_string();
                let mut attr = json!({
                    "strides": { "list": { "i": ["1", stride, stride, "1"] } }, "data_format": text("NHWC"),
                    "padding": text(if *same { "SAME" } else { "VALID" }),
                });
                let fused = bias.is_some();
                if let Some(bias) = bias {
                    inputs.push(constant("bias", &[bias.len()], bias, false));
                    attr["fused_ops"] = json!({ "list": { "s": [text("BiasAdd")["s"]] } });
                }
                let op = match (depthwise, fused) {
                    (true, true) => "FusedDepthwiseConv2dNative",
                    (true, false) => "DepthwiseConv2dNative",
                    (false, true) => "_FusedConv2D",
                    (false, false) => "Conv2D",
                };
                (op, inputs, attr)
            }
            Kind::Dense { kernel, shape, bias } => {
                let kernel = constant("weights", shape, kernel, false);
                let bias = constant("bias", &[bias.len()], bias, false);
                let sum = json!({ "name": format!("{name}/sum"), "op": "BiasAdd", "input": [name, bias] });
                extra.push(sum);
                ("MatMul", vec![kernel], json!({ "transpose_b": { "b": false } }))
            }
            Kind::BatchNorm { gamma, beta, mean, variance, epsilon } => {
                let length = [gamma.len()];
                let inputs = vec![
                    constant("gamma", &length, gamma, false),
                    constant("beta", &length, beta, false),
                    constant("mean", &length, mean, false),
                    constant("variance", &length, variance, false),
                ];
                ("FusedBatchNormV3", inputs, json!({ "epsilon": { "f": f64::from(*epsilon) } }))
            }
            Kind::Clip(most) => (if *most == 6.0 { "Relu6" } else { "Relu" }, vec![], json!({})),
            Kind::Affine(scale, shift) => {
                let scale = constant("scale", &[], &[*scale], false);
                let shift = constant("shift", &[], &[*shift], false);
                let sum = json!({ "name": format!("{name}/sum"), "op": "AddV2", "input": [name, shift] });
                extra.push(sum);
                ("Mul", vec![scale], json!({}))
            }
            Kind::Mean => ("Mean", vec![constant("axes", &[2], &[1., 2.], true)], json!({})),
            Kind::Reshape(length) => {
                ("Reshape", vec![constant("shape", &[2], &[-1., *length as f32], true)], json!({}))
            }
            Kind::Softmax => ("Softmax", vec![], json!({})),
            Kind::Sigmoid => ("Sigmoid", vec![], json!({})),
            Kind::Nothing => ("Identity", vec![], json!({})),
            Kind::Activation(activation) => {
                use HeadActivation as A;
                match activation {
                    A::LeakyRelu(slope) => ("LeakyRelu", vec![], json!({ "alpha": { "f": slope } })),
                    A::Elu(_) => ("Elu", vec![], json!({})),
                    A::Selu => ("Selu", vec![], json!({})),
                    A::Sigmoid => ("Sigmoid", vec![], json!({})),
                    A::Tanh => ("Tanh", vec![], json!({})),
                    A::Softplus => ("Softplus", vec![], json!({})),
                    A::Softmax => ("Softmax", vec![], json!({})),
                    A::Swish => {
                        let gate = format!("{name}/gate");
                        nodes.push(json!({ "name": gate, "op": "Sigmoid", "input": [before] }));
                        ("Mul", vec![gate], json!({}))
                    }
                    _ => ("NoSuchOperation", vec![], json!({})),
                }
            }
            Kind::Skip(from) => ("AddV2", vec![plan.steps[*from].name.clone()], json!({})),
        };
        let inputs: Vec<String> = std::iter::once(before).chain(inputs).collect();
        nodes.append(&mut constants);
        nodes.push(json!({ "name": name, "op": op, "input": inputs, "attr": attr }));
        before = extra.last().map_or(name.to_owned(), |node| node["name"].as_str().unwrap().to_owned());
        nodes.append(&mut extra);
    }
    let (manifest, shards) = pack(&weights, packing, shard);
    let model = json!({
        "format": "graph-model", "modelTopology": { "node": nodes, "versions": {} }, "weightsManifest": manifest,
    });
    (serde_json::to_vec(&model).unwrap(), shards)
}
