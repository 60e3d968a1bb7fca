//! What a MobileNet is: two multipliers, a handful of conventions, and a table of 14 lines.
//!
//! Goes in: the hyperparameters. Comes out: every layer with its shapes, in the order the data flows.
//! Next: `cost` counts what the layers cost, `weights` holds their parameters, `infer` and `train` run them.

use crate::shape::{Activation, ConvShape, Map, Padding};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Table 1 of the paper after the stem: stride of the depthwise and channels of the pointwise convolution.
pub const BLOCKS: [(usize, usize); 13] = [
    (1, 64),
    (2, 128),
    (1, 128),
    (2, 256),
    (1, 256),
    (2, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (2, 1024),
    (1, 1024), // the paper prints stride 2 here, every released network has 1
];

/// Channels of the stem (3×3, stride 2) at alpha 1.
pub const STEM_CHANNELS: usize = 32;

/// The blocks (indices into [`BLOCKS`]) that the shallow network of Table 5 leaves out: five of 14×14×512.
pub const SHALLOW_REMOVES: std::ops::Range<usize> = 6..11;

/// How `channels · alpha` becomes a whole number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// `max(8, int(c · alpha))`: TensorFlow's own code.
    #[default]
    Truncate,
    /// The nearest multiple of 8, never below 90 % of `c · alpha`: timm.
    MultipleOf8,
}

impl Rounding {
    /// Channels that a layer of `channels` has at width multiplier `alpha`.
    pub fn channels(self, channels: usize, alpha: f64) -> usize {
        let exact = channels as f64 * alpha;
        match self {
            Rounding::Truncate => (exact as usize).max(8),
            Rounding::MultipleOf8 => {
                let rounded = ((exact + 4.0) as usize / 8 * 8).max(8);
                if (rounded as f64) < 0.9 * exact { rounded + 8 } else { rounded }
            }
        }
    }
}

/// What a block is made of (section 3.1 against Table 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Convolution {
    /// A depthwise and a pointwise convolution.
    #[default]
    Separable,
    /// One full 3×3 convolution: the "Conv MobileNet" of Table 4.
    Standard,
}

/// Order in which a network takes the three colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelOrder {
    /// Red first.
    #[default]
    Rgb,
    /// Blue first (Caffe).
    Bgr,
}

/// From a byte of colour to what the stem takes: `(byte − mean) / deviation`, in the network's channel order.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normalisation {
    /// Subtracted from each colour, in units of a byte (0 to 255).
    pub mean: [f32; 3],
    /// Divides the difference, in units of a byte. Never zero.
    pub deviation: [f32; 3],
    /// Order of the colours, here and in the stem.
    pub order: ChannelOrder,
}

impl Normalisation {
    /// The same mean and deviation for the three colours, red first.
    pub const fn uniform(mean: f32, deviation: f32) -> Self {
        Self { mean: [mean; 3], deviation: [deviation; 3], order: ChannelOrder::Rgb }
    }
}

impl Default for Normalisation {
    /// `x / 127.5 − 1`: TensorFlow, Keras.
    fn default() -> Self {
        Self::uniform(127.5, 127.5)
    }
}

/// Everything that tells one MobileNet from another, save its weights.
///
/// Serialised as JSON it is the `architecture` entry of the native model file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Architecture {
    /// Width multiplier: every layer's channels are multiplied by it. Above 0, at most 16.
    pub alpha: f64,
    /// How the multiplied channels are rounded.
    pub rounding: Rounding,
    /// Side of the square input in pixels, 32 to 4096. The resolution multiplier rho is `resolution / 224`.
    pub resolution: usize,
    /// Number of logits, 1 to 1,000,000, the background class included where there is one.
    pub classes: usize,
    /// Whether class 0 means "none of them" (TensorFlow-slim's 1001 classes).
    pub background: bool,
    /// How convolutions meet the border.
    pub padding: Padding,
    /// What follows every convolution but the classifier.
    pub activation: Activation,
    /// Batch norm's epsilon: 1e-3 in TensorFlow, 1e-5 in PyTorch.
    pub epsilon: f64,
    /// From bytes of colour to the stem's input.
    pub normalisation: Normalisation,
    /// Separable blocks, or the full convolutions of Table 4.
    pub convolution: Convolution,
    /// Whether the five 14×14×512 blocks are left out (Table 5).
    pub shallow: bool,
    /// Names of the classes in order; empty where they are not known.
    pub labels: Vec<String>,
}

impl Default for Architecture {
    /// 1.0 MobileNet-224 with 1000 classes, as Keras has it.
    fn default() -> Self {
        Self {
            alpha: 1.0,
            rounding: Rounding::Truncate,
            resolution: 224,
            classes: 1000,
            background: false,
            padding: Padding::Same,
            activation: Activation::Relu6,
            epsilon: 1e-3,
            normalisation: Normalisation::default(),
            convolution: Convolution::Separable,
            shallow: false,
            labels: Vec::new(),
        }
    }
}

/// What a layer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LayerKind {
    /// The first convolution, 3×3 over three colours.
    Stem,
    /// 3×3, one filter a channel.
    Depthwise,
    /// 1×1 over all channels.
    Pointwise,
    /// 3×3 over all channels: a block of the Conv MobileNet.
    Standard,
    /// Mean over all pixels.
    Pool,
    /// Fully connected: a pointwise convolution with one pixel.
    Classifier,
}

/// One line of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Keras' name: `conv1, conv_dw_1, conv_pw_1, …, conv_pw_13, global_pool, conv_preds`;
    /// a full convolution is `conv_1 … conv_13`.
    pub name: String,
    /// What it does.
    pub kind: LayerKind,
    /// Its geometry. The pool's has the window's size as its stride.
    pub shape: ConvShape,
    /// What follows it.
    pub activation: Activation,
}

impl Layer {
    /// Shape of its kernel as Keras stores it: HWIO; depthwise `[3, 3, C, 1]`. The pool has none.
    pub fn kernel_shape(&self) -> Option<[usize; 4]> {
        let (inputs, outputs) = (self.shape.input.channels, self.shape.output.channels);
        match self.kind {
            LayerKind::Stem | LayerKind::Standard => Some([3, 3, inputs, outputs]),
            LayerKind::Depthwise => Some([3, 3, inputs, 1]),
            LayerKind::Pointwise | LayerKind::Classifier => Some([1, 1, inputs, outputs]),
            LayerKind::Pool => None,
        }
    }

    /// Whether batch norm follows: every convolution but the classifier.
    pub fn has_batch_norm(&self) -> bool {
        !matches!(self.kind, LayerKind::Pool | LayerKind::Classifier)
    }
}

impl Architecture {
    /// Refuses what cannot be built: the sentence names the field, its value and its range.
    pub fn validate(&self) -> Result<()> {
        let refuse = |sentence: String| Err(Error::Architecture(sentence));
        if !(self.alpha > 0.0 && self.alpha <= 16.0) {
            return refuse(format!("alpha is {}, and must be above 0 and at most 16", self.alpha));
        }
        if !(32..=4096).contains(&self.resolution) {
            return refuse(format!("resolution is {}, and must be 32 to 4096", self.resolution));
        }
        if !(1..=1_000_000).contains(&self.classes) {
            return refuse(format!("classes is {}, and must be 1 to 1000000", self.classes));
        }
        if !self.labels.is_empty() && self.labels.len() != self.classes {
            return refuse(format!("{} labels are given for {} classes", self.labels.len(), self.classes));
        }
        if !(self.epsilon.is_finite() && self.epsilon >= 0.0) {
            return refuse(format!("epsilon is {}, and must be a finite number from 0 up", self.epsilon));
        }
        let Normalisation { mean, deviation, .. } = self.normalisation;
        if !mean.iter().chain(&deviation).all(|value| value.is_finite()) || deviation.contains(&0.0) {
            return refuse(format!(
                "normalisation by mean {mean:?} and deviation {deviation:?} is not finite"
            ));
        }
        Ok(())
    }

    /// Channels of the stem and of every block of this network, in order: 14 of them, 9 where it is shallow.
    pub fn channels(&self) -> Vec<usize> {
        let blocks = self.blocks().map(|(_, (_, channels))| channels);
        std::iter::once(STEM_CHANNELS)
            .chain(blocks)
            .map(|channels| self.rounding.channels(channels, self.alpha))
            .collect()
    }

    /// The table's lines of this network: number (from 1, gaps where shallow), stride and channels at alpha 1.
    pub fn blocks(&self) -> impl Iterator<Item = (usize, (usize, usize))> {
        let shallow = self.shallow;
        let kept = move |(block, _): &(usize, _)| !(shallow && SHALLOW_REMOVES.contains(block));
        BLOCKS.into_iter().enumerate().filter(kept).map(|(block, line)| (block + 1, line))
    }

    /// The input: `resolution × resolution × 3`.
    pub fn input(&self) -> Map {
        Map::new(self.resolution, self.resolution, 3)
    }

    /// Every layer in the order the data flows, the pool and the classifier last.
    pub fn layers(&self) -> Vec<Layer> {
        let activation = self.activation;
        let stem = self.rounding.channels(STEM_CHANNELS, self.alpha);
        let shape = ConvShape::window(self.input(), stem, 2, self.padding);
        let mut layers = vec![Layer { name: "conv1".into(), kind: LayerKind::Stem, shape, activation }];
        let mut map = shape.output;
        let mut push = |name: String, kind, shape: ConvShape, activation| {
            layers.push(Layer { name, kind, shape, activation });
            shape.output
        };
        for (number, (stride, channels)) in self.blocks() {
            let channels = self.rounding.channels(channels, self.alpha);
            map = match self.convolution {
                Convolution::Standard => {
                    let shape = ConvShape::window(map, channels, stride, self.padding);
                    push(format!("conv_{number}"), LayerKind::Standard, shape, activation)
                }
                Convolution::Separable => {
                    let depthwise = ConvShape::window(map, map.channels, stride, self.padding);
                    let map = push(format!("conv_dw_{number}"), LayerKind::Depthwise, depthwise, activation);
                    let pointwise = ConvShape::pointwise(map, channels);
                    push(format!("conv_pw_{number}"), LayerKind::Pointwise, pointwise, activation)
                }
            };
        }
        let pooled = Map::new(1, 1, map.channels);
        let pool = ConvShape {
            input: map,
            output: pooled,
            kernel: map.height,
            stride: map.height,
            pad_top: 0,
            pad_left: 0,
        };
        push("global_pool".into(), LayerKind::Pool, pool, Activation::None);
        let classifier = ConvShape::pointwise(pooled, self.classes);
        push("conv_preds".into(), LayerKind::Classifier, classifier, Activation::None);
        layers
    }

    /// Length of the embedding: the pooled features, 1024·alpha.
    pub fn features(&self) -> usize {
        self.rounding.channels(BLOCKS[12].1, self.alpha)
    }
}
