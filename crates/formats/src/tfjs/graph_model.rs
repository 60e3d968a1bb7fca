//! TF.js' graph models: TensorFlow's graph as JSON, convolutions fused or not.
//!
//! Goes in: the nodes and the weights by node name. Comes out: the chain from the placeholder on. Attributes that are
//! text stand in base64, as protobuf's JSON has them. Next: `graph::matcher`.

use super::json::{List, chosen};
use super::{Weights, chain, damaged};
use crate::graph::region::{Operand, Scalar, recognize};
use crate::graph::{Constant, Convolution, Layout, MOST_NODES, Network, Node, Op, Pads, Path, Wires, path};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mobilenet::Result;
use mobilenet::architecture::HeadActivation;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Topology<'a> {
    #[serde(borrow)]
    node: List<GraphNode<'a>, MOST_NODES>,
}

#[derive(Deserialize)]
struct GraphNode<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    op: Cow<'a, str>,
    #[serde(default, borrow)]
    input: List<Cow<'a, str>, 64>,
    #[serde(default, borrow = "'a", deserialize_with = "attributes")]
    attr: BTreeMap<&'static str, Attribute<'a>>,
}

/// The attributes that change what a node does.
const KEYS: [&str; 13] = [
    "strides",
    "dilations",
    "padding",
    "data_format",
    "fused_ops",
    "epsilon",
    "explicit_paddings",
    "transpose_b",
    "ksize",
    "shape",
    "alpha",
    "leakyrelu_alpha",
    "dtype",
];

fn attributes<'de, D>(deserializer: D) -> Result<BTreeMap<&'static str, Attribute<'de>>, D::Error>
where
    D: Deserializer<'de>,
{
    chosen(deserializer, &KEYS)
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Attribute<'a> {
    #[serde(borrow)]
    s: Option<Cow<'a, str>>,
    f: Option<f64>,
    b: Option<bool>,
    #[serde(borrow)]
    list: Option<Values<'a>>,
    shape: Option<Shape>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Values<'a> {
    #[serde(borrow)]
    s: List<Cow<'a, str>, 16>,
    i: List<Integer, 16>,
}

/// Protobuf's JSON writes 64 bits as text.
#[derive(Deserialize, Clone)]
#[serde(untagged)]
enum Integer {
    Number(i64),
    Text(String),
}

impl Integer {
    fn value(&self) -> Option<i64> {
        match self {
            Integer::Number(value) => Some(*value),
            Integer::Text(text) => text.parse().ok(),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Shape {
    dim: List<Dim, 8>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Dim {
    size: Option<Integer>,
}

impl GraphNode<'_> {
    fn list(&self, key: &str) -> Option<Vec<i64>> {
        let values = &self.attr.get(key)?.list.as_ref()?.i.0;
        values.iter().map(Integer::value).collect()
    }

    fn text(&self, key: &str) -> Option<String> {
        decode(self.attr.get(key)?.s.as_deref()?)
    }

    fn fused(&self) -> Option<Vec<String>> {
        let names = self.attr.get("fused_ops")?.list.as_ref()?;
        names.s.0.iter().map(|name| decode(name)).collect()
    }
}

fn decode(text: &str) -> Option<String> {
    // Old converters write the text itself.
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    if ["SAME", "VALID", "NHWC", "NCHW"].contains(&text) && plain(text) {
        return Some(text.to_owned());
    }
    String::from_utf8(STANDARD.decode(text.get(..text.len().min(64))?).ok()?).ok()
}

/// The name of the node that gives a tensor: `node:0` and `^node` both mean `node`.
fn producer(tensor: &str) -> &str {
    let name = tensor.strip_prefix('^').unwrap_or(tensor);
    match name.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => name,
    }
}

/// Everything that a node is translated with.
struct Graph<'m, 'w, 'a> {
    nodes: BTreeMap<&'m str, &'m GraphNode<'m>>,
    weights: &'m Weights<'w, 'a>,
}

/// The chain of a graph model.
pub fn network<'a>(topology: &str, weights: &Weights<'_, 'a>, bytes: usize) -> Result<Network<'a>> {
    let topology: Topology = serde_json::from_str(topology).map_err(|error| damaged(&error.to_string()))?;
    let all = &topology.node.0;
    let numbers: BTreeMap<&str, usize> =
        all.iter().enumerate().map(|(index, node)| (&*node.name, index)).collect();
    let wires: Vec<Wires> = all
        .iter()
        .enumerate()
        .map(|(index, node)| Wires {
            inputs: node.input.0.iter().filter_map(|input| numbers.get(producer(input)).copied()).collect(),
            outputs: vec![index],
            shape_only: node.op == "Shape",
            scalar: scalar(&node.op).is_some(),
        })
        .collect();
    let input = all.iter().position(|node| node.op == "Placeholder");
    let input = input.ok_or_else(|| damaged("the graph has no `Placeholder`"))?;
    let Path { steps, regions, broken } = path(&wires, input, |index| all[index].name.to_string());
    let shape = all[input].attr.get("shape").and_then(|shape| shape.shape.as_ref());
    let lengths: Vec<Option<usize>> = shape.map_or(Vec::new(), |shape| {
        let length = |dim: &Dim| usize::try_from(dim.size.as_ref()?.value()?).ok();
        shape.dim.0.iter().map(length).collect()
    });
    let size = match lengths.as_slice() {
        [_, Some(height), Some(width), _] => Some([*height, *width]),
        _ => None,
    };
    let nodes = all.iter().map(|node| (&*node.name, node)).collect();
    let graph = Graph { nodes, weights };
    let mut data = &*all[input].name;
    let mut nodes = Vec::with_capacity(steps.len());
    for index in steps {
        let node = &all[index];
        match regions.get(&index) {
            None => graph.translate(node, data, &mut nodes)?,
            Some(region) => {
                let formula = |index: usize| graph.formula(&all[index], &numbers);
                let start = numbers.get(data).copied().unwrap_or(usize::MAX);
                let op = recognize(region, start, &wires, &formula).map_or(Op::Other, Op::Activation);
                nodes.push(Node::new(shorten(&node.name), shorten(&node.op), op));
            }
        }
        data = &node.name;
    }
    Ok(chain(nodes, broken, size, bytes))
}

impl<'a> Graph<'_, '_, 'a> {
    /// The constant that a node's input is, looked up through `Identity`.
    fn constant(&self, node: &GraphNode, place: usize) -> Result<Option<Constant<'a>>> {
        let Some(mut name) = node.input.0.get(place).map(|input| producer(input)) else { return Ok(None) };
        for _ in 0..4 {
            match self.nodes.get(name) {
                Some(node) if node.op == "Const" => return self.weights.get(name),
                Some(node) if node.op == "Identity" => match node.input.0.first() {
                    Some(input) => name = producer(input),
                    None => return Ok(None),
                },
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    /// What a node computes of every value, and of what.
    fn formula(&self, node: &GraphNode, numbers: &BTreeMap<&str, usize>) -> Option<(Scalar, Vec<Operand>)> {
        let mut operands = Vec::new();
        for (place, input) in node.input.0.iter().enumerate() {
            operands.push(match self.constant(node, place).ok()? {
                Some(constant) => Operand::Number(constant.scalar()?.into()),
                None => Operand::Tensor(*numbers.get(producer(input))?),
            });
        }
        Some((scalar(&node.op)?, operands))
    }

    /// Translates a node that reads `data`; what is fused into it becomes nodes of their own.
    fn translate(&self, node: &GraphNode, data: &str, nodes: &mut Vec<Node<'a>>) -> Result<()> {
        let first = node.input.0.first().is_some_and(|input| producer(input) == data);
        let last = node.text("data_format").is_none_or(|format| format == "NHWC");
        let constant = |place| self.constant(node, place);
        let mut fused = Vec::new();
        let op = match &*node.op {
            "Add" | "AddV2" | "BiasAdd" | "Sub" | "Mul" | "RealDiv" | "Div" => {
                let other = constant(usize::from(first))?;
                let shift = |shift, negative| Op::Affine { scale: None, inverse: false, shift, negative };
                let scale = |scale, inverse| Op::Affine { scale, inverse, shift: None, negative: false };
                match (&*node.op, other) {
                    (_, None) => Op::Other,
                    ("Add" | "AddV2" | "BiasAdd", other) => shift(other, false),
                    ("Sub", other) if first => shift(other, true),
                    ("Sub", other) => Op::Affine {
                        scale: Some(Constant::of_numbers("-1", Vec::new(), &[-1.0])?),
                        inverse: false,
                        shift: other,
                        negative: false,
                    },
                    ("Mul", other) => scale(other, false),
                    ("RealDiv" | "Div", other) if first => scale(other, true),
                    _ => Op::Other,
                }
            }
            _ if !first || !last => Op::Other,
            "Conv2D" | "_FusedConv2D" => self.convolution(node, Layout::Hwio, &mut fused)?,
            "DepthwiseConv2dNative" | "FusedDepthwiseConv2dNative" | "_FusedDepthwiseConv2dNative" => {
                self.convolution(node, Layout::Hwcm, &mut fused)?
            }
            "MatMul" | "_FusedMatMul" => {
                let transposed = node.attr.get("transpose_b").and_then(|value| value.b).unwrap_or(false);
                self.convolution(node, if transposed { Layout::Oi } else { Layout::Io }, &mut fused)?
            }
            "FusedBatchNorm" | "FusedBatchNormV2" | "FusedBatchNormV3" => {
                match (constant(1)?, constant(2)?, constant(3)?, constant(4)?) {
                    (gamma, beta, Some(mean), Some(variance)) => {
                        let epsilon = node.attr.get("epsilon").and_then(|value| value.f).unwrap_or(1e-4);
                        // Written from single precision: 0.0010000000474974513 means 0.001.
                        let epsilon = format!("{}", epsilon as f32).parse().unwrap_or(epsilon);
                        Op::BatchNorm { gamma, beta, mean, variance, epsilon }
                    }
                    _ => Op::Other,
                }
            }
            "Relu" | "Relu6" => activation(node, &node.op),
            "Minimum" | "Maximum" => match constant(1)?.and_then(|bound| bound.scalar()) {
                Some(bound) if node.op == "Minimum" => Op::Clip(f32::NEG_INFINITY, bound),
                Some(bound) => Op::Clip(bound, f32::INFINITY),
                None => Op::Other,
            },
            "Pad" | "PadV2" => {
                let zero = node.op == "Pad" || constant(2)?.and_then(|value| value.scalar()) == Some(0.0);
                match constant(1)?.and_then(|pads| pads.integers()).as_deref() {
                    Some([0, 0, pads @ .., 0, 0]) if zero && pads.len() == 4 => {
                        let sides: Vec<usize> =
                            pads.iter().filter_map(|pad| usize::try_from(*pad).ok()).collect();
                        sides.try_into().map_or(Op::Other, Op::Pad)
                    }
                    _ => Op::Other,
                }
            }
            "Mean" => match constant(1)?.and_then(|axes| axes.integers()).as_deref() {
                Some([1, 2] | [2, 1] | [-3, -2]) => Op::Mean { window: None },
                _ => Op::Other,
            },
            "AvgPool" => match (node.list("ksize").as_deref(), node.text("padding").as_deref()) {
                (Some(&[1, height, width, 1]), Some("VALID")) => {
                    let side = |length: i64| usize::try_from(length).unwrap_or(usize::MAX);
                    Op::Mean { window: Some([side(height), side(width)]) }
                }
                _ => Op::Other,
            },
            "Reshape" | "Squeeze" | "ExpandDims" => Op::Reshape,
            "Identity" | "Dropout" | "StopGradient" | "PlaceholderWithDefault" | "Cast" | "NoOp" => Op::Pass,
            "Softmax" | "LeakyRelu" | "Elu" | "Selu" | "Sigmoid" | "Tanh" | "Softplus" => {
                activation(node, &node.op)
            }
            _ => Op::Other,
        };
        nodes.push(Node::new(shorten(&node.name), shorten(&node.op), op));
        for (kind, op) in fused {
            nodes.push(Node::new(shorten(&node.name), kind, op));
        }
        Ok(())
    }

    /// A convolution or matrix product; `fused` gets what follows inside the node.
    fn convolution(
        &self,
        node: &GraphNode,
        layout: Layout,
        fused: &mut Vec<(String, Op<'a>)>,
    ) -> Result<Op<'a>> {
        let Some(kernel) = self.constant(node, 1)? else { return Ok(Op::Other) };
        let mut place = 2;
        for name in node.fused().unwrap_or_default() {
            let op = match &*name {
                "BiasAdd" => {
                    let shift = self.constant(node, place)?;
                    place += 1;
                    if shift.is_none() {
                        return Ok(Op::Other);
                    }
                    Op::Affine { scale: None, inverse: false, shift, negative: false }
                }
                name => activation(node, name),
            };
            fused.push((name, op));
        }
        let two = |key: &str| match node.list(key).as_deref() {
            None | Some([]) => Some([1, 1]),
            Some(&[1, down, across, 1]) => {
                let side =
                    |length: i64| usize::try_from(length).ok().filter(|length| (1..=4096).contains(length));
                Some([side(down)?, side(across)?])
            }
            _ => None,
        };
        let pads = match node.text("padding").as_deref() {
            Some("SAME") => Some(Pads::Same),
            Some("VALID") => Some(Pads::Explicit([0; 4])),
            Some("EXPLICIT") => match node.list("explicit_paddings").as_deref() {
                Some([0, 0, pads @ .., 0, 0]) if pads.len() == 4 => {
                    let sides: Vec<usize> =
                        pads.iter().filter_map(|pad| usize::try_from(*pad).ok()).collect();
                    sides.try_into().ok().map(Pads::Explicit)
                }
                _ => None,
            },
            None if matches!(layout, Layout::Io | Layout::Oi) => Some(Pads::Explicit([0; 4])),
            _ => None,
        };
        match (two("strides"), two("dilations"), pads) {
            (Some(stride), Some(dilation), Some(pads)) => Ok(Op::Convolution(Convolution {
                kernel,
                layout,
                groups: 1,
                bias: None,
                stride,
                dilation,
                pads,
                floats: false,
            })),
            _ => Ok(Op::Other),
        }
    }
}

fn shorten(name: &str) -> String {
    name.chars().take(120).collect()
}

/// What an operation of this name computes of every value.
fn scalar(op: &str) -> Option<Scalar> {
    Some(match op {
        "Add" | "AddV2" => Scalar::Add,
        "Sub" => Scalar::Sub,
        "Mul" => Scalar::Mul,
        "RealDiv" | "Div" => Scalar::Div,
        "Pow" => Scalar::Pow,
        "Minimum" => Scalar::Min,
        "Maximum" => Scalar::Max,
        "Neg" => Scalar::Negative,
        "Square" => Scalar::Square,
        "Identity" => Scalar::Same,
        "Relu" => Scalar::Clip(0.0, f64::INFINITY),
        "Relu6" => Scalar::Clip(0.0, 6.0),
        "Exp" => Scalar::Exp,
        "Erf" => Scalar::Erf,
        "Erfc" => Scalar::Erfc,
        "Tanh" => Scalar::Tanh,
        "Sigmoid" => Scalar::Sigmoid,
        "Softplus" => Scalar::Softplus,
        _ => return None,
    })
}

/// What an activation of this name does; `node` has its settings.
fn activation<'a>(node: &GraphNode, name: &str) -> Op<'a> {
    use HeadActivation as A;
    let slope = || node.attr.get("alpha").or(node.attr.get("leakyrelu_alpha")).and_then(|value| value.f);
    match name {
        "Relu" => Op::Clip(0.0, f32::INFINITY),
        "Relu6" => Op::Clip(0.0, 6.0),
        "LeakyRelu" => Op::Activation(A::LeakyRelu(slope().unwrap_or(0.2) as f32)),
        "Elu" => Op::Activation(A::Elu(1.0)),
        "Selu" => Op::Activation(A::Selu),
        "Sigmoid" => Op::Activation(A::Sigmoid),
        "Tanh" => Op::Activation(A::Tanh),
        "Softplus" => Op::Activation(A::Softplus),
        "Softmax" => Op::Activation(A::Softmax),
        _ => Op::Other,
    }
}
