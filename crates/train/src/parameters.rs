//! All values of a network in training, in two lists: trainable parameters, and the moving averages of batch normalization.
//!
//! A [`Layout`] says which range of the list is which tensor (Keras' names). [`Parameters`] hold the values, and become
//! [`Weights`] with batch normalization folded in. One flat list makes optimizer, averages, checkpoint and asynchronous
//! training one loop each.

use super::random::Random;
use mobilenet::architecture::{Architecture, Layer, LayerKind};
use mobilenet::weights::{BatchNorm, Kernel, LayerWeights, Weights, fold};
use mobilenet::{Error, Result};
use std::ops::Range;

/// Standard deviation of a new kernel (the authors' released code: a normal cut at two deviations).
const INITIAL_DEVIATION: f32 = 0.09;

/// What a tensor is, which decides how it starts and whether it decays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Kernel of a full or pointwise convolution or of the classifier: the only ones that weight decay touches.
    Kernel,
    /// Depthwise kernel: "very little or no weight decay" (section 3.2); here none.
    Depthwise,
    /// Batch norm's scale.
    Gamma,
    /// Batch norm's shift.
    Beta,
    /// The classifier's bias.
    Bias,
    /// Moving average of the mean (in the second list).
    MovingMean,
    /// Moving average of the variance (in the second list).
    MovingVariance,
}

/// One tensor.
#[derive(Clone, Debug)]
pub struct Slot {
    /// Keras' name: `conv1/kernel`, `conv_dw_1/depthwise_kernel`, `conv_dw_1_bn/gamma`, `conv_preds/bias` …
    pub name: String,
    /// HWIO, depthwise `[3, 3, C, 1]`, or `[C]`.
    pub shape: Vec<usize>,
    /// Where it lies in its list.
    pub range: Range<usize>,
    /// What it is.
    pub role: Role,
}

/// Where a layer's tensors lie. The classifier's bias stands in `beta`.
#[derive(Clone, Debug)]
pub struct LayerRanges {
    /// Its kernel.
    pub kernel: Range<usize>,
    /// Batch norm's scale; empty at the classifier.
    pub gamma: Range<usize>,
    /// Batch norm's shift, or the classifier's bias.
    pub beta: Range<usize>,
    /// Moving mean, in the second list; empty at the classifier.
    pub mean: Range<usize>,
    /// Moving variance, in the second list; empty at the classifier.
    pub variance: Range<usize>,
}

/// Which range is which tensor.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The network.
    pub architecture: Architecture,
    /// Every layer that has parameters, in order.
    pub layers: Vec<(Layer, LayerRanges)>,
    /// Tensors of the first list, in order and without gaps.
    pub trained: Vec<Slot>,
    /// Tensors of the second list, in order and without gaps.
    pub moving: Vec<Slot>,
}

fn push(list: &mut Vec<Slot>, name: String, shape: Vec<usize>, role: Role) -> Range<usize> {
    let start = list.last().map_or(0, |slot| slot.range.end);
    let range = start..start + shape.iter().product::<usize>();
    list.push(Slot { name, shape, range: range.clone(), role });
    range
}

impl Layout {
    /// The layout of a valid architecture.
    ///
    /// # Errors
    /// If the architecture is not valid, or has a head beyond one classifier.
    pub fn new(architecture: &Architecture) -> Result<Self> {
        architecture.validate()?;
        if !architecture.head.is_empty() {
            return Err(Error::training(format!(
                "head: must be one classifier, got {} steps before it; replace it by a classifier",
                architecture.head.len()
            )));
        }
        let (mut trained, mut moving, mut layers) = (Vec::new(), Vec::new(), Vec::new());
        for layer in architecture.layers() {
            let Some(shape) = layer.kernel_shape() else { continue };
            let (name, channels) = (&layer.name, layer.shape.output.channels);
            let (tensor, role) = match layer.kind {
                LayerKind::Depthwise => ("depthwise_kernel", Role::Depthwise),
                _ => ("kernel", Role::Kernel),
            };
            let kernel = push(&mut trained, format!("{name}/{tensor}"), shape.to_vec(), role);
            let ranges = if layer.has_batch_norm() {
                let mut one =
                    |tensor, role| push(&mut trained, format!("{name}_bn/{tensor}"), vec![channels], role);
                let (gamma, beta) = (one("gamma", Role::Gamma), one("beta", Role::Beta));
                let mut one =
                    |tensor, role| push(&mut moving, format!("{name}_bn/{tensor}"), vec![channels], role);
                let (mean, variance) =
                    (one("moving_mean", Role::MovingMean), one("moving_variance", Role::MovingVariance));
                LayerRanges { kernel, gamma, beta, mean, variance }
            } else {
                let beta = push(&mut trained, format!("{name}/bias"), vec![channels], Role::Bias);
                LayerRanges { kernel, gamma: 0..0, beta, mean: 0..0, variance: 0..0 }
            };
            layers.push((layer, ranges));
        }
        Ok(Self { architecture: architecture.clone(), layers, trained, moving })
    }

    /// Length of the first list.
    pub fn trained_len(&self) -> usize {
        self.trained.last().map_or(0, |slot| slot.range.end)
    }

    /// Length of the second list.
    pub fn moving_len(&self) -> usize {
        self.moving.last().map_or(0, |slot| slot.range.end)
    }
}

/// The two lists of one network.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    /// What the optimizer moves.
    pub trained: Vec<f32>,
    /// Batch norm's moving means and variances.
    pub moving: Vec<f32>,
}

impl Parameters {
    /// A fresh network: kernels from a normal of deviation 0.09 cut at two, scales 1, shifts 0, moving means 0 and
    /// variances 1. Each tensor has its own stream, so that networks which share a tensor's size share its start.
    pub fn initial(layout: &Layout, seed: u64) -> Self {
        let mut trained = vec![0.0; layout.trained_len()];
        for (index, slot) in layout.trained.iter().enumerate() {
            let values = &mut trained[slot.range.clone()];
            let mut random = Random::new(&[seed, 0x1e17, index as u64]);
            match slot.role {
                Role::Kernel | Role::Depthwise => {
                    values.fill_with(|| random.truncated_normal(INITIAL_DEVIATION));
                }
                Role::Gamma => values.fill(1.0),
                _ => {}
            }
        }
        let mut moving = vec![0.0; layout.moving_len()];
        for slot in layout.moving.iter().filter(|slot| slot.role == Role::MovingVariance) {
            moving[slot.range.clone()].fill(1.0);
        }
        Self { trained, moving }
    }

    /// Folds batch norm and gives the network as every other module knows it.
    pub fn to_weights(&self, layout: &Layout) -> Result<Weights> {
        let epsilon = layout.architecture.epsilon;
        let layer = |(layer, ranges): &(Layer, LayerRanges)| {
            let mut kernel = self.trained[ranges.kernel.clone()].to_vec();
            let beta = &self.trained[ranges.beta.clone()];
            let bias = if layer.has_batch_norm() {
                let norm = BatchNorm {
                    gamma: Some(&self.trained[ranges.gamma.clone()]),
                    beta: Some(beta),
                    mean: &self.moving[ranges.mean.clone()],
                    variance: &self.moving[ranges.variance.clone()],
                };
                fold(&mut kernel, &[], &norm, epsilon)
            } else {
                beta.to_vec()
            };
            LayerWeights { name: layer.name.clone(), kernel: Kernel::F32(kernel), bias, range: None }
        };
        Weights::new(layout.architecture.clone(), layout.layers.iter().map(layer).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_keras() {
        let layout = Layout::new(&Architecture::default()).unwrap();
        assert_eq!(layout.trained_len(), 4_231_976);
        assert_eq!(layout.trained_len() + layout.moving_len(), 4_253_864);
    }

    #[test]
    fn kernels_start_within_two_deviations() {
        let layout = Layout::new(&Architecture { alpha: 0.25, ..Architecture::default() }).unwrap();
        let parameters = Parameters::initial(&layout, 1);
        let kernel = &parameters.trained[layout.layers[20].1.kernel.clone()];
        let square = kernel.iter().map(|value| value * value).sum::<f32>() / kernel.len() as f32;
        assert!(kernel.iter().all(|value| value.abs() <= 0.18));
        assert!((square.sqrt() / 0.0792 - 1.0).abs() < 0.02, "{}", square.sqrt());
        assert_ne!(parameters, Parameters::initial(&layout, 2));
    }
}
