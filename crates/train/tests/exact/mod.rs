//! Training in doubles, as naive loops: what the kernels approximate. Slow, short, and written without a look at them.

use mobilenet::LayerKind;
use mobilenet::architecture::Layer;
use mobilenet_kernels::shape::{Activation, ConvShape};
use mobilenet_train::Layout;

/// A network and the memory of TensorFlow 1's RMSprop, all in doubles.
#[derive(Clone)]
pub struct Exact {
    layout: Layout,
    pub weights: Vec<f64>,
    square: Vec<f64>,
    velocity: Vec<f64>,
}

/// What a convolution with batch norm and ReLU remembers of a batch.
struct Memory {
    input: Vec<f64>,
    normalized: Vec<f64>,
    deviation: Vec<f64>,
    output: Vec<f64>,
}

impl Exact {
    pub fn new(layout: &Layout, weights: &[f32]) -> Self {
        let weights: Vec<f64> = weights.iter().copied().map(f64::from).collect();
        let (square, velocity) = (vec![1.0; weights.len()], vec![0.0; weights.len()]);
        Self { layout: layout.clone(), weights, square, velocity }
    }

    /// Moves all weights by `gradient`: decay and momentum 0.9, epsilon 1.
    pub fn step(&mut self, gradient: &[f64], rate: f64) {
        let states = self.square.iter_mut().zip(&mut self.velocity);
        for ((weight, gradient), (square, velocity)) in self.weights.iter_mut().zip(gradient).zip(states) {
            *square = 0.9 * *square + 0.1 * gradient * gradient;
            *velocity = 0.9 * *velocity + rate * gradient / (*square + 1.0).sqrt();
            *weight -= *velocity;
        }
    }

    /// Mean loss over a batch, and its gradient.
    pub fn learn(&self, images: &[f32], labels: &[usize]) -> (f64, Vec<f64>) {
        let count = labels.len();
        let mut map: Vec<f64> = images.iter().copied().map(f64::from).collect();
        let mut memories = Vec::new();
        let convolutions = &self.layout.layers[..self.layout.layers.len() - 1];
        for (layer, ranges) in convolutions {
            let y = forward(layer, count, &map, &self.weights[ranges.kernel.clone()]);
            let (gamma, beta) = (&self.weights[ranges.gamma.clone()], &self.weights[ranges.beta.clone()]);
            let channels = gamma.len();
            let pixels = (y.len() / channels) as f64;
            let mut mean = vec![0.0; channels];
            y.iter().enumerate().for_each(|(at, value)| mean[at % channels] += value / pixels);
            let mut variance = vec![0.0; channels];
            y.iter().enumerate().for_each(|(at, value)| {
                variance[at % channels] += (value - mean[at % channels]).powi(2) / pixels;
            });
            let deviation: Vec<f64> =
                variance.iter().map(|value| (value + self.layout.architecture.epsilon).sqrt()).collect();
            let normalize =
                |(at, value): (usize, &f64)| (value - mean[at % channels]) / deviation[at % channels];
            let normalized: Vec<f64> = y.iter().enumerate().map(normalize).collect();
            assert_eq!(layer.activation, Activation::Relu6);
            let activate = |(at, value): (usize, &f64)| {
                (value * gamma[at % channels] + beta[at % channels]).clamp(0.0, 6.0)
            };
            let output: Vec<f64> = normalized.iter().enumerate().map(activate).collect();
            let input = std::mem::replace(&mut map, output.clone());
            memories.push(Memory { input, normalized, deviation, output });
        }
        let mut gradient = vec![0.0; self.weights.len()];
        let (loss, mut d_map) = self.classify(&map, labels, &mut gradient);
        for ((layer, ranges), memory) in convolutions.iter().zip(&memories).rev() {
            let gamma = &self.weights[ranges.gamma.clone()];
            let channels = gamma.len();
            let pixels = (d_map.len() / channels) as f64;
            let (mut d_gamma, mut d_beta) = (vec![0.0; channels], vec![0.0; channels]);
            for (at, d) in d_map.iter_mut().enumerate() {
                if memory.output[at] <= 0.0 || memory.output[at] >= 6.0 {
                    *d = 0.0;
                }
                d_gamma[at % channels] += *d * memory.normalized[at];
                d_beta[at % channels] += *d;
            }
            for (at, d) in d_map.iter_mut().enumerate() {
                let channel = at % channels;
                let rest = d_beta[channel] + memory.normalized[at] * d_gamma[channel];
                *d = gamma[channel] / memory.deviation[channel] * (*d - rest / pixels);
            }
            gradient[ranges.gamma.clone()].copy_from_slice(&d_gamma);
            gradient[ranges.beta.clone()].copy_from_slice(&d_beta);
            let kernel = ranges.kernel.clone();
            d_map = backward(
                layer,
                count,
                &memory.input,
                &self.weights[kernel.clone()],
                &d_map,
                &mut gradient[kernel],
            );
        }
        (loss, gradient)
    }

    /// Pooling, classifier and loss; writes the classifier's gradient and gives that of the last map.
    fn classify(&self, map: &[f64], labels: &[usize], gradient: &mut [f64]) -> (f64, Vec<f64>) {
        let architecture = &self.layout.architecture;
        let (features, classes) = (architecture.features(), architecture.classes);
        let (_, ranges) = &self.layout.layers[self.layout.layers.len() - 1];
        let (kernel, bias) = (&self.weights[ranges.kernel.clone()], &self.weights[ranges.beta.clone()]);
        let pixels = map.len() / features / labels.len();
        let mut d_map = vec![0.0; map.len()];
        let (mut loss, part) = (0.0, 1.0 / labels.len() as f64);
        for (picture, &label) in labels.iter().enumerate() {
            let here = picture * pixels * features..(picture + 1) * pixels * features;
            let mut pooled = vec![0.0; features];
            map[here.clone()]
                .iter()
                .enumerate()
                .for_each(|(at, value)| pooled[at % features] += value / pixels as f64);
            let logit = |class: usize| {
                bias[class] + (0..features).map(|f| pooled[f] * kernel[f * classes + class]).sum::<f64>()
            };
            let logits: Vec<f64> = (0..classes).map(logit).collect();
            let total: f64 = logits.iter().map(|logit| logit.exp()).sum();
            loss += part * (total.ln() - logits[label]);
            for class in 0..classes {
                let wanted = if class == label { 1.0 } else { 0.0 };
                let d_logit = part * (logits[class].exp() / total - wanted);
                gradient[ranges.beta.start + class] += d_logit;
                for feature in 0..features {
                    gradient[ranges.kernel.start + feature * classes + class] += d_logit * pooled[feature];
                    for pixel in 0..pixels {
                        d_map[here.start + pixel * features + feature] +=
                            d_logit * kernel[feature * classes + class] / pixels as f64;
                    }
                }
            }
        }
        (loss, d_map)
    }
}

/// Every (input pixel, output pixel, tap) of a batch, as indices of pixels.
fn taps(shape: &ConvShape, count: usize, mut visit: impl FnMut(usize, usize, usize)) {
    let (input, output) = (shape.input, shape.output);
    for picture in 0..count {
        for (row, column) in (0..output.pixels()).map(|at| (at / output.width, at % output.width)) {
            for tap in 0..shape.kernel * shape.kernel {
                let y = (row * shape.stride + tap / shape.kernel).wrapping_sub(shape.pad_top);
                let x = (column * shape.stride + tap % shape.kernel).wrapping_sub(shape.pad_left);
                if y < input.height && x < input.width {
                    let from = picture * input.pixels() + y * input.width + x;
                    visit(from, picture * output.pixels() + row * output.width + column, tap);
                }
            }
        }
    }
}

fn forward(layer: &Layer, count: usize, a: &[f64], w: &[f64]) -> Vec<f64> {
    let (inputs, outputs) = (layer.shape.input.channels, layer.shape.output.channels);
    let mut y = vec![0.0; count * layer.shape.output.len()];
    taps(&layer.shape, count, |from, to, tap| {
        let (a, y) = (&a[from * inputs..][..inputs], &mut y[to * outputs..][..outputs]);
        if layer.kind == LayerKind::Depthwise {
            (0..inputs).for_each(|c| y[c] += a[c] * w[tap * inputs + c]);
        } else {
            for (i, a) in a.iter().enumerate() {
                let w = &w[(tap * inputs + i) * outputs..][..outputs];
                y.iter_mut().zip(w).for_each(|(y, w)| *y += a * w);
            }
        }
    });
    y
}

fn backward(layer: &Layer, count: usize, a: &[f64], w: &[f64], d_y: &[f64], d_w: &mut [f64]) -> Vec<f64> {
    let (inputs, outputs) = (layer.shape.input.channels, layer.shape.output.channels);
    let mut d_a = vec![0.0; a.len()];
    taps(&layer.shape, count, |from, to, tap| {
        let (a, d_a) = (&a[from * inputs..][..inputs], &mut d_a[from * inputs..][..inputs]);
        let d_y = &d_y[to * outputs..][..outputs];
        for i in 0..inputs {
            if layer.kind == LayerKind::Depthwise {
                d_w[tap * inputs + i] += a[i] * d_y[i];
                d_a[i] += w[tap * inputs + i] * d_y[i];
            } else {
                let row = (tap * inputs + i) * outputs..(tap * inputs + i + 1) * outputs;
                d_w[row.clone()].iter_mut().zip(d_y).for_each(|(d_w, d_y)| *d_w += a[i] * d_y);
                d_a[i] += w[row].iter().zip(d_y).map(|(w, d_y)| w * d_y).sum::<f64>();
            }
        }
    });
    d_a
}
