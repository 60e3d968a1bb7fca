//! An ONNX file, its protobuf written field by field.

use super::{Kind, Plan, floats, turned};
use mobilenet::architecture::HeadActivation;

/// How the file is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Kernels and biases in a file beside, called `weights.bin`.
    pub external: bool,
    /// Maps channels last at the input, turned by a `Transpose`.
    pub channels_last: bool,
    /// Bounds of `Clip` as attributes, as before operator set 11.
    pub old: bool,
}

/// The file and the one beside it (empty unless the style says so).
pub fn bytes(plan: &Plan, style: Style) -> (Vec<u8>, Vec<u8>) {
    let mut writer = Writer { style, ..Writer::default() };
    let side = plan.resolution as u64;
    let lengths = if style.channels_last { [1, side, side, 3] } else { [1, 3, side, side] };
    let mut data = "input".to_owned();
    if style.channels_last {
        data = writer.node("Transpose", "turn", &[&data], &[integers("perm", &[0, 3, 1, 2])]);
    }
    let mut outputs = Vec::new();
    for (step, (_, channels)) in plan.steps.iter().zip(plan.maps()) {
        let name = step.name.as_str();
        data = match &step.kind {
            Kind::Pad([top, bottom, left, right]) => {
                let pads = [0, 0, *top, *left, 0, 0, *bottom, *right].map(|pad| pad as i64);
                let pads = writer.shape(&format!("{name}/pads"), &pads);
                writer.node("Pad", name, &[&data, &pads], &[])
            }
            Kind::Conv { kernel, shape: [h, w, i, o], depthwise, bias, stride, same } => {
                let (values, dims, group) = if *depthwise {
                    (turned(kernel, h * w, *i), [*i, 1, *h, *w], *i)
                } else {
                    // HWIO to OIHW: outputs first, then inputs before the window.
                    let outputs_first = turned(kernel, h * w * i, *o);
                    let values =
                        outputs_first.chunks(h * w * i).flat_map(|one| turned(one, h * w, *i)).collect();
                    (values, [*o, *i, *h, *w], 1)
                };
                let kernel = writer.floats(&format!("{name}/kernel"), &dims, &values);
                let mut inputs = vec![data.clone(), kernel];
                if let Some(bias) = bias {
                    inputs.push(writer.floats(&format!("{name}/bias"), &[bias.len()], bias));
                }
                let mut attributes = vec![
                    integers("kernel_shape", &[*h as i64, *w as i64]),
                    integers("strides", &[*stride as i64; 2]),
                    integer("group", group as i64),
                ];
                if *same {
                    attributes.push(text("auto_pad", "SAME_UPPER"));
                }
                let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
                writer.node("Conv", name, &inputs, &attributes)
            }
            Kind::Dense { kernel, shape: [i, o], bias } => {
                let values = turned(kernel, *i, *o);
                let kernel = writer.floats(&format!("{name}/kernel"), &[*o, *i], &values);
                let bias = writer.floats(&format!("{name}/bias"), &[*o], bias);
                writer.node("Gemm", name, &[&data, &kernel, &bias], &[integer("transB", 1)])
            }
            Kind::BatchNorm { gamma, beta, mean, variance, epsilon } => {
                let mut part = |part: &str, values: &[f32]| {
                    writer.floats(&format!("{name}/{part}"), &[channels], values)
                };
                let parts = [
                    part("gamma", gamma),
                    part("beta", beta),
                    part("mean", mean),
                    part("variance", variance),
                ];
                let inputs = [&data, &parts[0], &parts[1], &parts[2], &parts[3]].map(String::as_str);
                writer.node("BatchNormalization", name, &inputs, &[float("epsilon", *epsilon)])
            }
            Kind::Clip(most) if most.is_infinite() => writer.node("Relu", name, &[&data], &[]),
            Kind::Clip(most) if style.old => {
                writer.node("Clip", name, &[&data], &[float("min", 0.0), float("max", *most)])
            }
            Kind::Clip(most) => {
                let (low, high) = (writer.floats("zero", &[], &[0.0]), writer.floats("six", &[], &[*most]));
                writer.node("Clip", name, &[&data, &low, &high], &[])
            }
            Kind::Affine(scale, shift) => {
                let scale = writer.floats(&format!("{name}/scale"), &[], &[*scale]);
                let shift = writer.floats(&format!("{name}/shift"), &[], &[*shift]);
                let scaled = writer.node("Mul", &format!("{name}/mul"), &[&data, &scale], &[]);
                writer.node("Add", name, &[&scaled, &shift], &[])
            }
            Kind::Mean => writer.node("GlobalAveragePool", name, &[&data], &[]),
            Kind::Reshape(length) => {
                let shape = writer.shape(&format!("{name}/shape"), &[1, *length as i64]);
                writer.node("Reshape", name, &[&data, &shape], &[])
            }
            Kind::Softmax => writer.node("Softmax", name, &[&data], &[]),
            Kind::Sigmoid => writer.node("Sigmoid", name, &[&data], &[]),
            Kind::Nothing => writer.node("Identity", name, &[&data], &[]),
            Kind::Activation(activation) => {
                use HeadActivation as A;
                let (kind, attributes) = match activation {
                    A::LeakyRelu(slope) => ("LeakyRelu", vec![float("alpha", *slope)]),
                    A::Elu(alpha) => ("Elu", vec![float("alpha", *alpha)]),
                    A::Selu => ("Selu", vec![]),
                    A::Gelu => ("Gelu", vec![]),
                    A::GeluTanh => ("Gelu", vec![text("approximate", "tanh")]),
                    A::HardSwish => ("HardSwish", vec![]),
                    A::HardSigmoid => ("HardSigmoid", vec![float("alpha", 1.0 / 6.0)]),
                    A::Tanh => ("Tanh", vec![]),
                    A::Sigmoid => ("Sigmoid", vec![]),
                    A::Softplus => ("Softplus", vec![]),
                    A::Softmax => ("Softmax", vec![]),
                    A::Swish => ("", vec![]),
                    A::Linear | A::Relu | A::Relu6 => ("Identity", vec![]),
                };
                if kind.is_empty() {
                    let gate = writer.node("Sigmoid", &format!("{name}/gate"), &[&data], &[]);
                    writer.node("Mul", name, &[&data, &gate], &[])
                } else {
                    writer.node(kind, name, &[&data], &attributes)
                }
            }
            Kind::Skip(from) => {
                let from: &String = &outputs[*from];
                let from = from.clone();
                writer.node("Add", name, &[&data, &from], &[])
            }
        };
        outputs.push(data.clone());
    }
    let dims: Vec<u8> = lengths.iter().flat_map(|length| field(1, &number(1, *length))).collect();
    let kind = field(1, &[number(1, 1), field(2, &dims)].concat());
    let input = [field(1, b"input"), field(2, &kind)].concat();
    let graph = [writer.nodes, writer.initialisers, field(11, &input), field(12, &field(1, data.as_bytes()))]
        .concat();
    let file = [number(1, 8), field(2, b"test"), field(7, &graph), field(8, &number(2, 13))].concat();
    (file, writer.companions)
}

#[derive(Default)]
struct Writer {
    style: Style,
    nodes: Vec<u8>,
    initialisers: Vec<u8>,
    companions: Vec<u8>,
    written: std::collections::BTreeSet<String>,
}

impl Writer {
    /// Adds a node and gives the name of its output.
    fn node(&mut self, kind: &str, name: &str, inputs: &[&str], attributes: &[Vec<u8>]) -> String {
        let output = format!("{name}:0");
        let mut node: Vec<u8> = inputs.iter().flat_map(|input| field(1, input.as_bytes())).collect();
        node.extend(field(2, output.as_bytes()));
        node.extend(field(3, name.as_bytes()));
        node.extend(field(4, kind.as_bytes()));
        node.extend(attributes.iter().flat_map(|attribute| field(5, attribute)));
        self.nodes.extend(field(1, &node));
        output
    }

    fn floats(&mut self, name: &str, dims: &[usize], values: &[f32]) -> String {
        if !self.written.insert(name.to_owned()) {
            return name.to_owned();
        }
        let mut tensor: Vec<u8> = dims.iter().flat_map(|dim| number(1, *dim as u64)).collect();
        tensor.extend(number(2, 1));
        tensor.extend(field(8, name.as_bytes()));
        if self.style.external && !dims.is_empty() {
            let entry = |key: &str, value: String| {
                field(13, &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat())
            };
            tensor.extend(entry("location", "weights.bin".into()));
            tensor.extend(entry("offset", self.companions.len().to_string()));
            tensor.extend(entry("length", (values.len() * 4).to_string()));
            tensor.extend(number(14, 1));
            self.companions.extend(floats(values));
        } else {
            tensor.extend(field(9, &floats(values)));
        }
        self.initialisers.extend(field(5, &tensor));
        name.to_owned()
    }

    fn shape(&mut self, name: &str, values: &[i64]) -> String {
        let mut tensor = [number(1, values.len() as u64), number(2, 7), field(8, name.as_bytes())].concat();
        tensor.extend(field(7, &values.iter().flat_map(|value| varint(*value as u64)).collect::<Vec<u8>>()));
        self.initialisers.extend(field(5, &tensor));
        name.to_owned()
    }
}

fn integers(name: &str, values: &[i64]) -> Vec<u8> {
    let mut attribute = field(1, name.as_bytes());
    attribute.extend(values.iter().flat_map(|value| number(8, *value as u64)));
    [attribute, number(20, 7)].concat()
}

fn integer(name: &str, value: i64) -> Vec<u8> {
    [field(1, name.as_bytes()), number(3, value as u64), number(20, 2)].concat()
}

fn float(name: &str, value: f32) -> Vec<u8> {
    [field(1, name.as_bytes()), vec![2 << 3 | 5], value.to_le_bytes().to_vec(), number(20, 1)].concat()
}

fn text(name: &str, value: &str) -> Vec<u8> {
    [field(1, name.as_bytes()), field(4, value.as_bytes()), number(20, 3)].concat()
}

/// A field that is a message, a string or bytes.
pub fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    [varint(u64::from(number << 3 | 2)), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

/// A field that is a number.
pub fn number(field: u32, value: u64) -> Vec<u8> {
    [varint(u64::from(field << 3)), varint(value)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
