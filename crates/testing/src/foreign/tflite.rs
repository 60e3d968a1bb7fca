//! A TFLite file, written with the reference builder of FlatBuffers.

use super::{Kind, Plan, floats, integers, turned};
use flatbuffers::{FlatBufferBuilder, Push, WIPOffset};
use mobilenet::architecture::HeadActivation;

/// In which numbers the file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// Singles.
    F32,
    /// Halves behind DEQUANTIZE nodes.
    F16,
    /// Int8 kernels, all else in singles (dynamic range).
    Hybrid,
    /// Int8 throughout, a scale per channel.
    Int8,
    /// Uint8 throughout, one scale and zero point a tensor.
    Uint8,
}

/// A tensor of the file.
#[derive(Clone, Debug, Default)]
pub struct Tensor {
    pub name: String,
    pub shape: Vec<i32>,
    pub kind: i8,
    pub data: Vec<u8>,
    pub scales: Vec<f32>,
    pub zeros: Vec<i64>,
    pub axis: i32,
}

/// An operator of the file: its number, wires, and fields of its options.
#[derive(Clone, Debug)]
pub struct Operator {
    pub code: i32,
    pub inputs: Vec<i32>,
    pub outputs: Vec<i32>,
    pub options: Vec<(u16, Field)>,
}

/// A field of an option table.
#[derive(Clone, Copy, Debug)]
pub enum Field {
    Byte(i8),
    Int(i32),
    Float(f32),
}

/// Everything in a file.
#[derive(Clone, Debug, Default)]
pub struct File {
    pub tensors: Vec<Tensor>,
    pub operators: Vec<Operator>,
    /// The metadata FlatBuffer.
    pub metadata: Option<Vec<u8>>,
}

/// What activations reach in quantized files.
pub const RANGE: f32 = 6.0;

/// The file of a plan.
pub fn file(plan: &Plan, numbers: Numbers) -> File {
    let mut file = File::default();
    let side = plan.resolution as i32;
    let quantized = matches!(numbers, Numbers::Int8 | Numbers::Uint8);
    let activation_of = |name: &str, shape: Vec<i32>, scale: f32, zero: i64| Tensor {
        name: name.into(),
        shape,
        kind: match numbers {
            Numbers::Int8 => 9,
            Numbers::Uint8 => 3,
            _ => 0,
        },
        scales: if quantized { vec![scale] } else { Vec::new() },
        zeros: if quantized { vec![zero] } else { Vec::new() },
        ..Tensor::default()
    };
    let lowest = if numbers == Numbers::Int8 { -128 } else { 0 };
    file.tensors.push(activation_of("input", vec![1, side, side, 3], 1.0 / 128.0, lowest + 128));
    let mut outputs = Vec::new();
    let mut data = 0i32;
    for (step, (side, channels)) in plan.steps.iter().zip(plan.maps()) {
        let map = vec![1, side as i32, side as i32, channels as i32];
        let name = &step.name;
        let (code, inputs, options, shape) = match &step.kind {
            Kind::Pad([top, bottom, left, right]) => {
                let pads = [0, 0, *top as i32, *bottom as i32, *left as i32, *right as i32, 0, 0];
                let pads = file.constant(&format!("{name}/paddings"), vec![4, 2], 2, integers(&pads));
                (34, vec![data, pads], vec![], map)
            }
            Kind::Conv { kernel, shape, depthwise, bias, stride, same } => {
                let [h, w, i, o] = *shape;
                let outputs = if *depthwise { i } else { o };
                let (values, shape, axis) = if *depthwise {
                    (kernel.clone(), vec![1, h as i32, w as i32, i as i32], 3)
                } else {
                    let lengths = [o, h, w, i].map(|length| length as i32).to_vec();
                    (turned(kernel, h * w * i, o), lengths, 0)
                };
                let kernel = file.kernel(name, shape, values, axis, numbers);
                let bias = bias.clone().unwrap_or(vec![0.0; outputs]);
                let bias = file.bias(name, bias, kernel, data, numbers);
                let stride = Field::Int(*stride as i32);
                let mut options = vec![(0, Field::Byte(i8::from(!same))), (1, stride), (2, stride)];
                if *depthwise {
                    options.push((3, Field::Int(1)));
                }
                (if *depthwise { 4 } else { 3 }, vec![data, kernel, bias], options, map)
            }
            Kind::Dense { kernel, shape: [i, o], bias } => {
                let values = turned(kernel, *i, *o);
                let kernel = file.kernel(name, vec![*o as i32, *i as i32], values, 0, numbers);
                let bias = file.bias(name, bias.clone(), kernel, data, numbers);
                (9, vec![data, kernel, bias], vec![], vec![1, *o as i32])
            }
            Kind::BatchNorm { gamma, beta, mean, variance, epsilon } => {
                let (scale, shift) = as_affine(gamma, beta, mean, variance, *epsilon);
                let length = vec![channels as i32];
                let scale = file.constant(&format!("{name}/scale"), length.clone(), 0, floats(&scale));
                let shift = file.constant(&format!("{name}/shift"), length, 0, floats(&shift));
                let scaled = file.push(activation_of(&format!("{name}/mul"), map.clone(), 1.0, 0));
                file.operators.push(Operator {
                    code: 18,
                    inputs: vec![data, scale],
                    outputs: vec![scaled],
                    options: vec![],
                });
                (0, vec![scaled, shift], vec![], map)
            }
            Kind::Clip(most) => (if *most == 6.0 { 21 } else { 19 }, vec![data], vec![], map),
            Kind::Affine(scale, shift) => {
                let scale = file.constant(&format!("{name}/scale"), vec![], 0, floats(&[*scale]));
                let shift = file.constant(&format!("{name}/shift"), vec![], 0, floats(&[*shift]));
                let scaled = file.push(activation_of(&format!("{name}/mul"), map.clone(), 1.0, 0));
                file.operators.push(Operator {
                    code: 18,
                    inputs: vec![data, scale],
                    outputs: vec![scaled],
                    options: vec![],
                });
                (0, vec![scaled, shift], vec![], map)
            }
            Kind::Mean => {
                let axes = file.constant("axes", vec![2], 2, integers(&[1, 2]));
                (40, vec![data, axes], vec![], map)
            }
            Kind::Reshape(length) => {
                let shape = file.constant("shape", vec![2], 2, integers(&[-1, *length as i32]));
                (22, vec![data, shape], vec![], vec![1, *length as i32])
            }
            Kind::Softmax => (25, vec![data], vec![(0, Field::Float(1.0))], vec![1, channels as i32]),
            Kind::Sigmoid => (14, vec![data], vec![], map),
            Kind::Nothing => (53, vec![data], vec![], map),
            Kind::Activation(activation) => {
                use HeadActivation as A;
                match activation {
                    A::LeakyRelu(slope) => (98, vec![data], vec![(0, Field::Float(*slope))], map),
                    A::Elu(_) => (111, vec![data], vec![], map),
                    A::Gelu => (150, vec![data], vec![(0, Field::Byte(0))], map),
                    A::GeluTanh => (150, vec![data], vec![(0, Field::Byte(1))], map),
                    A::HardSwish => (117, vec![data], vec![], map),
                    A::Sigmoid => (14, vec![data], vec![], map),
                    A::Tanh => (28, vec![data], vec![], map),
                    A::Softmax => (25, vec![data], vec![(0, Field::Float(1.0))], map),
                    A::Swish => {
                        let gate =
                            file.push(activation_of(&format!("{name}/gate"), map.clone(), 1.0 / 256.0, 0));
                        let operator =
                            Operator { code: 14, inputs: vec![data], outputs: vec![gate], options: vec![] };
                        file.operators.push(operator);
                        (18, vec![data, gate], vec![], map)
                    }
                    _ => (32, vec![data], vec![], map), // a custom operator
                }
            }
            Kind::Skip(from) => (0, vec![data, outputs[*from]], vec![], map),
        };
        let last = matches!(step.kind, Kind::Conv { .. } | Kind::Dense { .. }) && name == "conv_preds";
        let tensor = if last || matches!(step.kind, Kind::Reshape(_)) {
            activation_of(name, shape, 0.25, lowest + 100)
        } else {
            activation_of(name, shape, RANGE / 255.0, lowest)
        };
        data = file.push(tensor);
        outputs.push(data);
        file.operators.push(Operator { code, inputs, outputs: vec![data], options });
    }
    file
}

impl File {
    /// Adds a tensor and gives its number.
    pub fn push(&mut self, tensor: Tensor) -> i32 {
        self.tensors.push(tensor);
        self.tensors.len() as i32 - 1
    }

    fn constant(&mut self, name: &str, shape: Vec<i32>, kind: i8, data: Vec<u8>) -> i32 {
        self.push(Tensor { name: name.into(), shape, kind, data, ..Tensor::default() })
    }

    /// A kernel whose outputs stand along `axis`, in the numbers of the file.
    fn kernel(&mut self, name: &str, shape: Vec<i32>, values: Vec<f32>, axis: i32, numbers: Numbers) -> i32 {
        let name = format!("{name}/kernel");
        let inner: usize = shape[axis as usize + 1..].iter().map(|length| *length as usize).product();
        let outputs = shape[axis as usize] as usize;
        match numbers {
            Numbers::F32 => self.constant(&name, shape, 0, floats(&values)),
            Numbers::F16 => {
                let halves =
                    values.iter().flat_map(|value| half::f16::from_f32(*value).to_le_bytes()).collect();
                let packed = self.constant(&name, shape.clone(), 1, halves);
                let tensor = Tensor { name: format!("{name}/f32"), shape, ..Tensor::default() };
                let output = self.push(tensor);
                let operator =
                    Operator { code: 6, inputs: vec![packed], outputs: vec![output], options: vec![] };
                self.operators.push(operator);
                output
            }
            Numbers::Int8 | Numbers::Hybrid => {
                let mut scales = vec![0.0f32; outputs];
                for (index, value) in values.iter().enumerate() {
                    let scale = &mut scales[index / inner % outputs];
                    *scale = scale.max(value.abs() / 127.0);
                }
                let byte = |(index, value): (usize, &f32)| {
                    (value / scales[index / inner % outputs]).round() as i8 as u8
                };
                let data = values.iter().enumerate().map(byte).collect();
                let zeros = vec![0; outputs];
                self.push(Tensor { name, shape, kind: 9, data, scales, zeros, axis })
            }
            Numbers::Uint8 => {
                let (least, most) =
                    values.iter().fold((0.0f32, 0.0f32), |(a, b), value| (a.min(*value), b.max(*value)));
                let scale = (most - least) / 255.0;
                let zero = (-least / scale).round();
                let data = values.iter().map(|value| (value / scale + zero).round() as u8).collect();
                let (scales, zeros) = (vec![scale], vec![zero as i64]);
                self.push(Tensor { name, shape, kind: 3, data, scales, zeros, axis: 0 })
            }
        }
    }

    /// A bias: singles, or int32 in the scale of what is summed.
    fn bias(&mut self, name: &str, values: Vec<f32>, kernel: i32, data: i32, numbers: Numbers) -> i32 {
        let name = format!("{name}/bias");
        let shape = vec![values.len() as i32];
        if !matches!(numbers, Numbers::Int8 | Numbers::Uint8) {
            return self.constant(&name, shape, 0, floats(&values));
        }
        let input = self.tensors[data as usize].scales[0];
        let scales: Vec<f32> =
            self.tensors[kernel as usize].scales.iter().map(|scale| scale * input).collect();
        let whole = |(index, value): (usize, &f32)| (value / scales[index % scales.len()]).round() as i32;
        let values: Vec<i32> = values.iter().enumerate().map(whole).collect();
        let zeros = vec![0; scales.len()];
        self.push(Tensor { name, shape, kind: 2, data: integers(&values), scales, zeros, axis: 0 })
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::new();
        let b = &mut builder;
        let mut buffers = vec![table(b, |_| {})];
        let mut tensors = Vec::new();
        for tensor in &self.tensors {
            let number = if tensor.data.is_empty() {
                0
            } else {
                let data = b.create_vector(&tensor.data);
                buffers.push(table(b, |b| b.push_slot_always(slot(0), data)));
                buffers.len() as u32 - 1
            };
            let quantization = (!tensor.scales.is_empty()).then(|| {
                let (scales, zeros) = (b.create_vector(&tensor.scales), b.create_vector(&tensor.zeros));
                table(b, |b| {
                    b.push_slot_always(slot(2), scales);
                    b.push_slot_always(slot(3), zeros);
                    b.push_slot_always(slot(6), tensor.axis);
                })
            });
            let (shape, name) = (b.create_vector(&tensor.shape), b.create_string(&tensor.name));
            tensors.push(table(b, |b| {
                b.push_slot_always(slot(0), shape);
                b.push_slot_always(slot(1), tensor.kind);
                b.push_slot_always(slot(2), number);
                b.push_slot_always(slot(3), name);
                if let Some(quantization) = quantization {
                    b.push_slot_always(slot(4), quantization);
                }
            }));
        }
        let mut known: Vec<i32> = self.operators.iter().map(|operator| operator.code).collect();
        known.sort_unstable();
        known.dedup();
        let codes: Vec<_> = known
            .iter()
            .map(|&code| {
                table(b, |b| {
                    b.push_slot_always(slot(0), code.min(127) as i8);
                    b.push_slot_always(slot(3), code);
                })
            })
            .collect();
        let mut operators = Vec::new();
        for operator in &self.operators {
            let options = table(b, |b| {
                for (number, field) in &operator.options {
                    match *field {
                        Field::Byte(value) => push(b, *number, value),
                        Field::Int(value) => push(b, *number, value),
                        Field::Float(value) => push(b, *number, value),
                    }
                }
            });
            let (inputs, outputs) = (b.create_vector(&operator.inputs), b.create_vector(&operator.outputs));
            let code = known.binary_search(&operator.code).unwrap() as u32;
            operators.push(table(b, |b| {
                b.push_slot_always(slot(0), code);
                b.push_slot_always(slot(1), inputs);
                b.push_slot_always(slot(2), outputs);
                b.push_slot_always(slot(3), 1u8);
                b.push_slot_always(slot(4), options);
            }));
        }
        let metadata = self.metadata.as_ref().map(|bytes| {
            let data = b.create_vector(bytes);
            buffers.push(table(b, |b| b.push_slot_always(slot(0), data)));
            let name = b.create_string("TFLITE_METADATA");
            let number = buffers.len() as u32 - 1;
            let entry = table(b, |b| {
                b.push_slot_always(slot(0), name);
                b.push_slot_always(slot(1), number);
            });
            b.create_vector(&[entry])
        });
        let (tensors, operators) = (b.create_vector(&tensors), b.create_vector(&operators));
        let last = self.operators.last().map_or(0, |operator| operator.outputs[0]);
        let (inputs, outputs) = (b.create_vector(&[0i32]), b.create_vector(&[last]));
        let graph = table(b, |b| {
            b.push_slot_always(slot(0), tensors);
            b.push_slot_always(slot(1), inputs);
            b.push_slot_always(slot(2), outputs);
            b.push_slot_always(slot(3), operators);
        });
        let (graphs, codes, buffers) =
            (b.create_vector(&[graph]), b.create_vector(&codes), b.create_vector(&buffers));
        let root = table(b, |b| {
            b.push_slot_always(slot(0), 3u32);
            b.push_slot_always(slot(1), codes);
            b.push_slot_always(slot(2), graphs);
            b.push_slot_always(slot(4), buffers);
            if let Some(metadata) = metadata {
                b.push_slot_always(slot(6), metadata);
            }
        });
        builder.finish(root, Some("TFL3"));
        builder.finished_data().to_vec()
    }
}

/// Metadata with a normalization, a licence and the name of the label file.
pub fn metadata(mean: &[f32], deviation: &[f32], licence: &str, labels: &str) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let b = &mut builder;
    let (mean, deviation) = (b.create_vector(mean), b.create_vector(deviation));
    let options = table(b, |b| {
        b.push_slot_always(slot(0), mean);
        b.push_slot_always(slot(1), deviation);
    });
    let unit = table(b, |b| {
        b.push_slot_always(slot(0), 1u8);
        b.push_slot_always(slot(1), options);
    });
    let units = b.create_vector(&[unit]);
    let input = table(b, |b| b.push_slot_always(slot(4), units));
    let name = b.create_string(labels);
    let file = table(b, |b| {
        b.push_slot_always(slot(0), name);
        b.push_slot_always(slot(2), 2i8);
    });
    let files = b.create_vector(&[file]);
    let output = table(b, |b| b.push_slot_always(slot(6), files));
    let (inputs, outputs) = (b.create_vector(&[input]), b.create_vector(&[output]));
    let graph = table(b, |b| {
        b.push_slot_always(slot(2), inputs);
        b.push_slot_always(slot(3), outputs);
    });
    let (graphs, licence) = (b.create_vector(&[graph]), b.create_string(licence));
    let root = table(b, |b| {
        b.push_slot_always(slot(3), graphs);
        b.push_slot_always(slot(5), licence);
    });
    builder.finish(root, Some("M001"));
    builder.finished_data().to_vec()
}

/// Byte offset of a field in a table's directory.
const fn slot(number: u16) -> u16 {
    4 + 2 * number
}

type Table = WIPOffset<flatbuffers::TableFinishedWIPOffset>;

fn push<T: Push + PartialEq>(b: &mut FlatBufferBuilder<'_>, number: u16, value: T) {
    b.push_slot_always(slot(number), value);
}

/// A table with the fields that `fill` pushes.
fn table<'b>(b: &mut FlatBufferBuilder<'b>, fill: impl FnOnce(&mut FlatBufferBuilder<'b>)) -> Table {
    let start = b.start_table();
    fill(b);
    b.end_table(start)
}

/// Scale and shift that a batch norm comes to.
fn as_affine(
    gamma: &[f32],
    beta: &[f32],
    mean: &[f32],
    variance: &[f32],
    epsilon: f32,
) -> (Vec<f32>, Vec<f32>) {
    let scale: Vec<f32> =
        gamma.iter().zip(variance).map(|(gamma, variance)| gamma / (variance + epsilon).sqrt()).collect();
    let shift = beta.iter().zip(mean).zip(&scale).map(|((beta, mean), scale)| beta - mean * scale).collect();
    (scale, shift)
}

/// The file with a zip of one label file behind it, as TFLite's metadata tools append it.
pub fn with_labels(file: &[u8], name: &str, labels: &str, deflated: bool) -> Vec<u8> {
    use std::io::Write;
    let method = if deflated { zip::CompressionMethod::Deflated } else { zip::CompressionMethod::Stored };
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    archive.start_file(name, options).unwrap();
    archive.write_all(labels.as_bytes()).unwrap();
    [file, &archive.finish().unwrap().into_inner()].concat()
}
