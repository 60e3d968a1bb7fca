//! Training that starts from a trained network.
//!
//! Folding removed the statistics of batch normalization, so [`Parameters::from_weights`] starts with a mean of 0 and a
//! variance of 1, which is correct for inference. Training normalizes by the statistics of each batch, so they are measured
//! on the first samples and compensated by scale and shift before the first step.

use super::parameters::{Layout, Parameters};
use super::replica::Replica;
use super::trainer::Trainer;
use mobilenet::weights::Weights;
use mobilenet::{Error, Result};

impl Parameters {
    /// What `weights` answer: scale and shift take the bias over, and moving averages are such that inference gives what
    /// the folded network gives. `classes` says for each class of the layout which of the weights' it is; the others
    /// start at zero, so that the first steps teach the classifier what they are before they move the features.
    ///
    /// An error names the first tensor whose shape is not the layout's, or a class that the weights do not have.
    pub fn from_weights(layout: &Layout, weights: &Weights, classes: &[Option<usize>]) -> Result<Self> {
        if (weights.layers.len(), classes.len()) != (layout.layers.len(), layout.architecture.classes) {
            return Err(Error::training("the weights belong to another architecture"));
        }
        let mut parameters = Self::initial(layout, 0);
        for (_, ranges) in &layout.layers {
            parameters.moving[ranges.variance.clone()].fill((1.0 - layout.architecture.epsilon) as f32);
        }
        for ((layer, ranges), given) in layout.layers.iter().zip(&weights.layers) {
            let (kernel, outputs) = (given.kernel.to_f32(), ranges.beta.len());
            // The classifier may have other classes.
            let theirs = if layer.has_batch_norm() { outputs } else { given.bias.len() };
            if (kernel.len(), given.bias.len()) != (ranges.kernel.len() / outputs * theirs, theirs) {
                let name = format!("{}/kernel", layer.name);
                let expected = layer.kernel_shape().unwrap_or_default();
                return Err(Error::shape(&name, &expected, &[kernel.len()]));
            }
            let own = &mut parameters.trained;
            if layer.has_batch_norm() {
                own[ranges.kernel.clone()].copy_from_slice(&kernel);
                own[ranges.beta.clone()].copy_from_slice(&given.bias);
            } else {
                choose(&mut own[ranges.kernel.clone()], &kernel, theirs, classes)?;
                choose(&mut own[ranges.beta.clone()], &given.bias, theirs, classes)?;
            }
        }
        Ok(parameters)
    }
}

/// Copies the columns of the known classes from `given`, which has `theirs`; the others are zero.
fn choose(own: &mut [f32], given: &[f32], theirs: usize, classes: &[Option<usize>]) -> Result<()> {
    for (own, given) in own.chunks_exact_mut(classes.len()).zip(given.chunks_exact(theirs)) {
        for (own, class) in own.iter_mut().zip(classes) {
            let Some(class) = *class else {
                *own = 0.0;
                continue;
            };
            *own = *given.get(class).ok_or_else(|| {
                Error::training(format!("the weights have {theirs} classes, and none of number {class}"))
            })?;
        }
    }
    Ok(())
}

impl Trainer {
    /// Gives batch norm the statistics of these pictures, `images` as [`Replica::learn`] takes them, and changes no answer:
    /// kernels are scaled so that each channel's variance is 1, about as in a network that was trained from nothing, and
    /// scale and shift undo that. For a trainer that has taken no step yet.
    pub fn settle(&mut self, replica: &mut Replica, images: &[f32]) -> Result<()> {
        replica.infer(&self.parameters, images)?;
        let epsilon = self.layout.architecture.epsilon;
        let Parameters { trained, moving } = &mut self.parameters;
        for (ranges, statistics) in replica.statistics() {
            let channels = statistics.mean.len();
            for channel in 0..channels {
                let [gamma, beta] = [&ranges.gamma, &ranges.beta].map(|range| range.start + channel);
                let [mean, variance] = [&ranges.mean, &ranges.variance].map(|range| range.start + channel);
                // What inference makes of a sum of the convolution: factor · sum + shift.
                let factor = f64::from(trained[gamma]) / (f64::from(moving[variance]) + epsilon).sqrt();
                let shift = f64::from(trained[beta]) - f64::from(moving[mean]) * factor;
                let [m, v] = [&statistics.mean, &statistics.variance].map(|list| f64::from(list[channel]));
                // A channel that hardly changes has nothing to be scaled by.
                let deviation = if v > epsilon { v.sqrt() } else { 1.0 };
                let kernel = trained[ranges.kernel.clone()][channel..].iter_mut().step_by(channels);
                kernel.for_each(|weight| *weight /= deviation as f32);
                let scaled = v / (deviation * deviation);
                (moving[mean], moving[variance]) = ((m / deviation) as f32, scaled as f32);
                trained[gamma] = (factor * deviation * (scaled + epsilon).sqrt()) as f32;
                trained[beta] = (shift + m * factor) as f32;
            }
        }
        self.average = self.parameters.clone();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;
    use crate::random::Random;
    use mobilenet::Architecture;

    fn layout(classes: usize) -> Layout {
        let small = Architecture { alpha: 0.25, resolution: 32, classes, ..Architecture::default() };
        Layout::new(&small).unwrap()
    }

    /// A network as if it were trained, one channel of its stem dead, with batch norm folded in.
    fn trained(layout: &Layout) -> Weights {
        let mut random = Random::new(&[1]);
        let mut parameters = Parameters::initial(layout, 1);
        let stem = layout.layers[0].1.kernel.clone();
        parameters.trained[stem].iter_mut().step_by(8).for_each(|weight| *weight = 0.0);
        for (_, ranges) in &layout.layers {
            parameters.trained[ranges.gamma.clone()].fill_with(|| random.range(0.5, 1.5));
            parameters.trained[ranges.beta.clone()].fill_with(|| random.range(-0.2, 1.0));
            parameters.moving[ranges.mean.clone()].fill_with(|| random.range(-0.1, 0.1));
            parameters.moving[ranges.variance.clone()].fill_with(|| random.range(0.1, 0.5));
        }
        parameters.to_weights(layout).unwrap()
    }

    /// Noise, of another strength and around another color in each picture.
    fn images(count: usize) -> Vec<f32> {
        let mut random = Random::new(&[2]);
        let mut picture = || {
            let (color, strength) = ([(); 3].map(|()| random.range(-0.8, 0.8)), random.range(0.1, 1.0));
            (0..32 * 32 * 3)
                .map(|at| color[at % 3] + strength * random.range(-1.0, 1.0))
                .collect::<Vec<f32>>()
        };
        (0..count).flat_map(|_| picture()).collect()
    }

    fn all(classes: usize) -> Vec<Option<usize>> {
        (0..classes).map(Some).collect()
    }

    #[test]
    fn a_settled_network_answers_as_before_and_learns_from_there() {
        let (layout, images) = (layout(5), images(16));
        let weights = trained(&layout);
        let parameters = Parameters::from_weights(&layout, &weights, &all(5)).unwrap();
        let mut trainer = Trainer::from_parameters(layout.clone(), Settings::default(), parameters).unwrap();
        let mut replica = Replica::new(&layout, 16).unwrap();
        let before = replica.infer(&trainer.parameters, &images).unwrap().to_vec();
        let spread = before.iter().fold(0.0_f32, |most, logit| most.max((logit - before[0]).abs()));
        assert!(spread > 0.1, "answers that are all alike compare nothing: {before:?}");
        trainer.settle(&mut replica, &images).unwrap();
        let after = replica.infer(&trainer.parameters, &images).unwrap().to_vec();
        let difference = before.iter().zip(&after).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(difference < 1e-4 * spread, "{difference} of {spread}");
        assert_eq!(trainer.average, trainer.parameters);

        // By the statistics of the same pictures learning begins where inference was.
        let targets: Vec<f32> = (0..16).flat_map(|_| [1.0, 0.0, 0.0, 0.0, 0.0]).collect();
        let outcome = replica.learn(&trainer.parameters.trained, &images, &targets, None).unwrap();
        let loss = |logits: &[f32]| {
            let sum: f64 = logits.iter().map(|&logit| f64::from(logit - logits[0]).exp()).sum();
            sum.ln()
        };
        let expected: f64 = before.chunks_exact(5).map(loss).sum();
        assert!((outcome.loss / expected - 1.0).abs() < 1e-4, "{} and {expected}", outcome.loss);

        // Every channel that changes has the variance 1 now; the stem's dead one is left as it was.
        let (changed, still): (Vec<f32>, Vec<f32>) = (layout.layers.iter())
            .flat_map(|(_, ranges)| &trainer.parameters.moving[ranges.variance.clone()])
            .partition(|variance| **variance > 1e-3);
        assert!(changed.iter().all(|variance| (variance - 1.0).abs() < 1e-5));
        assert!(changed.len() > still.len() && still.contains(&0.0), "{} and {}", changed.len(), still.len());
    }

    #[test]
    fn classes_are_taken_where_they_are_known() {
        let weights = trained(&layout(5));
        let (layout, images) = (layout(3), images(4));
        let chosen = Parameters::from_weights(&layout, &weights, &[Some(4), None, Some(0)]).unwrap();
        let whole = Parameters::from_weights(&self::layout(5), &weights, &all(5)).unwrap();
        let answers = |layout: &Layout, parameters| {
            Replica::new(layout, 4).unwrap().infer(parameters, &images).unwrap().to_vec()
        };
        let (whole, some) = (answers(&self::layout(5), &whole), answers(&layout, &chosen));
        for (whole, some) in whole.chunks_exact(5).zip(some.chunks_exact(3)) {
            assert_eq!(some, [whole[4], 0.0, whole[0]]);
        }
    }

    #[test]
    fn another_architecture_is_refused_by_what_differs() {
        let (three, weights) = (layout(3), trained(&layout(5)));
        let refused = |layout: &Layout, classes: &[Option<usize>]| {
            Parameters::from_weights(layout, &weights, classes).unwrap_err().to_string()
        };
        let message = refused(&three, &[Some(0), Some(5), None]);
        assert!(message.contains("5 classes, and none of number 5"), "{message}");
        assert!(refused(&three, &[None; 4]).contains("another architecture"));
        let wide = Architecture { alpha: 0.5, ..three.architecture.clone() };
        let message = refused(&Layout::new(&wide).unwrap(), &[None; 3]);
        assert!(message.contains("conv1/kernel"), "{message}");
        let shallow = Architecture { shallow: true, ..three.architecture };
        assert!(refused(&Layout::new(&shallow).unwrap(), &[None; 3]).contains("another architecture"));
    }
}
