//! Walks a chain of nodes beside the table of MobileNet v1 and stops at the first node that differs.
//!
//! Goes in: a [`Network`] in normal form and the caller's options. Comes out: a [`LoadedModel`], with padding, activation,
//! epsilon, normalization, width, classes and resolution as the graph shows them, or a sentence that names the node.
//! Batch norm, scales and shifts behind a convolution are folded into it on the way. `window` compares a convolution
//! with the one that is wanted.

mod window;

use super::super::options::{Origin, Property, resolve};
use super::super::{LoadedModel, ModelOptions};
use super::constant::Geometry;
use super::{Network, Node, Op};
use mobilenet::architecture::{
    BLOCKS, ChannelOrder, Convolution as Blocks, Normalization, SHALLOW_REMOVES, STEM_CHANNELS,
};
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
    let Network { format, nodes, broken, size, channels_first, mut said, default, provenance, bytes } =
        network;
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
    let preprocessing = walk.preprocessing()?;
    let (convolution, shallow, channels) = walk.body()?;
    let classes = walk.head()?;
    let softmax = walk.tail()?;

    let (alpha, rounding) = Architecture::width_of(&channels)?;
    let mut architecture =
        Architecture { alpha, rounding, classes, convolution, shallow, ..Architecture::default() };
    said.resolution = said.resolution.or(resolution);
    said.padding = walk.padding.decided();
    said.activation = walk.activation;
    said.epsilon = walk.epsilon;
    said.normalization = preprocessing.or(said.normalization);
    if said.labels.as_ref().and_then(|labels| labels.first()).is_some_and(|first| first == "background") {
        said.background = Some(true);
    }
    // Labels that do not belong to these classes are the file's mistake, not the caller's.
    said.labels = said.labels.filter(|labels| labels.len().abs_diff(classes) <= 1);
    let mut properties = resolve(&mut architecture, said, caller, default);
    let inside = if softmax { "in the file, after the logits" } else { "not in the file" };
    properties.push(Property { name: "softmax", value: inside.into(), origin: Origin::File });
    // All of them or none: half a grid would be nobody's network.
    let steps: Option<Vec<f32>> = walk.steps.into_iter().collect();
    let mut weights = Weights::new(architecture, walk.layers)?;
    weights.provenance = provenance;
    weights.steps = steps.unwrap_or_default();
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

    /// Scales and shifts before the stem, as a normalization of bytes.
    fn preprocessing(&mut self) -> Result<Option<Normalization>> {
        let (mut scales, mut shifts, mut seen) = ([1.0f32; 3], [0.0f32; 3], false);
        loop {
            self.skip(false);
            let Some(node) = self.nodes.next_if(|node| matches!(node.op, Op::Affine { .. })) else { break };
            let (scale, shift) = self.affine(&node, 3)?;
            for color in 0..3 {
                scales[color] *= scale[color];
                shifts[color] = shifts[color] * scale[color] + shift[color];
            }
            seen = true;
        }
        // A factor this large belongs to colors from 0 to 1, as PyTorch has them, not to bytes.
        let unit = if scales.iter().all(|scale| scale.abs() > 0.5) { 255.0 } else { 1.0 };
        let mean = std::array::from_fn(|color| -shifts[color] / scales[color] * unit);
        let deviation = scales.map(|scale| unit / scale);
        Ok(seen.then_some(Normalization { mean, deviation, order: ChannelOrder::Rgb }))
    }

    /// The constants of an affine node, one per channel.
    fn affine(&self, node: &Node<'a>, channels: usize) -> Result<(Vec<f32>, Vec<f32>)> {
        let Op::Affine { scale, inverse, shift, negative } = &node.op else {
            return Ok((vec![1.0; channels], vec![0.0; channels]));
        };
        let from_end = if self.channels_first { 2 } else { 0 };
        let read = |constant: &Option<super::Constant<'a>>, absent: f32| match constant {
            None => Ok(vec![absent; channels]),
            Some(constant) => constant
                .per_channel(channels, from_end)
                // Behind a fully connected layer the channels are the last axis everywhere.
                .or_else(|| {
                    constant.per_channel(channels, 0).filter(|_| self.size == 1 || constant.shape.len() > 1)
                })
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
                (0, Some((geometry, _))) if !geometry.depthwise && geometry.window == [3, 3] => {
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
        let activation = activation((low, high), range).ok_or_else(|| {
            let what = if activated {
                format!("is clipped to {low} … {high}")
            } else {
                "has no activation".into()
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
        let kernel = convolution.kernel.kernel(convolution.layout, geometry)?;
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
            let norm = BatchNorm { gamma: Some(&scale), beta: None, mean: &zeros, variance: &ones };
            layer.bias = fold(&mut kernel, &layer.bias, &norm, 0.0);
            layer.kernel = Kernel::F32(kernel);
        }
        for (bias, shift) in layer.bias.iter_mut().zip(&shift) {
            *bias += shift;
        }
        Ok(())
    }

    /// Pool and classifier; gives the number of classes.
    fn head(&mut self) -> Result<usize> {
        let expected = "`global_pool`, the mean over the whole map";
        self.skip(false);
        let node = self.next(expected)?;
        match &node.op {
            Op::Mean { window } if window.is_none_or(|window| window == [self.size, self.size]) => {}
            Op::Mean { window } => {
                let what = format!("averages windows of {window:?} on a map of {0}×{0}", self.size);
                return Err(differs(&node, &what, expected));
            }
            _ => return Err(differs(&node, "comes here", expected)),
        }
        self.size = 1;
        self.steps.push(node.range.and_then(step));
        let expected = Wanted::Pointwise.describe("conv_preds");
        self.skip(true);
        let (node, geometry) = self.convolution(&expected, Wanted::Pointwise)?;
        if node.clip.is_some() {
            return Err(differs(&node, "has an activation", "none after the classifier"));
        }
        let outputs = geometry.outputs;
        let mut layer = self.decode("conv_preds", &node, geometry)?;
        let mut range = node.range;
        loop {
            self.skip(true);
            let Some(next) = self.nodes.next_if(|next| matches!(next.op, Op::Affine { .. })) else { break };
            self.fold(&mut layer, &next, outputs)?;
            range = next.range.or(range);
        }
        layer.range = range.map(|(least, most)| least.abs().max(most.abs()));
        self.steps.push(range.and_then(step));
        self.layers.push(layer);
        Ok(outputs)
    }

    /// What may follow the classifier: softmax and nodes without effect. Tells whether there is a softmax.
    fn tail(&mut self) -> Result<bool> {
        self.skip(true);
        let softmax = self.nodes.next_if(|node| matches!(node.op, Op::Softmax)).is_some();
        self.skip(true);
        match (self.nodes.next(), self.broken.as_deref()) {
            (Some(node), _) => {
                Err(differs(&node, "comes after the classifier", "the end, or a softmax and the end"))
            }
            (None, Some(why)) => Err(Error::not_mobilenet(format!("{why} after the classifier"))),
            (None, None) => Ok(softmax),
        }
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
