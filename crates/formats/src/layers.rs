//! Keras' description of a network, layer by layer: that of a whole model in HDF5 and `.keras` files, and of TF.js' layers
//! models.
//!
//! Models inside models are flattened to one chain of nodes, for `graph::matcher`. Where the weights lie is the format's
//! business, see [`LayerSource`].

use crate::graph::{Constant, Convolution, Layout, MOST_NODES, Network, Node, Op, Pads, Wires, path};
use crate::{Format, ModelOptions};
use mobilenet::architecture::HeadActivation;
use mobilenet::{Error, Result};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Models inside models.
const DEEPEST: usize = 8;

/// A layer and the models around it.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// Name and class of every model from the outermost but one, and of the layer itself.
    pub names: Vec<(String, String)>,
    /// For each of them its number among those of its class in the model around it.
    pub counts: Vec<usize>,
}

impl Place {
    /// The layer's name.
    pub fn name(&self) -> &str {
        self.names.last().map_or("", |(name, _)| name)
    }
}

/// Where the weights of layers are looked up.
pub trait LayerSource<'a> {
    /// The variable called `part`, which is number `number` among the layer's.
    ///
    /// # Errors
    /// If it contradicts itself.
    fn weight(&self, place: &Place, part: &str, number: usize) -> Result<Option<Constant<'a>>>;
}

#[derive(Deserialize)]
struct Model<'a> {
    #[serde(borrow)]
    layers: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawLayer<'a> {
    #[serde(borrow)]
    class_name: Cow<'a, str>,
    #[serde(default, borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    config: &'a RawValue,
    #[serde(default, borrow)]
    inbound_nodes: Option<&'a RawValue>,
}

/// What a layer reads, in order.
#[derive(Clone, Debug, PartialEq)]
enum Item {
    Layer(String),
    Numbers(Vec<f64>),
}

/// One layer, its settings not yet looked at.
struct Layer<'a> {
    class: Cow<'a, str>,
    name: String,
    config: &'a RawValue,
    inbound: Vec<Item>,
}

/// Reads the layers into one chain.
pub struct Reader<'s, S> {
    format: Format,
    source: &'s S,
    size: Option<[usize; 2]>,
    takes_bytes: bool,
    broken: Option<String>,
}

fn shorten(name: &str) -> String {
    name.chars().take(120).collect()
}

impl<'a, 's, S: LayerSource<'a>> Reader<'s, S> {
    /// The chain of a model whose `config` this is.
    ///
    /// # Errors
    /// If the JSON is damaged, or a weight is missing.
    pub fn network(format: Format, config: &str, source: &'s S, bytes: usize) -> Result<Network<'a>> {
        let mut reader = Self { format, source, size: None, takes_bytes: false, broken: None };
        let mut nodes = Vec::new();
        reader.model(config, &Place::default(), &mut nodes)?;
        Ok(Network {
            format,
            nodes,
            broken: reader.broken,
            size: reader.size,
            takes_bytes: reader.takes_bytes,
            channels_first: false,
            said: ModelOptions::default(),
            default: ModelOptions::default(),
            provenance: Default::default(),
            bytes,
        })
    }

    fn damaged(&self, problem: &str) -> Error {
        Error::format(self.format.name(), format!("the model's configuration: {problem}"))
    }

    fn model(&mut self, config: &str, around: &Place, nodes: &mut Vec<Node<'a>>) -> Result<()> {
        if around.names.len() > DEEPEST {
            return Err(self.damaged("models lie too deep in each other"));
        }
        let parse = |error: serde_json::Error| self.damaged(&error.to_string());
        // Old sequential models are a bare list of layers.
        let raw: Vec<&RawValue> = if config.starts_with('[') {
            serde_json::from_str(config).map_err(parse)?
        } else {
            serde_json::from_str::<Model>(config)
                .map_err(|_| self.damaged("it has no list of layers, so it is no model of layers"))?
                .layers
        };
        if raw.len() > MOST_NODES || nodes.len() > MOST_NODES {
            return Err(self.damaged(&format!("it has more than {MOST_NODES} layers")));
        }
        let mut layers = Vec::with_capacity(raw.len());
        for raw in raw {
            let RawLayer { class_name, name, config, inbound_nodes } =
                serde_json::from_str(raw.get()).map_err(parse)?;
            let name = match name {
                Some(name) => name.into_owned(),
                None => label(config).unwrap_or_default(),
            };
            let mut inbound = Vec::new();
            if let Some(nodes) = inbound_nodes {
                let value: Value = serde_json::from_str(nodes.get()).map_err(parse)?;
                items(&value, &mut inbound, 0);
            }
            layers.push(Layer { class: class_name, name, config, inbound });
        }
        let reads = |layer: &Layer| layer.inbound.iter().any(|item| matches!(item, Item::Layer(_)));
        let mut order: Vec<usize> = (0..layers.len()).collect();
        if layers.iter().any(reads) {
            let (found, broken) = self.follow(&layers)?;
            order = found;
            self.broken = self.broken.take().or(broken);
        }
        // Numbered in the file's order, whatever the data's.
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let numbers: Vec<usize> = layers
            .iter()
            .map(|layer| {
                let count = counts.entry(&layer.class).or_default();
                *count += 1;
                *count - 1
            })
            .collect();
        for index in order {
            let layer = &layers[index];
            let mut place = around.clone();
            place.names.push((layer.name.clone(), layer.class.clone().into_owned()));
            place.counts.push(numbers[index]);
            match &*layer.class {
                "Functional" | "Model" | "Sequential" => self.model(layer.config.get(), &place, nodes)?,
                "TimeDistributed" | "Bidirectional" => {
                    nodes.push(Node::new(shorten(&layer.name), shorten(&layer.class), Op::Other));
                }
                _ => self.layer(layer, &place, nodes)?,
            }
        }
        Ok(())
    }

    /// The order of the layers behind the input.
    fn follow(&self, layers: &[Layer]) -> Result<(Vec<usize>, Option<String>)> {
        let numbers: BTreeMap<&str, usize> =
            layers.iter().enumerate().map(|(index, layer)| (layer.name.as_str(), index)).collect();
        let read = |item: &Item| match item {
            Item::Layer(name) => numbers.get(name.as_str()).copied(),
            Item::Numbers(_) => None,
        };
        let wires: Vec<Wires> = layers
            .iter()
            .enumerate()
            .map(|(index, layer)| Wires {
                inputs: layer.inbound.iter().filter_map(read).collect(),
                outputs: vec![index],
                ..Wires::default()
            })
            .collect();
        let first = layers.iter().position(|layer| layer.class == "InputLayer");
        let first = first.ok_or_else(|| self.damaged("the model has no `InputLayer`"))?;
        let mut found = path(&wires, first, |index| layers[index].name.clone());
        found.steps.insert(0, first);
        Ok((found.steps, found.broken))
    }

    /// The layer as one node, or as two where an activation is inside.
    fn layer(&mut self, layer: &Layer, place: &Place, nodes: &mut Vec<Node<'a>>) -> Result<()> {
        let config: Value =
            serde_json::from_str(layer.config.get()).map_err(|error| self.damaged(&error.to_string()))?;
        let settings = Settings { config: &config, layer };
        self.input(&settings, nodes.is_empty());
        let op = self.op(&settings, place)?;
        let fused = config.get("activation").filter(|_| matches!(op, Op::Convolution(_))).map(activation);
        nodes.push(Node::new(shorten(&layer.name), shorten(&layer.class), op));
        match fused {
            None | Some((_, Some(Op::Pass))) => {}
            Some((kind, op)) => {
                nodes.push(Node::new(shorten(&layer.name), shorten(&kind), op.unwrap_or(Op::Other)));
            }
        }
        Ok(())
    }

    /// Size and type of the input, from the first layer that says them.
    fn input(&mut self, settings: &Settings, first: bool) {
        let shape = ["batch_shape", "batch_input_shape"].iter().find_map(|key| settings.config.get(*key));
        let axis = |index: usize| Some(shape?.get(index)?.as_u64()? as usize);
        if let (None, Some(height), Some(width)) = (self.size, axis(1), axis(2)) {
            self.size = Some([height, width]);
        }
        let dtype = settings.config.get("dtype").and_then(Value::as_str);
        self.takes_bytes |= first && settings.layer.class == "InputLayer" && dtype == Some("uint8");
    }

    fn op(&self, settings: &Settings, place: &Place) -> Result<Op<'a>> {
        let class = &*settings.layer.class;
        let number = |key: &str| settings.config.get(key).and_then(Value::as_f64);
        if settings.text("data_format").is_some_and(|format| format != "channels_last")
            && !DOES_NOTHING.contains(&class)
        {
            return Ok(Op::Other);
        }
        Ok(match class {
            _ if does_nothing(class) => Op::Pass,
            "Conv2D" | "Convolution2D" | "DepthwiseConv2D" | "Dense" => self.convolution(settings, place)?,
            "BatchNormalization" => self.batch_norm(settings, place)?,
            "Normalization" => self.normalization(settings, place)?,
            "Rescaling" => match (numbers(settings.get("scale")), numbers(settings.get("offset"))) {
                (Some(scale), offset) => affine(&scale, false, &offset.unwrap_or(vec![0.0]), false)?,
                _ => Op::Other,
            },
            "ReLU" => {
                let slope = number("negative_slope").unwrap_or(0.0) as f32;
                let most = number("max_value").map(|most| most as f32);
                match (number("threshold").unwrap_or(0.0) == 0.0, slope, most) {
                    (true, 0.0, most) => Op::Clip(0.0, most.unwrap_or(f32::INFINITY)),
                    (true, slope, None) => Op::Activation(HeadActivation::LeakyRelu(slope)),
                    _ => Op::Other,
                }
            }
            "LeakyReLU" => {
                let slope = number("negative_slope").or_else(|| number("alpha")).unwrap_or(0.3);
                Op::Activation(HeadActivation::LeakyRelu(slope as f32))
            }
            "ELU" => Op::Activation(HeadActivation::Elu(number("alpha").unwrap_or(1.0) as f32)),
            "Softmax" => match settings.get("axis").and_then(Value::as_i64) {
                None | Some(-1 | 1 | 3) => Op::Activation(HeadActivation::Softmax),
                _ => Op::Other,
            },
            "Activation" => {
                settings.get("activation").and_then(|value| activation(value).1).unwrap_or(Op::Other)
            }
            "ZeroPadding2D" => match settings.sides() {
                Some(sides) => Op::Pad(sides),
                None => Op::Other,
            },
            "GlobalAveragePooling2D" => Op::Mean { window: None },
            "AveragePooling2D" => match (settings.pair("pool_size", 2), settings.text("padding")) {
                (Some(window), None | Some("valid")) => Op::Mean { window: Some(window) },
                _ => Op::Other,
            },
            "Reshape" | "Flatten" => Op::Reshape,
            "Resizing" | "CenterCrop" => match (number("height"), number("width")) {
                (Some(height), Some(width)) => Op::Resize([height as usize, width as usize]),
                _ => Op::Other,
            },
            "TFOpLambda" | "SlicingOpLambda" => {
                let function =
                    settings.text("function").or_else(|| settings.text("name")).unwrap_or_default();
                let name = function.rsplit(['.', '/']).next().unwrap_or_default();
                arithmetic(
                    name.trim_end_matches(|last: char| last == '_' || last.is_ascii_digit()),
                    settings,
                )?
            }
            _ => arithmetic(class, settings)?,
        })
    }

    fn missing(&self, place: &Place, part: &str) -> Error {
        let name = format!("{}/{part}", shorten(place.name()));
        Error::missing_tensor(&name, "the configuration has the layer, and the file no weights for it")
    }

    fn convolution(&self, settings: &Settings, place: &Place) -> Result<Op<'a>> {
        let (part, layout) = match &*settings.layer.class {
            "Dense" => ("kernel", Layout::Io),
            "DepthwiseConv2D" => ("depthwise_kernel", Layout::Hwcm),
            _ => ("kernel", Layout::Hwio),
        };
        let mut kernel = self.source.weight(place, part, 0)?;
        if kernel.is_none() && part == "depthwise_kernel" {
            kernel = self.source.weight(place, "kernel", 0)?; // Keras 3
        }
        let kernel = kernel.ok_or_else(|| self.missing(place, part))?;
        let biased = settings.get("use_bias").and_then(Value::as_bool).unwrap_or(true);
        let bias = if biased { self.source.weight(place, "bias", 1)? } else { None };
        if biased && bias.is_none() {
            return Err(self.missing(place, "bias"));
        }
        let dense = layout == Layout::Io;
        let pads = match settings.text("padding") {
            Some("same") => Pads::Same,
            None | Some("valid") => Pads::Explicit([0; 4]),
            Some(_) => return Ok(Op::Other),
        };
        let two = |key| if dense { Some([1, 1]) } else { settings.pair(key, 1) };
        let one = |key| settings.get(key).and_then(Value::as_u64).unwrap_or(1);
        let (Some(stride), Some(dilation)) = (two("strides"), two("dilation_rate")) else {
            return Ok(Op::Other);
        };
        if stride.contains(&0) || one("depth_multiplier") != 1 {
            return Ok(Op::Other);
        }
        let groups = if layout == Layout::Hwio { one("groups") as usize } else { 1 };
        Ok(Op::Convolution(Convolution {
            kernel,
            layout,
            groups,
            bias,
            stride,
            dilation,
            pads,
            floats: false,
        }))
    }

    fn batch_norm(&self, settings: &Settings, place: &Place) -> Result<Op<'a>> {
        let axis = settings.get("axis").map(|axis| axis.get(0).unwrap_or(axis).as_i64());
        if !matches!(axis, None | Some(Some(-1 | 1 | 3))) {
            return Ok(Op::Other);
        }
        let on = |key: &str| settings.get(key).and_then(Value::as_bool).unwrap_or(true);
        let mut number = 0;
        let mut next = |part: &str, present: bool| {
            if !present {
                return Ok(None);
            }
            number += 1;
            match self.source.weight(place, part, number - 1)? {
                Some(constant) => Ok(Some(constant)),
                None => Err(self.missing(place, part)),
            }
        };
        let (gamma, beta) = (next("gamma", on("scale"))?, next("beta", on("center"))?);
        match (next("moving_mean", true)?, next("moving_variance", true)?) {
            (Some(mean), Some(variance)) => {
                let epsilon = settings.get("epsilon").and_then(Value::as_f64).unwrap_or(1e-3);
                Ok(Op::BatchNorm { gamma, beta, mean, variance, epsilon })
            }
            _ => Ok(Op::Other),
        }
    }

    /// `(x − mean) / max(sqrt(variance), 1e-7)`, its numbers in the configuration or adapted.
    fn normalization(&self, settings: &Settings, place: &Place) -> Result<Op<'a>> {
        let adapted = |part: &str, number: usize| -> Result<Option<Vec<f64>>> {
            let found = self.source.weight(place, part, number)?;
            Ok(found.map(|constant| constant.floats().into_iter().map(f64::from).collect()))
        };
        let part = |key: &str, number: usize| match settings.get(key) {
            Some(value) if !value.is_null() => Ok(numbers(Some(value))),
            _ => adapted(key, number),
        };
        let (mean, variance) = (part("mean", 0)?, part("variance", 1)?);
        let (Some(mean), Some(variance)) = (mean, variance) else {
            return Err(self.missing(place, "mean"));
        };
        let deviation: Vec<f64> = variance.into_iter().map(|value| value.sqrt().max(1e-7)).collect();
        let length = mean.len().max(deviation.len());
        let at = |values: &[f64], index: usize| values.get(index).or(values.first()).copied().unwrap_or(0.0);
        let pairs = (0..length).map(|index| (at(&mean, index), at(&deviation, index)));
        if settings.get("invert").and_then(Value::as_bool) == Some(true) {
            let (shift, scale): (Vec<f64>, Vec<f64>) = pairs.unzip();
            return affine(&scale, false, &shift, false);
        }
        let (scale, shift): (Vec<f64>, Vec<f64>) =
            pairs.map(|(mean, deviation)| (1.0 / deviation, -mean / deviation)).unzip();
        affine(&scale, false, &shift, false)
    }
}

/// Settings of a layer.
struct Settings<'v> {
    config: &'v Value,
    layer: &'v Layer<'v>,
}

impl Settings<'_> {
    fn get(&self, key: &str) -> Option<&Value> {
        self.config.get(key)
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// One number for both directions, or two; `None` where it is something else.
    fn pair(&self, key: &str, absent: usize) -> Option<[usize; 2]> {
        let length = |value: &Value| Some(usize::try_from(value.as_u64()?).unwrap_or(usize::MAX));
        match self.get(key) {
            None | Some(Value::Null) => Some([absent; 2]),
            Some(Value::Array(two)) => match two.as_slice() {
                [down, across] => Some([length(down)?, length(across)?]),
                [both] => Some([length(both)?; 2]),
                _ => None,
            },
            Some(both) => Some([length(both)?; 2]),
        }
    }

    /// Zeros of a padding layer: top, bottom, left, right.
    fn sides(&self) -> Option<[usize; 4]> {
        let length =
            |value: &Value| value.as_u64().filter(|length| *length <= 4096).map(|length| length as usize);
        let pair = |value: &Value| match value {
            Value::Array(two) if two.len() == 2 => Some([length(&two[0])?, length(&two[1])?]),
            both => Some([length(both)?; 2]),
        };
        match self.get("padding")? {
            Value::Array(two) if two.len() == 2 => {
                let ([top, bottom], [left, right]) = (pair(&two[0])?, pair(&two[1])?);
                Some([top, bottom, left, right])
            }
            both => Some([length(both)?; 4]),
        }
    }
}

/// Layers that do nothing at inference; those whose names begin with `Random` apart.
const DOES_NOTHING: [&str; 17] = [
    "InputLayer",
    "Dropout",
    "SpatialDropout2D",
    "AlphaDropout",
    "GaussianNoise",
    "GaussianDropout",
    "ActivityRegularization",
    "Identity",
    "Cast",
    "CutMix",
    "MixUp",
    "AugMix",
    "RandAugment",
    "cast",
    "identity",
    "stop_gradient",
    "StopGradient",
];

fn does_nothing(class: &str) -> bool {
    // A random crop cuts from the middle at inference.
    DOES_NOTHING.contains(&class) || (class.starts_with("Random") && class != "RandomCrop")
}

/// What an operation of this name does with the constants beside it.
fn arithmetic<'a>(name: &str, settings: &Settings) -> Result<Op<'a>> {
    let inbound = &settings.layer.inbound;
    let layers = inbound.iter().filter(|item| matches!(item, Item::Layer(_))).count();
    let first = matches!(inbound.first(), Some(Item::Layer(_)));
    let mut constants = inbound.iter().filter_map(|item| match item {
        Item::Numbers(numbers) => Some(numbers),
        Item::Layer(_) => None,
    });
    let (constant, more) = (constants.next(), constants.next());
    let name = name.to_ascii_lowercase();
    if does_nothing(&name) {
        return Ok(Op::Pass);
    }
    let (Some(numbers), None, 1) = (constant, more, layers) else { return Ok(Op::Other) };
    let zero = [0.0];
    let one = [1.0];
    match (name.as_str(), first) {
        ("add" | "__add__" | "biasadd" | "bias_add", _) => affine(&one, false, numbers, false),
        ("subtract" | "sub", true) => affine(&one, false, numbers, true),
        ("subtract" | "sub", false) => affine(&[-1.0], false, numbers, false),
        ("multiply" | "mul", _) => affine(numbers, false, &zero, false),
        ("truedivide" | "divide" | "truediv" | "div" | "realdiv", true) => {
            affine(numbers, true, &zero, false)
        }
        _ => Ok(Op::Other),
    }
}

/// `x · scale + shift` (`x / scale − shift`), one number or one for each channel.
fn affine<'a>(scale: &[f64], inverse: bool, shift: &[f64], negative: bool) -> Result<Op<'a>> {
    let constant = |values: &[f64]| {
        let shape = if values.len() == 1 { Vec::new() } else { vec![1, 1, values.len()] };
        Constant::of_numbers("constant", shape, values)
    };
    let (scale, shift) = (Some(constant(scale)?), Some(constant(shift)?));
    Ok(Op::Affine { scale, inverse, shift, negative })
}

/// Numbers of a constant: one, or a list in lists.
fn numbers(value: Option<&Value>) -> Option<Vec<f64>> {
    fn collect(value: &Value, found: &mut Vec<f64>) -> bool {
        match value {
            Value::Number(number) => number.as_f64().map(|number| found.push(number)).is_some(),
            Value::Array(list) => found.len() < 4096 && list.iter().all(|value| collect(value, found)),
            _ => false,
        }
    }
    let mut found = Vec::new();
    (collect(value?, &mut found) && !found.is_empty()).then_some(found)
}

/// What a layer reads: layers by name, and constants.
fn items(value: &Value, found: &mut Vec<Item>, depth: usize) {
    if found.len() >= 16 || depth > 16 {
        return;
    }
    match value {
        Value::Array(list) => match list.as_slice() {
            // Keras 2: [name, node, tensor, {further arguments}]; a constant in a layer's place.
            [Value::String(name), _, value, rest @ ..] if name == "_CONSTANT_VALUE" => {
                found.extend(numbers(Some(value)).map(Item::Numbers));
                rest.iter().for_each(|rest| items(rest, found, depth + 1));
            }
            [Value::String(name), Value::Number(_), Value::Number(_), rest @ ..] => {
                found.push(Item::Layer(name.clone()));
                rest.iter().for_each(|rest| items(rest, found, depth + 1));
            }
            list if !list.is_empty() && list.iter().all(Value::is_number) => {
                found.extend(numbers(Some(value)).map(Item::Numbers));
            }
            list => list.iter().for_each(|value| items(value, found, depth + 1)),
        },
        Value::Number(_) => found.extend(numbers(Some(value)).map(Item::Numbers)),
        Value::Object(entries) => {
            // Keras 3: a tensor of another layer, or an array of numbers.
            let config = entries.get("config");
            if let Some(history) = config.and_then(|config| config.get("keras_history")) {
                if let Some(name) = history.get(0).and_then(Value::as_str) {
                    found.push(Item::Layer(name.into()));
                }
            } else if let Some(list) = config.and_then(|config| config.get("value")) {
                found.extend(numbers(Some(list)).map(Item::Numbers));
            } else {
                let keys = ["args", "x", "y", "x1", "x2", "kwargs"];
                for value in keys.iter().filter_map(|key| entries.get(*key)) {
                    items(value, found, depth + 1);
                }
            }
        }
        _ => {}
    }
}

/// The name among a layer's settings.
fn label(config: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    serde_json::from_str::<Named>(config.get()).ok().map(|named| named.name)
}

/// An activation's name, and what it does; `None` where a MobileNet has no such one. In old models it is an object with
/// settings of its own.
fn activation<'a>(value: &Value) -> (String, Option<Op<'a>>) {
    use HeadActivation as A;
    let class = value.get("class_name").and_then(Value::as_str);
    let config = value.get("config");
    // Keras 3 writes functions of its own as {"class_name": "function", "config": "relu6"}.
    let name = value.as_str().or_else(|| config.and_then(Value::as_str)).or(class);
    let name = if value.is_null() { "linear" } else { name.unwrap_or("?") };
    let number = |keys: &[&str]| {
        keys.iter().find_map(|key| config.and_then(|config| config.get(*key)).and_then(Value::as_f64))
    };
    let op = match name {
        "linear" => Op::Pass,
        "ReLU" | "relu" => match number(&["max_value"]) {
            Some(most) => Op::Clip(0.0, most as f32),
            None => Op::Clip(0.0, f32::INFINITY),
        },
        "relu6" => Op::Clip(0.0, 6.0),
        "softmax" | "Softmax" => Op::Activation(A::Softmax),
        "sigmoid" => Op::Activation(A::Sigmoid),
        "tanh" => Op::Activation(A::Tanh),
        "leaky_relu" => Op::Activation(A::LeakyRelu(0.2)),
        "LeakyReLU" => {
            Op::Activation(A::LeakyRelu(number(&["negative_slope", "alpha"]).unwrap_or(0.3) as f32))
        }
        "elu" | "ELU" => Op::Activation(A::Elu(number(&["alpha"]).unwrap_or(1.0) as f32)),
        "selu" => Op::Activation(A::Selu),
        "gelu" => Op::Activation(A::Gelu),
        "swish" | "silu" => Op::Activation(A::Swish),
        "hard_swish" | "hard_silu" => Op::Activation(A::HardSwish),
        "softplus" => Op::Activation(A::Softplus),
        _ => return (shorten(name), None),
    };
    (shorten(name), Some(op))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(json: &str) -> Vec<Item> {
        let mut found = Vec::new();
        items(&serde_json::from_str(json).unwrap(), &mut found, 0);
        found
    }

    #[test]
    fn every_keras_says_what_a_layer_reads() {
        let layer = |name: &str| Item::Layer(name.into());
        let tensor = r#"{"class_name": "__keras_tensor__", "config": {"shape": [null, 3], "keras_history": ["a", 0, 0]}}"#;
        assert_eq!(found(r#"[[["a", 0, 0, {}]]]"#), [layer("a")]);
        assert_eq!(
            found(r#"[["a", 0, 0, {"y": 127.5, "name": null}]]"#),
            [layer("a"), Item::Numbers(vec![127.5])]
        );
        assert_eq!(
            found(r#"[["_CONSTANT_VALUE", -1, 2.0, {"y": ["a", 0, 0]}]]"#),
            [Item::Numbers(vec![2.0]), layer("a")]
        );
        assert_eq!(
            found(&format!(r#"[{{"args": [{tensor}], "kwargs": {{"training": false}}}}]"#)),
            [layer("a")]
        );
        assert_eq!(
            found(&format!(r#"[{{"args": [2.0, {tensor}], "kwargs": {{}}}}]"#)),
            [Item::Numbers(vec![2.0]), layer("a")]
        );
        let array = r#"{"class_name": "__numpy__", "config": {"value": [1, 2, 3], "dtype": "float32"}}"#;
        assert_eq!(
            found(&format!(r#"[{{"args": [{tensor}, {array}], "kwargs": {{}}}}]"#)),
            [layer("a"), Item::Numbers(vec![1.0, 2.0, 3.0])]
        );
    }
}
