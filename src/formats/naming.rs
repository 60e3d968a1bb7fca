//! What the frameworks call a MobileNet's tensors, and in which order their axes stand: the only file that knows
//! both worlds.
//!
//! Goes in: [`Tensors`] under any framework's names. Comes out: [`Weights`] under Keras' layer names, kernels HWIO,
//! batch norm folded. Every name and shape is checked before any value is read.

use super::{Dtype, Format, Options, Reading, Tensor, Tensors, contains, options::settle};
use crate::error::{Decimal, Listed};
use crate::model::architecture::{BLOCKS, Layer, LayerKind, SHALLOW_REMOVES};
use crate::model::weights::{BatchNorm, check_finite, fold};
use crate::model::{Kernel, LayerWeights};
use crate::shape::Padding;
use crate::{Architecture, Error, Result, Weights};

/// A framework's way of naming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Ours: Keras' layer names, batch norm folded away.
    Native,
    /// Keras: `conv1/kernel`, `conv_dw_1_bn/gamma`.
    Keras,
    /// TensorFlow-slim: `MobilenetV1/Conv2d_1_depthwise/depthwise_weights`.
    Slim,
    /// timm: `blocks.3.0.conv_dw.weight`, `bn1`, `bn2`.
    Timm,
    /// Hugging Face transformers: `mobilenet_v1.layer.4.convolution.weight`.
    HuggingFace,
    /// PyTorch code of one `Sequential`: `model.4.3.weight`.
    Sequential,
}

/// A parameter of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Kernel,
    Scale,
    Bias,
    Gamma,
    Beta,
    Mean,
    Variance,
}

const PARTS: [Part; 7] =
    [Part::Kernel, Part::Scale, Part::Bias, Part::Gamma, Part::Beta, Part::Mean, Part::Variance];

/// Names that Keras users give the classifier of their own.
const KERAS_CLASSIFIERS: [&str; 6] = ["conv_preds", "predictions", "dense", "logits", "classifier", "fc"];

/// Bookkeeping that training leaves in checkpoints.
const IGNORED: [&str; 7] = [
    "num_batches_tracked",
    "global_step",
    "ExponentialMovingAverage",
    "RMSProp",
    "Momentum",
    "optimizer",
    "Adam",
];

impl Scheme {
    const ALL: [Scheme; 5] =
        [Scheme::Keras, Scheme::Slim, Scheme::Timm, Scheme::HuggingFace, Scheme::Sequential];

    /// Whether kernels stand OIHW, depthwise C1HW (PyTorch), else HWIO, depthwise HWC1.
    const fn outputs_first(self) -> bool {
        matches!(self, Scheme::Timm | Scheme::HuggingFace | Scheme::Sequential)
    }

    /// What checkpoints under these names usually are.
    fn habit(self) -> Options {
        let (padding, epsilon) = match self {
            Scheme::Timm | Scheme::Sequential => (Padding::Symmetric, 1e-5),
            _ => (Padding::Same, 1e-3),
        };
        Options { padding: Some(padding), epsilon: Some(epsilon), ..Options::default() }
    }

    /// The name of a parameter, where the scheme has such a one.
    fn name(self, layer: &str, kind: LayerKind, part: Part) -> Option<String> {
        let number = number(layer);
        match self {
            Scheme::Native => match part {
                Part::Kernel => Some(format!("{layer}/kernel")),
                Part::Scale => Some(format!("{layer}/scale")),
                Part::Bias => Some(format!("{layer}/bias")),
                _ => None,
            },
            Scheme::Keras => keras(layer, kind, part),
            Scheme::Slim => slim(number, kind, part),
            Scheme::Timm => timm(number, kind, part),
            Scheme::HuggingFace => hugging_face(number, kind, part),
            Scheme::Sequential => sequential(number, kind, part),
        }
    }
}

/// The number that a layer's name ends with, 0 where it has none: 12 of `conv_dw_12`.
fn number(layer: &str) -> usize {
    let digits = layer.bytes().rev().position(|byte| byte == b'_').unwrap_or_default();
    layer[layer.len() - digits..].parse().unwrap_or_default()
}

fn keras(layer: &str, kind: LayerKind, part: Part) -> Option<String> {
    Some(match part {
        Part::Kernel if kind == LayerKind::Depthwise => format!("{layer}/depthwise_kernel"),
        Part::Kernel => format!("{layer}/kernel"),
        Part::Bias => format!("{layer}/bias"),
        Part::Gamma => format!("{layer}_bn/gamma"),
        Part::Beta => format!("{layer}_bn/beta"),
        Part::Mean => format!("{layer}_bn/moving_mean"),
        Part::Variance => format!("{layer}_bn/moving_variance"),
        Part::Scale => return None,
    })
}

fn slim(number: usize, kind: LayerKind, part: Part) -> Option<String> {
    let layer = match kind {
        LayerKind::Stem => "Conv2d_0".into(),
        LayerKind::Depthwise => format!("Conv2d_{number}_depthwise"),
        LayerKind::Pointwise => format!("Conv2d_{number}_pointwise"),
        LayerKind::Classifier => "Logits/Conv2d_1c_1x1".into(),
        LayerKind::Standard | LayerKind::Pool => return None,
    };
    let part = match part {
        Part::Kernel if kind == LayerKind::Depthwise => "depthwise_weights",
        Part::Kernel => "weights",
        Part::Bias => "biases",
        Part::Gamma => "BatchNorm/gamma",
        Part::Beta => "BatchNorm/beta",
        Part::Mean => "BatchNorm/moving_mean",
        Part::Variance => "BatchNorm/moving_variance",
        Part::Scale => return None,
    };
    Some(format!("MobilenetV1/{layer}/{part}"))
}

/// PyTorch's name of a parameter, for a convolution and the batch norm behind it.
fn torch(convolution: &str, norm: &str, part: Part) -> Option<String> {
    Some(match part {
        Part::Kernel => format!("{convolution}.weight"),
        Part::Bias => format!("{convolution}.bias"),
        Part::Gamma => format!("{norm}.weight"),
        Part::Beta => format!("{norm}.bias"),
        Part::Mean => format!("{norm}.running_mean"),
        Part::Variance => format!("{norm}.running_var"),
        Part::Scale => return None,
    })
}

fn timm(number: usize, kind: LayerKind, part: Part) -> Option<String> {
    // Blocks of timm's stages: 1, 2, 2, 6 and 2 of them.
    let (stage, index) = match number {
        0 | 1 => (0, 0),
        2 | 3 => (1, number - 2),
        4 | 5 => (2, number - 4),
        6..=11 => (3, number - 6),
        _ => (4, number - 12),
    };
    let block = format!("blocks.{stage}.{index}");
    match kind {
        LayerKind::Stem => torch("conv_stem", "bn1", part),
        LayerKind::Depthwise => torch(&format!("{block}.conv_dw"), &format!("{block}.bn1"), part),
        LayerKind::Pointwise => torch(&format!("{block}.conv_pw"), &format!("{block}.bn2"), part),
        LayerKind::Classifier => torch("classifier", "", part),
        LayerKind::Standard | LayerKind::Pool => None,
    }
}

fn hugging_face(number: usize, kind: LayerKind, part: Part) -> Option<String> {
    let layer = match kind {
        LayerKind::Stem => "mobilenet_v1.conv_stem".into(),
        LayerKind::Depthwise => format!("mobilenet_v1.layer.{}", 2 * number - 2),
        LayerKind::Pointwise => format!("mobilenet_v1.layer.{}", 2 * number - 1),
        LayerKind::Classifier => return torch("classifier", "", part),
        LayerKind::Standard | LayerKind::Pool => return None,
    };
    torch(&format!("{layer}.convolution"), &format!("{layer}.normalization"), part)
}

fn sequential(number: usize, kind: LayerKind, part: Part) -> Option<String> {
    let block = format!("model.{number}");
    match kind {
        LayerKind::Stem | LayerKind::Depthwise => torch(&format!("{block}.0"), &format!("{block}.1"), part),
        LayerKind::Pointwise => torch(&format!("{block}.3"), &format!("{block}.4"), part),
        LayerKind::Classifier => torch("fc", "", part),
        LayerKind::Standard | LayerKind::Pool => None,
    }
}

/// Reads a network whose tensors have a framework's names; the shapes decide width, rounding and classes.
///
/// `file` holds what the file says besides its tensors, `caller` what the caller does.
///
/// # Errors
/// Where the names are nobody's, a tensor is missing, too many or of another shape, or a value is not finite.
pub fn read(tensors: Tensors, format: Format, file: Options, caller: &Options) -> Result<Reading> {
    let mut tensors = tensors.renamed(&canonical)?;
    let scheme = recognise(&tensors)?;
    if scheme == Scheme::Keras {
        tensors = rename_classifier(tensors.renamed(&keras_2)?)?;
    }
    let mut architecture = found_architecture(&tensors, scheme)?;
    let properties = settle(&mut architecture, file, caller, scheme.habit());
    let layers = assemble(tensors, scheme, &architecture)?;
    Ok(Reading { weights: Weights::new(architecture, layers)?, format, properties })
}

/// A name without what wrappers put around it.
fn canonical(name: &str) -> String {
    let name = name.strip_suffix(":0").unwrap_or(name);
    let name = name.strip_prefix("state_dict.").unwrap_or(name);
    let name = name.strip_prefix("module.").unwrap_or(name);
    // timm's tensors inside a wrapper; `model.4.3.weight` is a scheme of its own.
    match name.strip_prefix("model.") {
        Some(inner) if !inner.starts_with(|first: char| first.is_ascii_digit()) => inner.into(),
        _ => name.into(),
    }
}

/// Keras 3 calls a depthwise kernel like any other; Keras 2 has a name for it.
fn keras_2(name: &str) -> String {
    match name.strip_suffix("/kernel") {
        Some(layer) if layer.starts_with("conv_dw_") => format!("{layer}/depthwise_kernel"),
        _ => name.into(),
    }
}

fn recognise(tensors: &Tensors) -> Result<Scheme> {
    let has = |scheme: &&Scheme| {
        let stem = scheme.name("conv1", LayerKind::Stem, Part::Kernel);
        stem.is_some_and(|name| tensors.get(&name).is_some())
    };
    Scheme::ALL.iter().find(has).copied().ok_or_else(|| {
        let shown: Vec<_> = tensors.names().take(3).map(|name| format!("`{name}`")).collect();
        let rest = tensors.len().saturating_sub(shown.len());
        let has = match shown.len() {
            0 => "it has no tensor at all".into(),
            _ => format!("it has {} and {rest} more", Listed(&shown, ", ")),
        };
        Error::NotMobileNet(format!(
            "no tensor is the first convolution (`conv1/kernel` in Keras, `conv_stem.weight` in timm); {has}"
        ))
    })
}

/// Gives a Keras classifier of the user's own name the usual one.
fn rename_classifier(tensors: Tensors) -> Result<Tensors> {
    let kernel = |layer: &&&str| tensors.get(&format!("{layer}/kernel")).is_some();
    match KERAS_CLASSIFIERS.iter().find(kernel) {
        None => Err(Error::MissingTensor {
            name: "conv_preds/kernel".into(),
            hint: format!(
                "the network has no classifier (saved with include_top=False?) called {}",
                Listed(&KERAS_CLASSIFIERS, ", ")
            ),
        }),
        Some(&"conv_preds") => Ok(tensors),
        Some(&layer) => tensors.renamed(&|name| match name.strip_prefix(layer) {
            Some(part) if part.starts_with('/') => format!("conv_preds{part}"),
            _ => name.into(),
        }),
    }
}

/// Width, rounding, blocks and classes, from the names and shapes alone.
fn found_architecture(tensors: &Tensors, scheme: Scheme) -> Result<Architecture> {
    let has = |number: &usize| {
        let name = scheme.name(&format!("conv_pw_{number}"), LayerKind::Pointwise, Part::Kernel);
        name.is_some_and(|name| tensors.get(&name).is_some())
    };
    let kept = |number: &usize| !SHALLOW_REMOVES.contains(&(number - 1));
    let present: Vec<usize> = (1..=BLOCKS.len()).filter(has).collect();
    let shallow = present == (1..=BLOCKS.len()).filter(kept).collect::<Vec<_>>();
    if !shallow && let Some(missing) = (1..=BLOCKS.len()).find(|number| !has(number)) {
        let layer = format!("conv_pw_{missing}");
        let name = scheme.name(&layer, LayerKind::Pointwise, Part::Kernel).unwrap_or(layer);
        let hint = format!("the file has {} of the 13 blocks of a MobileNet v1", present.len());
        return Err(Error::MissingTensor { name, hint });
    }
    let outputs = |layer: &str, kind| outputs_of(tensors, scheme, layer, kind);
    let mut channels = vec![outputs("conv1", LayerKind::Stem)?];
    for number in present {
        channels.push(outputs(&format!("conv_pw_{number}"), LayerKind::Pointwise)?);
    }
    let (alpha, rounding) = Architecture::width_of(&channels)?;
    let classes = outputs("conv_preds", LayerKind::Classifier)?;
    Ok(Architecture { alpha, rounding, shallow, classes, ..Architecture::default() })
}

/// Output channels of a layer, from its kernel's shape.
fn outputs_of(tensors: &Tensors, scheme: Scheme, layer: &str, kind: LayerKind) -> Result<usize> {
    let name = scheme.name(layer, kind, Part::Kernel).unwrap_or_default();
    let tensor = tensors.get(&name).ok_or_else(|| missing(&name))?;
    let axis = if scheme.outputs_first() { tensor.shape.first() } else { tensor.shape.last() };
    axis.copied().filter(|_| matches!(tensor.shape.len(), 2 | 4)).ok_or_else(|| {
        Error::format(
            "tensor",
            format!("tensor `{name}`: a kernel has 4 axes, this one has [{}]", Listed(&tensor.shape, ", ")),
        )
    })
}

fn missing(name: &str) -> Error {
    Error::MissingTensor {
        name: name.into(),
        hint: "every layer of a MobileNet v1 must be in the file".into(),
    }
}

/// Takes every layer of `architecture` out of `tensors`: names, then shapes, then values.
pub(super) fn assemble(
    mut tensors: Tensors,
    scheme: Scheme,
    architecture: &Architecture,
) -> Result<Vec<LayerWeights>> {
    let mut layers = architecture.layers();
    layers.retain(|layer| layer.kind != LayerKind::Pool);
    refuse_strangers(&tensors, scheme, &layers)?;
    for layer in &layers {
        check_shapes(&tensors, scheme, layer)?;
    }
    layers.iter().map(|layer| layer_weights(&mut tensors, scheme, layer, architecture.epsilon)).collect()
}

/// A tensor that no layer has means that this is another network.
fn refuse_strangers(tensors: &Tensors, scheme: Scheme, layers: &[Layer]) -> Result<()> {
    let mut known = Vec::with_capacity(layers.len() * PARTS.len());
    for layer in layers {
        known.extend(PARTS.iter().filter_map(|&part| scheme.name(&layer.name, layer.kind, part)));
    }
    let bookkeeping = |name: &str| IGNORED.iter().any(|word| contains(name.as_bytes(), word.as_bytes()));
    match tensors.names().find(|name| !known.iter().any(|known| known == name) && !bookkeeping(name)) {
        Some(stranger) => {
            Err(Error::NotMobileNet(format!("tensor `{stranger}` belongs to no layer of MobileNet v1")))
        }
        None => Ok(()),
    }
}

/// Shape of a layer's kernel in the file.
fn file_shape(scheme: Scheme, layer: &Layer) -> Vec<usize> {
    let [height, width, inputs, outputs] = layer.kernel_shape().unwrap_or_default();
    match (scheme.outputs_first(), layer.kind) {
        (true, LayerKind::Classifier) => vec![outputs, inputs],
        (true, LayerKind::Depthwise) => vec![inputs, 1, height, width],
        (true, _) => vec![outputs, inputs, height, width],
        (false, _) => vec![height, width, inputs, outputs],
    }
}

/// Whether two shapes differ only by axes of one: `[1000, 1024]` is `[1000, 1024, 1, 1]`.
fn same_but_for_ones(found: &[usize], expected: &[usize]) -> bool {
    fn longer(shape: &[usize]) -> impl Iterator<Item = &usize> {
        shape.iter().filter(|&&axis| axis != 1)
    }
    longer(found).eq(longer(expected))
}

fn check_shapes(tensors: &Tensors, scheme: Scheme, layer: &Layer) -> Result<()> {
    let outputs = layer.shape.output.channels;
    for part in PARTS {
        let Some(name) = scheme.name(&layer.name, layer.kind, part) else { continue };
        let Some(tensor) = tensors.get(&name) else { continue };
        let (expected, right) = match part {
            Part::Kernel => {
                let expected = file_shape(scheme, layer);
                // Dense layers have two axes; a window has four, or nothing tells its rows from its columns.
                let right = if layer.shape.kernel == 1 {
                    same_but_for_ones(&tensor.shape, &expected)
                } else {
                    tensor.shape == expected
                };
                (expected, right)
            }
            _ => (vec![outputs], tensor.len() == outputs && same_but_for_ones(&tensor.shape, &[outputs])),
        };
        if !right {
            return Err(Error::Shape { name, expected, found: tensor.shape.clone() });
        }
    }
    Ok(())
}

fn layer_weights(tensors: &mut Tensors, scheme: Scheme, layer: &Layer, epsilon: f64) -> Result<LayerWeights> {
    let mut part = |part| {
        let name = scheme.name(&layer.name, layer.kind, part).unwrap_or_default();
        tensors.take(&name).map(|tensor| (name, tensor))
    };
    let Some((name, tensor)) = part(Part::Kernel) else {
        let name = scheme.name(&layer.name, layer.kind, Part::Kernel).unwrap_or_default();
        return Err(missing(&name));
    };
    let mut values = |wanted| part(wanted).map(|(name, tensor)| finite(&name, tensor)).transpose();
    let bias = values(Part::Bias)?;
    let name_of = |part| scheme.name(&layer.name, layer.kind, part).unwrap_or_default();
    if tensor.dtype() == Dtype::I8 {
        let scales = values(Part::Scale)?.ok_or_else(|| missing(&name_of(Part::Scale)))?;
        let bias = bias.ok_or_else(|| missing(&name_of(Part::Bias)))?;
        let kernel = Kernel::Int8 { values: tensor.into_i8(&name)?, scales };
        return Ok(LayerWeights { name: layer.name.clone(), kernel, bias, range: None });
    }
    let mut kernel = read_kernel(&name, tensor, scheme, layer)?;
    if scheme != Scheme::Native {
        check_finite(&name, &kernel)?; // of a native file `Weights` does, under the same name
    }
    let (gamma, beta) = (values(Part::Gamma)?, values(Part::Beta)?);
    let (mean, variance) = (values(Part::Mean)?, values(Part::Variance)?);
    let bias = match (layer.has_batch_norm(), mean, variance) {
        (true, Some(mean), Some(variance)) => {
            let small = |value: &&f32| f64::from(**value) + epsilon <= 0.0;
            if let Some(value) = variance.iter().find(small) {
                let name = name_of(Part::Variance);
                let problem = format!("tensor `{name}`: a variance is {}", Decimal((*value).into()));
                return Err(Error::format("batch norm", problem));
            }
            let norm = BatchNorm {
                gamma: gamma.as_deref(),
                beta: beta.as_deref(),
                mean: &mean,
                variance: &variance,
            };
            fold(&mut kernel, bias.as_deref().unwrap_or(&[]), &norm, epsilon)
        }
        (true, Some(_), None) => return Err(missing(&name_of(Part::Variance))),
        (true, None, Some(_)) => return Err(missing(&name_of(Part::Mean))),
        _ => match (bias, gamma) {
            (Some(bias), None) => bias,
            // Moving averages are missing where scales are not.
            (_, Some(_)) => return Err(missing(&name_of(Part::Mean))),
            (None, None) if layer.has_batch_norm() && scheme != Scheme::Native => {
                return Err(missing(&name_of(Part::Mean)));
            }
            (None, None) => return Err(missing(&name_of(Part::Bias))),
        },
    };
    Ok(LayerWeights { name: layer.name.clone(), kernel: Kernel::F32(kernel), bias, range: None })
}

fn finite(name: &str, tensor: Tensor) -> Result<Vec<f32>> {
    let values = tensor.into_f32(name)?;
    check_finite(name, &values)?;
    Ok(values)
}

/// The kernel as floats, HWIO.
fn read_kernel(name: &str, tensor: Tensor, scheme: Scheme, layer: &Layer) -> Result<Vec<f32>> {
    let [height, width, inputs, outputs] = layer.kernel_shape().unwrap_or_default();
    if !scheme.outputs_first() {
        return tensor.into_f32(name);
    }
    match layer.kind {
        // C1HW → HWC1: the channels go innermost.
        LayerKind::Depthwise => tensor.into_transposed_f32(name, inputs, height * width),
        // OIHW → (I·H·W)O, and for a window the first axis is then taken apart: I·HW → HW·I, rows of O.
        _ => {
            let kernel = tensor.into_transposed_f32(name, outputs, inputs * height * width)?;
            if height * width == 1 {
                return Ok(kernel);
            }
            let row = |(pixel, input): (usize, usize)| {
                let start = (input * height * width + pixel) * outputs;
                &kernel[start..start + outputs]
            };
            let order = (0..height * width).flat_map(|pixel| (0..inputs).map(move |input| (pixel, input)));
            Ok(order.flat_map(row).copied().collect())
        }
    }
}
