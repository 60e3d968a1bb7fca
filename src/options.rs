//! The options of the class's methods.

use mobilenet::image::{Fit, ImageOptions, Region, Rotation};
use mobilenet::{Architecture, Filter, Selection};
use mobilenet_js::options::{Callback, Class, ClassRef, Signal, parse, whole};
use mobilenet_js::{Error, ErrorCode, Result, describe};
use mobilenet_train::head::HeadSettings;
use serde::Deserialize;
use tsify::Tsify;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = "
/** Options of `classify`. */
export type ClassifyOptions = SelectionOptions & FrameOptions;

/** Options of `MobileNet.load`. */
export type SourceOptions = NetworkOptions & FetchOptions;
";

/// What happens to a frame on its way into the network, in this order.
#[derive(Default, Deserialize, Tsify)]
#[serde(default, rename_all = "camelCase")]
pub struct FrameOptions {
    /// Part to look at, as fractions (0 to 1) of the frame as it is stored. Default: all of it.
    #[tsify(optional)]
    region_of_interest: Option<RegionOfInterest>,
    /// Turn clockwise by a multiple of 90. Default 0.
    rotation_degrees: f64,
    /// Left becomes right, after the turn. Default false.
    flipped: bool,
    /// The largest centered square (`cover`, the default), all of it between bars (`contain`), or distorted (`stretch`).
    fit: Fit,
    /// If it is aborted already, the call throws its reason and does nothing.
    #[tsify(optional, type = "AbortSignal")]
    signal: Option<Signal>,
}

/// Part of a frame, in fractions of its width and height. An edge that is left out is the frame's.
#[derive(Clone, Copy, Deserialize, Tsify)]
#[serde(default)]
pub struct RegionOfInterest {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Default for RegionOfInterest {
    fn default() -> Self {
        Self { left: 0.0, top: 0.0, right: 1.0, bottom: 1.0 }
    }
}

impl FrameOptions {
    /// The frame options of `method`.
    ///
    /// # Errors
    /// Like [`image`](Self::image).
    pub fn read(method: &str, value: &JsValue) -> Result<ImageOptions> {
        parse::<Self>(method, value)?.image()
    }

    /// The options as the library takes them.
    ///
    /// # Errors
    /// If the region or the rotation is out of range, or with the reason of an aborted signal.
    fn image(self) -> Result<ImageOptions> {
        if let Some(signal) = &self.signal {
            signal.check()?;
        }
        let mut region = None;
        if let Some(RegionOfInterest { left, top, right, bottom }) = self.region_of_interest {
            let edges = Region { left, top, right, bottom };
            edges.validate()?;
            region = Some(edges);
        }
        let rotation = Rotation::from_degrees(self.rotation_degrees)?;
        Ok(ImageOptions { region, rotation, mirror: self.flipped, fit: self.fit })
    }
}

/// Which classes `classify` returns.
#[derive(Default, Deserialize, Tsify)]
#[serde(default, rename_all = "camelCase")]
pub struct SelectionOptions {
    /// How many classes at most, best first. Default 3, or all if the network has fewer.
    #[tsify(optional)]
    topk: Option<u32>,
    /// Only classes at least this probable, 0 to 1. Default 0.
    score_threshold: f32,
    /// Only these classes, by name or by index.
    #[tsify(optional, type = "readonly (string | number)[]")]
    allow: Option<Vec<ClassRef>>,
    /// All classes but these, by name or by index. Not together with `allow`.
    #[tsify(optional, type = "readonly (string | number)[]")]
    deny: Option<Vec<ClassRef>>,
}

/// How many classes `classify` returns by default.
const TOPK: usize = 3;

impl SelectionOptions {
    /// The second argument of `classify`: a number of classes, or options.
    ///
    /// # Errors
    /// If an option is wrong, or with the reason of an aborted signal.
    pub fn read(value: &JsValue) -> Result<(Self, ImageOptions)> {
        if value.as_f64().is_none() {
            let (selection, frame) = parse::<(Self, FrameOptions)>("classify", value)?;
            return Ok((selection, frame.image()?));
        }
        match whole(value) {
            Some(topk) => Ok((Self { topk: Some(topk as u32), ..Self::default() }, ImageOptions::default())),
            None => {
                let message = format!("classify: topk: must be a whole number, got {}", describe(value));
                Err(Error::new(ErrorCode::InvalidOption, message))
            }
        }
    }

    /// The selection among the classes of a network.
    ///
    /// # Errors
    /// If an option is out of range, or a class does not exist.
    pub fn selection(&self, architecture: &Architecture) -> Result<Selection> {
        let filter = match (&self.allow, &self.deny) {
            (None, None) => Filter::All,
            (Some(allow), None) => Filter::Allow(indices("allow", allow, architecture)?),
            (None, Some(deny)) => Filter::Deny(indices("deny", deny, architecture)?),
            (Some(_), Some(_)) => {
                let message = "classify: allow: cannot be combined with deny; give one of them";
                return Err(Error::new(ErrorCode::InvalidOption, message));
            }
        };
        let classes = architecture.classes;
        let topk = self.topk.map_or(TOPK.min(classes), |topk| topk as usize);
        let selection = Selection { topk, threshold: self.score_threshold, filter };
        selection.validate(classes)?;
        Ok(selection)
    }
}

/// Classes as indices. A name that several classes share stands for all of them.
fn indices(key: &str, classes: &[ClassRef], architecture: &Architecture) -> Result<Vec<usize>> {
    let mut indices = Vec::with_capacity(classes.len());
    for ClassRef(class) in classes {
        let name = match class {
            Class::Name(name) => name,
            Class::Index(index) => {
                indices.push(*index);
                continue;
            }
        };
        let before = indices.len();
        let named = architecture.labels.iter().enumerate().filter(|(_, label)| *label == name);
        indices.extend(named.map(|(index, _)| index));
        if indices.len() == before {
            let message =
                format!("classify: {key}: must be classes of this network, got \"{name}\"; see its labels");
            return Err(Error::new(ErrorCode::InvalidOption, message));
        }
    }
    Ok(indices)
}

/// How `MobileNet.load` gets the file.
#[derive(Default, Deserialize, Tsify)]
#[serde(default, rename_all = "camelCase")]
pub struct FetchOptions {
    /// Called once, when all bytes are there.
    #[tsify(optional, type = "(progress: Progress) => void")]
    pub on_progress: Option<Callback>,
    /// Stops the load; the promise rejects with the signal's reason.
    #[tsify(optional, type = "AbortSignal")]
    pub signal: Option<Signal>,
    /// Subresource integrity of what is fetched: `sha256-…`, `sha384-…` or `sha512-…`.
    #[tsify(optional)]
    pub integrity: Option<String>,
}

/// Options of `train`.
#[derive(Default, Deserialize, Tsify)]
#[serde(default, rename_all = "camelCase")]
pub struct TrainOptions {
    /// Passes over the examples. Default 50.
    #[tsify(optional)]
    epochs: Option<u32>,
    /// At the start; it falls to 0. Default 0.01.
    #[tsify(optional)]
    learning_rate: Option<f32>,
    /// Examples per step. Default 16.
    #[tsify(optional)]
    batch_size: Option<u32>,
    /// Part of each label's examples, 0 to below 1, that is only tested on. Default 0.15.
    #[tsify(optional)]
    validation_split: Option<f64>,
    /// The same seed gives the same result. Default 0.
    seed: u32,
    /// Called after each epoch.
    #[tsify(optional, type = "(epoch: number, logs: TrainingLogs) => void")]
    pub on_epoch: Option<Callback>,
    /// Stops after the epoch that runs; the answers stay as they were before.
    #[tsify(optional, type = "AbortSignal")]
    pub signal: Option<Signal>,
}

impl TrainOptions {
    /// Settings of the head's training.
    pub fn settings(&self) -> HeadSettings {
        let default = HeadSettings::default();
        HeadSettings {
            epochs: self.epochs.map_or(default.epochs, |epochs| epochs as usize),
            batch: self.batch_size.map_or(default.batch, |size| size as usize),
            rate: self.learning_rate.unwrap_or(default.rate),
            seed: self.seed.into(),
            ..default
        }
    }

    /// Part of each label's examples to keep back.
    ///
    /// # Errors
    /// If it is out of range.
    pub fn validation_split(&self) -> Result<f64> {
        let split = self.validation_split.unwrap_or(0.15);
        if (0.0..1.0).contains(&split) {
            return Ok(split);
        }
        let message =
            format!("train: validationSplit: must be from 0 to below 1, got {}", describe(&split.into()));
        Err(Error::new(ErrorCode::InvalidOption, message))
    }
}
