//! The options of the class's methods, from JavaScript's objects.
//!
//! Goes in: what the caller gave, and the network's architecture where names of classes are allowed. Comes out: the
//! options of `image`, `infer` and `formats`.

use super::value::{Fields, Outcome, as_count, describe, refuse};
use crate::error::Decimal;
use crate::formats;
use crate::image::{self, Fit, Region, Rotation};
use crate::infer::{Filter, Precision, Selection};
use crate::model::Architecture;
use crate::model::architecture::{ChannelOrder, Normalisation};
use crate::shape::{Activation, Padding};
use wasm_bindgen::JsValue;

const FRAME: &[&str] = &["regionOfInterest", "rotationDegrees", "flipped", "fit", "signal"];
const CLASSIFY: &[&str] = &["topk", "scoreThreshold", "allow", "deny"];
const NETWORK: &[&str] =
    &["precision", "labels", "padding", "activation", "epsilon", "normalisation", "resolution"];
const SOURCE: &[&str] = &["onProgress", "signal", "integrity", "cache"];

/// How many classes `classify` gives where nobody says.
const TOPK: usize = 3;

/// Options of `train`, as `TrainOptions` has them.
pub const TRAIN: &[&str] =
    &["epochs", "learningRate", "batchSize", "validationSplit", "seed", "onEpoch", "signal"];

/// `FrameOptions` of `method`.
pub fn frame(method: &'static str, value: &JsValue) -> Outcome<image::Options> {
    frame_fields(&Fields::new(method, value, &[FRAME])?)
}

fn frame_fields(fields: &Fields) -> Outcome<image::Options> {
    fields.signal()?;
    let region = match fields.within("regionOfInterest", &["left", "top", "right", "bottom"])? {
        None => None,
        Some(edges) => {
            let edge = |key, absent| edges.number(key).map(|edge| edge.unwrap_or(absent));
            let (left, top) = (edge("left", 0.0)?, edge("top", 0.0)?);
            let region = Region { left, top, right: edge("right", 1.0)?, bottom: edge("bottom", 1.0)? };
            region.validate()?;
            Some(region)
        }
    };
    let rotation = match fields.number("rotationDegrees")? {
        None => Rotation::None,
        Some(degrees) => Rotation::from_degrees(degrees)?,
    };
    let fits = [("cover", Fit::Cover), ("contain", Fit::Contain), ("stretch", Fit::Stretch)];
    Ok(image::Options {
        region,
        rotation,
        mirror: fields.boolean("flipped")?.unwrap_or_default(),
        fit: fields.word("fit", &fits)?.unwrap_or_default(),
    })
}

/// The second argument of `classify`: a number of classes, or `ClassifyOptions`.
pub fn classify(value: &JsValue, architecture: &Architecture) -> Outcome<(image::Options, Selection)> {
    let classes = architecture.classes;
    let usual = TOPK.min(classes);
    if let Some(number) = value.as_f64() {
        let Some(topk) = as_count(value) else {
            return refuse(format!(
                "classify: topk must be a whole number from 1 to {classes}, not {}",
                Decimal(number)
            ));
        };
        let selection = Selection::top(topk);
        selection.validate(classes)?;
        return Ok((image::Options::default(), selection));
    }
    let fields = Fields::new("classify", value, &[CLASSIFY, FRAME])?;
    let filter = match (fields.array("allow")?, fields.array("deny")?) {
        (None, None) => Filter::All,
        (Some(allow), None) => Filter::Allow(class_indices("allow", &allow, architecture)?),
        (None, Some(deny)) => Filter::Deny(class_indices("deny", &deny, architecture)?),
        (Some(_), Some(_)) => return refuse("classify: give allow or deny, not both".into()),
    };
    let selection = Selection {
        topk: fields.count("topk")?.unwrap_or(usual),
        threshold: fields.number("scoreThreshold")?.unwrap_or_default() as f32,
        filter,
    };
    selection.validate(classes)?;
    Ok((frame_fields(&fields)?, selection))
}

/// Classes by name or by index. A name that several classes share stands for all of them.
fn class_indices(key: &str, values: &[JsValue], architecture: &Architecture) -> Outcome<Vec<usize>> {
    let mut indices = Vec::with_capacity(values.len());
    for value in values {
        if let Some(index) = as_count(value) {
            indices.push(index);
            continue;
        }
        let Some(name) = value.as_string() else {
            return refuse(format!("classify: {key} takes names and indices, not {}", describe(value)));
        };
        let before = indices.len();
        let named = architecture.labels.iter().enumerate().filter(|(_, label)| **label == name);
        indices.extend(named.map(|(index, _)| index));
        if indices.len() == before {
            return refuse(format!("classify: {key}: no class of this network is called \"{name}\""));
        }
    }
    Ok(indices)
}

/// One class by index; `None` where the caller gave none.
pub fn class_index(method: &str, value: &JsValue, classes: usize) -> Outcome<Option<usize>> {
    if value.is_undefined() || value.is_null() {
        return Ok(None);
    }
    match as_count(value).filter(|&index| index < classes) {
        Some(index) => Ok(Some(index)),
        None => {
            let shown = value.as_f64().map_or_else(|| describe(value), |number| Decimal(number).to_string());
            refuse(format!("{method}: index must be a class from 0 to {}, not {shown}", classes - 1))
        }
    }
}

/// What the caller knows about a file and wants of the network.
pub struct NetworkOptions {
    /// For the reader of the file.
    pub formats: formats::Options,
    /// `None`: as the file is.
    pub precision: Option<Precision>,
}

/// `NetworkOptions` of `method`.
pub fn network(method: &'static str, value: &JsValue) -> Outcome<NetworkOptions> {
    network_fields(&Fields::new(method, value, &[NETWORK])?)
}

/// `SourceOptions` of `load`; the fields that tell how to fetch are left to the caller.
pub fn source(value: &JsValue) -> Outcome<(NetworkOptions, Fields)> {
    let fields = Fields::new("load", value, &[NETWORK, SOURCE])?;
    Ok((network_fields(&fields)?, fields))
}

fn network_fields(fields: &Fields) -> Outcome<NetworkOptions> {
    let paddings = [("same", Padding::Same), ("symmetric", Padding::Symmetric)];
    let activations = [("relu", Activation::Relu), ("relu6", Activation::Relu6)];
    let precisions = [("f32", Precision::F32), ("int8", Precision::Int8)];
    let labels = match fields.array("labels")? {
        None => None,
        Some(values) => {
            let text = |value: &JsValue| match value.as_string() {
                Some(label) => Ok(label),
                None => fields.wrong("labels", "an array of strings", value),
            };
            Some(values.iter().map(text).collect::<Outcome<Vec<String>>>()?)
        }
    };
    let formats = formats::Options {
        padding: fields.word("padding", &paddings)?,
        activation: fields.word("activation", &activations)?,
        epsilon: fields.number("epsilon")?,
        normalisation: normalisation(fields)?,
        resolution: fields.count("resolution")?,
        labels,
        ..formats::Options::default()
    };
    Ok(NetworkOptions { formats, precision: fields.word("precision", &precisions)? })
}

fn normalisation(fields: &Fields) -> Outcome<Option<Normalisation>> {
    let Some(parts) = fields.within("normalisation", &["mean", "deviation", "order"])? else {
        return Ok(None);
    };
    let three = |key| -> Outcome<[f32; 3]> {
        let Some(value) = parts.get(key)? else {
            return parts.wrong(key, "given as a number or three", &JsValue::UNDEFINED);
        };
        if let Some(number) = value.as_f64() {
            return Ok([number as f32; 3]);
        }
        let items = parts.array(key)?.unwrap_or_default();
        let numbers: Option<Vec<f32>> = items.iter().map(|item| item.as_f64().map(|n| n as f32)).collect();
        match numbers.and_then(|numbers| <[f32; 3]>::try_from(numbers).ok()) {
            Some(three) => Ok(three),
            None => parts.wrong(key, "a number or an array of three", &value),
        }
    };
    let orders = [("rgb", ChannelOrder::Rgb), ("bgr", ChannelOrder::Bgr)];
    Ok(Some(Normalisation {
        mean: three("mean")?,
        deviation: three("deviation")?,
        order: parts.word("order", &orders)?.unwrap_or_default(),
    }))
}
