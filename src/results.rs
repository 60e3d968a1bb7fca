//! The results of the class's methods, as serde structs: plain objects in JavaScript, which can be posted to a worker.

use js_sys::Float32Array;
use mobilenet::architecture::{Convolution, Normalization, Output};
use mobilenet::width::Rounding;
use mobilenet::{LayerKind, cost};
use mobilenet_kernels::shape::{Activation, FeatureMap, Padding};
use serde::Serialize;
use tsify::Tsify;

/// One class and how probable it is.
#[derive(Serialize, Tsify)]
#[serde(rename_all = "camelCase")]
pub struct Prediction {
    /// The label, or `class 17` if the network has no labels.
    pub class_name: String,
    /// 0 to 1; over all classes they sum to 1.
    pub probability: f32,
    /// Position among the network's classes.
    pub index: u32,
}

/// Class activation map: how much each place of the image, as the network saw it, speaks for a class.
#[derive(Serialize, Tsify)]
#[serde(rename_all = "camelCase")]
pub struct Heatmap {
    /// Columns of the map: a 32nd of the resolution, rounded up.
    pub width: u32,
    /// Rows of the map.
    pub height: u32,
    /// Row by row, 0 (least) to 1 (most).
    #[serde(with = "serde_wasm_bindgen::preserve")]
    #[tsify(type = "Float32Array")]
    pub values: Float32Array,
    /// What 0 stands for, in units of the class's logit; the mean over the map is the logit without its bias.
    pub minimum: f32,
    /// What 1 stands for.
    pub maximum: f32,
    /// The class.
    pub index: u32,
    /// Its name.
    pub class_name: String,
}

/// Milliseconds of the last call that took a frame.
#[derive(Clone, Copy, Default, Serialize, Tsify)]
pub struct Timings {
    /// Copying the frame's pixels out of the canvas, the video … into the wasm memory.
    pub grab: f64,
    /// Cutting, turning, mirroring, resizing and normalizing.
    pub resize: f64,
    /// All layers.
    pub network: f64,
}

/// One layer of a profiled run.
#[derive(Serialize, Tsify)]
#[serde(rename_all = "camelCase")]
pub struct LayerTiming {
    /// As Keras names it: `conv1`, `conv_dw_1`, `conv_pw_1` …
    pub name: String,
    pub kind: LayerKind,
    pub milliseconds: f64,
    pub mult_adds: f64,
}

impl From<mobilenet::LayerTiming> for LayerTiming {
    fn from(mobilenet::LayerTiming { name, kind, time, mult_adds }: mobilenet::LayerTiming) -> Self {
        Self { name, kind, milliseconds: time, mult_adds: mult_adds as f64 }
    }
}

/// What one layer costs, computed from the shapes.
#[derive(Serialize, Tsify)]
#[serde(rename_all = "camelCase")]
pub struct LayerCost {
    /// As Keras names it: `conv1`, `conv_dw_1`, `conv_pw_1` …
    pub name: String,
    pub kind: LayerKind,
    /// Height, width, channels.
    pub input: [u32; 3],
    /// Height, width, channels.
    pub output: [u32; 3],
    pub mult_adds: f64,
    /// Weights and biases, batch normalization folded in.
    pub parameters: f64,
}

impl From<cost::LayerCost> for LayerCost {
    fn from(cost::LayerCost { layer, cost, .. }: cost::LayerCost) -> Self {
        let size =
            |shape: FeatureMap| [shape.height, shape.width, shape.channels].map(|length| length as u32);
        Self {
            name: layer.name,
            kind: layer.kind,
            input: size(layer.shape.input),
            output: size(layer.shape.output),
            mult_adds: cost.mult_adds as f64,
            parameters: cost.folded as f64,
        }
    }
}

/// What tells one MobileNet from another, except its weights and labels.
#[derive(Serialize, Tsify)]
pub struct Architecture {
    pub alpha: f64,
    pub rounding: Rounding,
    pub resolution: u32,
    pub classes: u32,
    /// Whether class 0 means "none of them".
    pub background: bool,
    pub padding: Padding,
    pub activation: Activation,
    pub epsilon: f64,
    pub normalization: Normalization,
    /// @deprecated The same as `normalization`.
    pub normalisation: Normalization,
    pub convolution: Convolution,
    pub shallow: bool,
    /// How probabilities are computed from the logits. With `sigmoid` each class has its own, and they do not sum to 1.
    pub output: Output,
    /// Properties that neither the file nor the caller states, so that they are guessed: `padding`, `normalization` …
    pub assumed: Vec<String>,
}

impl From<&mobilenet::Architecture> for Architecture {
    fn from(architecture: &mobilenet::Architecture) -> Self {
        Self {
            alpha: architecture.alpha,
            rounding: architecture.rounding,
            resolution: architecture.resolution as u32,
            classes: architecture.classes as u32,
            background: architecture.background,
            padding: architecture.padding,
            activation: architecture.activation,
            epsilon: architecture.epsilon,
            normalization: architecture.normalization,
            normalisation: architecture.normalization,
            convolution: architecture.convolution,
            shallow: architecture.shallow,
            output: architecture.output,
            assumed: architecture.assumed.clone(),
        }
    }
}

/// Progress of a load.
#[derive(Serialize, Tsify)]
pub struct Progress {
    /// Bytes that have arrived.
    pub loaded: f64,
    /// Bytes there will be; 0 if the server does not tell.
    pub total: f64,
}

/// Loss and accuracy after an epoch.
#[derive(Serialize, Tsify)]
#[serde(rename_all = "camelCase")]
pub struct TrainingLogs {
    pub loss: f64,
    pub accuracy: f64,
    /// Of the examples kept back; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[tsify(optional)]
    pub validation_loss: Option<f64>,
    /// Of the examples kept back; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[tsify(optional)]
    pub validation_accuracy: Option<f64>,
}

/// What a training came to.
#[derive(Serialize, Tsify)]
#[serde(rename_all = "camelCase")]
pub struct TrainingReport {
    pub loss: f64,
    pub accuracy: f64,
    /// Of the examples kept back; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[tsify(optional)]
    pub validation_loss: Option<f64>,
    /// Of the examples kept back; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[tsify(optional)]
    pub validation_accuracy: Option<f64>,
    pub epochs: u32,
    pub examples: u32,
    pub labels: Vec<String>,
    pub milliseconds: f64,
}
