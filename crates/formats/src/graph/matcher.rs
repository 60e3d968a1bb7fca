//! Walks a chain of nodes beside the table of MobileNet v1 and stops at the first node that differs.
//!
//! Goes in: a [`Network`] in normal form and the caller's options. Comes out: a [`LoadedModel`], with padding, activation,
//! epsilon, normalization, width, classes and resolution as the graph shows them, or a sentence that names the node.
//! Batch norm, scales and shifts behind a convolution are folded into it on the way. `window` compares a convolution
//! with the one that is wanted.

mod front;
mod head;
mod window;

use super::super::options::{Origin, Property, resolve};
use super::super::{LoadedModel, ModelOptions};
use super::constant::Geometry;
use super::{Network, Node, Op};
use mobilenet::architecture::{BLOCKS, Convolution as Blocks, Output, SHALLOW_REMOVES, STEM_CHANNELS};
use mobilenet::weights::{BatchNorm, Kernel, LayerWeights, fold};
use mobilenet::{Architecture, Error, Result, Weights};
use mobilenet_kernels::shape::Activation;
use std::iter::Peekable;
use window::{Allowed, Wanted};

/// Memory beyond four times the file that decoding may take: for what is small beside the weights.
const SLACK: usize = 16 << 20;

/// Real value of a step of what is kept in a byte between these ends.
fn step((least, most): (f32, f32)) -> Option<f32> {
    Some((most - least) / 255.0).filter(|step| step.is_finite() && *step > 0.0)
}

/// Matches `network` with the table.
///
/// # Errors
/// [`Error::not_mobilenet`] with the first node that differs; others where the file contradicts itself.
pub fn read(network: Network, caller: &ModelOptions) -> Result<LoadedModel> {
    let other = network.nodes.iter().find_map(|node| another_network(&node.name));
    let read = walk(network, caller);
    match (read, other) {
        (Err(error), Some(other)) => Err(Error::not_mobilenet(format!("this is {other}; {error}"))),
        (read, _) => read,
    }
}

/// The network that has nodes of this name, where it is another one.
fn another_network(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    [
        ("mobilenetv2", "MobileNet v2, another network"),
        ("mobilenetv3", "MobileNet v3, another network"),
        ("mobilenet_v2", "MobileNet v2, another network"),
        ("mobilenet_v3", "MobileNet v3, another network"),
        ("expanded_conv", "MobileNet v2 or v3, another network"),
        ("block_1_expand", "MobileNet v2, another network"),
        ("efficientnet", "an EfficientNet, another network"),
        ("resnet", "a ResNet, another network"),
    ]
    .into_iter()
    .find(|(part, _)| name.contains(part))
    .map(|(_, network)| network)
}

fn walk(network: Network, caller: &ModelOptions) -> Result<LoadedModel> {
    let Network { format, nodes, broken, size, takes_bytes, channels_first, said, default, .. } = network;
    let (mut said, provenance, bytes) = (said, network.provenance, network.bytes);
    let resolution = match size {
        Some([height, width]) if height != width => {
            return Err(Error::not_mobilenet(format!("the input is {height}×{width}, and must be square")));
        }
        Some([side, _]) => Some(side),
        None => None,
    };
    let unknown = caller.resolution.or(default.resolution).unwrap_or(224);
    let mut walk = Walk {
        nodes: nodes.into_iter().peekable(),
        broken,
        channels_first,
        size: resolution.unwrap_or(unknown).min(1 << 16),
        channels: 3,
        pads: [0; 4],
        padding: Allowed::default(),
        activation: None,
        epsilon: None,
        layers: Vec::with_capacity(28),
        steps: Vec::with_capacity(29),
        budget: bytes.saturating_mul(4).saturating_add(SLACK),
    };
    let front = walk.front(resolution)?;
    let resolution = resolution.or(front.resolution);
    let (convolution, shallow, channels) = walk.body()?;
    let head = walk.head()?;

    let (alpha, rounding) = Architecture::width_of(&channels)?;
    let classes = head.classes;
    let mut architecture =
        Architecture { alpha, rounding, classes, convolution, shallow, ..Architecture::default() };
    (architecture.head, architecture.output) = (head.steps, head.output);
    said.resolution = said.resolution.or(resolution);
    let pads = walk.padding.explicit();
    said.padding = walk.padding.decided(caller.padding);
    said.activation = walk.activation;
    said.epsilon = walk.epsilon;
    let stem = walk.layers.first();
    let (normalization, guessed) = front.normalization(takes_bytes, said.normalization, stem);
    said.normalization = normalization.filter(|_| !guessed);
    let mut default = default;
    if guessed {
        default.normalization = normalization;
    }
    if said.labels.as_ref().and_then(|labels| labels.first()).is_some_and(|first| first == "background") {
        said.background = Some(true);
    }
    // Labels that do not belong to these classes are the file's mistake, not the caller's.
    said.labels = said.labels.filter(|labels| labels.len().abs_diff(classes) <= 1);
    let mut properties = resolve(&mut architecture, said, caller, default);
    // What the graph does not show of the others makes no difference to its answers.
    architecture.assumed.retain(|name| name == "normalization");
    if !pads.is_empty() {
        if architecture.resolution != resolution.unwrap_or(architecture.resolution) {
            let sides: Vec<String> = pads.iter().map(usize::to_string).collect();
            return Err(Error::not_mobilenet(format!(
                "its convolutions of stride 2 are padded before the first row by {}, which is no rule, so that only its \
                 own resolution, {}, can be run",
                sides.join(", "),
                resolution.unwrap_or_default()
            )));
        }
        architecture.pads = pads;
        if let Some(padding) = properties.iter_mut().find(|property| property.name == "padding") {
            padding.value = format!("{:?} before each stride of 2", architecture.pads);
        }
    }
    let inside = match head.inside {
        Some(Output::Softmax) => "softmax, in the file",
        Some(Output::Sigmoid) => "sigmoid, in the file",
        None if architecture.output == Output::Sigmoid => "sigmoid, of one logit",
        None => "softmax, not in the file",
    };
    let origin = if head.inside.is_some() { Origin::File } else { Origin::Default };
    properties.push(Property { name: "output", value: inside.into(), origin });
    if !architecture.head.is_empty() {
        let origin = Origin::File;
        properties.push(Property { name: "head", value: head::describe(&architecture), origin });
    }
    // All of them or none: half a grid would be nobody's network.
    let steps: Option<Vec<f32>> = walk.steps.into_iter().collect();
    let mut weights = Weights::new(architecture, walk.layers)?;
    weights.provenance = provenance;
    weights.steps = steps.unwrap_or_default();
    weights.input_grid = front.grid().filter(|_| !weights.steps.is_empty());
    Ok(LoadedModel { weights, format, properties })
}

/// The walk: what is left of the chain, and what was learnt.
struct Walk<'a> {
    nodes: Peekable<std::vec::IntoIter<Node<'a>>>,
    broken: Option<String>,
    channels_first: bool,
    size: usize,
    channels: usize,
    pads: [usize; 4],
    padding: Allowed,
    activation: Option<Activation>,
    epsilon: Option<f64>,
    layers: Vec<LayerWeights>,
    /// Steps of every layer's output, the pool's too, where it is kept in bytes.
    steps: Vec<Option<f32>>,
    budget: usize,
}

fn differs(node: &Node, what: &str, expected: &str) -> Error {
    Error::not_mobilenet(format!("node `{}` ({}) {what}; expected {expected}", node.name, node.kind))
}

impl<'a> Walk<'a> {
    /// The next node, or a sentence that says why there is none.
    fn next(&mut self, expected: &str) -> Result<Node<'a>> {
        self.nodes.next().ok_or_else(|| {
            let why = self.broken.as_deref().unwrap_or("the graph ends");
            Error::not_mobilenet(format!("{why}; expected {expected}"))
        })
    }

    /// Leaves out nodes that change nothing; a quantising one tells the range of the layer before it.
    fn skip(&mut self, reshapes: bool) {
        let passes = |node: &Node| match node.op {
            Op::Pass => true,
            Op::Reshape => reshapes,
            _ => false,
        };
        while let Some(node) = self.nodes.next_if(passes) {
            if let (Some(range), Some(layer)) = (node.range, self.layers.last_mut()) {
                layer.range = layer.range.or(Some(range.0.abs().max(range.1.abs())));
            }
            if let (Some(range), Some(last)) = (node.range, self.steps.last_mut()) {
                *last = last.or(step(range));
            }
        }
    }

    /// The constants of an affine node, one per channel.
    fn affine(&self, node: &Node<'a>, channels: usize) -> Result<(Vec<f64>, Vec<f64>)> {
        let Op::Affine { scale, inverse, shift, negative } = &node.op else {
            return Ok((vec![1.0; channels], vec![0.0; channels]));
        };
        let from_end = if self.channels_first { 2 } else { 0 };
        let read = |constant: &Option<super::Constant<'a>>, absent: f64| match constant {
            None => Ok(vec![absent; channels]),
            Some(constant) => constant
                .per_channel(channels, from_end)
                // Behind a fully connected layer the channels are the last axis everywhere, and before a transposition
                // in front of the stem.
                .or_else(|| {
                    let last = self.size == 1 || self.layers.is_empty() || constant.shape.len() > 1;
                    constant.per_channel(channels, 0).filter(|_| last)
                })
                .map(|values| values.into_iter().map(f64::from).collect())
                .ok_or_else(|| {
                    differs(
                        node,
                        "has a constant that is not one value per channel",
                        "scale and shift per channel",
                    )
                }),
        };
        let mut scale = read(scale, 1.0)?;
        let mut shift = read(shift, 0.0)?;
        if *inverse {
            scale.iter_mut().for_each(|scale| *scale = scale.recip());
        }
        if *negative {
            shift.iter_mut().for_each(|shift| *shift = -*shift);
        }
        if !scale.iter().chain(&shift).all(|value| value.is_finite()) {
            return Err(differs(node, "divides by zero", "finite constants"));
        }
        Ok((scale, shift))
    }

    /// The stem and every block: of what kind, whether shallow, and the channels of each.
    fn body(&mut self) -> Result<(Blocks, bool, Vec<usize>)> {
        let stem = Wanted::Window { stride: 2, depthwise: false };
        let mut widths = vec![(STEM_CHANNELS, self.layer("conv1", stem, None)?)];
        let (mut blocks, mut shallow) = (Blocks::Separable, false);
        for (index, (stride, channels)) in BLOCKS.into_iter().enumerate() {
            let next = self.peek();
            match (index, next) {
                (0, Some((geometry, _)))
                    if !geometry.depthwise && geometry.window == [3, 3] && geometry.outputs > 1 =>
                {
                    blocks = Blocks::Standard;
                }
                (index, Some((_, 2))) if index == SHALLOW_REMOVES.start => shallow = true,
                _ => {}
            }
            if shallow && SHALLOW_REMOVES.contains(&index) {
                continue;
            }
            let number = index + 1;
            let outputs = if blocks == Blocks::Standard {
                let wanted = Wanted::Window { stride, depthwise: false };
                self.layer(&format!("conv_{number}"), wanted, Some((channels, &widths)))?
            } else {
                self.layer(&format!("conv_dw_{number}"), Wanted::Window { stride, depthwise: true }, None)?;
                self.layer(&format!("conv_pw_{number}"), Wanted::Pointwise, Some((channels, &widths)))?
            };
            widths.push((channels, outputs));
        }
        Ok((blocks, shallow, widths.into_iter().map(|(_, outputs)| outputs).collect()))
    }

    /// One convolution of the body with all that is folded into it, and its activation. Gives its channels.
    /// `width` has the channels at alpha 1 and those of the layers so far, which have to agree on alpha.
    fn layer(
        &mut self,
        name: &str,
        wanted: Wanted,
        width_so_far: Option<(usize, &[(usize, usize)])>,
    ) -> Result<usize> {
        let expected = wanted.describe(name);
        let (node, geometry) = self.convolution(&expected, wanted)?;
        let outputs = geometry.outputs;
        if let Some((channels, so_far)) = width_so_far
            && !plausible(so_far, (channels, outputs))
        {
            let what = format!("gives {outputs} channels");
            let wider = so_far.last().map_or(outputs, |(base, found)| found * channels / base);
            return Err(differs(&node, &what, &format!("`{name}` with about {wider}")));
        }
        let mut layer = self.decode(name, &node, geometry)?;
        let (mut low, mut high) = node.clip.unwrap_or((f32::NEG_INFINITY, f32::INFINITY));
        let mut range = node.range;
        let mut activated = node.clip.is_some();
        while let Some(next) = self.nodes.next_if(|next| match next.op {
            Op::Affine { .. } | Op::BatchNorm { .. } => !activated,
            Op::Clip(..) => true,
            _ => false,
        }) {
            match next.op {
                Op::Clip(least, most) => {
                    (low, high) = (low.max(least), high.min(most));
                    activated = true;
                }
                _ => self.fold(&mut layer, &next, outputs)?,
            }
            if let Some(clip) = next.clip {
                (low, high, activated) = (low.max(clip.0), high.min(clip.1), true);
            }
            range = next.range.or(range);
        }
        if !activated && range.is_none() {
            // ONNX Runtime drops a clip that the range of the quantized output says as well.
            let ranged = |node: &Node| matches!(node.op, Op::Pass) && node.range.is_some();
            range = self.nodes.peek().filter(|node| ranged(node)).and_then(|node| node.range);
        }
        let activation = activation((low, high), range).ok_or_else(|| {
            let what = match self.nodes.peek() {
                _ if activated => format!("is clipped to {low} … {high}"),
                Some(next) if matches!(next.op, Op::Activation(_)) => format!("is followed by {}", next.kind),
                _ => "has no activation".into(),
            };
            differs(&node, &what, &format!("ReLU or ReLU6 after `{name}`"))
        })?;
        if *self.activation.get_or_insert(activation) != activation {
            let what = format!("is followed by {activation:?}");
            return Err(differs(&node, &what, "the same activation as after the layers before it"));
        }
        layer.range = range.map(|(_, most)| most);
        self.steps.push(range.and_then(step));
        self.layers.push(layer);
        self.channels = outputs;
        Ok(outputs)
    }

    /// Decodes kernel and bias within the budget.
    fn decode(&mut self, name: &str, node: &Node, geometry: Geometry) -> Result<LayerWeights> {
        let Op::Convolution(convolution) = &node.op else {
            return Err(differs(node, "comes here", name));
        };
        let outputs = geometry.outputs;
        let needed = convolution.kernel.kernel_bytes().saturating_add(outputs.saturating_mul(8));
        self.budget = self.budget.checked_sub(needed).ok_or_else(|| {
            let what = "reads a kernel that other nodes read too, and together they are larger than the file";
            differs(node, what, "a kernel of its own")
        })?;
        let mut kernel = convolution.kernel.kernel(convolution.layout, geometry)?;
        if convolution.floats {
            kernel = Kernel::F32(kernel.to_f32().into_owned());
        }
        let bias = match &convolution.bias {
            None => vec![0.0; outputs],
            Some(bias) if bias.len() == outputs => bias.floats(),
            Some(bias) => {
                let what = format!("has {} biases", bias.len());
                return Err(differs(node, &what, &format!("{outputs}, one per channel")));
            }
        };
        Ok(LayerWeights { name: name.into(), kernel, bias, range: None })
    }

    /// Folds batch norm or scale and shift into the layer before.
    fn fold(&mut self, layer: &mut LayerWeights, node: &Node<'a>, outputs: usize) -> Result<()> {
        let (scale, shift) = match &node.op {
            Op::BatchNorm { gamma, beta, mean, variance, epsilon } => {
                let parts = [gamma.as_ref(), beta.as_ref(), Some(mean), Some(variance)];
                if parts.into_iter().flatten().any(|part| part.len() != outputs) {
                    return Err(differs(node, "has another number of channels", &format!("{outputs}")));
                }
                let [gamma, beta, mean, variance] = parts.map(|part| part.map(|part| part.floats()));
                let (mean, variance) = (mean.unwrap_or_default(), variance.unwrap_or_default());
                if *self.epsilon.get_or_insert(*epsilon) != *epsilon {
                    let what = format!("has epsilon {epsilon}");
                    return Err(differs(node, &what, "the same epsilon as before"));
                }
                let norm = BatchNorm {
                    gamma: gamma.as_deref(),
                    beta: beta.as_deref(),
                    mean: &mean,
                    variance: &variance,
                };
                let mut kernel =
                    std::mem::replace(&mut layer.kernel, Kernel::F32(Vec::new())).to_f32().into_owned();
                layer.bias = fold(&mut kernel, &layer.bias, &norm, *epsilon);
                layer.kernel = Kernel::F32(kernel);
                return Ok(());
            }
            _ => self.affine(node, outputs)?,
        };
        if scale.iter().any(|scale| *scale != 1.0) {
            // Batch norm without mean and variance of its own: gamma alone.
            let kernel = std::mem::replace(&mut layer.kernel, Kernel::F32(Vec::new()));
            let (mut kernel, zeros, ones) =
                (kernel.to_f32().into_owned(), vec![0.0; outputs], vec![1.0; outputs]);
            let scale: Vec<f32> = scale.iter().map(|scale| *scale as f32).collect();
            let norm = BatchNorm { gamma: Some(&scale), beta: None, mean: &zeros, variance: &ones };
            layer.bias = fold(&mut kernel, &layer.bias, &norm, 0.0);
            layer.kernel = Kernel::F32(kernel);
        }
        for (bias, shift) in layer.bias.iter_mut().zip(&shift) {
            *bias += *shift as f32;
        }
        Ok(())
    }
}

/// The activation that bounds stand for; a quantized output that cannot be negative is one too.
fn activation((low, high): (f32, f32), range: Option<(f32, f32)>) -> Option<Activation> {
    match (low, high) {
        (0.0, 6.0) => Some(Activation::Relu6),
        (0.0, f32::INFINITY) => Some(Activation::Relu),
        (f32::NEG_INFINITY, f32::INFINITY) => match range? {
            (0.0, most) if most < 6.05 => Some(Activation::Relu6),
            (0.0, _) => Some(Activation::Relu),
            _ => None,
        },
        _ => None,
    }
}

/// Whether some alpha could give `next` as well as the pairs before it (channels at alpha 1, channels found): their
/// intervals of alpha, rounding allowed for, meet.
fn plausible(so_far: &[(usize, usize)], next: (usize, usize)) -> bool {
    let least =
        |(base, found): (usize, usize)| if found <= 8 { 0.0 } else { (found as f64 - 8.0) / base as f64 };
    let most = |(base, found): (usize, usize)| (found as f64 + 8.0) / base as f64;
    let pairs = || so_far.iter().copied().chain([next]);
    let low = pairs().map(least).fold(0.0, f64::max);
    let high = pairs().map(most).fold(f64::INFINITY, f64::min);
    low < high
}

#[cfg(test)]
mod tests {
    use super::*;
    use mobilenet::width::Rounding;

    #[test]
    fn channels_are_plausible_where_some_alpha_gives_them() {
        for alpha in [0.05, 0.1, 0.125, 0.25, 0.35, 0.5, 0.61, 0.75, 0.9, 1.0, 1.25, 1.4, 2.0, 16.0] {
            for rounding in [Rounding::Truncate, Rounding::MultipleOf8] {
                let bases = std::iter::once(STEM_CHANNELS).chain(BLOCKS.map(|(_, channels)| channels));
                let pairs: Vec<_> = bases.map(|base| (base, rounding.channels(base, alpha))).collect();
                for length in 1..pairs.len() {
                    assert!(plausible(&pairs[..length], pairs[length]), "alpha {alpha}, {rounding:?}");
                }
            }
        }
        assert!(!plausible(&[(32, 32)], (64, 16)), "the first block of a v2");
    }
}
