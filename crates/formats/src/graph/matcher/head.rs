//! What follows the body: the pool, then a chain of fully connected layers, norms and activations down to the classes.

use super::super::{Node, Op};
use super::front::norm_factors;
use super::{Walk, Wanted, differs, step};
use crate::naming::two_of_one;
use mobilenet::architecture::{Architecture, HeadActivation, HeadLayer, MAX_HEAD, Output};
use mobilenet::{Error, Kernel, LayerWeights, Result};

/// A head as the network will run it.
pub struct Head {
    /// Steps before the classifier; their weights are in the walk.
    pub steps: Vec<HeadLayer>,
    /// Classes.
    pub classes: usize,
    /// How logits become probabilities.
    pub output: Output,
    /// The function that the file has at its end, where it has one.
    pub inside: Option<Output>,
}

/// One step on the way: a matrix or factors, and what follows.
struct Step {
    name: String,
    kind: String,
    /// Inputs × outputs, or one factor for each value.
    kernel: Kernel,
    bias: Vec<f32>,
    elementwise: bool,
    activation: Option<HeadActivation>,
    /// Ends of what its output can hold.
    range: Option<(f32, f32)>,
}

impl Step {
    fn floats(&self) -> Vec<f64> {
        self.kernel.to_f32().iter().map(|value| f64::from(*value)).collect()
    }

    fn set(&mut self, kernel: &[f64], bias: &[f64]) {
        self.kernel = Kernel::F32(kernel.iter().map(|value| *value as f32).collect());
        self.bias = bias.iter().map(|value| *value as f32).collect();
    }

    fn is_one(&self) -> bool {
        self.elementwise
            && self.kernel.to_f32().iter().all(|factor| *factor == 1.0)
            && self.bias.iter().all(|summand| *summand == 0.0)
    }
}

/// The head in a few words: `dense 128 relu, scale 128`.
pub fn describe(architecture: &Architecture) -> String {
    let one = |step: &HeadLayer| {
        let kind = if step.elementwise { "scale" } else { "dense" };
        let activation = match step.activation {
            HeadActivation::Linear => String::new(),
            other => format!(" {other:?}").to_lowercase(),
        };
        format!("{kind} {}{activation}", step.units)
    };
    architecture.head.iter().map(one).collect::<Vec<_>>().join(", ")
}

impl<'a> Walk<'a> {
    /// Pool and head; weights and steps of its layers are added to the walk's.
    pub fn head(&mut self) -> Result<Head> {
        self.pool()?;
        let mut chain = self.chain()?;
        self.end()?;
        if let Some(pair) = chain
            .windows(2)
            .find(|pair| pair[0].activation == Some(HeadActivation::Softmax) && pair[1].elementwise)
        {
            let Step { name, kind, .. } = &pair[1];
            return Err(Error::not_mobilenet(format!(
                "node `{name}` ({kind}) comes after a softmax; expected the end"
            )));
        }
        if chain.iter().all(|step| step.elementwise) {
            let expected = Wanted::Pointwise.describe("conv_preds");
            return Err(Error::not_mobilenet(format!(
                "the graph ends after the pool; expected {expected} or a fully connected layer: the network was saved \
                 without its classifier (include_top=False)"
            )));
        }
        let inside = match chain.last().and_then(|last| last.activation) {
            Some(HeadActivation::Softmax) => Some(Output::Softmax),
            Some(HeadActivation::Sigmoid) => Some(Output::Sigmoid),
            _ => None,
        };
        if let Some(last) = chain.last_mut().filter(|_| inside.is_some()) {
            last.activation = None;
        }
        fold(&mut chain);
        let classes = chain.last().map_or(0, |last| last.bias.len());
        match chain.last() {
            // A function between the last matrix and softmax: the classifier behind it changes nothing.
            Some(last) if last.activation.is_some() || last.elementwise => {
                if classes > 4096 {
                    let Step { name, kind, .. } = last;
                    return Err(Error::not_mobilenet(format!(
                        "node `{name}` ({kind}) comes between {classes} logits and their softmax; expected none there"
                    )));
                }
                if inside.is_none() && last.activation.is_some() {
                    let what = format!("`{}` ({}) is at the end of the graph", last.name, last.kind);
                    return Err(Error::not_mobilenet(format!(
                        "node {what}; expected logits, or softmax or sigmoid behind the classifier"
                    )));
                }
                let (mut kernel, bias) = (vec![0.0; classes * classes], vec![0.0; classes]);
                kernel.iter_mut().step_by(classes + 1).for_each(|value| *value = 1.0);
                let (name, kind) = (last.name.clone(), last.kind.clone());
                let (kernel, elementwise) = (Kernel::F32(kernel), false);
                let step = Step { name, kind, kernel, bias, elementwise, activation: None, range: None };
                chain.push(step);
            }
            _ => {}
        }
        let Some(mut classifier) = chain.pop() else {
            return Err(Error::not_mobilenet("the graph ends after the pool"));
        };
        let mut output = inside.unwrap_or_default();
        if classes == 1 {
            if inside == Some(Output::Softmax) {
                let Step { name, kind, .. } = &classifier;
                return Err(Error::not_mobilenet(format!(
                    "node `{name}` ({kind}) is a softmax over one class, which is always 1; expected a \
                     sigmoid or no activation after one logit"
                )));
            }
            output = Output::Sigmoid;
            two_of_one(&mut classifier.kernel, &mut classifier.bias);
        }
        if chain.len() > MAX_HEAD {
            let problem = format!("its head has {} steps, and must have at most {MAX_HEAD}", chain.len());
            return Err(Error::not_mobilenet(problem));
        }
        let plain = chain.is_empty();
        let mut steps = Vec::with_capacity(chain.len());
        for (index, part) in chain.into_iter().enumerate() {
            let units = part.bias.len();
            let activation = part.activation.unwrap_or_default();
            steps.push(HeadLayer { units, elementwise: part.elementwise, activation });
            // In floats whatever the body computes in.
            let kernel = Kernel::F32(part.kernel.to_f32().into_owned());
            let name = format!("head_{}", index + 1);
            self.layers.push(LayerWeights { name, kernel, bias: part.bias, range: None });
            self.steps.push(Some(0.0));
        }
        let (range, kernel) = if plain {
            (classifier.range, classifier.kernel)
        } else {
            (None, Kernel::F32(classifier.kernel.to_f32().into_owned()))
        };
        self.steps.push(if plain { range.and_then(step) } else { Some(0.0) });
        let range = range.map(|(least, most)| least.abs().max(most.abs()));
        let (name, bias) = ("conv_preds".into(), classifier.bias);
        let classes = bias.len();
        self.layers.push(LayerWeights { name, kernel, bias, range });
        Ok(Head { steps, classes, output, inside })
    }

    fn pool(&mut self) -> Result<()> {
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
        if node.clip.is_some() {
            return Err(differs(&node, "has an activation", expected));
        }
        self.size = 1;
        self.steps.push(node.range.and_then(step));
        Ok(())
    }

    /// Every step behind the pool, up to the first node that is none.
    fn chain(&mut self) -> Result<Vec<Step>> {
        let mut chain: Vec<Step> = Vec::new();
        loop {
            self.pass(&mut chain);
            let Some(kind) = self.nodes.peek().map(|node| &node.op) else { return Ok(chain) };
            let mut step = match kind {
                Op::Convolution(_) => {
                    let expected = if chain.is_empty() {
                        Wanted::Pointwise.describe("conv_preds")
                    } else {
                        "a fully connected layer".into()
                    };
                    let (node, geometry) = self.convolution(&expected, Wanted::Pointwise)?;
                    let layer = self.decode("conv_preds", &node, geometry)?;
                    self.channels = geometry.outputs;
                    let Node { name, kind, range, clip, .. } = node;
                    let activation = clip_activation(clip, &name, &kind)?;
                    let (kernel, bias) = (layer.kernel, layer.bias);
                    Step { name, kind, kernel, bias, elementwise: false, activation, range }
                }
                Op::Affine { .. } | Op::BatchNorm { .. } => {
                    let Some(node) = self.nodes.next() else { return Ok(chain) };
                    let channels = self.channels;
                    let (scale, shift) = match node.op {
                        Op::BatchNorm { .. } => norm_factors(&node, channels)?,
                        _ => self.affine(&node, channels)?,
                    };
                    let Node { name, kind, range, clip, .. } = node;
                    let activation = clip_activation(clip, &name, &kind)?;
                    let kernel = Kernel::F32(Vec::new());
                    let bias = Vec::new();
                    let mut step = Step { name, kind, kernel, bias, elementwise: true, activation, range };
                    step.set(&scale, &shift);
                    step
                }
                Op::Clip(..) | Op::Activation(_) => {
                    let Some(node) = self.nodes.next() else { return Ok(chain) };
                    let activation = match node.op {
                        Op::Activation(activation) => Some(activation),
                        Op::Clip(low, high) => {
                            let mut bounds = (low, high);
                            // Lower and upper bound by themselves.
                            while let Some(Op::Clip(low, high)) = self.nodes.peek().map(|node| &node.op) {
                                bounds = (bounds.0.max(*low), bounds.1.min(*high));
                                self.nodes.next();
                            }
                            clip_activation(Some(bounds), &node.name, &node.kind)?
                        }
                        _ => None,
                    };
                    let kernel = Kernel::F32(vec![1.0; self.channels]);
                    let bias = vec![0.0; self.channels];
                    let Node { name, kind, range, .. } = node;
                    Step { name, kind, kernel, bias, elementwise: true, activation, range }
                }
                _ => return Ok(chain),
            };
            // An activation by itself, or a summand: a part of the step before.
            let joined = step.elementwise && step.activation.is_some() && step.is_one();
            match chain.last_mut().filter(|last| joined && last.activation.is_none()) {
                Some(last) => {
                    last.activation = step.activation.take();
                    (last.name, last.kind) = (step.name, step.kind);
                }
                None => chain.push(step),
            }
        }
    }

    /// Leaves out nodes that change nothing; a quantizing one tells the range of what it reads.
    fn pass(&mut self, chain: &mut [Step]) {
        if chain.is_empty() {
            return self.skip(true);
        }
        while let Some(node) = self.nodes.next_if(|node| matches!(node.op, Op::Pass | Op::Reshape)) {
            if let Some(last) = chain.last_mut().filter(|last| last.activation.is_none()) {
                last.range = last.range.or(node.range);
            }
        }
    }

    /// Nothing may follow.
    fn end(&mut self) -> Result<()> {
        match (self.nodes.next(), self.broken.as_deref()) {
            (Some(node), _) => {
                let expected = "the end, a softmax or sigmoid and the end, or fully connected layers, batch norms \
                                and activations before it";
                Err(differs(&node, "comes after the pool", expected))
            }
            (None, Some(why)) => Err(Error::not_mobilenet(format!("{why} after the pool"))),
            (None, None) => Ok(()),
        }
    }
}

/// The activation that bounds stand for.
fn clip_activation(clip: Option<(f32, f32)>, name: &str, kind: &str) -> Result<Option<HeadActivation>> {
    match clip {
        None => Ok(None),
        Some((0.0, f32::INFINITY)) => Ok(Some(HeadActivation::Relu)),
        Some((0.0, 6.0)) => Ok(Some(HeadActivation::Relu6)),
        Some((low, high)) => Err(Error::not_mobilenet(format!(
            "node `{name}` ({kind}) is clipped to {low} … {high}; expected ReLU or ReLU6"
        ))),
    }
}

/// Joins scales and shifts with the matrices beside them, in 64-bit floats.
fn fold(chain: &mut Vec<Step>) {
    let mut index = 0;
    while index < chain.len() {
        if !chain[index].elementwise {
            index += 1;
            continue;
        }
        let behind = index > 0 && !chain[index - 1].elementwise && chain[index - 1].activation.is_none();
        if behind {
            // (x · K + b) · s + t
            let scale = chain.remove(index);
            let before = &mut chain[index - 1];
            before.activation = scale.activation;
            if scale.activation.is_some() {
                (before.name, before.kind) = (scale.name.clone(), scale.kind.clone());
            }
            before.range = scale.range.or(before.range.filter(|_| scale.is_one()));
            if !scale.is_one() {
                let (factors, mut kernel) = (scale.floats(), before.floats());
                let outputs = factors.len().max(1);
                let of_shift = factors.iter().all(|factor| *factor == 1.0);
                let terms = before.bias.iter().zip(&factors).zip(&scale.bias);
                let bias: Vec<f64> = terms
                    .map(|((bias, factor), summand)| f64::from(*bias) * factor + f64::from(*summand))
                    .collect();
                if of_shift {
                    // Bytes stay bytes.
                    before.bias = bias.iter().map(|value| *value as f32).collect();
                } else {
                    for row in kernel.chunks_exact_mut(outputs) {
                        row.iter_mut().zip(&factors).for_each(|(weight, factor)| *weight *= factor);
                    }
                    before.set(&kernel, &bias);
                }
            }
            continue;
        }
        let linear = chain[index].activation.is_none();
        if linear && index + 1 < chain.len() {
            let scale = chain.remove(index);
            let after = &mut chain[index];
            let (factors, mut kernel) = (scale.floats(), after.floats());
            let mut bias: Vec<f64> = after.bias.iter().map(|value| f64::from(*value)).collect();
            if scale.is_one() {
                continue;
            }
            if after.elementwise {
                let terms = bias.iter_mut().zip(kernel.iter_mut()).zip(factors.iter().zip(&scale.bias));
                for ((bias, weight), (factor, summand)) in terms {
                    *bias += *weight * f64::from(*summand);
                    *weight *= factor;
                }
            } else {
                let outputs = bias.len().max(1);
                let rows = kernel.chunks_exact_mut(outputs).zip(factors.iter().zip(&scale.bias));
                for (row, (factor, summand)) in rows {
                    for (weight, bias) in row.iter_mut().zip(&mut bias) {
                        *bias += *weight * f64::from(*summand);
                        *weight *= factor;
                    }
                }
            }
            after.set(&kernel, &bias);
            continue;
        }
        index += 1;
    }
    // What a linear scale at the very end has not found a matrix for stays a step of its own.
}
