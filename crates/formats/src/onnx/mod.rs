//! ONNX: exports of PyTorch and tf2onnx, maps NCHW inside, weights in the file or beside it. Native builds only.
//!
//! Goes in: the protobuf, and the files of external data that [`companion_files`] names. Comes out: a chain of nodes with
//! borrowed constants. Constants stand in initialisers or `Constant` nodes, behind `Identity` or `DequantizeLinear`.
//! Next: `graph::matcher`.

mod proto;

use super::graph::region::{Operand, Scalar, recognize};
use super::graph::{
    Constant, Convolution, Element, Layout, Network, Node, Op, Pads, Path, Quantization, Wires, matcher, path,
};
use super::{Format, LoadedModel, ModelOptions, ModelSource};
use mobilenet::architecture::HeadActivation;
use mobilenet::{Error, Result};
use proto::{Model, Tensor, damaged};
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

/// Nodes that a constant may be behind.
const DEEPEST: usize = 4;

/// Reads an ONNX file.
///
/// # Errors
/// [`Error::not_mobilenet`] with the first node that differs; [`Error::format`] where the file is damaged or a file
/// beside it is missing.
pub fn read(source: &ModelSource, caller: &ModelOptions) -> Result<LoadedModel> {
    let model = Model::parse(source.bytes)?;
    if model.graph.nodes.is_empty() {
        return Err(Error::format(
            "ONNX",
            "the file has no graph; a Core ML model (.mlmodel) begins alike, and is not read: convert the model it was made \
             from",
        ));
    }
    let file = File::new(&model, source)?;
    matcher::read(file.network()?, caller)
}

/// Names of the files of external data, each once.
///
/// # Errors
/// [`Error::format`] where the file is damaged.
pub fn companion_files(bytes: &[u8]) -> Result<Vec<String>> {
    let model = Model::parse(bytes)?;
    let in_nodes =
        model.graph.nodes.iter().flat_map(|node| &node.attributes).filter_map(|one| one.tensor.as_ref());
    let names = model.graph.initialisers.iter().chain(in_nodes).filter_map(|tensor| tensor.location);
    let names: BTreeSet<&str> = names.collect();
    Ok(names.into_iter().map(str::to_owned).collect())
}

/// The model with its tensors numbered.
struct File<'m, 'a> {
    model: &'m Model<'a>,
    source: &'m ModelSource<'a>,
    numbers: BTreeMap<&'a str, usize>,
    constants: BTreeMap<&'a str, &'m Tensor<'a>>,
    makers: BTreeMap<&'a str, &'m proto::Node<'a>>,
    /// Bytes that may still be unpacked into memory of their own: many nodes can point at one tensor.
    budget: Cell<usize>,
}

impl<'m, 'a> File<'m, 'a> {
    fn new(model: &'m Model<'a>, source: &'m ModelSource<'a>) -> Result<Self> {
        let mut numbers = BTreeMap::new();
        let mut makers = BTreeMap::new();
        let mut constants: BTreeMap<_, _> =
            model.graph.initialisers.iter().map(|tensor| (tensor.name, tensor)).collect();
        for node in &model.graph.nodes {
            for &name in node.inputs.iter().chain(&node.outputs) {
                let next = numbers.len();
                numbers.entry(name).or_insert(next);
            }
            for &name in &node.outputs {
                makers.insert(name, node);
                if node.kind == "Constant"
                    && let Some(tensor) = node.attribute("value").and_then(|value| value.tensor.as_ref())
                {
                    constants.insert(name, tensor);
                }
            }
        }
        let beside: usize = source.companions.iter().map(|(_, bytes)| bytes.len()).sum();
        let budget = Cell::new(source.bytes.len().saturating_add(beside).saturating_add(1 << 20));
        Ok(Self { model, source, numbers, constants, makers, budget })
    }

    fn network(&self) -> Result<Network<'a>> {
        let graph = &self.model.graph;
        for node in &graph.nodes {
            let problem = match node.kind {
                "ConvInteger" | "MatMulInteger" | "DynamicQuantizeLinear" => {
                    "it was quantized by `quantize_dynamic`, whose ranges are found at run time; convert the float model, \
                     or quantize it with `quantize_static(…, quant_format=QuantFormat.QDQ)`"
                }
                "QLinearConv" | "QLinearMatMul" | "QLinearGlobalAveragePool" | "QGemm" => {
                    "it is quantized in the format QOperator; convert the float model, or quantize it with \
                     `quantize_static(…, quant_format=QuantFormat.QDQ)`"
                }
                _ => continue,
            };
            let problem = format!("node `{}` ({}): {problem}", label(node), shorten(node.kind));
            return Err(Error::format("ONNX", problem));
        }
        // Old exports list the initialisers among the inputs.
        let input = graph.inputs.iter().find(|input| !self.constants.contains_key(input.name));
        let input = input.ok_or_else(|| damaged("the graph has no input"))?;
        let wires: Vec<Wires> = graph.nodes.iter().map(|node| self.wires(node)).collect();
        let start = self.numbers.get(input.name).copied().unwrap_or(usize::MAX);
        let Path { steps, regions, broken } = path(&wires, start, |node| label(&graph.nodes[node]));
        let mut nodes = Vec::with_capacity(steps.len());
        let mut data = input.name;
        // Whether maps stand channels last at this place.
        let mut turned = matches!(input.shape.as_slice(), [_, _, _, Some(3)]);
        for step in steps {
            let node = &graph.nodes[step];
            if node.kind == "Transpose" {
                turned = matches!(node.integers("perm"), [0, 2, 3, 1]);
            }
            let mut translated = self.node(node, data, turned)?;
            if let Some(region) = regions.get(&step) {
                let formula = |index: usize| self.formula(&graph.nodes[index]);
                let start = self.numbers.get(data).copied().unwrap_or(usize::MAX);
                translated.op = recognize(region, start, &wires, &formula).map_or(Op::Other, Op::Activation);
            }
            nodes.push(translated);
            data = node.outputs.first().copied().unwrap_or_default();
        }
        let side = |rows: usize| {
            let length = |axis: usize| input.shape.get(axis).copied().flatten();
            length(rows).zip(length(rows + 1)).map(Into::into)
        };
        let size = match input.shape.as_slice() {
            [_, Some(3), _, _] => side(2),
            [_, _, _, Some(3)] => side(1),
            [] | [_, _, _, _] => None,
            shape => {
                let lengths: Vec<String> = shape
                    .iter()
                    .map(|length| length.map_or("?".into(), |length| length.to_string()))
                    .collect();
                let sentence =
                    format!("the input has lengths [{}], expected a batch of pictures", lengths.join(", "));
                return Err(Error::not_mobilenet(sentence));
            }
        };
        let beside: usize = self.source.companions.iter().map(|(_, bytes)| bytes.len()).sum();
        Ok(Network {
            format: Format::Onnx,
            nodes,
            broken,
            size,
            takes_bytes: input.kind == 2,
            channels_first: true,
            said: ModelOptions::default(),
            default: ModelOptions::default(),
            provenance: Default::default(),
            bytes: self.source.bytes.len() + beside,
        })
    }

    fn wires(&self, node: &proto::Node<'a>) -> Wires {
        let number = |name: &&str| self.numbers.get(name).copied().unwrap_or(usize::MAX);
        // An empty name stands for an input that is left out.
        let inputs = node.inputs.iter().filter(|name| !name.is_empty()).map(number).collect();
        let outputs = node.outputs.iter().map(number).collect();
        Wires { inputs, outputs, shape_only: node.kind == "Shape", scalar: scalar(node.kind).is_some() }
    }

    /// A constant by its tensor's name, looked up through nodes that only hand it on.
    fn constant(&self, name: &str) -> Result<Option<Constant<'a>>> {
        self.constant_behind(name, DEEPEST)
    }

    fn constant_behind(&self, name: &str, depth: usize) -> Result<Option<Constant<'a>>> {
        if let Some(tensor) = self.constants.get(name) {
            return self.tensor(tensor).map(Some);
        }
        let Some(node) = self.makers.get(name).filter(|_| depth > 0) else { return Ok(None) };
        let input = |place: usize| node.inputs.get(place).copied().filter(|name| !name.is_empty());
        let behind = |place: usize| match input(place) {
            Some(name) => self.constant_behind(name, depth - 1),
            None => Ok(None),
        };
        match node.kind {
            "Identity" | "Cast" => behind(0),
            "DequantizeLinear" => {
                let (Some(packed), Some(scales)) = (behind(0)?, behind(1)?) else { return Ok(None) };
                self.spend(&packed.name, scales.len().saturating_mul(16))?;
                let zeros = behind(2)?.filter(|zeros| zeros.len() <= scales.len());
                let zeros = zeros.map_or(Vec::new(), |zeros| zeros.floats());
                let axis = node.integer("axis", 1);
                let axis = if axis < 0 { axis + packed.shape.len() as i64 } else { axis };
                let quantization = Quantization {
                    scales: scales.floats().into_iter().map(f64::from).collect(),
                    zeros: zeros.into_iter().map(f64::from).collect(),
                    axis: usize::try_from(axis).unwrap_or(usize::MAX),
                };
                packed.quantized(quantization).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Counts `bytes` that tensor will take in memory.
    fn spend(&self, tensor: &str, bytes: usize) -> Result<()> {
        let left = self.budget.get().checked_sub(bytes);
        self.budget.set(left.ok_or_else(|| damaged(&format!("tensor `{tensor}` is used too often")))?);
        Ok(())
    }

    fn tensor(&self, tensor: &Tensor<'a>) -> Result<Constant<'a>> {
        let name = tensor.name;
        let element = match tensor.kind {
            1 => Element::F32,
            2 => Element::U8,
            3 => Element::I8,
            4 => Element::U16,
            5 => Element::I16,
            6 => Element::I32,
            7 => Element::I64,
            10 => Element::F16,
            11 => Element::F64,
            16 => Element::Bf16,
            other => {
                return Err(damaged(&format!("tensor `{name}` has type {other}, which no MobileNet has")));
            }
        };
        let length = |axis: &i64| usize::try_from(*axis).unwrap_or(usize::MAX);
        let shape: Vec<usize> = tensor.shape.iter().map(length).collect();
        let spent = tensor.packed.map_or(0, |packed| packed.len().saturating_mul(element.size()));
        self.spend(name, spent)?;
        let bytes: Cow<'a, [u8]> = match (tensor.location, tensor.raw, tensor.floats) {
            (Some(location), ..) => self.external(tensor, location)?.into(),
            (None, Some(raw), _) => raw.into(),
            (None, None, Some(floats)) if element == Element::F32 => floats.into(),
            _ if element == Element::I64 => {
                tensor.numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
            }
            _ => unpack(tensor, element, &shape)?.into(),
        };
        Constant::new(name, shape, element, bytes, None)
    }

    /// The data of a tensor in a file beside.
    fn external(&self, tensor: &Tensor<'a>, location: &str) -> Result<&'a [u8]> {
        let file = self.source.part("ONNX", location)?;
        let end = match tensor.length {
            Some(length) => tensor.offset.checked_add(length),
            None => Some(file.len()),
        };
        end.and_then(|end| file.get(tensor.offset..end)).ok_or_else(|| {
            let bytes = file.len();
            damaged(&format!(
                "tensor `{}` lies outside of `{location}`, which has {bytes} bytes",
                tensor.name
            ))
        })
    }

    /// Translates a node that reads `data`.
    fn node(&self, node: &proto::Node<'a>, data: &str, turned: bool) -> Result<Node<'a>> {
        let first = node.inputs.first().is_some_and(|input| *input == data);
        let constant = |place: usize| match node.inputs.get(place) {
            Some(name) if !name.is_empty() => self.constant(name),
            _ => Ok(None),
        };
        let number = |name: &str, absent: f32| node.attribute(name).map_or(absent, |value| value.float);
        use HeadActivation as A;
        let absent = |place: usize| node.inputs.get(place).is_none_or(|name| name.is_empty());
        let op = match node.kind {
            "Add" | "Sub" | "Mul" | "Div" => {
                let other = constant(usize::from(first))?;
                match (node.kind, other) {
                    ("Mul", Some(other)) => {
                        Op::Affine { scale: Some(other), inverse: false, shift: None, negative: false }
                    }
                    ("Div", Some(other)) if first => {
                        Op::Affine { scale: Some(other), inverse: true, shift: None, negative: false }
                    }
                    ("Add", Some(other)) => {
                        Op::Affine { scale: None, inverse: false, shift: Some(other), negative: false }
                    }
                    ("Sub", Some(other)) if first => {
                        Op::Affine { scale: None, inverse: false, shift: Some(other), negative: true }
                    }
                    // c − x
                    ("Sub", Some(other)) => Op::Affine {
                        scale: Some(Constant::of_numbers("-1", Vec::new(), &[-1.0])?),
                        inverse: false,
                        shift: Some(other),
                        negative: false,
                    },
                    _ => Op::Other,
                }
            }
            _ if !first => Op::Other,
            "Conv" => self.convolution(node)?,
            "Gemm" | "MatMul" => self.matrix(node)?,
            "BatchNormalization" => match (constant(1)?, constant(2)?, constant(3)?, constant(4)?) {
                (gamma, beta, Some(mean), Some(variance)) if node.integer("training_mode", 0) == 0 => {
                    let epsilon = node.attribute("epsilon").map_or(1e-5, |value| value.float);
                    Op::BatchNorm { gamma, beta, mean, variance, epsilon: round(epsilon) }
                }
                _ => Op::Other,
            },
            "Relu" => Op::Clip(0.0, f32::INFINITY),
            "Clip" => {
                // Bounds were attributes before operator set 11 and are inputs since.
                let attribute = |name| node.attribute(name).map(|value| value.float);
                let bound = |place: usize, name, open: f32| match constant(place)? {
                    Some(bound) => Ok::<_, Error>(bound.scalar()),
                    None if absent(place) => Ok(Some(attribute(name).unwrap_or(open))),
                    None => Ok(None),
                };
                match (bound(1, "min", f32::NEG_INFINITY)?, bound(2, "max", f32::INFINITY)?) {
                    (Some(low), Some(high)) => {
                        Op::Clip(low, if high > 3.0e38 { f32::INFINITY } else { high })
                    }
                    _ => Op::Other,
                }
            }
            "Min" | "Max" => match constant(1)?.and_then(|bound| bound.scalar()) {
                Some(bound) if node.inputs.len() == 2 && node.kind == "Min" => {
                    Op::Clip(f32::NEG_INFINITY, bound)
                }
                Some(bound) if node.inputs.len() == 2 => Op::Clip(bound, f32::INFINITY),
                _ => Op::Other,
            },
            "Pad" => self.pad(node)?,
            "GlobalAveragePool" => Op::Mean { window: None },
            "AveragePool" => match node.integers("kernel_shape") {
                &[height, width] if node.integers("pads").iter().all(|pad| *pad == 0) => {
                    let auto = node.attribute("auto_pad").map_or(&b"NOTSET"[..], |value| value.text);
                    let window = [length(height)?, length(width)?];
                    if auto == b"NOTSET" || auto == b"VALID" {
                        Op::Mean { window: Some(window) }
                    } else {
                        Op::Other
                    }
                }
                _ => Op::Other,
            },
            "ReduceMean" => {
                let axes = match constant(1)? {
                    Some(axes) => axes.integers().unwrap_or_default(),
                    None => node.integers("axes").to_vec(),
                };
                match axes.as_slice() {
                    [2, 3] | [3, 2] | [-2, -1] | [-1, -2] => Op::Mean { window: None },
                    // Of a map that a `Transpose` has turned to channels last (tf2onnx).
                    [1, 2] | [2, 1] | [-3, -2] | [-2, -3] if turned => Op::Mean { window: None },
                    _ => Op::Other,
                }
            }
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => Op::Reshape,
            "Identity" | "Dropout" | "QuantizeLinear" | "DequantizeLinear" | "Cast" => Op::Pass,
            "Transpose" => match node.integers("perm") {
                [0, 3, 1, 2] | [0, 2, 3, 1] | [0, 1, 2, 3] => Op::Pass,
                _ => Op::Other,
            },
            "Softmax" => Op::Activation(A::Softmax),
            "Sigmoid" => Op::Activation(A::Sigmoid),
            "Tanh" => Op::Activation(A::Tanh),
            "LeakyRelu" => Op::Activation(A::LeakyRelu(number("alpha", 0.01))),
            "Elu" => Op::Activation(A::Elu(number("alpha", 1.0))),
            "Selu" => Op::Activation(A::Selu),
            "Softplus" => Op::Activation(A::Softplus),
            "HardSwish" => Op::Activation(A::HardSwish),
            "Swish" if number("alpha", 1.0) == 1.0 => Op::Activation(A::Swish),
            "HardSigmoid" if (number("alpha", 0.2) - 1.0 / 6.0).abs() < 1e-6 => {
                Op::Activation(A::HardSigmoid)
            }
            "PRelu" => match constant(1)?.and_then(|slope| slope.scalar()) {
                Some(slope) => Op::Activation(A::LeakyRelu(slope)),
                None => Op::Other,
            },
            "Gelu" => match node.attribute("approximate").map_or(&b"none"[..], |value| value.text) {
                b"none" => Op::Activation(A::Gelu),
                b"tanh" => Op::Activation(A::GeluTanh),
                _ => Op::Other,
            },
            _ => Op::Other,
        };
        let mut translated = Node::new(label(node), shorten(node.kind), op);
        if node.kind == "QuantizeLinear" {
            translated.range = self.range(node)?;
        }
        Ok(translated)
    }

    /// What a node computes of every value, and of what.
    fn formula(&self, node: &proto::Node<'a>) -> Option<(Scalar, Vec<Operand>)> {
        let attribute =
            |name: &str, absent: f32| f64::from(node.attribute(name).map_or(absent, |value| value.float));
        let mut operands = Vec::new();
        for name in node.inputs.iter().filter(|name| !name.is_empty()) {
            operands.push(match self.constant(name).ok()? {
                Some(constant) => Operand::Number(constant.scalar()?.into()),
                None => Operand::Tensor(*self.numbers.get(name)?),
            });
        }
        let scalar = match (node.kind, operands.as_slice()) {
            ("Clip", [_, Operand::Number(low), Operand::Number(high)]) => Scalar::Clip(*low, *high),
            ("Clip", [_]) => Scalar::Clip(attribute("min", f32::MIN), attribute("max", f32::MAX)),
            ("Clip", _) => return None,
            (kind, _) => scalar(kind)?,
        };
        Some((scalar, operands))
    }

    /// Ends of what a quantizing node gives.
    fn range(&self, node: &proto::Node<'a>) -> Result<Option<(f32, f32)>> {
        let (scale, zero) = (self.input(node, 1)?, self.input(node, 2)?);
        let Some(scale) = scale.and_then(|scale| scale.scalar()) else { return Ok(None) };
        let signed = zero.as_ref().is_some_and(|zero| zero.element() == Element::I8);
        let zero = zero.and_then(|zero| zero.scalar()).unwrap_or(0.0);
        let (least, most) = if signed { (-128.0, 127.0) } else { (0.0, 255.0) };
        Ok(Some(((least - zero) * scale, (most - zero) * scale)))
    }

    fn convolution(&self, node: &proto::Node<'a>) -> Result<Op<'a>> {
        let Some(kernel) = self.input(node, 1)? else { return Ok(Op::Other) };
        let bias = match (node.inputs.get(2).filter(|name| !name.is_empty()), self.input(node, 2)?) {
            (Some(_), None) => return Ok(Op::Other),
            (_, bias) => bias,
        };
        let two = |name: &str| match *node.integers(name) {
            [] => Ok([1, 1]),
            [down, across] => Ok([length(down)?, length(across)?]),
            _ => Err(damaged(&format!("attribute `{name}` of node `{}` has not two numbers", label(node)))),
        };
        let auto = node.attribute("auto_pad").map_or(&b"NOTSET"[..], |value| value.text);
        let pads = match (auto, node.integers("pads")) {
            (b"SAME_UPPER", _) => Pads::Same,
            (b"VALID", _) | (b"NOTSET" | b"", []) => Pads::Explicit([0; 4]),
            (b"NOTSET" | b"", &[top, left, bottom, right]) => {
                Pads::Explicit([size(top)?, size(bottom)?, size(left)?, size(right)?])
            }
            _ => return Ok(Op::Other),
        };
        Ok(Op::Convolution(Convolution {
            kernel,
            layout: Layout::Oihw,
            groups: usize::try_from(node.integer("group", 1)).unwrap_or(usize::MAX),
            bias,
            stride: two("strides")?,
            dilation: two("dilations")?,
            pads,
            floats: false,
        }))
    }

    /// A fully connected layer: `Gemm` with its factors 1, or `MatMul`.
    fn matrix(&self, node: &proto::Node<'a>) -> Result<Op<'a>> {
        let Some(kernel) = self.input(node, 1)? else { return Ok(Op::Other) };
        let factor = |name| node.attribute(name).is_none_or(|value| value.float == 1.0);
        if !factor("alpha") || !factor("beta") || node.integer("transA", 0) != 0 {
            return Ok(Op::Other);
        }
        let layout = if node.integer("transB", 0) == 0 { Layout::Io } else { Layout::Oi };
        let bias = if node.kind == "Gemm" { self.input(node, 2)? } else { None };
        let (stride, dilation, pads) = ([1, 1], [1, 1], Pads::Explicit([0; 4]));
        Ok(Op::Convolution(Convolution {
            kernel,
            layout,
            groups: 1,
            bias,
            stride,
            dilation,
            pads,
            floats: false,
        }))
    }

    /// Zeros around a map, from an attribute before operator set 11 and an input since.
    fn pad(&self, node: &proto::Node<'a>) -> Result<Op<'a>> {
        let mode = node.attribute("mode").map_or(&b"constant"[..], |value| value.text);
        let pads = match self.input(node, 1)? {
            Some(pads) => pads.integers().unwrap_or_default(),
            None => node.integers("pads").to_vec(),
        };
        let value = match self.input(node, 2)? {
            Some(value) => value.scalar(),
            None => Some(node.attribute("value").map_or(0.0, |value| value.float)),
        };
        match (mode, value, pads.as_slice()) {
            (b"constant", Some(0.0), &[0, 0, top, left, 0, 0, bottom, right])
            | (b"constant", Some(0.0), &[0, top, left, 0, 0, bottom, right, 0]) => {
                Ok(Op::Pad([size(top)?, size(bottom)?, size(left)?, size(right)?]))
            }
            _ => Ok(Op::Other),
        }
    }

    fn input(&self, node: &proto::Node<'a>, place: usize) -> Result<Option<Constant<'a>>> {
        match node.inputs.get(place) {
            Some(name) if !name.is_empty() => self.constant(name),
            _ => Ok(None),
        }
    }
}

/// What a node of this kind computes of every value.
fn scalar(kind: &str) -> Option<Scalar> {
    Some(match kind {
        "Add" => Scalar::Add,
        "Sub" => Scalar::Sub,
        "Mul" => Scalar::Mul,
        "Div" => Scalar::Div,
        "Pow" => Scalar::Pow,
        "Min" => Scalar::Min,
        "Max" => Scalar::Max,
        "Neg" => Scalar::Negative,
        "Identity" | "Cast" => Scalar::Same,
        "Relu" => Scalar::Clip(0.0, f64::INFINITY),
        // Its bounds are looked up when it is computed.
        "Clip" => Scalar::Clip(0.0, 0.0),
        "Exp" => Scalar::Exp,
        "Erf" => Scalar::Erf,
        "Erfc" => Scalar::Erfc, // as tf2onnx writes it
        "Tanh" => Scalar::Tanh,
        "Sigmoid" => Scalar::Sigmoid,
        "Softplus" => Scalar::Softplus,
        _ => return None,
    })
}

/// A padding.
fn size(value: i64) -> Result<usize> {
    let fits = usize::try_from(value).ok().filter(|value| *value <= 4096);
    fits.ok_or_else(|| damaged(&format!("a padding of {value} is outside of 0 to 4096")))
}

/// A stride, dilation or window.
fn length(value: i64) -> Result<usize> {
    size(value).and_then(|length| {
        if length > 0 { Ok(length) } else { Err(damaged("a stride, dilation or window is 0")) }
    })
}

/// Single-precision epsilons mean the round number that they were written as.
fn round(epsilon: f32) -> f64 {
    format!("{epsilon}").parse().unwrap_or(f64::from(epsilon))
}

/// What a node is called: its name, else its first output.
fn label(node: &proto::Node) -> String {
    let name =
        if node.name.is_empty() { node.outputs.first().copied().unwrap_or_default() } else { node.name };
    shorten(name)
}

/// The beginning of a name, for sentences.
fn shorten(name: &str) -> String {
    name.chars().take(120).collect()
}

/// Elements of small types that stand in `int32_data`.
fn unpack(tensor: &Tensor, element: Element, shape: &[usize]) -> Result<Vec<u8>> {
    let wanted = shape.iter().try_fold(element.size(), |product, &axis| product.checked_mul(axis));
    let mut packed = tensor.packed.unwrap_or_default();
    // Every number takes a byte or more, so the bytes to come are known to be there.
    if wanted.is_none_or(|wanted| wanted / element.size() > packed.len()) {
        return Err(damaged(&format!("tensor `{}` has no data", tensor.name)));
    }
    let mut bytes = Vec::with_capacity(wanted.unwrap_or_default());
    while !packed.is_empty() && Some(bytes.len()) < wanted {
        let number =
            prost::encoding::decode_varint(&mut packed).map_err(|error| damaged(&error.to_string()))?;
        bytes.extend_from_slice(&number.to_le_bytes()[..element.size()]);
    }
    Ok(bytes)
}
