//! The normal form of a foreign graph: a chain of a few kinds of nodes, from the input to the class scores.
//!
//! Goes in: nodes and wires as a parser (`tflite`, `onnx`, `tfjs`) found them. Comes out: a [`Network`], one node after
//! the other, names kept for the sentences of refusal. Next: `matcher` walks it beside the table of MobileNet v1.

pub mod constant;
pub mod matcher;
pub mod region;

use super::{Format, ModelOptions};
pub use constant::{Constant, Element, Layout, Quantization};
use mobilenet::architecture::HeadActivation;
use std::collections::BTreeMap;

/// Nodes that a graph may have; a MobileNet has about a hundred.
pub const MOST_NODES: usize = 2048;

/// What a node does, on feature maps of any order of axes.
#[derive(Clone, Debug)]
pub enum Op<'a> {
    /// Rows and columns of zeros: top, bottom, left, right.
    Pad([usize; 4]),
    /// A convolution of any kind, or a fully connected layer.
    Convolution(Convolution<'a>),
    /// Batch norm with its own statistics.
    BatchNorm {
        /// Scale; absent means 1.
        gamma: Option<Constant<'a>>,
        /// Shift; absent means 0.
        beta: Option<Constant<'a>>,
        /// Moving average of the mean.
        mean: Constant<'a>,
        /// Moving average of the variance.
        variance: Constant<'a>,
        /// Added to the variance.
        epsilon: f64,
    },
    /// `x · scale + shift` with constants.
    Affine {
        /// Factor, absent means 1.
        scale: Option<Constant<'a>>,
        /// Whether to divide by `scale` instead.
        inverse: bool,
        /// Summand, absent means 0.
        shift: Option<Constant<'a>>,
        /// Whether to subtract `shift` instead.
        negative: bool,
    },
    /// `min(max(x, low), high)`; ReLU and ReLU6 are two of these.
    Clip(f32, f32),
    /// Mean over windows of `window` at `stride`, or over the whole map.
    Mean {
        /// Rows and columns; absent means all.
        window: Option<[usize; 2]>,
    },
    /// The same numbers in another shape.
    Reshape,
    /// The same numbers: identity, dropout, a change of layout, (de)quantization.
    Pass,
    /// A function of every value, which a head may have; softmax, too, over the last axis.
    Activation(HeadActivation),
    /// Rows and columns after a resize, or after a cut from the middle.
    Resize([usize; 2]),
    /// The three colors in the opposite order.
    Reverse,
    /// Anything else.
    Other,
}

/// How a convolution meets the border by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pads {
    /// TensorFlow's SAME.
    Same,
    /// Rows and columns of zeros: top, bottom, left, right.
    Explicit([usize; 4]),
}

/// A convolution or fully connected layer.
#[derive(Clone, Debug)]
pub struct Convolution<'a> {
    /// Its kernel.
    pub kernel: Constant<'a>,
    /// How the kernel's axes stand.
    pub layout: Layout,
    /// Groups of channels; 1 unless the format says it here.
    pub groups: usize,
    /// One per output channel.
    pub bias: Option<Constant<'a>>,
    /// Down and across.
    pub stride: [usize; 2],
    /// Down and across.
    pub dilation: [usize; 2],
    /// Its own padding.
    pub pads: Pads,
    /// Whether bytes of its kernel are multiplied out.
    pub floats: bool,
}

/// One node of the chain.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    /// Its name in the file.
    pub name: String,
    /// What the file calls its kind.
    pub kind: String,
    /// What it does.
    pub op: Op<'a>,
    /// Bounds of an activation inside the node.
    pub clip: Option<(f32, f32)>,
    /// Smallest and largest number that its output can hold, where that is quantized.
    pub range: Option<(f32, f32)>,
}

impl<'a> Node<'a> {
    /// A node without an activation of its own.
    pub fn new(name: impl Into<String>, kind: impl Into<String>, op: Op<'a>) -> Self {
        Self { name: name.into(), kind: kind.into(), op, clip: None, range: None }
    }
}

/// A graph that turned out to be a chain.
#[derive(Clone, Debug)]
pub struct Network<'a> {
    /// The format it comes from.
    pub format: Format,
    /// From the input to the output, or to where the chain ends.
    pub nodes: Vec<Node<'a>>,
    /// Why the chain ends before the output; `None` where it does not.
    pub broken: Option<String>,
    /// Rows and columns of the input where the file fixes them.
    pub size: Option<[usize; 2]>,
    /// Whether the input takes bytes of color as they are.
    pub takes_bytes: bool,
    /// Whether maps are channels × rows × columns.
    pub channels_first: bool,
    /// What else the file says: normalization, labels.
    pub said: ModelOptions,
    /// The format's habits.
    pub default: ModelOptions,
    /// Licence and description, where the file has them.
    pub provenance: mobilenet::weights::Provenance,
    /// Bytes of the file and of those beside it.
    pub bytes: usize,
}

/// Which tensors a node reads and gives, by number.
#[derive(Clone, Debug, Default)]
pub struct Wires {
    /// Tensors that it reads, constants among them.
    pub inputs: Vec<usize>,
    /// Tensors that it gives, the result first.
    pub outputs: Vec<usize>,
    /// Whether only the shape of what it reads counts.
    pub shape_only: bool,
    /// Whether it computes every value by itself, as a part of a formula.
    pub scalar: bool,
}

/// The way of the data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path {
    /// Nodes on the way, in order.
    pub steps: Vec<usize>,
    /// For a step where data meet that forked before: the nodes between, itself the last, see [`region`].
    pub regions: BTreeMap<usize, Vec<usize>>,
    /// Why it ends where that is no output.
    pub broken: Option<String>,
}

/// Follows the data from tensor `start`: the nodes on the way, in order, and why it ended where that is no output.
///
/// A tensor that two nodes read is where the chain breaks (a residual connection, two heads), unless one of them only
/// asks for its shape, or what they compute value by value meets again in a few nodes.
pub fn path(nodes: &[Wires], start: usize, name: impl Fn(usize) -> String) -> Path {
    let mut readers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, node) in nodes.iter().enumerate().filter(|(_, node)| !node.shape_only) {
        for &tensor in &node.inputs {
            let readers = readers.entry(tensor).or_default();
            if readers.last() != Some(&index) {
                readers.push(index);
            }
        }
    }
    let mut on_path = vec![false; nodes.len()];
    let (mut path, mut tensor) = (Path::default(), start);
    loop {
        let next = match readers.get(&tensor).map(Vec::as_slice) {
            None | Some([]) => return path,
            Some(&[node]) => node,
            Some(&[one, other, ..]) => {
                let region = region::meet(nodes, &readers, tensor);
                let Some((&joint, region)) =
                    region.as_ref().and_then(|region| Some((region.last()?, region)))
                else {
                    path.broken = Some(format!("the data forks to `{}` and `{}`", name(one), name(other)));
                    return path;
                };
                path.regions.insert(joint, region.clone());
                joint
            }
        };
        if std::mem::replace(&mut on_path[next], true) {
            path.broken = Some(format!("node `{}` is in a circle", name(next)));
            return path;
        }
        path.steps.push(next);
        match nodes[next].outputs.first() {
            Some(&output) => tensor = output,
            None => {
                path.broken = Some(format!("node `{}` gives nothing", name(next)));
                return path;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wires(nodes: &[(&[usize], &[usize])]) -> Vec<Wires> {
        let one = |(inputs, outputs): &(&[usize], &[usize])| Wires {
            inputs: inputs.to_vec(),
            outputs: outputs.to_vec(),
            ..Wires::default()
        };
        nodes.iter().map(one).collect()
    }

    #[test]
    fn a_chain_is_followed_in_any_order_of_nodes() {
        let mut nodes = wires(&[(&[2, 9], &[3]), (&[0], &[1]), (&[1, 8], &[2]), (&[2], &[8])]);
        nodes[3].shape_only = true;
        let found = path(&nodes, 0, |node| node.to_string());
        assert_eq!((found.steps, found.broken), (vec![1, 2, 0], None));
    }

    #[test]
    fn a_fork_and_a_circle_end_the_chain() {
        let fork = wires(&[(&[0], &[1]), (&[1], &[2]), (&[1, 2], &[3])]);
        let found = path(&fork, 0, |node| format!("n{node}"));
        assert_eq!(
            (found.steps, found.broken.unwrap().as_str()),
            (vec![0], "the data forks to `n1` and `n2`")
        );
        let circle = wires(&[(&[0], &[1]), (&[1], &[0])]);
        let mut gate = fork.clone();
        gate.iter_mut().for_each(|node| node.scalar = true);
        let found = path(&gate, 0, |node| node.to_string());
        assert_eq!((found.steps, found.broken), (vec![0, 2], None));
        assert_eq!(found.regions, BTreeMap::from([(2, vec![1, 2])]));
        assert!(path(&circle, 0, |node| node.to_string()).broken.unwrap().contains("circle"));
    }
}
