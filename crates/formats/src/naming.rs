//! What the frameworks call a MobileNet's tensors, and in which order their axes stand: the only file that knows
//! both worlds.
//!
//! Goes in: [`Tensors`] under any framework's names. Comes out: [`Weights`] under Keras' layer names, kernels HWIO,
//! batch norm folded. Every name and shape is checked before any value is read.

use super::options::{Origin, Property, resolve};
use super::{Dtype, Format, LoadedModel, ModelOptions, Tensor, Tensors, contains};
use mobilenet::architecture::{BLOCKS, HeadActivation, HeadLayer, Layer, LayerKind, Output, SHALLOW_REMOVES};
use mobilenet::error::{Decimal, Listed};
use mobilenet::weights::{BatchNorm, check_finite};
use mobilenet::{Architecture, Error, Result, Weights};
use mobilenet::{Kernel, LayerWeights};
use mobilenet_kernels::layout::{flush_tiny, scale_columns, scale_rows, zeros};
use mobilenet_kernels::shape::Padding;

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
    fn defaults(self) -> ModelOptions {
        let (padding, epsilon) = match self {
            Scheme::Timm | Scheme::Sequential => (Padding::Symmetric, 1e-5),
            Scheme::Keras => (Padding::Keras, 1e-3),
            _ => (Padding::Same, 1e-3),
        };
        ModelOptions { padding: Some(padding), epsilon: Some(epsilon), ..ModelOptions::default() }
    }

    /// The name of a parameter, where the scheme has such a one.
    fn name(self, layer: &str, kind: LayerKind, part: Part) -> Option<String> {
        use LayerKind::{Classifier, Dense, Depthwise, Pointwise, Pool, Scale, Standard, Stem};
        let digits = layer.bytes().rev().position(|byte| byte == b'_').unwrap_or_default();
        // The number that the layer's name ends with, 0 where it has none: 12 of `conv_dw_12`.
        let number = layer
            .get(layer.len() - digits..)
            .and_then(|digits| digits.parse::<usize>().ok())
            .unwrap_or_default();
        // A text, a number, and what follows in the convolution's name and in that of the batch norm behind it.
        let (text, number, convolution, norm) = match (self, kind) {
            (Scheme::Native | Scheme::Keras, _) => (layer, None, "", "_bn"),
            (_, Standard | Pool | Scale) => return None,
            (_, Dense) => ("head_", Some(number), "", ""),
            (Scheme::Slim, Stem) => ("MobilenetV1/Conv2d_0", None, "", "/BatchNorm"),
            (Scheme::Slim, Depthwise) => {
                ("MobilenetV1/Conv2d_", Some(number), "_depthwise", "_depthwise/BatchNorm")
            }
            (Scheme::Slim, Pointwise) => {
                ("MobilenetV1/Conv2d_", Some(number), "_pointwise", "_pointwise/BatchNorm")
            }
            (Scheme::Slim, Classifier) => ("MobilenetV1/Logits/Conv2d_1c_1x1", None, "", "/BatchNorm"),
            (Scheme::Timm, Stem) => ("", None, "conv_stem", "bn1"),
            (Scheme::Timm, Depthwise | Pointwise) => {
                // The first block of each of timm's stages is 1, 2, 4, 6 and 12.
                let (stage, first) = match number {
                    0 | 1 => ("blocks.0.", 1),
                    2 | 3 => ("blocks.1.", 2),
                    4 | 5 => ("blocks.2.", 4),
                    6..=11 => ("blocks.3.", 6),
                    _ => ("blocks.4.", 12),
                };
                let (convolution, norm) =
                    if kind == Depthwise { (".conv_dw", ".bn1") } else { (".conv_pw", ".bn2") };
                (stage, Some(number.saturating_sub(first)), convolution, norm)
            }
            (Scheme::HuggingFace, Stem) => ("mobilenet_v1.conv_stem", None, ".convolution", ".normalization"),
            (Scheme::HuggingFace, Depthwise | Pointwise) => {
                let number = (2 * number).saturating_sub(if kind == Depthwise { 2 } else { 1 });
                ("mobilenet_v1.layer.", Some(number), ".convolution", ".normalization")
            }
            (Scheme::Timm | Scheme::HuggingFace, Classifier) => ("", None, "classifier", ""),
            (Scheme::Sequential, Stem | Depthwise) => ("model.", Some(number), ".0", ".1"),
            (Scheme::Sequential, Pointwise) => ("model.", Some(number), ".3", ".4"),
            (Scheme::Sequential, Classifier) => ("", None, "fc", ""),
        };
        // In the order of `PARTS`; empty where there is no such parameter.
        let parts = match self {
            Scheme::Native => ["/kernel", "/scale", "/bias", "", "", "", ""],
            Scheme::Keras => ["/kernel", "", "/bias", "/gamma", "/beta", "/moving_mean", "/moving_variance"],
            Scheme::Slim => {
                ["/weights", "", "/biases", "/gamma", "/beta", "/moving_mean", "/moving_variance"]
            }
            _ => [".weight", "", ".bias", ".weight", ".bias", ".running_mean", ".running_var"],
        };
        let part_name = match (self, kind, part) {
            (Scheme::Keras, Depthwise, Part::Kernel) => "/depthwise_kernel",
            (Scheme::Slim, Depthwise, Part::Kernel) => "/depthwise_weights",
            _ => parts[part as usize],
        };
        let behind = if part as usize > Part::Bias as usize { norm } else { convolution };
        let number = number.map_or_else(String::new, |number| number.to_string());
        (!part_name.is_empty()).then(|| [text, &number, behind, part_name].concat())
    }
}

/// Reads a network whose tensors have a framework's names; the shapes decide width, rounding and classes.
///
/// `file` holds what the file says besides its tensors, `caller` what the caller does.
///
/// # Errors
/// Where the names are nobody's, a tensor is missing, too many or of another shape, or a value is not finite.
pub fn read(
    tensors: Tensors,
    format: Format,
    file: ModelOptions,
    caller: &ModelOptions,
) -> Result<LoadedModel> {
    let tensors = tensors.renamed(&|name| name.strip_suffix(":0").unwrap_or(name).to_owned())?;
    let (scheme, prefix) = recognise(&tensors)?;
    let mut tensors = tensors.renamed(&|name| match name.strip_prefix(prefix.as_str()) {
        // What Hugging Face calls the network itself may be missing where it was saved without its classifier.
        Some(rest) if scheme == Scheme::HuggingFace && !rest.starts_with("classifier") => {
            ["mobilenet_v1.", rest.strip_prefix("mobilenet_v1.").unwrap_or(rest)].concat()
        }
        Some(rest) => rest.to_owned(),
        None => name.to_owned(),
    })?;
    if scheme == Scheme::Keras {
        tensors = tensors.renamed(&keras_2)?;
    }
    let own = scheme.name("conv_preds", LayerKind::Classifier, Part::Kernel).unwrap_or_default();
    let usual = tensors.get(&own).is_some();
    let (tensors, head) = find_head(tensors, scheme)?;
    let mut architecture = found_architecture(&tensors, scheme)?;
    architecture.head = head;
    let in_file = architecture.clone();
    let one = architecture.classes == 1;
    if one {
        (architecture.classes, architecture.output) = (2, Output::Sigmoid);
    }
    let mut properties = resolve(&mut architecture, file, caller, scheme.defaults());
    if !usual && !one {
        // A classifier of the user's own may end in sigmoids, too.
        architecture.assumed.push("output".into());
        properties.push(Property { name: "output", value: "softmax".into(), origin: Origin::Default });
    }
    if !architecture.head.is_empty() {
        architecture.assumed.push("head".into());
        let value =
            format!("{} fully connected layers with relu before the classifier", architecture.head.len());
        properties.push(Property { name: "head", value, origin: Origin::Default });
    }
    let in_file = Architecture { epsilon: architecture.epsilon, ..in_file };
    let mut layers = assemble(tensors, scheme, &in_file)?;
    if let Some(classifier) = layers.last_mut().filter(|_| one) {
        two_of_one(&mut classifier.kernel, &mut classifier.bias);
    }
    Ok(LoadedModel { weights: Weights::from_finite(architecture, layers)?, format, properties })
}

/// One logit `z` as the two of a sigmoid, `−z` and `z`.
pub(super) fn two_of_one(kernel: &mut Kernel, bias: &mut Vec<f32>) {
    let pairs = |values: &[f32]| values.iter().flat_map(|value| [-value, *value]).collect::<Vec<f32>>();
    *kernel = match &*kernel {
        Kernel::Int8 { values, scales } => Kernel::Int8 {
            values: values.iter().flat_map(|value| [-value, *value]).collect(),
            scales: scales.iter().flat_map(|scale| [*scale, *scale]).collect(),
        },
        floats => Kernel::F32(pairs(&floats.to_f32())),
    };
    *bias = pairs(bias);
}

/// Keras 3 calls a depthwise kernel like any other; Keras 2 has a name for it.
fn keras_2(name: &str) -> String {
    match name.strip_suffix("/kernel") {
        Some(layer) if layer.starts_with("conv_dw_") => format!("{layer}/depthwise_kernel"),
        _ => name.into(),
    }
}

/// The scheme, and what wrappers put in front of every name of the network: `module.`, `model.backbone.`,
/// `mobilenet_0.25_224/`.
fn recognise(tensors: &Tensors) -> Result<(Scheme, String)> {
    for scheme in Scheme::ALL {
        let Some(stem) = scheme.name("conv1", LayerKind::Stem, Part::Kernel) else { continue };
        let stem = stem.strip_prefix("mobilenet_v1.").unwrap_or(&stem);
        let fronts = tensors.names().filter_map(|name| {
            let front = name.strip_suffix(stem)?;
            (front.is_empty() || front.ends_with(['.', '/'])).then_some(front)
        });
        let mut fronts: Vec<&str> = fronts.collect();
        fronts.sort_by_key(|front| front.len());
        match fronts.as_slice() {
            [] => {}
            [front] => {
                let front = if scheme == Scheme::HuggingFace {
                    front.strip_suffix("mobilenet_v1.").unwrap_or(front)
                } else {
                    front
                };
                return Ok((scheme, front.to_owned()));
            }
            [one, two, ..] => {
                return Err(Error::not_mobilenet(format!(
                    "the file holds two networks, `{one}{stem}` and `{two}{stem}`; save one of them alone"
                )));
            }
        }
    }
    let names: Vec<&str> = tensors.names().collect();
    let shown: Vec<_> = names.iter().take(3).map(|name| format!("`{name}`")).collect();
    let rest = names.len().saturating_sub(shown.len());
    let has = match shown.len() {
        0 => "it has no tensor at all".into(),
        _ => format!("it has {} and {rest} more", Listed(&shown, ", ")),
    };
    let known = another_network(&names).map_or(String::new(), |other| [" This is ", other, "."].concat());
    Err(Error::not_mobilenet(format!(
        "no tensor is the first convolution (`conv1/kernel` in Keras, `conv_stem.weight` in timm); {has}.{known}"
    )))
}

/// What other network has tensors of these names.
fn another_network(names: &[&str]) -> Option<&'static str> {
    let has = |part: &str| names.iter().any(|name| contains(name.as_bytes(), part.as_bytes()));
    [
        ("MobilenetV2/", "MobileNet v2, which is another network"),
        ("features.18.", "MobileNet v2 of torchvision, which is another network"),
        ("expanded_conv", "MobileNet v2 or v3, which is another network"),
        ("block_1_expand", "MobileNet v2, which is another network"),
        ("se_reduce", "MobileNet v3 or EfficientNet, which are other networks"),
        ("fc1.weight", "MobileNet v3 or another network with fully connected layers inside"),
        ("layer1.0.conv1", "a ResNet"),
        ("vit.", "a vision transformer"),
    ]
    .into_iter()
    .find(|(part, _)| has(part))
    .map(|(_, name)| name)
}

/// A fully connected layer that belongs to no layer of the body.
struct LooseDense {
    layer: String,
    kernel: String,
    inputs: usize,
    outputs: usize,
}

/// Names the head's layers: the classifier as the scheme does, whatever it is called in the file, and the fully connected
/// layers before it `head_1` and on. Their activations are not in the file: ReLU is assumed, and said.
fn find_head<'a>(tensors: Tensors<'a>, scheme: Scheme) -> Result<(Tensors<'a>, Vec<HeadLayer>)> {
    let full = Architecture::default();
    let body: Vec<String> = full
        .layers_with_weights()
        .iter()
        .filter(|layer| !layer.is_head())
        .flat_map(|layer| names_of(scheme, layer))
        .collect();
    let own = scheme.name("conv_preds", LayerKind::Classifier, Part::Kernel).unwrap_or_default();
    let mut loose: Vec<LooseDense> = Vec::new();
    for name in tensors.names().filter(|name| !body.iter().any(|known| known == name)) {
        let Some(cut) = name.rfind(['.', '/']) else { continue };
        let (layer, part) = name.split_at(cut);
        let kernel = matches!(&part[1..], "weight" | "weights" | "kernel");
        let axes: Vec<usize> = match tensors.get(name) {
            Some(tensor) if kernel => tensor.shape.clone(),
            _ => continue,
        };
        let matrix = match axes.as_slice() {
            [one, two] => Some((*one, *two)),
            [1, 1, inputs, outputs] if !scheme.outputs_first() => Some((*inputs, *outputs)),
            [outputs, inputs, 1, 1] if scheme.outputs_first() => Some((*outputs, *inputs)),
            _ => None,
        };
        let Some((first, second)) = matrix else { continue };
        let (inputs, outputs) = if scheme.outputs_first() { (second, first) } else { (first, second) };
        loose.push(LooseDense { layer: layer.into(), kernel: name.into(), inputs, outputs });
    }
    if loose.is_empty() {
        return Err(Error::missing_tensor(
            &own,
            "the network has no classifier (saved with include_top=False?): no fully connected layer is left over",
        ));
    }
    if let [only] = loose.as_slice()
        && only.kernel == own
    {
        return Ok((tensors, Vec::new()));
    }
    let last = scheme.name("conv_pw_13", LayerKind::Pointwise, Part::Kernel).unwrap_or_default();
    let mut width = tensors.get(&last).map_or(0, |tensor| {
        let axis = if scheme.outputs_first() { tensor.shape.first() } else { tensor.shape.last() };
        axis.copied().unwrap_or(0)
    });
    loose.sort_by_key(|dense| natural(&dense.layer));
    let mut chain: Vec<LooseDense> = Vec::new();
    while let Some(next) = loose.iter().position(|dense| dense.inputs == width) {
        let dense = loose.remove(next);
        width = dense.outputs;
        chain.push(dense);
    }
    if let Some(stranger) = loose.first() {
        return Err(Error::not_mobilenet(format!(
            "tensor `{}` belongs to no layer of MobileNet v1: it takes {} values, and {width} are there",
            stranger.kernel, stranger.inputs
        )));
    }
    let Some(classifier) = chain.pop() else { return Ok((tensors, Vec::new())) };
    let mut head = Vec::new();
    let mut new: Vec<(String, String)> = Vec::new();
    for (index, dense) in chain.iter().enumerate() {
        let activation = HeadActivation::Relu;
        head.push(HeadLayer { units: dense.outputs, elementwise: false, activation });
        new.push((dense.layer.clone(), layer_of(scheme, &format!("head_{}", index + 1), LayerKind::Dense)));
    }
    new.push((classifier.layer, layer_of(scheme, "conv_preds", LayerKind::Classifier)));
    let renamed = tensors.renamed(&|name| {
        let found = new.iter().find_map(|(from, to)| {
            let part = name.strip_prefix(from.as_str())?;
            part.starts_with(['.', '/']).then(|| [to.as_str(), part].concat())
        });
        found.unwrap_or_else(|| name.to_owned())
    })?;
    Ok((renamed, head))
}

/// What a layer's names begin with.
fn layer_of(scheme: Scheme, layer: &str, kind: LayerKind) -> String {
    let kernel = scheme.name(layer, kind, Part::Kernel).unwrap_or_default();
    let cut = kernel.rfind(['.', '/']).unwrap_or(kernel.len());
    kernel[..cut].to_owned()
}

/// Names with their numbers as numbers: `dense_2` before `dense_10`, `dense` before `dense_1`.
fn natural(name: &str) -> Vec<(String, usize)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let text = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let digits = rest[text..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - text);
        let number = rest[text..text + digits].parse().unwrap_or(0);
        parts.push((rest[..text].trim_end_matches('_').to_owned(), number));
        rest = &rest[text + digits..];
    }
    parts
}

/// Width, rounding, blocks and classes, from the names and shapes alone.
fn found_architecture(tensors: &Tensors, scheme: Scheme) -> Result<Architecture> {
    let name = |number: usize| {
        let layer = format!("conv_pw_{number}");
        scheme.name(&layer, LayerKind::Pointwise, Part::Kernel).unwrap_or(layer)
    };
    // Blocks, a bit each: those that are there, all, and those that a shallow network keeps.
    let (mut present, mut all, mut kept) = (0_u32, 0, 0);
    for block in 0..BLOCKS.len() {
        let bit = 1 << block;
        all |= bit;
        kept |= if SHALLOW_REMOVES.contains(&block) { 0 } else { bit };
        present |= if tensors.get(&name(block + 1)).is_some() { bit } else { 0 };
    }
    let shallow = present == kept;
    if !shallow && present != all {
        let found = present.count_ones();
        let hint = format!("the file has {found} of the 13 blocks of a MobileNet v1");
        return Err(Error::missing_tensor(&name(present.trailing_ones() as usize + 1), &hint));
    }
    let plain = Architecture { shallow, ..Architecture::default() };
    let mut channels = vec![outputs_of(tensors, scheme, "conv1", LayerKind::Stem)?];
    for (number, _) in plain.blocks() {
        let layer = format!("conv_pw_{number}");
        channels.push(outputs_of(tensors, scheme, &layer, LayerKind::Pointwise)?);
    }
    let (alpha, rounding) = Architecture::width_of(&channels)?;
    let classes = outputs_of(tensors, scheme, "conv_preds", LayerKind::Classifier)?;
    Ok(Architecture { alpha, rounding, classes, ..plain })
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
    Error::missing_tensor(name, "every layer of a MobileNet v1 must be in the file")
}

/// Takes every layer of `architecture` out of `tensors`: names, then shapes, then values, all of them finite.
pub(super) fn assemble(
    mut tensors: Tensors,
    scheme: Scheme,
    architecture: &Architecture,
) -> Result<Vec<LayerWeights>> {
    let layers = architecture.layers_with_weights();
    let names: Vec<Names> = layers.iter().map(|layer| names_of(scheme, layer)).collect();
    refuse_strangers(&tensors, &names)?;
    for (layer, names) in layers.iter().zip(&names) {
        check_shapes(&tensors, scheme, layer, names)?;
    }
    let mut found = Vec::with_capacity(layers.len());
    for (layer, names) in layers.iter().zip(&names) {
        found.push(Parts { tensors: &mut tensors, scheme, layer, names }.weights(architecture.epsilon)?);
    }
    Ok(found)
}

/// What a layer's parameters are called, in the order of [`PARTS`]; empty where the scheme has no such one.
type Names = Vec<String>;

fn names_of(scheme: Scheme, layer: &Layer) -> Names {
    PARTS.iter().map(|&part| scheme.name(&layer.name, layer.kind, part).unwrap_or_default()).collect()
}

/// A tensor that no layer has means that this is another network.
fn refuse_strangers(tensors: &Tensors, names: &[Names]) -> Result<()> {
    let known = |name: &str| names.iter().flatten().any(|known| known == name);
    let bookkeeping = |name: &str| IGNORED.iter().any(|word| contains(name.as_bytes(), word.as_bytes()));
    match tensors.names().find(|name| !known(name) && !bookkeeping(name)) {
        Some(stranger) => {
            Err(Error::not_mobilenet(format!("tensor `{stranger}` belongs to no layer of MobileNet v1")))
        }
        None => Ok(()),
    }
}

/// Shape of a layer's kernel in the file.
fn file_shape(scheme: Scheme, layer: &Layer) -> Vec<usize> {
    let [height, width, inputs, outputs] = layer.kernel_shape().unwrap_or_default();
    match (scheme.outputs_first(), layer.kind) {
        (true, LayerKind::Classifier | LayerKind::Dense) => vec![outputs, inputs],
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

fn check_shapes(tensors: &Tensors, scheme: Scheme, layer: &Layer, names: &Names) -> Result<()> {
    let outputs = layer.shape.output.channels;
    for (part, name) in PARTS.into_iter().zip(names) {
        let Some(tensor) = tensors.get(name) else { continue };
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
            return Err(Error::shape(name, &expected, &tensor.shape));
        }
    }
    Ok(())
}

/// The parameters of one layer, to be taken out of the file's tensors.
struct Parts<'a, 'b> {
    tensors: &'a mut Tensors<'b>,
    scheme: Scheme,
    layer: &'a Layer,
    names: &'a Names,
}

impl<'a> Parts<'a, '_> {
    fn name(&self, part: Part) -> &'a str {
        &self.names[part as usize]
    }

    fn missing(&self, part: Part) -> Error {
        missing(self.name(part))
    }

    /// The values of a parameter, where the file has it.
    fn values(&mut self, part: Part) -> Result<Option<Vec<f32>>> {
        let Some(tensor) = self.tensors.take(self.name(part)) else { return Ok(None) };
        let values = tensor.into_f32(self.name(part))?;
        check_finite(self.name(part), &values)?;
        Ok(Some(values))
    }

    fn wanted(&mut self, part: Part) -> Result<Vec<f32>> {
        self.values(part)?.ok_or_else(|| self.missing(part))
    }

    fn weights(mut self, epsilon: f64) -> Result<LayerWeights> {
        let name = self.name(Part::Kernel);
        let tensor = self.tensors.take(name).ok_or_else(|| missing(name))?;
        let (kernel, bias) = if tensor.dtype() == Dtype::I8 {
            let (bias, scales) = (self.wanted(Part::Bias)?, self.wanted(Part::Scale)?);
            (Kernel::Int8 { values: tensor.into_i8(self.name(Part::Kernel))?, scales }, bias)
        } else {
            let mut kernel = read_kernel(name, tensor, self.scheme, self.layer)?;
            let bias = self.folded(&mut kernel, epsilon)?;
            // Once, behind the folding: what was not finite before is not finite after it, even times zero.
            if let Kernel::F32(values) | Kernel::Rows { values, .. } = &mut kernel {
                check_finite(name, values)?;
                flush_tiny(values);
            }
            let mut bias = bias;
            check_finite(self.name(Part::Bias), &bias)?;
            flush_tiny(&mut bias);
            (kernel, bias)
        };
        Ok(LayerWeights { name: self.layer.name.clone(), kernel, bias, range: None })
    }

    /// The bias, and batch norm, if there is one, folded into both.
    fn folded(&mut self, kernel: &mut Kernel, epsilon: f64) -> Result<Vec<f32>> {
        // In one array, which is let go of as one wherever something is missing.
        let mut found = [const { None }; 5];
        let parts = [Part::Bias, Part::Gamma, Part::Beta, Part::Mean, Part::Variance];
        for (values, part) in found.iter_mut().zip(parts) {
            *values = self.values(part)?;
        }
        let normed = self.layer.has_batch_norm() && self.scheme != Scheme::Native;
        let [bias, gamma, beta, mean, variance] = found.each_mut().map(Option::as_deref_mut);
        let absent = match (mean, variance) {
            (Some(mean), Some(variance)) if normed => {
                if let Some(&value) = variance.iter().find(|&&value| f64::from(value) + epsilon <= 0.0) {
                    let (name, value) = (self.name(Part::Variance), Decimal(value.into()));
                    let problem = format!("tensor `{name}`: a variance is {value}");
                    return Err(Error::format("batch norm", problem));
                }
                let norm = BatchNorm { gamma: gamma.as_deref(), beta: beta.as_deref(), mean, variance };
                let (factors, bias) = norm.factors(bias.as_deref().unwrap_or(&[]), epsilon);
                match kernel {
                    Kernel::F32(values) => scale_columns(values, &factors),
                    Kernel::Rows { values, .. } => scale_rows(values, &factors),
                    Kernel::Int8 { .. } => {} // has no batch norm beside it
                }
                return Ok(bias);
            }
            (Some(_), None) if normed => Part::Variance,
            (None, Some(_)) if normed => Part::Mean,
            // Moving averages are missing where scales are not.
            _ if gamma.is_some() || (normed && bias.is_none()) => Part::Mean,
            _ => match bias {
                Some(bias) => return Ok(bias.to_vec()),
                // `use_bias=False`
                None if self.layer.is_head() && self.scheme != Scheme::Native => {
                    return Ok(zeros(self.layer.shape.output.channels));
                }
                None => Part::Bias,
            },
        };
        Err(self.missing(absent))
    }
}

/// The kernel as floats. Where outputs stand first, those of 1×1 convolutions stay so: all others become HWIO.
fn read_kernel(name: &str, tensor: Tensor, scheme: Scheme, layer: &Layer) -> Result<Kernel> {
    let values = tensor.into_f32(name)?;
    let [height, width, inputs, outputs] = layer.kernel_shape().unwrap_or_default();
    let pixels = height * width;
    if !scheme.outputs_first() {
        return Ok(Kernel::F32(values));
    }
    if pixels == 1 {
        return Ok(Kernel::Rows { values, outputs });
    }
    // OIHW → HWIO; C1HW → HWC1 is the same with one input.
    let (inputs, outputs) =
        if layer.kind == LayerKind::Depthwise { (outputs, inputs) } else { (inputs, outputs) };
    let mut kernel = zeros(values.len());
    for (index, value) in values.into_iter().enumerate() {
        let (pixel, input, output) = (index % pixels, index / pixels % inputs, index / pixels / inputs);
        kernel[(pixel * inputs + input) * outputs + output] = value;
    }
    Ok(Kernel::F32(kernel))
}
