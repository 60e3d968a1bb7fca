//! The options of the class's methods, from JavaScript's objects.
//!
//! Goes in: what the caller gave, and the network's architecture where names of classes are allowed. Comes out: the
//! options of `image`, `infer` and `formats`.

use super::value::{Fields, Outcome, as_count, count, describe, given, refuse, word};
use crate::error::Decimal;
use crate::formats;
use crate::image::{self, Fit, Region, Rotation};
use crate::infer::{Filter, Precision, Selection};
use crate::model::Architecture;
use crate::model::architecture::{ChannelOrder, Normalisation};
use crate::shape::{Activation, Padding};
use wasm_bindgen::JsValue;

/// The schemas of the options, as `browser.js` reads them; words stand in the order of their meanings below.
macro_rules! frame {
    () => {
        "regionOfInterest:region rotationDegrees:number flipped:boolean fit:cover|contain|stretch signal:signal"
    };
}
macro_rules! network {
    () => {
        "precision:f32|int8 labels:texts padding:same|symmetric activation:relu|relu6 epsilon:number \
         normalisation:normalisation resolution:count numThreads:count"
    };
}
const FRAME: &str = frame!();
const CLASSIFY: &str = concat!("topk:count scoreThreshold:number allow:array deny:array ", frame!());
const NETWORK: &str = network!();
const SOURCE: &str = concat!(network!(), " onProgress:function signal:signal integrity:hash cache:cache");

/// Options of `train`, as `TrainOptions` has them.
#[cfg(feature = "teach")]
pub const TRAIN: &str = "epochs:count learningRate:number batchSize:count validationSplit:number seed:count \
                         onEpoch:function signal:signal";

/// How many classes `classify` gives where nobody says.
const TOPK: usize = 3;

/// `FrameOptions` of `method`.
pub fn frame(method: &str, value: &JsValue) -> Outcome<image::Options> {
    frame_fields(&Fields::read(method, value, FRAME)?)
}

fn frame_fields(fields: &Fields) -> Outcome<image::Options> {
    let mut numbers = [0.0; 7];
    fields.numbers(
        "regionOfInterest.left regionOfInterest.top regionOfInterest.right regionOfInterest.bottom \
         rotationDegrees flipped fit",
        &mut numbers,
    );
    let [left, top, right, bottom, degrees, flipped, fit] = numbers;
    let mut region = None;
    if numbers[..4].iter().any(|&edge| given(edge).is_some()) {
        let edge = |number, absent| given(number).unwrap_or(absent);
        let (left, top) = (edge(left, 0.0), edge(top, 0.0));
        let given = Region { left, top, right: edge(right, 1.0), bottom: edge(bottom, 1.0) };
        given.validate()?;
        region = Some(given);
    }
    let rotation = match given(degrees) {
        None => Rotation::None,
        Some(degrees) => Rotation::from_degrees(degrees)?,
    };
    let fit = word(fit, &[Fit::Cover, Fit::Contain, Fit::Stretch]).unwrap_or_default();
    Ok(image::Options { region, rotation, mirror: flipped == 1.0, fit })
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
    let fields = Fields::read("classify", value, CLASSIFY)?;
    let filter = match (fields.array("allow"), fields.array("deny")) {
        (None, None) => Filter::All,
        (Some(allow), None) => Filter::Allow(class_indices("allow", &allow, architecture)?),
        (None, Some(deny)) => Filter::Deny(class_indices("deny", &deny, architecture)?),
        (Some(_), Some(_)) => return refuse("classify: give allow or deny, not both".into()),
    };
    let mut numbers = [0.0; 2];
    fields.numbers("topk scoreThreshold", &mut numbers);
    let [topk, threshold] = numbers;
    let selection = Selection {
        topk: count(topk).unwrap_or(usual),
        threshold: given(threshold).unwrap_or_default() as f32,
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
    /// `None`: all that were started.
    pub threads: Option<usize>,
}

/// `NetworkOptions` of `method`.
pub fn network(method: &str, value: &JsValue) -> Outcome<NetworkOptions> {
    Ok(network_fields(&Fields::read(method, value, NETWORK)?))
}

/// `SourceOptions` of `load`, and the fields that tell how to fetch.
pub fn source(value: &JsValue) -> Outcome<(NetworkOptions, Fields)> {
    let fields = Fields::read("load", value, SOURCE)?;
    Ok((network_fields(&fields), fields))
}

/// The same, of fields that the class has read: their words are numbers already.
#[cfg(not(feature = "class"))]
pub fn source_that_was_read(fields: &JsValue) -> NetworkOptions {
    network_fields(&Fields::that_were_read(fields))
}

fn network_fields(fields: &Fields) -> NetworkOptions {
    let texts = |values: Vec<JsValue>| values.iter().filter_map(JsValue::as_string).collect();
    let mut numbers = [0.0; 13];
    fields.numbers(
        "precision padding activation epsilon resolution numThreads normalisation.order \
         normalisation.mean.0 normalisation.mean.1 normalisation.mean.2 \
         normalisation.deviation.0 normalisation.deviation.1 normalisation.deviation.2",
        &mut numbers,
    );
    let [precision, padding, activation, epsilon, resolution, threads, order, colours @ ..] = numbers;
    let [a, b, c, d, e, f] = colours.map(|number| number as f32);
    let formats = formats::Options {
        padding: word(padding, &[Padding::Same, Padding::Symmetric]),
        activation: word(activation, &[Activation::Relu, Activation::Relu6]),
        epsilon: given(epsilon),
        // Where one of its numbers was given, all were.
        normalisation: (!a.is_nan()).then(|| Normalisation {
            mean: [a, b, c],
            deviation: [d, e, f],
            order: word(order, &[ChannelOrder::Rgb, ChannelOrder::Bgr]).unwrap_or_default(),
        }),
        resolution: count(resolution),
        labels: fields.array("labels").map(texts),
        ..formats::Options::default()
    };
    let precision = word(precision, &[Precision::F32, Precision::Int8]);
    NetworkOptions { formats, precision, threads: count(threads) }
}
