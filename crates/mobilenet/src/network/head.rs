//! Heads beyond one fully connected layer, in float32 whatever the network computes in, and the output function.
//!
//! A [`Head`] runs the steps of [`Architecture::head`](crate::Architecture) and the classifier behind them. It keeps the
//! values of the last run, so that [`Head::gradient`] can say what a logit takes of each pooled feature: constant for a
//! linear classifier, different from frame to frame where an activation bends it.

use super::source::WeightSource;
use crate::architecture::{HeadActivation, Output};
use crate::{Kernel, Layer, LayerKind, Weights};
use mobilenet_kernels::f32::{pointwise, softmax};
use mobilenet_kernels::shape::Activation;

/// One step.
struct Step {
    matrix: Matrix,
    activation: HeadActivation,
    /// Values of the last run before the activation, and after it.
    sums: Vec<f32>,
    values: Vec<f32>,
}

/// What a step multiplies with.
enum Matrix {
    Dense(pointwise::PackedPointwise),
    /// Factors and summands.
    Scale(Vec<f32>, Vec<f32>),
}

impl Matrix {
    fn forward(&self, input: &[f32], output: &mut [f32]) {
        match self {
            Matrix::Dense(packed) => pointwise::forward(packed, Activation::None, input, output),
            Matrix::Scale(factors, summands) => {
                let terms = factors.iter().zip(summands);
                for ((output, input), (factor, summand)) in output.iter_mut().zip(input).zip(terms) {
                    *output = input * factor + summand;
                }
            }
        }
    }

    /// What the inputs' gradients are where those of the outputs are `gradient`.
    fn backward(&self, gradient: &[f32]) -> Vec<f32> {
        match self {
            Matrix::Dense(packed) => {
                let outputs = packed.outputs();
                let kernel = pointwise::unpack(packed);
                let dot = |row: &[f32]| row.iter().zip(gradient).map(|(weight, d)| weight * d).sum();
                kernel.chunks_exact(outputs.max(1)).map(dot).collect()
            }
            Matrix::Scale(factors, _) => factors.iter().zip(gradient).map(|(factor, d)| factor * d).collect(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Matrix::Dense(packed) => packed.bytes(),
            Matrix::Scale(factors, _) => 8 * factors.len(),
        }
    }
}

/// Everything between the pooled features and the logits.
pub struct Head {
    steps: Vec<Step>,
    classifier: pointwise::PackedPointwise,
    /// Number of the first step among the layers with weights.
    first: usize,
}

impl Head {
    /// Packs the head of a network; `None` where it is one classifier.
    pub fn new(source: &mut WeightSource, layers: &[Layer]) -> Option<Self> {
        let activations: Vec<_> =
            source.weights().architecture.head.iter().map(|step| step.activation).collect();
        if activations.is_empty() {
            return None;
        }
        let mut parts = layers.iter().filter(|layer| layer.kind != LayerKind::Pool).enumerate();
        let (first, _) = parts.clone().find(|(_, layer)| layer.is_head())?;
        let mut matrix = |(index, layer): (usize, &Layer)| {
            let kernel = source.floats(index)?;
            let bias = &source.weights().layers.get(index)?.bias;
            Some(match (layer.kind, kernel) {
                (LayerKind::Scale, kernel) => Matrix::Scale(kernel.to_f32().into_owned(), bias.clone()),
                (_, Kernel::Rows { values, .. }) => {
                    Matrix::Dense(pointwise::pack_rows_of_inputs(values, bias))
                }
                (_, kernel) => Matrix::Dense(pointwise::pack(kernel.to_f32().into_owned(), bias)),
            })
        };
        let mut steps = Vec::with_capacity(activations.len());
        for (activation, part) in activations.into_iter().zip(parts.by_ref().skip(first)) {
            let units = part.1.shape.output.channels;
            let (sums, values) = (vec![0.0; units], vec![0.0; units]);
            steps.push(Step { matrix: matrix(part)?, activation, sums, values });
        }
        match matrix(parts.next()?)? {
            Matrix::Dense(classifier) => Some(Self { steps, classifier, first }),
            Matrix::Scale(..) => None,
        }
    }

    /// From the pooled features to the logits.
    pub fn forward(&mut self, embedding: &[f32], logits: &mut [f32]) {
        let mut input = embedding;
        for Step { matrix, activation, sums, values } in &mut self.steps {
            matrix.forward(input, sums);
            activate(*activation, sums, values);
            input = values;
        }
        pointwise::forward(&self.classifier, Activation::None, input, logits);
    }

    /// Output of each step of the last run.
    pub fn values(&self) -> impl Iterator<Item = &[f32]> {
        self.steps.iter().map(|step| &step.values[..])
    }

    /// Gradient of the logit of `class` by each pooled feature, at the last run.
    pub fn gradient(&self, class: usize) -> Vec<f32> {
        let mut gradient = pointwise::column(&self.classifier, class);
        for Step { matrix, activation, sums, values } in self.steps.iter().rev() {
            differentiate(*activation, sums, values, &mut gradient);
            gradient = matrix.backward(&gradient);
        }
        gradient
    }

    /// Puts the kernels that were taken out of `weights` back.
    pub fn restore(&self, weights: &mut Weights) {
        let kernel = |matrix: &Matrix| match matrix {
            Matrix::Dense(packed) => pointwise::unpack(packed),
            Matrix::Scale(factors, _) => factors.clone(),
        };
        let kernels = self.steps.iter().map(|step| kernel(&step.matrix));
        let kernels = kernels.chain([pointwise::unpack(&self.classifier)]);
        for (layer, kernel) in weights.layers.iter_mut().skip(self.first).zip(kernels) {
            layer.kernel = Kernel::F32(kernel);
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let steps = self.steps.iter().map(|step| step.matrix.bytes() + 8 * step.values.len());
        steps.sum::<usize>() + self.classifier.bytes()
    }
}

/// Logits become probabilities.
pub fn probabilities(output: Output, logits: &[f32], probabilities: &mut [f32]) {
    match output {
        Output::Softmax => {
            softmax::forward(logits, probabilities);
        }
        Output::Sigmoid => {
            for (probability, logit) in probabilities.iter_mut().zip(logits) {
                *probability = sigmoid(*logit);
            }
        }
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

fn tanh(x: f32) -> f32 {
    2.0 * sigmoid(2.0 * x) - 1.0
}

/// `Φ(x)`, the standard normal distribution: Abramowitz and Stegun 7.1.26, right to 1.5e-7.
fn normal(x: f32) -> f32 {
    let z = f64::from(x.abs()) * std::f64::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let polynomial = [1.061_405_429, -1.453_152_027, 1.421_413_741, -0.284_496_736, 0.254_829_592];
    let tail = polynomial.into_iter().fold(0.0, |sum: f64, coefficient| (sum + coefficient) * t);
    let upper = 0.5 * tail * (-z * z).exp();
    (if x > 0.0 { 1.0 - upper } else { upper }) as f32
}

const SELU: [f32; 2] = [1.050_701, 1.673_263_2];
/// `sqrt(2 / π)`.
const GELU: [f32; 2] = [0.797_884_6, 0.044_715];

/// An activation of one value; softmax, which sees all of them, is apart.
fn one(activation: HeadActivation, x: f32) -> f32 {
    use HeadActivation as A;
    match activation {
        A::Linear | A::Softmax => x,
        A::Relu => x.max(0.0),
        A::Relu6 => x.clamp(0.0, 6.0),
        A::LeakyRelu(slope) => {
            if x > 0.0 {
                x
            } else {
                slope * x
            }
        }
        A::Elu(alpha) => {
            if x > 0.0 {
                x
            } else {
                alpha * (x.exp() - 1.0)
            }
        }
        A::Selu => SELU[0] * one(A::Elu(SELU[1]), x),
        A::Gelu => x * normal(x),
        A::GeluTanh => 0.5 * x * (1.0 + tanh(GELU[0] * (x + GELU[1] * x * x * x))),
        A::Swish => x * sigmoid(x),
        A::HardSwish => x * one(A::HardSigmoid, x),
        A::Sigmoid => sigmoid(x),
        A::HardSigmoid => (x / 6.0 + 0.5).clamp(0.0, 1.0),
        A::Tanh => tanh(x),
        A::Softplus => x.max(0.0) + (1.0 + (-x.abs()).exp()).ln(),
    }
}

impl HeadActivation {
    /// The function of one value; softmax, which is one of all of them, leaves it as it is.
    pub fn apply(self, x: f32) -> f32 {
        one(self, x)
    }
}

fn activate(activation: HeadActivation, sums: &[f32], values: &mut [f32]) {
    if activation == HeadActivation::Softmax {
        softmax::forward(sums, values);
        return;
    }
    for (value, sum) in values.iter_mut().zip(sums) {
        *value = one(activation, *sum);
    }
}

/// Multiplies `gradient` by the activation's derivative at `sums`, whose images are `values`.
fn differentiate(activation: HeadActivation, sums: &[f32], values: &[f32], gradient: &mut [f32]) {
    if activation == HeadActivation::Softmax {
        let mean: f32 = values.iter().zip(&*gradient).map(|(value, d)| value * d).sum();
        for (d, value) in gradient.iter_mut().zip(values) {
            *d = value * (*d - mean);
        }
        return;
    }
    // A central difference serves every function: the map is shown in colors.
    const STEP: f32 = 1.0 / 1024.0;
    for (d, &sum) in gradient.iter_mut().zip(sums) {
        *d *= (one(activation, sum + STEP) - one(activation, sum - STEP)) / (2.0 * STEP);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activations_are_what_frameworks_give() {
        use HeadActivation as A;
        // TensorFlow's at 1.5 and −1.5.
        for (activation, above, below) in [
            (A::Relu, 1.5, 0.0),
            (A::LeakyRelu(0.3), 1.5, -0.45),
            (A::Elu(1.0), 1.5, -0.776_869_8),
            (A::Selu, 1.576_051_5, -1.365_817_9),
            (A::Gelu, 1.399_789_3, -0.100_210_8),
            (A::GeluTanh, 1.399_571_5, -0.100_428_42),
            (A::Swish, 1.226_361_8, -0.273_638_28),
            (A::HardSwish, 1.125, -0.375),
            (A::Sigmoid, 0.817_574_5, 0.182_425_53),
            (A::HardSigmoid, 0.75, 0.25),
            (A::Tanh, 0.905_148_3, -0.905_148_3),
            (A::Softplus, 1.701_413_3, 0.201_413_27),
        ] {
            for (x, wanted) in [(1.5, above), (-1.5, below)] {
                let got = one(activation, x);
                assert!((got - wanted).abs() < 1e-5, "{activation:?} at {x}: {got}, not {wanted}");
            }
        }
        assert_eq!(one(A::Relu6, 7.0), 6.0);
        for x in [-90.0, 90.0] {
            assert!([A::Tanh, A::Sigmoid, A::Gelu, A::Softplus].iter().all(|a| one(*a, x).is_finite()));
        }
    }
}
