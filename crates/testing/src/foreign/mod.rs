//! Writers of foreign model files, for tests and as seeds of the fuzzers.
//!
//! A [`Plan`] is a list of steps that a test may change (remove a block, insert a layer, join two ends); each format writes
//! it as a Keras, TFLite, ONNX or TF.js file.

pub mod keras;
pub mod onnx;
pub mod tfjs;
pub mod tflite;

use crate::Random;
use mobilenet::LayerKind;
use mobilenet::Weights;
use mobilenet::architecture::{HeadActivation, Output};
use mobilenet_formats::safetensors::{Storage, write};
use mobilenet_kernels::shape::Activation;

/// One step of a network.
#[derive(Clone, Debug)]
pub struct Step {
    /// The node's name.
    pub name: String,
    /// What it does.
    pub kind: Kind,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Zeros: top, bottom, left, right.
    Pad([usize; 4]),
    /// A convolution; the kernel HWIO, depthwise HWC1.
    Conv {
        kernel: Vec<f32>,
        shape: [usize; 4],
        depthwise: bool,
        bias: Option<Vec<f32>>,
        stride: usize,
        same: bool,
    },
    /// A fully connected layer; inputs × outputs.
    Dense { kernel: Vec<f32>, shape: [usize; 2], bias: Vec<f32> },
    /// Batch norm with its statistics.
    BatchNorm { gamma: Vec<f32>, beta: Vec<f32>, mean: Vec<f32>, variance: Vec<f32>, epsilon: f32 },
    /// From 0 to this.
    Clip(f32),
    /// `x · scale + shift`.
    Affine(f32, f32),
    /// Mean over the map.
    Mean,
    /// To `[1, n]`.
    Reshape(usize),
    /// Probabilities.
    Softmax,
    /// Every class by itself, at the end; elsewhere something that no MobileNet v1 has.
    Sigmoid,
    /// A function of every value.
    Activation(HeadActivation),
    /// What does nothing at inference: augmentation, dropout, identity, a cast.
    Nothing,
    /// Adds the output of an earlier step.
    Skip(usize),
}

/// A network as a list of steps.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Side of the input.
    pub resolution: usize,
    /// In order.
    pub steps: Vec<Step>,
}

/// How the borders are said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Border {
    /// SAME everywhere.
    Same,
    /// Keras: pads of one below and to the right before stride 2, SAME else.
    Keras,
    /// Pads of one on every side.
    Symmetric,
}

/// The plan of a network, its softmax last. With `norm`, kernels stand unfolded before random batch norms of it.
pub fn plan(weights: &Weights, border: Border, norm: Option<&mut Random>) -> Plan {
    let architecture = &weights.architecture;
    let mut norm = norm;
    let mut steps = Vec::new();
    let mut push = |name: &str, kind| steps.push(Step { name: name.into(), kind });
    let mut parameters = weights.layers.iter();
    let mut head = architecture.head.iter();
    for layer in architecture.layers() {
        if layer.kind == LayerKind::Pool {
            push("global_average_pooling2d", Kind::Mean);
            if !architecture.head.is_empty() {
                push("flatten", Kind::Reshape(architecture.features()));
            }
            continue;
        }
        let given = parameters.next().unwrap();
        if layer.kind == LayerKind::Dense
            || (layer.kind == LayerKind::Classifier && !architecture.head.is_empty())
        {
            let [_, _, inputs, outputs] = layer.kernel_shape().unwrap();
            let kernel = given.kernel.to_f32().into_owned();
            push(&layer.name, Kind::Dense { kernel, shape: [inputs, outputs], bias: given.bias.clone() });
            if let Some(step) = head.next() {
                match step.activation {
                    HeadActivation::Linear => {}
                    HeadActivation::Relu => push(&format!("{}_relu", layer.name), Kind::Clip(f32::INFINITY)),
                    HeadActivation::Relu6 => push(&format!("{}_relu", layer.name), Kind::Clip(6.0)),
                    other => push(&format!("{}_activation", layer.name), Kind::Activation(other)),
                }
            }
            continue;
        }
        let window = layer.shape.kernel == 3;
        let stride = layer.shape.stride;
        let mut same = window;
        match border {
            Border::Keras if window && stride == 2 && layer.kind != LayerKind::Stem => {
                push(&format!("{}_pad", layer.name), Kind::Pad([0, 1, 0, 1]));
                same = false;
            }
            Border::Symmetric if window => {
                push(&format!("{}_pad", layer.name), Kind::Pad([1; 4]));
                same = false;
            }
            _ => {}
        }
        let mut bias = Some(given.bias.clone());
        let classifier = layer.kind == LayerKind::Classifier;
        let batch_norm = norm.as_mut().filter(|_| !classifier).map(|random| {
            bias = None;
            let mut some = |least: f32| (0..given.bias.len()).map(|_| random.signed() + least).collect();
            Kind::BatchNorm {
                gamma: some(1.5),
                beta: some(0.0),
                mean: some(0.0),
                variance: some(1.5),
                epsilon: 1e-3,
            }
        });
        let kernel = given.kernel.to_f32().into_owned();
        let shape = layer.kernel_shape().unwrap();
        let depthwise = layer.kind == LayerKind::Depthwise;
        push(&layer.name, Kind::Conv { kernel, shape, depthwise, bias, stride, same });
        if let Some(kind) = batch_norm {
            push(&format!("{}_bn", layer.name), kind);
        }
        match layer.activation {
            Activation::None => {}
            Activation::Relu => push(&format!("{}_relu", layer.name), Kind::Clip(f32::INFINITY)),
            Activation::Relu6 => push(&format!("{}_relu", layer.name), Kind::Clip(6.0)),
        }
    }
    if architecture.head.is_empty() {
        push("reshape_2", Kind::Reshape(architecture.classes));
    }
    let output = if architecture.output == Output::Sigmoid { Kind::Sigmoid } else { Kind::Softmax };
    push("predictions", output);
    Plan { resolution: architecture.resolution, steps }
}

impl Plan {
    /// The place of the step called `name`.
    pub fn at(&self, name: &str) -> usize {
        self.steps.iter().position(|step| step.name == name).unwrap_or_else(|| panic!("no step {name}"))
    }

    /// The classifier as a fully connected layer on reshaped features.
    pub fn dense(mut self) -> Self {
        let at = self.at("conv_preds");
        let Kind::Conv { kernel, shape, bias, .. } = self.steps[at].kind.clone() else {
            panic!("a convolution")
        };
        let kind = Kind::Dense { kernel, shape: [shape[2], shape[3]], bias: bias.unwrap() };
        self.steps[at] = Step { name: "conv_preds".into(), kind };
        self.steps.insert(at, Step { name: "flatten".into(), kind: Kind::Reshape(shape[2]) });
        self
    }

    /// Puts a step before the one called `name`.
    pub fn insert(&mut self, name: &str, new: &str, kind: Kind) {
        let at = self.at(name);
        self.steps.insert(at, Step { name: new.into(), kind });
    }

    /// A copy of the kernel of the step called `name`, for a step of one's own.
    pub fn kind(&self, name: &str) -> Kind {
        self.steps[self.at(name)].kind.clone()
    }

    /// Takes out the steps of the layers whose names begin with one of `fronts`.
    pub fn remove(&mut self, fronts: &[&str]) {
        self.steps.retain(|step| {
            let front = |front: &&str| step.name == **front || step.name.starts_with(&format!("{front}_"));
            !fronts.iter().any(front)
        });
    }

    /// Side of the map and channels after each step.
    pub fn maps(&self) -> Vec<(usize, usize)> {
        let (mut side, mut channels) = (self.resolution, 3);
        let mut maps = Vec::new();
        for step in &self.steps {
            match &step.kind {
                Kind::Pad([top, bottom, ..]) => side += top + bottom,
                Kind::Conv { shape, depthwise, stride, same, .. } => {
                    side = if *same { side.div_ceil(*stride) } else { (side - shape[0]) / stride + 1 };
                    channels = if *depthwise { shape[2] } else { shape[3] };
                }
                Kind::Dense { shape, .. } => channels = shape[1],
                Kind::Mean => side = 1,
                _ => {}
            }
            maps.push((side, channels));
        }
        maps
    }
}

/// Little-endian floats.
pub fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Little-endian whole numbers.
pub fn integers(values: &[i32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// `rows × columns` turned.
pub fn turned<T: Copy>(values: &[T], rows: usize, columns: usize) -> Vec<T> {
    (0..rows * columns).map(|index| values[index % rows * columns + index / rows]).collect()
}

/// A small network in every format, with the files beside it.
pub fn every(plan: &Plan) -> Vec<(&'static str, Files)> {
    let style = onnx::Style::default();
    let (external, weights) = onnx::bytes(plan, onnx::Style { external: true, old: true, ..style });
    let alone = |bytes| (bytes, Vec::new());
    vec![
        ("onnx", alone(onnx::bytes(plan, style).0)),
        ("onnx nhwc", alone(onnx::bytes(plan, onnx::Style { channels_last: true, ..style }).0)),
        ("onnx external", (external, vec![("weights.bin".into(), weights)])),
        ("tfjs layers", tfjs::layers(plan, tfjs::Packing::F32, 1 << 20)),
        ("tfjs layers in shards", tfjs::layers(plan, tfjs::Packing::F32, 1001)),
        ("tfjs graph", tfjs::graph(plan, tfjs::Packing::F32, 1 << 20)),
        ("tflite", alone(tflite::file(plan, tflite::Numbers::F32).bytes())),
    ]
}

/// A small network in every format and kind of numbers, with the files beside it.
pub fn files() -> Vec<(&'static str, Files)> {
    let weights = crate::small(1);
    let plain = plan(&weights, Border::Keras, None);
    let normed = plan(&weights, Border::Symmetric, Some(&mut Random(2)));
    let alone = |bytes| (bytes, Vec::new());
    let mut files = every(&normed);
    files.extend([
        ("native", alone(write(&weights, Storage::F32).unwrap())),
        ("native f16", alone(write(&weights, Storage::F16).unwrap())),
        ("keras weights", alone(keras::h5(&plain, false))),
        ("keras model", alone(keras::h5(&plan(&weights, Border::Keras, Some(&mut Random(3))), true))),
        ("keras zip", alone(keras::zip(&plain))),
        ("tfjs bytes", tfjs::layers(&plain, tfjs::Packing::U8, 1 << 20)),
    ]);
    for (name, numbers) in [
        ("tflite f16", tflite::Numbers::F16),
        ("tflite int8", tflite::Numbers::Int8),
        ("tflite uint8", tflite::Numbers::Uint8),
    ] {
        let mut file = tflite::file(&plain, numbers);
        file.metadata = Some(tflite::metadata(&[127.5], &[127.5], "none", "names.txt"));
        let labels = "a\nb\nc\nd\ne\n";
        files.push((name, alone(tflite::with_labels(&file.bytes(), "names.txt", labels, true))));
    }
    files
}

/// A file and those beside it, by name.
pub type Files = (Vec<u8>, Vec<(String, Vec<u8>)>);
