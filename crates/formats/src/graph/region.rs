//! Activations that converters spell out: `x · sigmoid(x)`, `0.5 · x · (1 + erf(x / √2))` and their like.
//!
//! Where the data fork, the nodes up to where they meet again are computed for some numbers and compared with the activations
//! that a head may have: what a formula is called, and in which order it is written, does not matter.

use super::Wires;
use mobilenet::architecture::HeadActivation;
use std::collections::{BTreeMap, BTreeSet};

/// Nodes that a formula may take.
const MOST: usize = 16;

/// What a node computes of one or two numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Min,
    Max,
    Negative,
    Square,
    Same,
    Clip(f64, f64),
    Exp,
    Erf,
    /// `1 − erf(x)`.
    Erfc,
    Tanh,
    Sigmoid,
    Softplus,
}

/// What a node reads.
#[derive(Clone, Copy, Debug)]
pub enum Operand {
    Tensor(usize),
    Number(f64),
}

/// The nodes from tensor `start`, in an order in which they can be computed, to the one where all of them meet; `None` where
/// they do not within a few, or one of them is no formula's.
pub fn meet(nodes: &[Wires], readers: &BTreeMap<usize, Vec<usize>>, start: usize) -> Option<Vec<usize>> {
    let read_by = |tensor: usize| readers.get(&tensor).map_or(&[][..], Vec::as_slice);
    // Everything that depends on the tensor and is near.
    let mut behind = BTreeSet::from([start]);
    let mut waiting = vec![start];
    while let Some(tensor) = waiting.pop() {
        for &node in read_by(tensor) {
            if let Some(&output) = nodes[node].outputs.first()
                && behind.len() < 8 * MOST
                && behind.insert(output)
            {
                waiting.push(output);
            }
        }
    }
    let (mut done, mut computed) = (Vec::new(), BTreeSet::from([start]));
    while done.len() < MOST {
        let ready = |node: &usize| {
            let wires = &nodes[*node];
            wires.scalar
                && !done.contains(node)
                && wires.inputs.iter().all(|input| computed.contains(input) || !behind.contains(input))
        };
        let next = computed.iter().flat_map(|tensor| read_by(*tensor)).copied().filter(ready).min()?;
        let output = *nodes[next].outputs.first()?;
        done.push(next);
        computed.insert(output);
        let inside =
            |tensor: &usize| *tensor == output || read_by(*tensor).iter().all(|reader| done.contains(reader));
        if computed.iter().all(inside) {
            return Some(done);
        }
    }
    None
}

/// The activation that the nodes of a region compute of tensor `start`.
pub fn recognize(
    region: &[usize],
    start: usize,
    nodes: &[Wires],
    scalar: &dyn Fn(usize) -> Option<(Scalar, Vec<Operand>)>,
) -> Option<HeadActivation> {
    let formulas: Vec<_> = region.iter().map(|&node| scalar(node)).collect::<Option<_>>()?;
    let compute = |x: f64| {
        let mut values = BTreeMap::from([(start, x)]);
        let mut last = x;
        for (&node, (function, operands)) in region.iter().zip(&formulas) {
            let mut numbers = operands.iter().map(|operand| match operand {
                Operand::Tensor(tensor) => values.get(tensor).copied(),
                Operand::Number(number) => Some(*number),
            });
            let first = numbers.next()??;
            let second = numbers.next().flatten();
            last = function.of(first, second)?;
            values.insert(*nodes[node].outputs.first()?, last);
        }
        Some(last)
    };
    const SAMPLES: [f64; 11] = [-6.0, -3.2, -2.0, -1.0, -0.5, -0.1, 0.1, 0.7, 1.5, 3.0, 7.0];
    let found: Vec<f64> = SAMPLES.iter().map(|&x| compute(x)).collect::<Option<_>>()?;
    use HeadActivation as A;
    let slope = (-found[3]) as f32;
    [
        A::Swish,
        A::Gelu,
        A::GeluTanh,
        A::HardSwish,
        A::Elu(1.0),
        A::Selu,
        A::Softplus,
        A::Relu,
        A::LeakyRelu(slope),
    ]
    .into_iter()
    .find(|activation| {
        SAMPLES.iter().zip(&found).all(|(&x, found)| {
            (f64::from(activation.apply(x as f32)) - found).abs() < 2e-6 * found.abs().max(1.0)
        })
    })
}

impl Scalar {
    /// The function of one number, or of two.
    fn of(self, a: f64, b: Option<f64>) -> Option<f64> {
        Some(match self {
            Scalar::Add => a + b?,
            Scalar::Sub => a - b?,
            Scalar::Mul => a * b?,
            Scalar::Div => a / b?,
            // The library's power is large, and formulas have whole ones.
            Scalar::Pow => match b? {
                2.0 => a * a,
                3.0 => a * a * a,
                _ => return None,
            },
            Scalar::Min => a.min(b?),
            Scalar::Max => a.max(b?),
            Scalar::Negative => -a,
            Scalar::Square => a * a,
            Scalar::Same => a,
            Scalar::Clip(low, high) => a.max(low).min(high),
            Scalar::Exp => a.exp(),
            // gelu(x) = x · (1 + erf(x / √2)) / 2
            Scalar::Erf => {
                let x = (a * std::f64::consts::SQRT_2) as f32;
                let gelu = f64::from(HeadActivation::Gelu.apply(x));
                if x == 0.0 { 0.0 } else { 2.0 * gelu / f64::from(x) - 1.0 }
            }
            Scalar::Erfc => 1.0 - Scalar::Erf.of(a, None)?,
            Scalar::Tanh => 2.0 / (1.0 + (-2.0 * a).exp()) - 1.0,
            Scalar::Sigmoid => 1.0 / (1.0 + (-a).exp()),
            Scalar::Softplus => f64::from(HeadActivation::Softplus.apply(a as f32)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gelu_is_recognized_as_it_is_spelled_out() {
        // 1 = x · 0.5, 2 = x / √2, 3 = erf(2), 4 = 3 + 1, 5 = 1 · 4
        let wires = |inputs: &[usize], output: usize| Wires {
            inputs: inputs.to_vec(),
            outputs: vec![output],
            scalar: true,
            ..Wires::default()
        };
        let nodes = [wires(&[0], 1), wires(&[0], 2), wires(&[2], 3), wires(&[3], 4), wires(&[1, 4], 5)];
        let mut readers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, node) in nodes.iter().enumerate() {
            node.inputs.iter().for_each(|input| readers.entry(*input).or_default().push(index));
        }
        let region = meet(&nodes, &readers, 0).unwrap();
        assert_eq!(region, [0, 1, 2, 3, 4]);
        let formula = |half: f64| {
            let tensor = Operand::Tensor;
            let number = Operand::Number;
            recognize(&region, 0, &nodes, &move |node| {
                Some(match node {
                    0 => (Scalar::Mul, vec![tensor(0), number(half)]),
                    1 => (Scalar::Div, vec![tensor(0), number(std::f64::consts::SQRT_2)]),
                    2 => (Scalar::Erf, vec![tensor(2)]),
                    3 => (Scalar::Add, vec![tensor(3), number(1.0)]),
                    _ => (Scalar::Mul, vec![tensor(1), tensor(4)]),
                })
            })
        };
        assert_eq!(formula(0.5), Some(HeadActivation::Gelu));
        assert_eq!(formula(0.6), None);
    }
}
