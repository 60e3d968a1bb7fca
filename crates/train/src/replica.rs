//! One worker's share of a batch: forward pass that keeps activations, backward pass, in memory that is planned once.
//!
//! The result is the gradient of the mean loss over the share and the share's batch-normalization statistics, which the
//! trainer combines over the replicas of a step.
//!
//! Each share is normalized by its own statistics: a worker never waits for another within a step, and a step gives the same
//! result on every machine for the same seed and number of workers.

use super::parameters::{LayerRanges, Layout, Parameters};
use super::random::Random;
use mobilenet::architecture::LayerKind;
use mobilenet::{Error, Result};
use mobilenet_kernels::aligned::Aligned;
use mobilenet_kernels::f32::backward::{
    LayerInput, LayerOutput, Scratch, depthwise, pointwise, pool, window,
};
use mobilenet_kernels::f32::batch_norm::{self, Affine, Backward, GradientSums, Moments, Statistics};
use mobilenet_kernels::f32::loss::softmax_cross_entropy;
use mobilenet_kernels::f32::matmul::{PackedMatrix, accumulate_transposed, multiply, stride};
use mobilenet_kernels::shape::ConvShape;

/// One convolution with batch norm behind it.
struct Stage {
    kind: LayerKind,
    shape: ConvShape,
    ranges: LayerRanges,
    /// What the convolution gave, batch norm and ReLU not applied.
    y: Aligned<f32>,
    read: Affine,
    statistics: Statistics,
    packed: PackedMatrix,
    transposed: PackedMatrix,
}

/// What a share of a batch came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Sum of the losses in nats.
    pub loss: f64,
    /// Pictures whose argmax class is the target's argmax.
    pub correct: usize,
    /// Pictures.
    pub count: usize,
}

impl std::ops::AddAssign for Outcome {
    fn add_assign(&mut self, other: Self) {
        self.loss += other.loss;
        self.correct += other.correct;
        self.count += other.count;
    }
}

/// How the statistics of batch norm are found.
enum Norm<'a> {
    Batch,
    Moving(&'a [f32]),
}

/// A network with room for a share of the batch.
pub struct Replica {
    layout: Layout,
    capacity: usize,
    picture: Affine,
    stages: Vec<Stage>,
    classifier: LayerRanges,
    classifier_packed: PackedMatrix,
    features: Aligned<f32>,
    kept: Vec<f32>,
    logits: Aligned<f32>,
    d_logits: Aligned<f32>,
    d_features: Aligned<f32>,
    d_now: Aligned<f32>,
    d_next: Aligned<f32>,
    moments: Moments,
    sums: GradientSums,
    next_sums: GradientSums,
    backward: Backward,
    scratch: Scratch,
    line: Vec<f32>,
    gradient: Vec<f32>,
}

impl Replica {
    /// Room for up to `capacity` pictures at once.
    pub fn new(layout: &Layout, capacity: usize) -> Result<Self> {
        if capacity == 0 {
            return Err(Error::training("a batch needs at least one picture per worker"));
        }
        let (low, high) = layout.architecture.activation.bounds();
        let mut stages = Vec::new();
        for (layer, ranges) in layout.layers.iter().filter(|(layer, _)| layer.has_batch_norm()) {
            let channels = layer.shape.output.channels;
            stages.push(Stage {
                kind: layer.kind,
                shape: layer.shape,
                ranges: ranges.clone(),
                y: Aligned::zeros(capacity * layer.shape.output.len()),
                read: Affine { low, high, ..Affine::identity(channels) },
                statistics: Statistics {
                    mean: vec![0.0; channels],
                    variance: vec![0.0; channels],
                    count: 0.0,
                },
                packed: PackedMatrix::default(),
                transposed: PackedMatrix::default(),
            });
        }
        let Some((classifier, classifier_ranges)) = layout.layers.last() else {
            return Err(Error::training("the architecture has no layers"));
        };
        let (features, classes) = (classifier.shape.input.channels, classifier.shape.output.channels);
        let largest = stages.iter().map(|stage| stage.y.len()).max().unwrap_or(0);
        Ok(Self {
            layout: layout.clone(),
            capacity,
            picture: Affine::identity(3),
            classifier: classifier_ranges.clone(),
            classifier_packed: PackedMatrix::default(),
            features: Aligned::zeros(capacity * features),
            kept: Vec::new(),
            logits: Aligned::zeros(capacity * classes),
            d_logits: Aligned::zeros(capacity * stride(classes)),
            d_features: Aligned::zeros(capacity * features),
            d_now: Aligned::zeros(largest),
            d_next: Aligned::zeros(largest),
            moments: Moments::default(),
            sums: GradientSums::default(),
            next_sums: GradientSums::default(),
            backward: Backward::default(),
            scratch: Scratch::default(),
            line: Vec::new(),
            gradient: vec![0.0; layout.trained_len()],
            stages,
        })
    }

    /// Most pictures that it has room for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The gradient of the mean loss over the last share that [`Replica::learn`] saw.
    pub fn gradient(&self) -> &[f32] {
        &self.gradient
    }

    /// Statistics of the last share that it saw: mean and variance of every layer with batch norm, in order.
    pub fn statistics(&self) -> impl Iterator<Item = (&LayerRanges, &Statistics)> {
        self.stages.iter().map(|stage| (&stage.ranges, &stage.statistics))
    }

    /// Forward and backward over a share: `images` is count × resolution² × 3, `targets` count × classes, each summing
    /// to 1. `dropout` is the part of the features that the classifier does not see, and the stream that draws it.
    pub fn learn(
        &mut self,
        trained: &[f32],
        images: &[f32],
        targets: &[f32],
        dropout: Option<(f32, Random)>,
    ) -> Result<Outcome> {
        let count = self.count(images)?;
        let classes = self.layout.architecture.classes;
        if targets.len() != count * classes {
            return Err(Error::training(format!(
                "{} targets are given for {count} pictures of {classes} classes",
                targets.len()
            )));
        }
        self.convolutions(trained, images, count, &Norm::Batch);
        self.kept.clear();
        if let Some((rate, mut random)) = dropout {
            let scale = 1.0 / (1.0 - rate);
            let features = &mut self.features[..count * self.layout.architecture.features()];
            self.kept.extend(features.iter().map(|_| if random.unit() < rate { 0.0 } else { scale }));
            features.iter_mut().zip(&self.kept).for_each(|(value, kept)| *value *= kept);
        }
        self.classify(trained, count);
        let mut outcome = Outcome { count, ..Outcome::default() };
        let (step, part) = (stride(classes), 1.0 / count as f32);
        let pictures = self.logits.chunks_exact(classes).zip(targets.chunks_exact(classes));
        for ((logits, target), d_logits) in pictures.zip(self.d_logits.chunks_exact_mut(step)) {
            outcome.loss += softmax_cross_entropy(logits, target, part, &mut d_logits[..classes]);
            outcome.correct += usize::from(argmax(logits) == argmax(target));
        }
        self.back(trained, images, count);
        Ok(outcome)
    }

    /// Forward with moving averages: the logits, count × classes.
    pub fn infer(&mut self, parameters: &Parameters, images: &[f32]) -> Result<&[f32]> {
        let count = self.count(images)?;
        self.convolutions(&parameters.trained, images, count, &Norm::Moving(&parameters.moving));
        self.classify(&parameters.trained, count);
        Ok(&self.logits[..count * self.layout.architecture.classes])
    }

    fn count(&self, images: &[f32]) -> Result<usize> {
        let size = self.layout.architecture.input().len();
        let count = images.len() / size;
        if count == 0 || count > self.capacity || images.len() != count * size {
            return Err(Error::training(format!(
                "{} values are no batch of 1 to {} pictures of {size} values",
                images.len(),
                self.capacity
            )));
        }
        Ok(count)
    }

    fn convolutions(&mut self, trained: &[f32], images: &[f32], count: usize, norm: &Norm) {
        let epsilon = self.layout.architecture.epsilon;
        for index in 0..self.stages.len() {
            let (before, rest) = self.stages.split_at_mut(index);
            let Some(stage) = rest.first_mut() else { break };
            let (input, read) = match before.last() {
                Some(previous) => (&previous.y[..count * stage.shape.input.len()], &previous.read),
                None => (images, &self.picture),
            };
            let output = &mut stage.y[..count * stage.shape.output.len()];
            let kernel = &trained[stage.ranges.kernel.clone()];
            let (inputs, outputs) = (stage.shape.input.channels, stage.shape.output.channels);
            let (moments, scratch) = (&mut self.moments, &mut self.scratch);
            moments.reset(outputs);
            match stage.kind {
                LayerKind::Depthwise => {
                    depthwise::forward(stage.shape, input, read, kernel, output, moments, scratch);
                }
                LayerKind::Pointwise => {
                    stage.packed.pack(inputs, outputs, kernel);
                    let packed = &stage.packed;
                    pointwise::forward(inputs, outputs, input, read, packed, output, moments, scratch);
                }
                _ => {
                    stage.packed.pack(9 * inputs, outputs, kernel);
                    window::forward(stage.shape, input, read, &stage.packed, output, moments, scratch);
                }
            }
            let (gamma, beta) = (&trained[stage.ranges.gamma.clone()], &trained[stage.ranges.beta.clone()]);
            let Stage { statistics, read, ranges, .. } = stage;
            statistics.take(moments);
            let (mean, variance) = match norm {
                Norm::Batch => (&statistics.mean[..], &statistics.variance[..]),
                Norm::Moving(moving) => (&moving[ranges.mean.clone()], &moving[ranges.variance.clone()]),
            };
            batch_norm::forward(mean, variance, gamma, beta, epsilon, read);
        }
        if let Some(last) = self.stages.last() {
            let map = last.shape.output;
            let features = &mut self.features[..count * map.channels];
            pool::forward(map.pixels(), &last.y[..count * map.len()], &last.read, features, &mut self.line);
        }
    }

    fn classify(&mut self, trained: &[f32], count: usize) {
        let (features, classes) = (self.layout.architecture.features(), self.layout.architecture.classes);
        self.classifier_packed.pack(features, classes, &trained[self.classifier.kernel.clone()]);
        multiply(count, &self.features, features, &self.classifier_packed, &mut self.logits, classes);
        let bias = &trained[self.classifier.beta.clone()];
        for logits in self.logits[..count * classes].chunks_exact_mut(classes) {
            logits.iter_mut().zip(bias).for_each(|(logit, bias)| *logit += bias);
        }
    }

    /// From `d_logits` back to the stem.
    fn back(&mut self, trained: &[f32], images: &[f32], count: usize) {
        self.gradient.fill(0.0);
        self.classifier_back(trained, count);
        let Some(last) = self.stages.last() else { return };
        let map = last.shape.output;
        self.sums.reset(map.channels);
        let mut previous = LayerInput {
            y: &last.y[..count * map.len()],
            read: &last.read,
            d_z: &mut self.d_now[..count * map.len()],
            sums: &mut self.sums,
        };
        let d_features = &mut self.d_features[..count * map.channels];
        pool::backward(map.pixels(), d_features, &mut previous);
        for index in (0..self.stages.len()).rev() {
            self.stage_back(index, trained, images, count);
            std::mem::swap(&mut self.d_now, &mut self.d_next);
            std::mem::swap(&mut self.sums, &mut self.next_sums);
        }
    }

    fn classifier_back(&mut self, trained: &[f32], count: usize) {
        let (features, classes) = (self.layout.architecture.features(), self.layout.architecture.classes);
        let step = stride(classes);
        let kernel = self.classifier.kernel.clone();
        let d_kernel = &mut self.gradient[kernel.clone()];
        let (values, d_logits) = (&self.features, &self.d_logits);
        accumulate_transposed(count, values, features, features, d_logits, step, classes, d_kernel);
        let d_bias = &mut self.gradient[self.classifier.beta.clone()];
        for d_logits in self.d_logits.chunks_exact(step).take(count) {
            d_bias.iter_mut().zip(d_logits).for_each(|(sum, value)| *sum += value);
        }
        self.classifier_packed.pack_transposed(classes, features, &trained[kernel]);
        multiply(count, &self.d_logits, step, &self.classifier_packed, &mut self.d_features, features);
        self.d_features.iter_mut().zip(&self.kept).for_each(|(value, kept)| *value *= kept);
    }

    fn stage_back(&mut self, index: usize, trained: &[f32], images: &[f32], count: usize) {
        let epsilon = self.layout.architecture.epsilon;
        let (before, rest) = self.stages.split_at_mut(index);
        let Some(stage) = rest.first_mut() else { return };
        let (gamma_range, beta_range) = (stage.ranges.gamma.clone(), stage.ranges.beta.clone());
        let (_, tail) = self.gradient.split_at_mut(gamma_range.start);
        let (d_gamma, d_beta) = tail[..beta_range.end - gamma_range.start].split_at_mut(gamma_range.len());
        let gamma = &trained[gamma_range];
        self.backward.prepare(&self.sums, &stage.statistics, gamma, epsilon, d_gamma, d_beta);
        let size = count * stage.shape.output.len();
        let here = LayerOutput { y: &stage.y[..size], d_z: &self.d_now[..size], norm: &self.backward };
        let kernel = &trained[stage.ranges.kernel.clone()];
        let d_kernel = &mut self.gradient[stage.ranges.kernel.clone()];
        let (inputs, outputs) = (stage.shape.input.channels, stage.shape.output.channels);
        let scratch = &mut self.scratch;
        let Some(previous) = before.last() else {
            window::backward(stage.shape, &here, (images, &self.picture), None, d_kernel, scratch);
            return;
        };
        let size = count * stage.shape.input.len();
        self.next_sums.reset(inputs);
        let (y, read) = (&previous.y[..size], &previous.read);
        let mut previous = LayerInput { y, read, d_z: &mut self.d_next[..size], sums: &mut self.next_sums };
        match stage.kind {
            LayerKind::Depthwise => {
                depthwise::backward(stage.shape, &here, &mut previous, kernel, d_kernel, scratch);
            }
            LayerKind::Pointwise => {
                stage.transposed.pack_transposed(outputs, inputs, kernel);
                let transposed = &stage.transposed;
                pointwise::backward(inputs, outputs, &here, &mut previous, transposed, d_kernel, scratch);
            }
            _ => {
                stage.transposed.pack_transposed(outputs, 9 * inputs, kernel);
                let back = Some((&mut previous, &stage.transposed));
                window::backward(stage.shape, &here, (y, read), back, d_kernel, scratch);
            }
        }
    }
}

/// Index of the greatest value, the first of equals.
pub fn argmax(values: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}
