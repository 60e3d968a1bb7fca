//! TF.js' layers models: Keras' description of a network, layer by layer.
//!
//! Goes in: Keras' configuration (that of a `Functional` or `Sequential` model) and weights by Keras' names. Comes out:
//! the chain of its layers. Next: `graph::matcher`.

use super::json::List;
use super::{Weights, chain, damaged};
use crate::graph::{
    Constant, Convolution, Element, Layout, MOST_NODES, Network, Node, Op, Pads, Wires, path,
};
use mobilenet::{Error, Result};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// `modelTopology`, which is either the configuration or holds it.
#[derive(Deserialize)]
struct Topology<'a> {
    #[serde(default, borrow)]
    model_config: Option<Model<'a>>,
    #[serde(default, borrow)]
    config: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Model<'a> {
    #[serde(borrow)]
    config: &'a RawValue,
}

type Layers<'a> = List<Layer<'a>, MOST_NODES>;

#[derive(Deserialize)]
struct ModelConfig<'a> {
    #[serde(borrow)]
    layers: Layers<'a>,
}

#[derive(Deserialize)]
struct Layer<'a> {
    #[serde(borrow)]
    class_name: Cow<'a, str>,
    #[serde(default, borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    config: Config<'a>,
    #[serde(default, borrow)]
    inbound_nodes: Inbound<'a>,
}

/// The settings of a layer that change what it does.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Config<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(alias = "batch_shape")]
    batch_input_shape: Option<List<Option<usize>, 8>>,
    #[serde(borrow)]
    data_format: Option<Cow<'a, str>>,
    kernel_size: Option<Pair>,
    strides: Option<Pair>,
    dilation_rate: Option<Pair>,
    pool_size: Option<Pair>,
    depth_multiplier: Option<usize>,
    groups: Option<usize>,
    padding: Option<Padding>,
    use_bias: Option<bool>,
    #[serde(borrow)]
    activation: Option<Activation<'a>>,
    max_value: Option<f32>,
    negative_slope: Option<Scale>,
    threshold: Option<f32>,
    axis: Option<Axis>,
    epsilon: Option<f64>,
    scale: Option<Scale>,
    offset: Option<Scale>,
}

/// One number for both directions, or two.
#[derive(Deserialize, Clone, Copy)]
#[serde(untagged)]
enum Pair {
    Both(usize),
    Two([usize; 2]),
    Other(IgnoredAny),
}

impl Pair {
    fn two(pair: Option<Pair>, absent: usize) -> [usize; 2] {
        match pair {
            None | Some(Pair::Other(_)) => [absent; 2],
            Some(Pair::Both(both)) => [both; 2],
            Some(Pair::Two(two)) => two,
        }
    }
}

/// `same`, `valid`, or the numbers of a padding layer.
#[derive(Deserialize)]
#[serde(untagged)]
enum Padding {
    Name(String),
    Sides([[usize; 2]; 2]),
    Pair(Pair),
}

/// A name, or in old models a serialised object with one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Activation<'a> {
    Name(#[serde(borrow)] Cow<'a, str>),
    Object {
        #[serde(borrow)]
        class_name: Cow<'a, str>,
    },
    Other(IgnoredAny),
}

impl Activation<'_> {
    fn name(&self) -> &str {
        match self {
            Activation::Name(name) => name,
            Activation::Object { class_name } => class_name,
            Activation::Other(_) => "?",
        }
    }
}

/// One axis or a list of one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Axis {
    One(i64),
    List([i64; 1]),
    Other(IgnoredAny),
}

/// A number where a layer of interest has one; other layers have anything under the same name.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scale {
    Factor(f64),
    Other(IgnoredAny),
}

/// Names of the layers that a layer reads, in Keras 2's nested lists or Keras 3's tensors.
#[derive(Default)]
struct Inbound<'a>(Vec<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Inbound<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Vec<Cow<'de, str>>;
            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("the layers before")
            }
            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(vec![Cow::Borrowed(name)])
            }
            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(vec![Cow::Owned(name.to_owned())])
            }
            fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
                Ok(Vec::new())
            }
            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Vec::new())
            }
            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Vec::new())
            }
            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Vec::new())
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Vec::new())
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
                let mut names = Vec::new();
                while let Some(Inbound(more)) = entries.next_element::<Inbound<'de>>()? {
                    // Enough to see that a layer reads more than one.
                    if names.len() < 8 {
                        names.extend(more);
                    }
                }
                Ok(names)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
                let mut names = Vec::new();
                while let Some(key) = entries.next_key::<Cow<str>>()? {
                    match &*key {
                        "args" | "config" | "keras_history" => {
                            names = entries.next_value::<Inbound<'de>>()?.0
                        }
                        _ => drop(entries.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(names)
            }
        }
        deserializer.deserialize_any(Names).map(Inbound)
    }
}

/// The chain of a Keras model.
pub fn network<'a>(topology: &str, weights: &Weights<'_, 'a>, bytes: usize) -> Result<Network<'a>> {
    let parse = |error: serde_json::Error| damaged(&error.to_string());
    let topology: Topology = serde_json::from_str(topology).map_err(parse)?;
    let config = topology.model_config.map(|model| model.config).or(topology.config);
    let config = config.ok_or_else(|| damaged("the model has no `config`"))?.get();
    // Old sequential models are a bare list of layers.
    let bare = config.starts_with('[');
    let layers: Layers = if bare {
        serde_json::from_str(config).map_err(parse)?
    } else {
        serde_json::from_str::<ModelConfig>(config).map_err(parse)?.layers
    };
    let layers = layers.0;
    let sequential = bare || layers.iter().all(|layer| layer.inbound_nodes.0.is_empty());
    let (order, broken) = if sequential { ((0..layers.len()).collect(), None) } else { follow(&layers)? };
    let input = layers.iter().find_map(|layer| layer.config.batch_input_shape.as_ref());
    let size = match input.map(|shape| shape.0.as_slice()) {
        Some(&[_, Some(height), Some(width), _]) => Some([height, width]),
        _ => None,
    };
    let mut nodes = Vec::with_capacity(order.len());
    for index in order {
        layers[index].nodes(weights, &mut nodes)?;
    }
    Ok(chain(nodes, broken, size, bytes))
}

/// The order of the layers behind the input layer.
fn follow(layers: &[Layer]) -> Result<(Vec<usize>, Option<String>)> {
    let numbers: BTreeMap<&str, usize> =
        layers.iter().enumerate().map(|(index, layer)| (layer.label(), index)).collect();
    let wires: Vec<Wires> = layers
        .iter()
        .enumerate()
        .map(|(index, layer)| Wires {
            inputs: layer.inbound_nodes.0.iter().filter_map(|name| numbers.get(&**name).copied()).collect(),
            outputs: vec![index],
            shape_only: false,
        })
        .collect();
    let input = layers.iter().position(|layer| layer.class_name == "InputLayer");
    let input = input.ok_or_else(|| damaged("the model has no `InputLayer`"))?;
    Ok(path(&wires, input, |index| layers[index].label().to_owned()))
}

impl Layer<'_> {
    fn label(&self) -> &str {
        self.name.as_deref().or(self.config.name.as_deref()).unwrap_or_default()
    }

    /// The layer as one node, or as two where an activation is inside.
    fn nodes<'a>(&self, weights: &Weights<'_, 'a>, nodes: &mut Vec<Node<'a>>) -> Result<()> {
        let (name, config) = (self.label(), &self.config);
        let weight = |part: &str| weights.get(&format!("{name}/{part}"));
        let channels_last = config.data_format.as_deref().is_none_or(|format| format == "channels_last");
        let op = match &*self.class_name {
            "InputLayer" | "Dropout" | "SpatialDropout2D" => Op::Pass,
            _ if !channels_last => Op::Other,
            "Conv2D" | "Convolution2D" | "DepthwiseConv2D" | "Dense" => self.convolution(&weight)?,
            "BatchNormalization" => self.batch_norm(&weight)?,
            "ReLU" => {
                let slope =
                    config.negative_slope.as_ref().is_none_or(|slope| matches!(slope, Scale::Factor(0.0)));
                let plain = slope && config.threshold.unwrap_or(0.0) == 0.0;
                if plain { Op::Clip(0.0, config.max_value.unwrap_or(f32::INFINITY)) } else { Op::Other }
            }
            "Activation" => config.activation.as_ref().map_or(Op::Other, |activation| act(activation.name())),
            "Softmax" => Op::Softmax,
            "ZeroPadding2D" => match config.padding {
                Some(Padding::Sides([[top, bottom], [left, right]])) => Op::Pad([top, bottom, left, right]),
                Some(Padding::Pair(pair)) => {
                    let [height, width] = Pair::two(Some(pair), 1);
                    Op::Pad([height, height, width, width])
                }
                _ => Op::Other,
            },
            "GlobalAveragePooling2D" => Op::Mean { window: None },
            "AveragePooling2D" => {
                let window = Pair::two(config.pool_size, 2);
                let valid = !matches!(&config.padding, Some(Padding::Name(name)) if name == "same");
                if valid { Op::Mean { window: Some(window) } } else { Op::Other }
            }
            "Rescaling" => match (&config.scale, &config.offset) {
                (Some(Scale::Factor(scale)), None) => affine(*scale, 0.0)?,
                (Some(Scale::Factor(scale)), Some(Scale::Factor(offset))) => affine(*scale, *offset)?,
                _ => Op::Other,
            },
            "Reshape" | "Flatten" => Op::Reshape,
            _ => Op::Other,
        };
        let shorten = |name: &str| name.chars().take(120).collect::<String>();
        let fused = config.activation.as_ref().filter(|_| matches!(op, Op::Convolution(_)));
        let fused = fused.map(|activation| (shorten(activation.name()), act(activation.name())));
        nodes.push(Node::new(shorten(name), shorten(&self.class_name), op));
        if let Some((kind, op)) = fused.filter(|(_, op)| !matches!(op, Op::Pass)) {
            nodes.push(Node::new(shorten(name), kind, op));
        }
        Ok(())
    }

    fn convolution<'a>(&self, weight: &impl Fn(&str) -> Result<Option<Constant<'a>>>) -> Result<Op<'a>> {
        let config = &self.config;
        let depthwise = self.class_name == "DepthwiseConv2D";
        let (part, layout) = match &*self.class_name {
            "Dense" => ("kernel", Layout::Io),
            "DepthwiseConv2D" => ("depthwise_kernel", Layout::Hwcm),
            _ => ("kernel", Layout::Hwio),
        };
        let mut kernel = weight(part)?;
        if depthwise && kernel.is_none() {
            kernel = weight("kernel")?; // Keras 3
        }
        let kernel = kernel.ok_or_else(|| self.missing(part))?;
        let bias = if config.use_bias.unwrap_or(true) { weight("bias")? } else { None };
        let dense = layout == Layout::Io;
        let pads = match &config.padding {
            Some(Padding::Name(name)) if name == "same" => Pads::Same,
            Some(Padding::Name(name)) if name != "valid" => return Ok(Op::Other),
            _ => Pads::Explicit([0; 4]),
        };
        let two = |pair| if dense { [1, 1] } else { Pair::two(pair, 1) };
        let (stride, dilation) = (two(config.strides), two(config.dilation_rate));
        if stride.contains(&0) || config.depth_multiplier.unwrap_or(1) != 1 {
            return Ok(Op::Other);
        }
        let groups = if depthwise { 1 } else { config.groups.unwrap_or(1) };
        Ok(Op::Convolution(Convolution { kernel, layout, groups, bias, stride, dilation, pads }))
    }

    fn missing(&self, part: &str) -> Error {
        let name = format!("{}/{part}", self.label());
        Error::missing_tensor(&name, "the layer is in model.json, and its weights are not in the manifest")
    }

    fn batch_norm<'a>(&self, weight: &impl Fn(&str) -> Result<Option<Constant<'a>>>) -> Result<Op<'a>> {
        let last = match self.config.axis {
            None => true,
            Some(Axis::One(axis) | Axis::List([axis])) => axis == 3 || axis == -1,
            Some(Axis::Other(_)) => false,
        };
        let statistics = |part: &str| weight(part)?.ok_or_else(|| self.missing(part));
        if !last {
            return Ok(Op::Other);
        }
        Ok(Op::BatchNorm {
            gamma: weight("gamma")?,
            beta: weight("beta")?,
            mean: statistics("moving_mean")?,
            variance: statistics("moving_variance")?,
            epsilon: self.config.epsilon.unwrap_or(1e-3),
        })
    }
}

/// What an activation of this name does.
fn act<'a>(name: &str) -> Op<'a> {
    match name {
        "linear" => Op::Pass,
        "relu" | "ReLU" => Op::Clip(0.0, f32::INFINITY),
        "relu6" => Op::Clip(0.0, 6.0),
        "softmax" => Op::Softmax,
        _ => Op::Other,
    }
}

/// `x · scale + offset`.
fn affine<'a>(scale: f64, offset: f64) -> Result<Op<'a>> {
    let constant = |value: f64| {
        Constant::new("scale", Vec::new(), Element::F32, (value as f32).to_le_bytes().to_vec(), None)
    };
    let (scale, shift) = (Some(constant(scale)?), Some(constant(offset)?));
    Ok(Op::Affine { scale, inverse: false, shift, negative: false })
}
