//! TensorFlow.js: `model.json` of a layers or a graph model, weights in shards beside it, whole or quantized.
//!
//! Goes in: the JSON, and the shards that [`companion_files`] names. Comes out: weights by name, borrowed from the shards (a
//! weight that crosses from one shard to the next is put together), and the topology. Next: `crate::layers` or
//! `graph_model` make a chain of nodes of it, and `graph::matcher` walks that.

mod graph_model;
mod json;

use super::graph::{Constant, Element, Network, Node, Quantization, matcher};
use super::layers::{LayerSource, Place as LayerPlace, Reader};
use super::{Format, LoadedModel, ModelOptions, ModelSource};
use json::List;
use mobilenet::{Error, Result};
use serde::Deserialize;
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;

/// Most groups of weights, shards of a group, and weights of a group.
const MOST: usize = 2048;

/// Bytes that `model.json` may have: a MobileNet's has less than 100 KB, and JSON grows when it is parsed.
const MOST_JSON: usize = 2 << 20;

/// The chain of either kind of file: channels last, and silent about all but its nodes and its input's size.
fn chain(
    nodes: Vec<Node<'_>>,
    broken: Option<String>,
    size: Option<[usize; 2]>,
    bytes: usize,
) -> Network<'_> {
    Network {
        format: Format::Tfjs,
        nodes,
        broken,
        size,
        takes_bytes: false,
        channels_first: false,
        said: ModelOptions::default(),
        default: ModelOptions::default(),
        provenance: Default::default(),
        bytes,
    }
}

/// `model.json`, its topology not yet looked at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Model<'a> {
    #[serde(borrow)]
    model_topology: Option<&'a serde_json::value::RawValue>,
    #[serde(default, borrow)]
    weights_manifest: List<Group<'a>, MOST>,
}

/// `modelTopology` of a layers model, which is either the configuration or holds it.
#[derive(Deserialize)]
struct LayersTopology<'a> {
    #[serde(default, borrow)]
    model_config: Option<LayersModel<'a>>,
    #[serde(default, borrow)]
    config: Option<&'a serde_json::value::RawValue>,
}

#[derive(Deserialize)]
struct LayersModel<'a> {
    #[serde(borrow)]
    config: &'a serde_json::value::RawValue,
}

/// Weights that lie one after the other in the group's shards.
#[derive(Deserialize)]
struct Group<'a> {
    #[serde(borrow)]
    paths: List<Cow<'a, str>, MOST>,
    #[serde(default, borrow)]
    weights: List<Weight<'a>, MOST>,
}

/// One weight of the manifest.
#[derive(Deserialize)]
struct Weight<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    shape: List<usize, 8>,
    #[serde(borrow)]
    dtype: Cow<'a, str>,
    #[serde(default, borrow)]
    quantization: Option<Packing<'a>>,
}

/// How a weight is quantized.
#[derive(Deserialize)]
struct Packing<'a> {
    #[serde(borrow)]
    dtype: Cow<'a, str>,
    #[serde(default)]
    scale: Option<f64>,
    #[serde(default)]
    min: Option<f64>,
}

/// Reads `model.json` with its shards.
///
/// # Errors
/// [`Error::not_mobilenet`] with the first node that differs; [`Error::format`] where the JSON or a shard is damaged or a
/// shard is missing.
pub fn read(source: &ModelSource, caller: &ModelOptions) -> Result<LoadedModel> {
    let model = parse(source.bytes)?;
    let weights = Weights::new(&model, source)?;
    let topology = model.model_topology.ok_or_else(|| damaged("there is no `modelTopology`"))?.get();
    let beside: usize = source.companions.iter().map(|(_, bytes)| bytes.len()).sum();
    let bytes = source.bytes.len().saturating_add(beside);
    let network: Network = match Kind::of(topology)? {
        Kind::Graph => graph_model::network(topology, &weights, bytes)?,
        Kind::Layers => {
            let topology: LayersTopology =
                serde_json::from_str(topology).map_err(|error| damaged(&error.to_string()))?;
            let config = topology.model_config.map(|model| model.config).or(topology.config);
            let config = config.ok_or_else(|| damaged("the model has no `config`"))?.get();
            Reader::network(Format::Tfjs, config, &weights, bytes)?
        }
    };
    matcher::read(network, caller)
}

/// Names of the shards, in order, each once.
///
/// # Errors
/// [`Error::format`] where the JSON is damaged or names no shard.
pub fn companion_files(bytes: &[u8]) -> Result<Vec<String>> {
    let model = parse(bytes)?;
    let mut names: Vec<String> = Vec::new();
    let paths = model.weights_manifest.0.iter().flat_map(|group| &group.paths.0);
    for path in paths {
        if names.len() == MOST {
            return Err(damaged(&format!("it names more than {MOST} shards")));
        }
        if !names.iter().any(|name| name == path) {
            names.push(path.clone().into_owned());
        }
    }
    if names.is_empty() {
        return Err(damaged(
            "there is no `weightsManifest` with `paths`; is this the model.json of a TF.js model?",
        ));
    }
    Ok(names)
}

fn parse(bytes: &[u8]) -> Result<Model<'_>> {
    if bytes.len() > MOST_JSON {
        let problem = format!("it has {} bytes, and a MobileNet's has less than 100000", bytes.len());
        return Err(damaged(&problem));
    }
    serde_json::from_slice(bytes).map_err(|error| damaged(&error.to_string()))
}

/// A sentence about a file that contradicts itself.
fn damaged(problem: &str) -> Error {
    Error::format("TF.js", format!("model.json: {problem}"))
}

/// Which of the two topologies it is.
enum Kind {
    Graph,
    Layers,
}

impl Kind {
    /// Told by its keys: a graph has nodes, a Keras model a configuration.
    fn of(topology: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Keys {
            node: Option<serde::de::IgnoredAny>,
            model_config: Option<serde::de::IgnoredAny>,
            class_name: Option<serde::de::IgnoredAny>,
        }
        let keys: Keys = serde_json::from_str(topology).map_err(|error| damaged(&error.to_string()))?;
        match (keys.node, keys.model_config.or(keys.class_name)) {
            (Some(_), _) => Ok(Kind::Graph),
            (None, Some(_)) => Ok(Kind::Layers),
            (None, None) => Err(damaged("`modelTopology` has neither `node` nor `model_config`")),
        }
    }
}

/// The weights of the manifest by name, not yet decoded.
struct Weights<'m, 'a> {
    places: BTreeMap<&'m str, Place<'m, 'a>>,
    /// Bytes that may still be put together from several shards.
    budget: Cell<usize>,
}

/// Where a weight lies.
struct Place<'m, 'a> {
    weight: &'m Weight<'m>,
    /// The group's shards and where each begins.
    shards: std::rc::Rc<Vec<(usize, &'a [u8])>>,
    start: usize,
    length: usize,
}

impl<'m, 'a> Weights<'m, 'a> {
    fn new(model: &'m Model<'m>, source: &ModelSource<'a>) -> Result<Self> {
        let (mut places, mut total) = (BTreeMap::new(), 0usize);
        for group in &model.weights_manifest.0 {
            let (mut shards, mut end) = (Vec::with_capacity(group.paths.0.len()), 0usize);
            for path in &group.paths.0 {
                let bytes = source.part("TF.js", path)?;
                shards.push((end, bytes));
                end = end.saturating_add(bytes.len());
            }
            total = total.saturating_add(end);
            let shards = std::rc::Rc::new(shards);
            let mut start = 0usize;
            for weight in &group.weights.0 {
                let length = weight.bytes()?;
                let next = start.checked_add(length).filter(|next| *next <= end).ok_or_else(|| {
                    let problem =
                        format!("weight `{}` ends after its shards, which have {end} bytes", weight.name);
                    Error::format("TF.js", problem)
                })?;
                let place = Place { weight, shards: shards.clone(), start, length };
                places.insert(&*weight.name, place);
                start = next;
            }
        }
        Ok(Self { places, budget: Cell::new(total.saturating_add(1 << 20)) })
    }

    /// The weight called `name`, or the only one whose name ends in `/name`.
    fn get(&self, name: &str) -> Result<Option<Constant<'a>>> {
        let exact = self.places.get(name);
        let place = exact.or_else(|| {
            let ends = |full: &str| full.strip_suffix(name).is_some_and(|front| front.ends_with('/'));
            let mut found = self.places.iter().filter(|(full, _)| ends(full)).map(|(_, place)| place);
            let first = found.next();
            if found.next().is_none() { first } else { None }
        });
        place.map(|place| self.constant(place)).transpose()
    }

    fn constant(&self, place: &Place<'m, 'a>) -> Result<Constant<'a>> {
        let (weight, end) = (place.weight, place.start + place.length);
        let overlapping =
            place.shards.iter().filter(|(first, bytes)| *first < end && first + bytes.len() > place.start);
        let mut parts = overlapping.map(|(first, bytes)| {
            let from = place.start.saturating_sub(*first);
            &bytes[from..bytes.len().min(end - first)]
        });
        let bytes: Cow<'a, [u8]> = match (parts.next(), parts.next()) {
            (None, _) => Cow::Borrowed(&[]),
            (Some(whole), None) => whole.into(),
            (Some(one), Some(two)) => {
                let left = self.budget.get().checked_sub(place.length);
                let problem = || damaged(&format!("weight `{}` is used too often", weight.name));
                self.budget.set(left.ok_or_else(problem)?);
                let mut joined = Vec::with_capacity(place.length);
                [one, two].into_iter().chain(parts).for_each(|part| joined.extend_from_slice(part));
                joined.into()
            }
        };
        let element = weight.element()?;
        let quantization =
            weight.quantization.as_ref().filter(|_| matches!(element, Element::U8 | Element::U16));
        let quantization = quantization.map(|packing| {
            let (scale, min) = (packing.scale.unwrap_or(1.0), packing.min.unwrap_or(0.0));
            // All values alike: the scale is 0 or 1 and only the smallest counts.
            if scale == 0.0 {
                Quantization::uniform(1.0, -min)
            } else {
                Quantization::uniform(scale, -min / scale)
            }
        });
        Constant::new(weight.name.to_string(), weight.shape.0.clone(), element, bytes, quantization)
    }
}

impl<'m, 'a> LayerSource<'a> for Weights<'m, 'a> {
    /// By the layer's name alone, else with the models around it before it.
    fn weight(&self, place: &LayerPlace, part: &str, _: usize) -> Result<Option<Constant<'a>>> {
        let names: Vec<&str> = place.names.iter().map(|(name, _)| name.as_str()).collect();
        for first in (0..names.len()).rev() {
            let name = [&names[first..].join("/"), "/", part].concat();
            if let Some(place) = self.places.get(name.as_str()) {
                return self.constant(place).map(Some);
            }
        }
        self.get(&[place.name(), "/", part].concat())
    }
}

impl Weight<'_> {
    /// Type of the elements in the shard.
    fn element(&self) -> Result<Element> {
        let stored = self.quantization.as_ref().map_or(&self.dtype, |packing| &packing.dtype);
        Ok(match &**stored {
            "float32" => Element::F32,
            "float16" => Element::F16,
            "uint8" | "bool" => Element::U8,
            "uint16" => Element::U16,
            "int32" => Element::I32,
            other => {
                let problem = format!("weight `{}` has type `{other}`, which no MobileNet has", self.name);
                return Err(Error::format("TF.js", problem));
            }
        })
    }

    /// Bytes in the shard.
    fn bytes(&self) -> Result<usize> {
        let size = self.element()?.size();
        let product = self.shape.0.iter().try_fold(size, |product, &axis| product.checked_mul(axis));
        product
            .ok_or_else(|| damaged(&format!("weight `{}` of shape {:?} overflows", self.name, self.shape.0)))
    }
}
