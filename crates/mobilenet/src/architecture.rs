//! What a MobileNet is: two multipliers, a handful of conventions, and a table of 14 lines.
//!
//! Goes in: the hyperparameters. Comes out: every layer with its shapes, in the order the data flows.
//! Next: `cost` counts what the layers cost, `weights` holds their parameters, `infer` and `train` run them.

use super::width::{self, Rounding};
use crate::error::{Decimal, Listed};
use crate::{Error, Result};
use mobilenet_kernels::shape::{Activation, ConvShape, FeatureMap, Padding};
use serde::{Deserialize, Serialize, Serializer};

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

/// What a block is made of (section 3.1 against Table 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "lowercase")]
pub enum Convolution {
    /// A depthwise and a pointwise convolution.
    #[default]
    Separable,
    /// One full 3×3 convolution: the "Conv MobileNet" of Table 4.
    Standard,
}

/// Order in which a network takes the three colors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "lowercase")]
pub enum ChannelOrder {
    /// Red first.
    #[default]
    Rgb,
    /// Blue first (Caffe).
    Bgr,
}

/// From a byte of color to what the stem takes: `(byte − mean) / deviation`, in the network's channel order.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct Normalization {
    /// Subtracted from each color, in units of a byte (0 to 255).
    #[serde(serialize_with = "shortest")]
    pub mean: [f32; 3],
    /// Divides the difference, in units of a byte. Never zero.
    #[serde(serialize_with = "shortest")]
    pub deviation: [f32; 3],
    /// Order of the colors, here and in the stem.
    pub order: ChannelOrder,
}

/// Writes the numbers with the fewest digits that are these floats: 123.675, not 123.67500305175781.
fn shortest<S: Serializer>(values: &[f32; 3], serializer: S) -> Result<S::Ok, S::Error> {
    values
        .map(|value| {
            let exact = f64::from(value);
            let mut rounded = (0..10).map(|digits| {
                let scale = f64::from(10_u32.pow(digits));
                (exact * scale).round() / scale
            });
            rounded.find(|rounded| *rounded as f32 == value).unwrap_or(exact)
        })
        .serialize(serializer)
}

impl Normalization {
    /// The same mean and deviation for the three colors, red first.
    pub const fn uniform(mean: f32, deviation: f32) -> Self {
        Self { mean: [mean; 3], deviation: [deviation; 3], order: ChannelOrder::Rgb }
    }
}

impl Default for Normalization {
    /// `x / 127.5 − 1`: TensorFlow, Keras.
    fn default() -> Self {
        Self::uniform(127.5, 127.5)
    }
}

/// How logits become probabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// One class of all: the probabilities sum to 1.
    #[default]
    Softmax,
    /// Every class by itself. A network with one logit `z` becomes two classes with the logits `−z` and `z`.
    Sigmoid,
}

/// What a step of the head applies to every value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadActivation {
    /// Nothing.
    #[default]
    Linear,
    /// `max(0, x)`.
    Relu,
    /// `min(max(0, x), 6)`.
    Relu6,
    /// `x` above zero, `slope · x` below.
    LeakyRelu(f32),
    /// `x` above zero, `alpha · (exp(x) − 1)` below.
    Elu(f32),
    /// `1.0507 · x` above zero, `1.7581 · (exp(x) − 1)` below.
    Selu,
    /// `x · Φ(x)`, with the error function.
    Gelu,
    /// `x · Φ(x)`, with `tanh` in place of the error function.
    GeluTanh,
    /// `x · sigmoid(x)`, SiLU.
    Swish,
    /// `x · min(max(0, x + 3), 6) / 6`.
    HardSwish,
    /// `1 / (1 + exp(−x))`.
    Sigmoid,
    /// `min(max(0, x / 6 + 0.5), 1)`.
    HardSigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `ln(1 + exp(x))`.
    Softplus,
    /// Softmax over all values.
    Softmax,
}

/// One step of the head between the pooled features and the classifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HeadLayer {
    /// Values that come out.
    pub units: usize,
    /// Whether every value is multiplied and shifted by itself (batch norm), instead of a fully connected layer.
    #[serde(skip_serializing_if = "is_false")]
    pub elementwise: bool,
    /// What follows.
    pub activation: HeadActivation,
}

fn is_softmax(output: &Output) -> bool {
    *output == Output::Softmax
}

fn is_false(value: &bool) -> bool {
    !value
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
    /// From bytes of color to the stem's input.
    #[serde(rename = "normalization", alias = "normalisation")]
    pub normalization: Normalization,
    /// Separable blocks, or the full convolutions of Table 4.
    pub convolution: Convolution,
    /// Whether the five 14×14×512 blocks are left out (Table 5).
    pub shallow: bool,
    /// Names of the classes in order; empty where they are not known.
    pub labels: Vec<String>,
    /// Rows and columns of zeros (0 or 1) before each convolution of stride 2, the stem first, where no rule of
    /// [`padding`](Self::padding) gives them; empty where the rule does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pads: Vec<usize>,
    /// Steps between the pooled features and the classifier, which is the last fully connected layer; mostly none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub head: Vec<HeadLayer>,
    /// How logits become probabilities.
    #[serde(skip_serializing_if = "is_softmax")]
    pub output: Output,
    /// Properties that neither the file nor the caller stated, so that a guess stands for them: `normalization`, …
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assumed: Vec<String>,
}

/// The most steps that a head may have.
pub const MAX_HEAD: usize = 32;

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
            normalization: Normalization::default(),
            convolution: Convolution::Separable,
            shallow: false,
            labels: Vec::new(),
            pads: Vec::new(),
            head: Vec::new(),
            output: Output::Softmax,
            assumed: Vec::new(),
        }
    }
}

/// What a layer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "lowercase")]
pub enum LayerKind {
    /// The first convolution, 3×3 over three colors.
    Stem,
    /// 3×3, one filter a channel.
    Depthwise,
    /// 1×1 over all channels.
    Pointwise,
    /// 3×3 over all channels: a block of the Conv MobileNet.
    Standard,
    /// Mean over all pixels.
    Pool,
    /// A fully connected layer between the pool and the classifier.
    Dense,
    /// A factor and a summand for each value between the pool and the classifier.
    Scale,
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

impl LayerKind {
    /// As it is called in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            LayerKind::Stem => "stem",
            LayerKind::Depthwise => "depthwise",
            LayerKind::Pointwise => "pointwise",
            LayerKind::Standard => "standard",
            LayerKind::Pool => "pool",
            LayerKind::Dense => "dense",
            LayerKind::Scale => "scale",
            LayerKind::Classifier => "classifier",
        }
    }
}

impl Layer {
    /// Shape of its kernel as Keras stores it: HWIO; depthwise `[3, 3, C, 1]`. The pool has none.
    pub fn kernel_shape(&self) -> Option<[usize; 4]> {
        let (inputs, outputs) = (self.shape.input.channels, self.shape.output.channels);
        match self.kind {
            LayerKind::Stem | LayerKind::Standard => Some([3, 3, inputs, outputs]),
            LayerKind::Depthwise => Some([3, 3, inputs, 1]),
            LayerKind::Pointwise | LayerKind::Dense | LayerKind::Classifier => Some([1, 1, inputs, outputs]),
            LayerKind::Scale => Some([1, 1, inputs, 1]),
            LayerKind::Pool => None,
        }
    }

    /// Whether batch norm follows: every convolution but the classifier.
    pub fn has_batch_norm(&self) -> bool {
        !self.is_head() && self.kind != LayerKind::Pool
    }

    /// Whether it comes after the pool.
    pub fn is_head(&self) -> bool {
        matches!(self.kind, LayerKind::Dense | LayerKind::Scale | LayerKind::Classifier)
    }
}

impl Architecture {
    /// Refuses what cannot be built: the sentence names the field, its value and its range.
    pub fn validate(&self) -> Result<()> {
        let refuse = |sentence: String| Err(Error::architecture(sentence));
        if !(self.alpha > 0.0 && self.alpha <= 16.0) {
            return refuse(format!("alpha: must be above 0 and at most 16, got {}", Decimal(self.alpha)));
        }
        if !(32..=4096).contains(&self.resolution) {
            return refuse(format!("resolution: must be from 32 to 4096, got {}", self.resolution));
        }
        if !(1..=1_000_000).contains(&self.classes) {
            return refuse(format!("classes: must be from 1 to 1000000, got {}", self.classes));
        }
        if self.channels().contains(&0) {
            return refuse(format!("alpha: must leave every layer a channel, got {}", Decimal(self.alpha)));
        }
        let strided = 1 + self.blocks().filter(|(_, (stride, _))| *stride == 2).count();
        if !self.pads.is_empty() && (self.pads.len() != strided || self.pads.iter().any(|&pad| pad > 1)) {
            return refuse(format!(
                "pads: must be {strided} numbers of 0 or 1, one per convolution of stride 2, got {}",
                self.pads.len()
            ));
        }
        if self.head.len() > MAX_HEAD {
            return refuse(format!("head: must have at most {MAX_HEAD} steps, got {}", self.head.len()));
        }
        let mut width = self.features();
        for step in &self.head {
            let fits =
                if step.elementwise { step.units == width } else { (1..=1 << 20).contains(&step.units) };
            if !fits {
                return refuse(format!(
                    "head: a step must take {width} values, got one of {} units",
                    step.units
                ));
            }
            width = step.units;
        }
        if !self.labels.is_empty() && self.labels.len() != self.classes {
            return refuse(format!(
                "labels: must be {}, one per class, got {}",
                self.classes,
                self.labels.len()
            ));
        }
        if !(self.epsilon.is_finite() && self.epsilon >= 0.0) {
            return refuse(format!(
                "epsilon: must be finite and non-negative, got {}",
                Decimal(self.epsilon)
            ));
        }
        let Normalization { mean, deviation, .. } = self.normalization;
        if !mean.iter().chain(&deviation).all(|value| value.is_finite()) || deviation.contains(&0.0) {
            let numbers = |values: [f32; 3]| values.map(|value| Decimal(value.into()));
            return refuse(format!(
                "normalization: must be finite, without a deviation of 0, got mean [{}] and deviation [{}]",
                Listed(&numbers(mean), ", "),
                Listed(&numbers(deviation), ", ")
            ));
        }
        Ok(())
    }

    /// Channels of the stem and of every block of this network, in order: 14 of them, 9 where it is shallow.
    pub fn channels(&self) -> Vec<usize> {
        let mut list = vec![self.rounding.channels(STEM_CHANNELS, self.alpha)];
        for (_, (_, channels)) in self.blocks() {
            list.push(self.rounding.channels(channels, self.alpha));
        }
        list
    }

    /// The table's lines of this network: number (from 1, gaps where shallow), stride and channels at alpha 1.
    pub fn blocks(&self) -> impl Iterator<Item = (usize, (usize, usize))> {
        let shallow = self.shallow;
        let kept = move |block: &usize| !(shallow && SHALLOW_REMOVES.contains(block));
        (0..BLOCKS.len()).filter(kept).map(|block| (block + 1, BLOCKS[block]))
    }

    /// The input: `resolution × resolution × 3`.
    pub fn input(&self) -> FeatureMap {
        FeatureMap::new(self.resolution, self.resolution, 3)
    }

    /// Every layer in the order the data flows, the pool and the classifier last.
    pub fn layers(&self) -> Vec<Layer> {
        let activation = self.activation;
        let stem = self.rounding.channels(STEM_CHANNELS, self.alpha);
        let mut pads = self.pads.iter();
        let mut window = |input: FeatureMap, channels, stride, padding| match pads.len() {
            0 => ConvShape::window(input, channels, stride, padding),
            _ if stride == 1 => ConvShape::window(input, channels, stride, padding),
            _ => ConvShape::window_after(input, channels, stride, [pads.next().copied().unwrap_or(0); 2]),
        };
        let shape = window(self.input(), stem, 2, self.padding.of_stem());
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
                    let shape = window(map, channels, stride, self.padding);
                    push(format!("conv_{number}"), LayerKind::Standard, shape, activation)
                }
                Convolution::Separable => {
                    let depthwise = window(map, map.channels, stride, self.padding);
                    let map = push(format!("conv_dw_{number}"), LayerKind::Depthwise, depthwise, activation);
                    let pointwise = ConvShape::pointwise(map, channels);
                    push(format!("conv_pw_{number}"), LayerKind::Pointwise, pointwise, activation)
                }
            };
        }
        let pooled = FeatureMap::new(1, 1, map.channels);
        let pool = ConvShape {
            input: map,
            output: pooled,
            kernel: map.height,
            stride: map.height,
            pad_top: 0,
            pad_left: 0,
        };
        push("global_pool".into(), LayerKind::Pool, pool, Activation::None);
        let mut features = pooled;
        for (index, step) in self.head.iter().enumerate() {
            let kind = if step.elementwise { LayerKind::Scale } else { LayerKind::Dense };
            let shape = ConvShape::pointwise(features, step.units);
            features = push(format!("head_{}", index + 1), kind, shape, Activation::None);
        }
        let classifier = ConvShape::pointwise(features, self.classes);
        push("conv_preds".into(), LayerKind::Classifier, classifier, Activation::None);
        layers
    }

    /// The same without the pool, which has no parameters.
    pub fn layers_with_weights(&self) -> Vec<Layer> {
        let mut layers = self.layers();
        layers.retain(|layer| layer.kind != LayerKind::Pool);
        layers
    }

    /// Alpha and rounding of a network whose stem and blocks have these channels (as [`Architecture::channels`] lists
    /// them): the roundest number that gives all of them, [`Rounding::Truncate`] where both roundings would do.
    ///
    /// # Errors
    /// [`Error::not_mobilenet`] names the first layer that falls out of line.
    pub fn width_of(channels: &[usize]) -> Result<(f64, Rounding)> {
        let shallow = channels.len() == BLOCKS.len() + 1 - SHALLOW_REMOVES.len();
        if !shallow && channels.len() != BLOCKS.len() + 1 {
            let blocks = channels.len().saturating_sub(1);
            return Err(Error::not_mobilenet(format!("it has {blocks} blocks, and a MobileNet v1 has 13")));
        }
        let plain = Architecture { shallow, ..Architecture::default() };
        let asked = plain.channels();
        width::of(&asked, channels).ok_or_else(|| Error::not_mobilenet(plain.out_of_line(&asked, channels)))
    }

    /// The sentence for channels that no width gives: what most layers agree on, and the first that does not.
    fn out_of_line(&self, asked: &[usize], channels: &[usize]) -> String {
        let pairs = || asked.iter().copied().zip(channels.iter().copied());
        let gives = |alpha, asked| Rounding::Truncate.channels(asked, alpha);
        let (mut alpha, mut most) = (1.0, 0);
        for (asked, found) in pairs() {
            let width = found as f64 / asked as f64;
            let agreeing = pairs().filter(|&(asked, found)| gives(width, asked) == found).count();
            if agreeing >= most {
                (alpha, most) = (width, agreeing);
            }
        }
        let mut blocks = self.blocks();
        let mut name = "conv1".to_string();
        for (asked, found) in pairs() {
            let wanted = gives(alpha, asked);
            if wanted != found {
                let alpha = Decimal(alpha);
                return format!("`{name}` has {found} channels where width {alpha} gives {wanted}");
            }
            if let Some((number, _)) = blocks.next() {
                name = format!("conv_pw_{number}");
            }
        }
        format!("no width multiplier gives the channels [{}]", Listed(channels, ", "))
    }

    /// The same network with a linear classifier on the pooled features for `labels`, as one that is taught has it.
    pub fn with_classes(&self, classes: usize, labels: Vec<String>) -> Self {
        let plain = Self { classes, labels, background: false, output: Output::Softmax, ..self.clone() };
        let assumed =
            plain.assumed.iter().filter(|name| !["head", "output"].contains(&name.as_str())).cloned();
        Self { head: Vec::new(), assumed: assumed.collect(), ..plain }
    }

    /// Length of the embedding: the pooled features, 1024·alpha.
    pub fn features(&self) -> usize {
        self.rounding.channels(BLOCKS[12].1, self.alpha)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALPHAS: [f64; 5] = [1.25, 1.0, 0.75, 0.5, 0.25];

    #[test]
    fn channels_at_the_usual_widths_are_multiples_of_eight_in_both_roundings() {
        for (alpha, stem, features) in
            [(1.25, 40, 1280), (1.0, 32, 1024), (0.75, 24, 768), (0.5, 16, 512), (0.25, 8, 256)]
        {
            for rounding in [Rounding::Truncate, Rounding::MultipleOf8] {
                let architecture = Architecture { alpha, rounding, ..Architecture::default() };
                let channels = architecture.channels();
                assert_eq!((channels[0], channels[13]), (stem, features), "{alpha} {rounding:?}");
                assert_eq!(architecture.features(), features);
            }
        }
    }

    #[test]
    fn the_roundings_differ_where_alpha_is_odd() {
        let channels =
            |rounding| Architecture { alpha: 0.35, rounding, ..Architecture::default() }.channels();
        // int(c · 0.35), at least 8.
        let truncated = [11, 22, 44, 44, 89, 89, 179, 179, 179, 179, 179, 179, 358, 358];
        assert_eq!(channels(Rounding::Truncate), truncated);
        // 11.2 to 16 and not 8, for 8 is below 90 % of it; 44.8 to 48; 89.6 to 88; 179.2 to 176; 358.4 to 360.
        let rounded = [16, 24, 48, 48, 88, 88, 176, 176, 176, 176, 176, 176, 360, 360];
        assert_eq!(channels(Rounding::MultipleOf8), rounded);
    }

    #[test]
    fn the_width_is_found_again_from_the_channels() {
        let more = [2.0, 1.4, 1.3, 0.9, 0.6, 0.35, 0.33, 0.1, 0.125, 1.0 / 64.0, 1.0 / 3.0];
        for alpha in ALPHAS.into_iter().chain(more) {
            for rounding in [Rounding::Truncate, Rounding::MultipleOf8] {
                for shallow in [false, true] {
                    let asked = Architecture { alpha, rounding, shallow, ..Architecture::default() };
                    let channels = asked.channels();
                    let (width, found) = Architecture::width_of(&channels).unwrap();
                    let again = Architecture { alpha: width, rounding: found, ..asked.clone() };
                    assert_eq!(again.channels(), channels, "{alpha} {rounding:?} gave {width} {found:?}");
                    if ALPHAS.contains(&alpha) {
                        assert_eq!((width, found), (alpha, Rounding::Truncate));
                    }
                }
            }
        }
    }

    #[test]
    fn channels_of_another_network_are_refused_by_the_first_layer_that_differs() {
        let mut channels = Architecture::default().channels();
        channels[4] = 200;
        let refused = Architecture::width_of(&channels).unwrap_err().to_string();
        assert_eq!(refused, "not a MobileNet v1: `conv_pw_4` has 200 channels where width 1 gives 256");
        let refused = Architecture::width_of(&channels[..9]).unwrap_err().to_string();
        assert!(refused.contains("conv_pw_4"), "{refused}");
        let refused = Architecture::width_of(&channels[..6]).unwrap_err().to_string();
        assert_eq!(refused, "not a MobileNet v1: it has 5 blocks, and a MobileNet v1 has 13");
        assert!(Architecture::width_of(&[0; 14]).is_err());
        assert!(Architecture::width_of(&[usize::MAX; 14]).is_err());
    }

    #[test]
    fn maps_follow_from_the_padding_at_every_resolution() {
        let side = |resolution, index: usize| {
            let layers = Architecture { resolution, ..Architecture::default() }.layers();
            layers[index].shape.output.height
        };
        // After the stem, blocks 2, 4, 6 and 12: halved, rounded up, five times.
        for resolution in [32, 33, 63, 64, 96, 97, 128, 129, 160, 192, 223, 224, 225, 320] {
            let mut size: usize = resolution;
            for index in [0, 3, 7, 11, 23] {
                size = size.div_ceil(2);
                assert_eq!(side(resolution, index), size, "{resolution} at layer {index}");
            }
            assert_eq!(side(resolution, 26), size);
        }
        assert_eq!((side(32, 26), side(33, 26), side(224, 26), side(225, 26)), (1, 2, 7, 8));
    }

    #[test]
    fn keras_rounds_odd_maps_down_after_the_stem() {
        let maps = |resolution, padding, pads: Vec<usize>| {
            let layers = Architecture { resolution, padding, pads, ..Architecture::default() }.layers();
            [0, 3, 7, 11, 23].map(|index: usize| layers[index].shape.output.height)
        };
        assert_eq!(maps(150, Padding::Keras, vec![]), [75, 37, 18, 9, 4]);
        assert_eq!(maps(299, Padding::Keras, vec![]), [150, 75, 37, 18, 9]);
        assert_eq!(maps(299, Padding::Keras, vec![0, 0, 0, 0, 0]), [149, 74, 37, 18, 9]);
        assert_eq!(maps(300, Padding::Same, vec![]), [150, 75, 38, 19, 10]);
        assert_eq!(maps(300, Padding::Same, vec![0, 0, 0, 1, 1]), [150, 75, 37, 19, 10]);
        assert_eq!(maps(224, Padding::Keras, vec![]), maps(224, Padding::Same, vec![]));
    }

    #[test]
    fn a_head_stands_between_pool_and_classifier() {
        let dense = HeadLayer { units: 12, activation: HeadActivation::Relu, ..HeadLayer::default() };
        let norm = HeadLayer { units: 12, elementwise: true, ..HeadLayer::default() };
        let network = Architecture { classes: 3, head: vec![dense, norm], ..Architecture::default() };
        network.validate().unwrap();
        let layers = network.layers_with_weights();
        let shapes = [27, 28, 29].map(|index: usize| layers[index].kernel_shape().unwrap());
        assert_eq!(shapes, [[1, 1, 1024, 12], [1, 1, 12, 1], [1, 1, 12, 3]]);
        let json = serde_json::to_string(&network).unwrap();
        assert!(json.contains(r#""head":[{"units":12,"activation":"relu"},{"units":12,"elementwise":true"#));
        assert_eq!(serde_json::from_str::<Architecture>(&json).unwrap(), network);
        assert_eq!(network.with_classes(4, Vec::new()).layers_with_weights().len(), 28);
    }

    #[test]
    fn the_table_of_the_paper_is_the_table_of_layers() {
        let layers = Architecture::default().layers();
        assert_eq!(layers.len(), 29);
        let map = |index: usize| layers[index].shape.input;
        assert_eq!(map(0), FeatureMap::new(224, 224, 3));
        assert_eq!(map(1), FeatureMap::new(112, 112, 32));
        assert_eq!(map(3), FeatureMap::new(112, 112, 64));
        assert_eq!(map(23), FeatureMap::new(14, 14, 512));
        assert_eq!(map(25), FeatureMap::new(7, 7, 1024));
        assert_eq!(map(28), FeatureMap::new(1, 1, 1024));
        assert_eq!(layers[27].shape.kernel, 7);
        let shallow = Architecture { shallow: true, ..Architecture::default() }.layers();
        assert_eq!(shallow.len(), 19);
        assert_eq!(shallow[13].name, "conv_dw_12");
    }

    #[test]
    fn what_cannot_be_built_is_refused_by_its_field() {
        let refused = |architecture: Architecture| architecture.validate().unwrap_err().to_string();
        let plain = Architecture::default;
        assert!(
            refused(Architecture { alpha: 0.0, ..plain() })
                .contains("alpha: must be above 0 and at most 16, got 0")
        );
        assert!(
            refused(Architecture { alpha: f64::NAN, ..plain() })
                .contains("alpha: must be above 0 and at most 16, got NaN")
        );
        assert!(
            refused(Architecture { resolution: 31, ..plain() })
                .contains("resolution: must be from 32 to 4096, got 31")
        );
        assert!(
            refused(Architecture { classes: 0, ..plain() })
                .contains("classes: must be from 1 to 1000000, got 0")
        );
        assert!(
            refused(Architecture { epsilon: -1.0, ..plain() })
                .contains("epsilon: must be finite and non-negative, got -1")
        );
        let thin = Architecture { alpha: 0.01, rounding: Rounding::Keras, ..plain() };
        assert!(refused(thin).contains("must leave every layer a channel"));
        assert!(
            refused(Architecture { pads: vec![0, 1, 2, 0, 0], ..plain() }).contains("5 numbers of 0 or 1")
        );
        assert!(refused(Architecture { pads: vec![0; 4], ..plain() }).contains("5 numbers of 0 or 1"));
        let step = HeadLayer { units: 3, elementwise: true, ..HeadLayer::default() };
        assert!(
            refused(Architecture { head: vec![step], ..plain() })
                .contains("must take 1024 values, got one of 3")
        );
        let labels = vec!["one".into()];
        assert!(
            refused(Architecture { labels, ..plain() })
                .contains("labels: must be 1000, one per class, got 1")
        );
        let normalization = Normalization { deviation: [1.0, 0.0, 1.0], ..Normalization::default() };
        assert!(refused(Architecture { normalization, ..plain() }).contains("deviation [1, 0, 1]"));
    }
}
