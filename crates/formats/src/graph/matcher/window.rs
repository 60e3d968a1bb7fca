//! A convolution of the graph beside the one that the table wants: its window, its stride, and the zeros around it.
//!
//! Goes in: the walk's next nodes. Comes out: the convolution, where it is the wanted one, with the map's size and the
//! paddings that are still possible behind it. Next: the walk decodes its kernel.

use super::super::constant::Geometry;
use super::super::{Convolution, Node, Op, Pads};
use super::{Walk, differs};
use mobilenet::Result;
use mobilenet_kernels::shape::Padding;

/// Which paddings every window so far agrees with.
#[derive(Clone, Default)]
pub struct Allowed {
    /// Rules that are out.
    not: [bool; 3],
    /// Whether a convolution of stride 2 says SAME: then it is no Keras'.
    same: bool,
    /// Whether a node of its own puts zeros below and to the right alone.
    keras: bool,
    /// Rows before the first, for every stride of 2.
    before: Vec<usize>,
}

/// In the order of [`Allowed::not`].
const RULES: [Padding; 3] = [Padding::Same, Padding::Symmetric, Padding::Keras];

impl Allowed {
    fn rules(&self) -> impl Iterator<Item = Padding> {
        RULES.into_iter().zip(self.not).filter(|(_, not)| !not).map(|(rule, _)| rule)
    }

    /// The rule; `None` where the network does not tell, or where none is right. `asked` decides between Keras' and SAME
    /// where the graph's own size does not.
    pub fn decided(&self, asked: Option<Padding>) -> Option<Padding> {
        let rules: Vec<Padding> = self.rules().collect();
        match rules.as_slice() {
            [one] => Some(*one),
            // Even sizes: what the graph is written in tells which.
            [Padding::Same, Padding::Keras] if self.keras => Some(Padding::Keras),
            [Padding::Same, Padding::Keras] if self.same => Some(Padding::Same),
            [Padding::Same, Padding::Keras] => {
                Some(asked.filter(|asked| rules.contains(asked)).unwrap_or(Padding::Same))
            }
            _ => None,
        }
    }

    /// Rows before the first for every stride of 2, where no rule gives them.
    pub fn explicit(&self) -> Vec<usize> {
        if self.rules().next().is_none() { self.before.clone() } else { Vec::new() }
    }
}

/// What the table asks for next.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Window { stride: usize, depthwise: bool },
    Pointwise,
}

impl Wanted {
    pub fn describe(self, layer: &str) -> String {
        match self {
            Wanted::Window { stride, depthwise } => {
                let kind = if depthwise { "depthwise" } else { "full" };
                format!("`{layer}`, a {kind} 3×3 convolution with stride {stride}")
            }
            Wanted::Pointwise => format!("`{layer}`, a 1×1 convolution"),
        }
    }
}

impl<'a> Walk<'a> {
    /// Geometry and stride of the convolution that comes next, if one does, nodes without effect and padding apart.
    pub fn peek(&mut self) -> Option<(Geometry, usize)> {
        loop {
            self.skip(false);
            match &self.nodes.peek()?.op {
                Op::Pad(pads) => {
                    let pads = *pads;
                    self.nodes.next();
                    self.add_pads(pads);
                }
                Op::Convolution(convolution) => {
                    let geometry = convolution.kernel.geometry(convolution.layout, convolution.groups)?;
                    return Some((geometry, convolution.stride[0]));
                }
                _ => return None,
            }
        }
    }

    fn add_pads(&mut self, pads: [usize; 4]) {
        for (sum, pad) in self.pads.iter_mut().zip(pads) {
            *sum = sum.saturating_add(pad);
        }
    }

    /// The next convolution, checked against the table; the size and the padding go on.
    pub fn convolution(&mut self, expected: &str, wanted: Wanted) -> Result<(Node<'a>, Geometry)> {
        self.peek();
        let node = self.next(expected)?;
        let Op::Convolution(convolution) = &node.op else {
            return Err(differs(&node, "comes here", expected));
        };
        let Some(mut geometry) = convolution.kernel.geometry(convolution.layout, convolution.groups) else {
            let what = format!("has a kernel of shape {:?}", convolution.kernel.shape);
            return Err(differs(&node, &what, expected));
        };
        // Of one channel both are the same.
        if let (Wanted::Window { depthwise: true, .. }, 1, 1) = (wanted, geometry.inputs, geometry.outputs) {
            geometry.depthwise = true;
        }
        let fits = match wanted {
            Wanted::Pointwise => {
                geometry.window == [1, 1] && !geometry.depthwise && convolution.stride == [1, 1]
            }
            Wanted::Window { stride, depthwise } => {
                geometry.window == [3, 3]
                    && geometry.depthwise == depthwise
                    && convolution.stride == [stride, stride]
            }
        };
        if !fits || convolution.dilation != [1, 1] {
            return Err(differs(&node, &describe(convolution, geometry), expected));
        }
        if geometry.inputs != self.channels {
            let what = format!("takes {} channels", geometry.inputs);
            return Err(differs(&node, &what, &format!("{} as the layer before gives", self.channels)));
        }
        self.border(&node, convolution, geometry)?;
        Ok((node, geometry))
    }

    /// Compares the zeros around a window with both paddings of the table.
    fn border(&mut self, node: &Node, convolution: &Convolution, geometry: Geometry) -> Result<()> {
        let padded = self.pads;
        let own = match convolution.pads {
            Pads::Explicit(pads) => pads,
            Pads::Same => {
                let around = |axis: usize, before: usize, after: usize| {
                    let size = self.size.saturating_add(before).saturating_add(after);
                    let stride = convolution.stride[axis];
                    let covered = size.div_ceil(stride).saturating_sub(1) * stride + geometry.window[axis];
                    let total = covered.saturating_sub(size);
                    [total / 2, total - total / 2]
                };
                let [top, bottom] = around(0, self.pads[0], self.pads[1]);
                let [left, right] = around(1, self.pads[2], self.pads[3]);
                [top, bottom, left, right]
            }
        };
        self.add_pads(own);
        let [top, bottom, left, right] = std::mem::take(&mut self.pads);
        let stride = convolution.stride[0];
        if geometry.window == [1, 1] {
            return match [top, bottom, left, right] {
                [0, 0, 0, 0] => Ok(()),
                pads => {
                    Err(differs(node, &format!("is padded by {pads:?}"), "no padding of a 1×1 convolution"))
                }
            };
        }
        let gives = |before: usize, after: usize| {
            let size = self.size.saturating_add(before).saturating_add(after);
            size.checked_sub(3).map(|rest| rest / stride + 1)
        };
        let wants = |before: usize| if stride == 1 { self.size } else { (self.size + before) / stride };
        // Zeros before the first row; behind the last as many as the last window takes.
        let usual = top == left
            && top <= 1
            && (stride > 1 || top == 1)
            && gives(top, bottom) == Some(wants(top))
            && gives(left, right) == Some(wants(top))
            && wants(top) > 0;
        if !usual {
            let what = format!(
                "meets {0}×{0} with {top} rows of zeros above, {bottom} below, {left} columns left and {right} right",
                self.size
            );
            let expected =
                "SAME padding, one on every side, or Keras' one below and to the right at stride 2";
            return Err(differs(node, &what, expected));
        }
        let out = wants(top);
        if stride > 1 {
            let stem = self.padding.before.is_empty();
            for (not, rule) in self.padding.not.iter_mut().zip(RULES) {
                let rule = if stem { rule.of_stem() } else { rule };
                *not |= rule.before(self.size, stride) != top;
            }
            if !stem {
                self.padding.same |= convolution.pads == Pads::Same;
                self.padding.keras |= padded == [0, 1, 0, 1];
            }
            self.padding.before.push(top);
        }
        self.size = out;
        Ok(())
    }
}

fn describe(convolution: &Convolution, geometry: Geometry) -> String {
    let Geometry { window, inputs, outputs, depthwise } = geometry;
    let kind = if depthwise { "depthwise" } else { "full" };
    let dilated = if convolution.dilation == [1, 1] { "" } else { ", dilated" };
    format!(
        "is a {kind} {}×{} convolution with stride {}×{}, {inputs} to {outputs} channels{dilated}",
        window[0], window[1], convolution.stride[0], convolution.stride[1]
    )
}
