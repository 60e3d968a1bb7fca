//! The normal form in which every format ends: parameters in layer order, batch norm folded away.
//!
//! Goes in: tensors that `formats` found, by layer. Comes out: [`Weights`], checked against the architecture, which
//! `infer` packs, `formats` writes and `train` starts from. Whoever holds one may rely on every shape and on
//! every value being finite.

use super::architecture::{Architecture, Layer, LayerKind};
use crate::{Error, Result};
use mobilenet_kernels::layout::{first_not_finite, flush_tiny, scale_columns, transpose};
use serde::{Deserialize, Serialize};

/// The kernel of one layer, HWIO (depthwise `[3, 3, C, 1]`), outputs innermost. Two are equal where their weights are,
/// in whichever order they stand.
#[derive(Clone, Debug)]
pub enum Kernel {
    /// One number a weight.
    F32(Vec<f32>),
    /// One number a weight of a 1×1 kernel, OI as PyTorch has it: a row of inputs for every output. It need not be
    /// turned round before it is packed; [`to_f32`](Kernel::to_f32) gives it like any other.
    Rows {
        /// The numbers.
        values: Vec<f32>,
        /// Rows.
        outputs: usize,
    },
    /// One byte a weight: `weight = value · scale[channel]`, −127 to 127, one scale per output channel
    /// (per channel where depthwise).
    Int8 {
        /// The bytes, in the order of the kernel.
        values: Vec<i8>,
        /// One finite scale above zero per output channel.
        scales: Vec<f32>,
    },
}

impl Kernel {
    /// Number of weights.
    pub fn len(&self) -> usize {
        match self {
            Kernel::F32(values) | Kernel::Rows { values, .. } => values.len(),
            Kernel::Int8 { values, .. } => values.len(),
        }
    }

    /// Whether there is no weight at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The weights as floats, HWIO; an int8 kernel is multiplied out.
    pub fn to_f32(&self) -> std::borrow::Cow<'_, [f32]> {
        match self {
            Kernel::F32(values) => values.into(),
            Kernel::Rows { values, outputs } => {
                transpose(values, *outputs, values.len() / (*outputs).max(1)).into()
            }
            Kernel::Int8 { values, scales } => {
                let multiply =
                    |(index, &value): (usize, &i8)| f32::from(value) * scales[index % scales.len()];
                values.iter().enumerate().map(multiply).collect::<Vec<_>>().into()
            }
        }
    }
}

impl PartialEq for Kernel {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Kernel::Int8 { values, scales }, Kernel::Int8 { values: others, scales: their_scales }) => {
                values == others && scales == their_scales
            }
            (Kernel::Int8 { .. }, _) | (_, Kernel::Int8 { .. }) => false,
            _ => self.to_f32() == other.to_f32(),
        }
    }
}

/// Parameters of one layer, batch norm folded in.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerWeights {
    /// The layer's name, as in [`Architecture::layers`].
    pub name: String,
    /// Its kernel.
    pub kernel: Kernel,
    /// One per output channel, in the unit of the output.
    pub bias: Vec<f32>,
    /// Largest output that is worth telling apart (calibration): what the layer gives lies in 0 to this after
    /// a ReLU, in ± this without. `None` where nobody measured.
    pub range: Option<f32>,
}

/// Where a network comes from; all of it optional, kept in the native file's metadata.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// Who made it, from which data, with which command.
    pub description: String,
    /// Licence of the weights.
    pub licence: String,
}

/// A whole network: what it is, and its parameters in layer order (the pool has none).
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// What the network is.
    pub architecture: Architecture,
    /// One entry per layer that has parameters, in order.
    pub layers: Vec<LayerWeights>,
    /// Where it comes from.
    pub provenance: Provenance,
    /// Real value of one step of every layer's output, the pool's too, where another program keeps them in bytes (a
    /// quantized TFLite file): floats then round each activation to these steps, 0 to 255 of them, and the logits to
    /// theirs, which is how the network was judged and often how it learnt. 0 for a layer that does not round (a last one that was
    /// taught anew); empty where activations are whatever they are.
    pub steps: Vec<f32>,
    /// What the normalized input is rounded to first, where the file quantizes it so; floats do as it says.
    pub input_grid: Option<InputGrid>,
}

/// Values of a quantized input.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputGrid {
    /// Between two values.
    pub step: f32,
    /// The lowest.
    pub low: f32,
    /// The highest.
    pub high: f32,
}

impl InputGrid {
    /// Rounds to the nearest value, halves to the even one.
    pub fn snap(&self, values: &mut [f32]) {
        for value in values {
            // Not `clamp`, whose panic would bring the printing of floats: 4 kB after brotli.
            *value = ((*value / self.step).round_ties_even() * self.step).max(self.low).min(self.high);
        }
    }

    /// Whether it is a grid.
    pub fn is_valid(&self) -> bool {
        let Self { step, low, high } = *self;
        step.is_finite() && step > 0.0 && low.is_finite() && high.is_finite() && low < high
    }
}

impl Weights {
    /// Checks every count and every value against the architecture, then holds them. Weights below 1e-30 become 0.
    pub fn new(architecture: Architecture, layers: Vec<LayerWeights>) -> Result<Self> {
        let mut weights = Self::from_finite(architecture, layers)?;
        weights.layers.iter_mut().try_for_each(check_values)?;
        Ok(weights)
    }

    /// Like [`new`](Self::new) for values that the caller has already checked to be finite: saves a pass over all of them.
    ///
    /// # Errors
    /// If the layers are not those of `architecture`.
    pub fn from_finite(architecture: Architecture, layers: Vec<LayerWeights>) -> Result<Self> {
        architecture.validate()?;
        let wanted = architecture.layers_with_weights();
        for (index, layer) in wanted.iter().enumerate() {
            let Some(given) = layers.get(index).filter(|given| given.name == layer.name) else {
                let name = format!("{}/kernel", layer.name);
                return Err(Error::missing_tensor(&name, "the architecture asks for this layer here"));
            };
            check_layer(layer, given)?;
        }
        if let Some(extra) = layers.get(wanted.len()) {
            return Err(Error::not_mobilenet(format!("layer `{}` comes after the classifier", extra.name)));
        }
        let (provenance, steps) = (Provenance::default(), Vec::new());
        Ok(Self { architecture, layers, provenance, steps, input_grid: None })
    }

    /// Whether every kernel is int8; those of a [head](Architecture::head) and the classifier behind it, which are always
    /// computed in floats, do not count.
    pub fn is_int8(&self) -> bool {
        let head = self.floats_at_the_end();
        self.layers.iter().rev().skip(head).all(|layer| matches!(layer.kernel, Kernel::Int8 { .. }))
    }

    /// Whether the kernels are int8 and every layer before the classifier knows the range of its activations.
    pub fn is_quantized(&self) -> bool {
        let ready =
            |layer: &LayerWeights| matches!(layer.kernel, Kernel::Int8 { .. }) && layer.range.is_some();
        self.is_int8() && self.layers.iter().rev().skip(self.floats_at_the_end().max(1)).all(ready)
    }

    /// Layers at the end that compute in floats in either precision.
    pub(crate) fn floats_at_the_end(&self) -> usize {
        let steps = self.architecture.head.len();
        if steps == 0 { 0 } else { steps + 1 }
    }

    /// Replaces the head by a linear classifier on the pooled features: `kernel` is features × classes, classes innermost.
    ///
    /// # Errors
    /// If the lengths do not belong together, or there are as many labels as neither none nor one per class.
    pub fn replace_classifier(&mut self, kernel: Kernel, bias: Vec<f32>, labels: Vec<String>) -> Result<()> {
        let architecture = self.architecture.with_classes(bias.len(), labels);
        architecture.validate()?;
        let mut classifier = LayerWeights { name: "conv_preds".into(), kernel, bias, range: None };
        let wanted = architecture.layers_with_weights();
        if let Some(layer) = wanted.last() {
            check_layer(layer, &classifier)?;
        }
        check_values(&mut classifier)?;
        if !self.steps.is_empty() {
            // The pool's stays; a classifier that was taught anew does not round.
            self.steps.truncate(wanted.len());
            self.steps.push(0.0);
        }
        self.layers.truncate(wanted.len() - 1);
        self.layers.push(classifier);
        self.architecture = architecture;
        Ok(())
    }
}

/// Refuses another number of elements than the shape takes.
fn check_layer(layer: &Layer, given: &LayerWeights) -> Result<()> {
    let shape = layer.kernel_shape().unwrap_or_default();
    let outputs = [layer.shape.output.channels];
    let check = |part: &str, shape: &[usize], found: usize| {
        if shape.iter().try_fold(1, |product: usize, &axis| product.checked_mul(axis)) == Some(found) {
            return Ok(());
        }
        Err(Error::shape(&[&layer.name, "/", part].concat(), shape, &[found]))
    };
    check("kernel", &shape, given.kernel.len())?;
    if let Kernel::Rows { values, outputs } = &given.kernel
        && (layer.kind == LayerKind::Scale || [1, 1, values.len() / (*outputs).max(1), *outputs] != shape[..])
    {
        return Err(Error::shape(&[&layer.name, "/kernel"].concat(), &shape, &[*outputs]));
    }
    if let Kernel::Int8 { scales, .. } = &given.kernel {
        check("scale", &outputs, scales.len())?;
        check_scales(&given.name, scales)?;
    }
    check("bias", &outputs, given.bias.len())
}

/// A kernel in bytes has no meaning at a scale of zero or below.
fn check_scales(name: &str, scales: &[f32]) -> Result<()> {
    if scales.iter().any(|&scale| scale <= 0.0) {
        return Err(Error::format("tensor", ["`", name, "/scale` has a value that is not above 0"].concat()));
    }
    Ok(())
}

fn check_values(layer: &mut LayerWeights) -> Result<()> {
    let (part, values) = match &mut layer.kernel {
        Kernel::F32(values) | Kernel::Rows { values, .. } => ("/kernel", values),
        Kernel::Int8 { scales, .. } => ("/scale", scales),
    };
    check_finite(&[&layer.name, part].concat(), values)?;
    check_finite(&[&layer.name, "/bias"].concat(), &layer.bias)?;
    if part == "/kernel" {
        flush_tiny(values);
    }
    flush_tiny(&mut layer.bias);
    Ok(())
}

/// Refuses the first NaN or infinity by name and position.
pub fn check_finite(name: &str, values: &[f32]) -> Result<()> {
    match first_not_finite(values) {
        Some(index) => Err(Error::not_finite(name, index, values[index])),
        None => Ok(()),
    }
}

/// Batch norm as a checkpoint stores it, one value per output channel each.
pub struct BatchNorm<'a> {
    /// Scale; absent means 1.
    pub gamma: Option<&'a [f32]>,
    /// Shift; absent means 0.
    pub beta: Option<&'a [f32]>,
    /// Moving average of the mean.
    pub mean: &'a [f32],
    /// Moving average of the variance.
    pub variance: &'a [f32],
}

impl BatchNorm<'_> {
    /// What every output of the kernel before is multiplied with, `s = gamma / sqrt(variance + epsilon)`, and the bias
    /// that then takes batch norm's place, `(bias − mean) · s + beta`, both in `f64`; `bias` may be empty (zeros).
    pub fn factors(&self, bias: &[f32], epsilon: f64) -> (Vec<f64>, Vec<f32>) {
        let at = |values: Option<&[f32]>, channel: usize, absent: f64| {
            values.map_or(absent, |values| f64::from(values[channel]))
        };
        let channels = self.mean.len();
        let scale: Vec<f64> = (0..channels)
            .map(|channel| {
                at(self.gamma, channel, 1.0) / (f64::from(self.variance[channel]) + epsilon).sqrt()
            })
            .collect();
        let folded = |channel: usize| {
            let bias = bias.get(channel).copied().map_or(0.0, f64::from);
            let shifted = (bias - f64::from(self.mean[channel])) * scale[channel];
            (shifted + at(self.beta, channel, 0.0)) as f32
        };
        let bias = (0..channels).map(folded).collect();
        (scale, bias)
    }
}

/// Folds batch norm into the kernel before it, whose outputs are innermost, and gives the bias.
pub fn fold(kernel: &mut [f32], bias: &[f32], norm: &BatchNorm, epsilon: f64) -> Vec<f32> {
    let (factors, bias) = norm.factors(bias, epsilon);
    scale_columns(kernel, &factors);
    bias
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(architecture: &Architecture) -> Vec<LayerWeights> {
        let layer = |layer: Layer| {
            let length = layer.kernel_shape().unwrap_or_default().iter().product();
            let (kernel, bias) = (Kernel::F32(vec![0.0; length]), vec![0.0; layer.shape.output.channels]);
            LayerWeights { name: layer.name, kernel, bias, range: None }
        };
        architecture.layers_with_weights().into_iter().map(layer).collect()
    }

    #[test]
    fn rows_are_the_same_kernel_in_another_order() {
        let values: Vec<f32> = (0..15).map(|value| value as f32).collect();
        let rows = Kernel::Rows { values: transpose(&values, 3, 5), outputs: 5 };
        assert_eq!(rows.to_f32(), values);
        assert_eq!(rows, Kernel::F32(values.clone()));
        assert_ne!(rows, Kernel::Rows { values, outputs: 5 });
    }

    #[test]
    fn rows_are_refused_where_a_kernel_is_no_matrix_of_that_many_outputs() {
        let architecture = Architecture { alpha: 0.25, classes: 10, ..Architecture::default() };
        let with = |index: usize, outputs: usize| {
            let mut layers = layers(&architecture);
            layers[index].kernel = Kernel::Rows { values: vec![0.0; layers[index].kernel.len()], outputs };
            Weights::new(architecture.clone(), layers).map_err(|error| error.to_string())
        };
        // conv1, conv_dw_1 and conv_pw_1, of 8, 8 and 16 outputs.
        assert!(with(2, 16).is_ok());
        for (index, outputs) in [(0, 8), (1, 8), (2, 8), (2, 0)] {
            let sentence = with(index, outputs).unwrap_err();
            assert!(sentence.contains("/kernel`: expected shape ["), "{sentence}");
        }
    }
}
