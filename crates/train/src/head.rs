//! Training of the classifier alone, on embeddings: what a page trains in a second from a few examples.
//!
//! The result is the kernel and bias of a softmax regression in the form of the network's own last layer
//! (`features × classes`, classes innermost).

use super::optimizer::{Optimizer, State};
use super::random::Random;
use super::replica::argmax;
use mobilenet::error::Decimal;
use mobilenet::{Error, Result};
use mobilenet_kernels::f32::loss::softmax_cross_entropy;

/// How a head is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeadSettings {
    /// Passes over all examples.
    pub epochs: usize,
    /// Examples per step.
    pub batch: usize,
    /// Learning rate at the start; it falls to zero, slowly at both ends.
    pub rate: f32,
    /// Added times the weight to the kernel's gradient.
    pub weight_decay: f32,
    /// Of the order of the examples.
    pub seed: u64,
}

impl Default for HeadSettings {
    fn default() -> Self {
        Self { epochs: 50, batch: 16, rate: 0.01, weight_decay: 1e-4, seed: 1 }
    }
}

/// A trained classifier.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// `features × classes`, classes innermost.
    pub kernel: Vec<f32>,
    /// One per class.
    pub bias: Vec<f32>,
    /// Mean loss, in nats.
    pub loss: f64,
    /// Part of the examples that it gets right, 0 to 1.
    pub accuracy: f64,
}

impl Head {
    /// Logits of one embedding.
    pub fn logits(&self, embedding: &[f32]) -> Vec<f32> {
        let mut logits = self.bias.clone();
        for (row, &value) in self.kernel.chunks_exact(self.bias.len()).zip(embedding) {
            logits.iter_mut().zip(row).for_each(|(logit, weight)| *logit += value * weight);
        }
        logits
    }

    /// Mean loss, and the part that is right, of examples with their classes; 0 and 0 of none.
    pub fn test(&self, embeddings: &[f32], classes_of: &[usize]) -> (f64, f64) {
        let classes = self.bias.len();
        let features = self.kernel.len() / classes;
        let mut unused = vec![0.0; classes];
        let (mut loss, mut right) = (0.0, 0usize);
        for (embedding, &class) in embeddings.chunks_exact(features).zip(classes_of) {
            let logits = self.logits(embedding);
            let mut target = vec![0.0; classes];
            target[class] = 1.0;
            loss += softmax_cross_entropy(&logits, &target, 1.0, &mut unused);
            right += usize::from(argmax(&logits) == class);
        }
        let count = classes_of.len().max(1) as f64;
        (loss / count, right as f64 / count)
    }
}

/// Norm that examples have on average once they are centred and scaled.
const NORM: f64 = 4.0;

/// A head in training, one pass over the examples at a time, so that a page can breathe between them.
///
/// It learns on embeddings from which their mean is taken and which are then scaled to a usual size: features behind a
/// ReLU share a large part that tells nothing, and how large they are depends on the network. The head that
/// comes out takes embeddings as they are.
pub struct HeadTrainer {
    mean: Vec<f32>,
    scale: f32,
    embeddings: Vec<f32>,
    features: usize,
    classes_of: Vec<usize>,
    settings: HeadSettings,
    head: Head,
    kernel: State,
    bias: State,
    order: Vec<usize>,
    passes: usize,
}

impl HeadTrainer {
    /// `embeddings` is examples × features, `classes_of` the class of each, 0 to `classes` − 1; every class needs an
    /// example.
    pub fn new(
        embeddings: Vec<f32>,
        features: usize,
        classes_of: Vec<usize>,
        classes: usize,
        settings: HeadSettings,
    ) -> Result<Self> {
        check(&embeddings, features, &classes_of, classes, settings)?;
        let length = features * classes;
        let count = classes_of.len() as f64;
        let mut mean = vec![0.0; features];
        for embedding in embeddings.chunks_exact(features) {
            mean.iter_mut().zip(embedding).for_each(|(sum, value)| *sum += f64::from(*value) / count);
        }
        let mut squares = 0.0;
        for embedding in embeddings.chunks_exact(features) {
            for (&value, mean) in embedding.iter().zip(&mean) {
                squares += (f64::from(value) - mean).powi(2);
            }
        }
        let spread = (squares / count).sqrt();
        let scale = if spread > 0.0 { (NORM / spread) as f32 } else { 1.0 };
        let mean: Vec<f32> = mean.into_iter().map(|value| value as f32).collect();
        let mut embeddings = embeddings;
        for embedding in embeddings.chunks_exact_mut(features) {
            embedding.iter_mut().zip(&mean).for_each(|(value, mean)| *value = (*value - mean) * scale);
        }
        Ok(Self {
            mean,
            scale,
            head: Head { kernel: vec![0.0; length], bias: vec![0.0; classes], loss: 0.0, accuracy: 0.0 },
            kernel: State::new(length),
            bias: State::new(classes),
            order: (0..classes_of.len()).collect(),
            embeddings,
            features,
            classes_of,
            settings,
            passes: 0,
        })
    }

    /// The next pass. The head's loss and accuracy are then those of the examples as they were met.
    ///
    /// # Errors
    /// Where the loss is not finite.
    pub fn pass(&mut self) -> Result<()> {
        let Self { settings, features, .. } = *self;
        let classes = self.head.bias.len();
        let (mut d_kernel, mut d_bias) = (vec![0.0; features * classes], vec![0.0; classes]);
        let (mut d_logits, mut target) = (vec![0.0; classes], vec![0.0; classes]);
        let rule = Optimizer::RmsProp { decay: 0.9, momentum: 0.9, epsilon: 1e-3 };
        Random::new(&[settings.seed, self.passes as u64]).shuffle(&mut self.order);
        let gone = (self.passes as f32 / settings.epochs as f32).min(1.0);
        // Within a hundredth of half a cosine, which is three kilobytes of the class's file.
        let rate = settings.rate * (1.0 - gone * gone * (3.0 - 2.0 * gone));
        let (mut loss, mut right) = (0.0, 0usize);
        for batch in self.order.chunks(settings.batch) {
            for (gradient, weight) in d_kernel.iter_mut().zip(&self.head.kernel) {
                *gradient = settings.weight_decay * weight;
            }
            d_bias.fill(0.0);
            for &example in batch {
                let embedding = &self.embeddings[example * features..][..features];
                let (logits, class) = (self.head.logits(embedding), self.classes_of[example]);
                target.fill(0.0);
                target[class] = 1.0;
                let part = 1.0 / batch.len() as f32;
                loss += softmax_cross_entropy(&logits, &target, part, &mut d_logits);
                right += usize::from(argmax(&logits) == class);
                for (row, &value) in d_kernel.chunks_exact_mut(classes).zip(embedding) {
                    row.iter_mut().zip(&d_logits).for_each(|(sum, gradient)| *sum += value * gradient);
                }
                d_bias.iter_mut().zip(&d_logits).for_each(|(sum, gradient)| *sum += gradient);
            }
            move_all(rule, rate, &d_kernel, &mut self.head.kernel, &mut self.kernel);
            move_all(rule, rate, &d_bias, &mut self.head.bias, &mut self.bias);
        }
        let count = self.classes_of.len() as f64;
        (self.head.loss, self.head.accuracy) = (loss / count, right as f64 / count);
        self.passes += 1;
        if !loss.is_finite() {
            return Err(Error::training("the head's loss is not finite; take a smaller learning rate"));
        }
        Ok(())
    }

    /// The head as it is after so many passes.
    pub fn head(&self) -> Head {
        let classes = self.head.bias.len();
        let mut head = self.head.clone();
        head.kernel.iter_mut().for_each(|weight| *weight *= self.scale);
        for (row, mean) in head.kernel.chunks_exact(classes).zip(&self.mean) {
            head.bias.iter_mut().zip(row).for_each(|(bias, weight)| *bias -= weight * mean);
        }
        head
    }

    /// The head at the end, with loss and accuracy over all examples.
    pub fn finish(&self) -> Head {
        let (loss, accuracy) = self.head.test(&self.embeddings, &self.classes_of);
        Head { loss, accuracy, ..self.head() }
    }
}

/// Trains a head by RMSprop, all passes at once. The same input and seed give the same head.
pub fn train(
    embeddings: &[f32],
    features: usize,
    classes_of: &[usize],
    classes: usize,
    settings: HeadSettings,
) -> Result<Head> {
    let mut course = HeadTrainer::new(embeddings.to_vec(), features, classes_of.to_vec(), classes, settings)?;
    for _ in 0..settings.epochs {
        course.pass()?;
    }
    Ok(course.finish())
}

fn move_all(rule: Optimizer, rate: f32, gradient: &[f32], weights: &mut [f32], state: &mut State) {
    let states = state.square.iter_mut().zip(&mut state.velocity);
    for ((weight, gradient), (square, velocity)) in weights.iter_mut().zip(gradient).zip(states) {
        rule.step(rate, *gradient, weight, square, velocity);
    }
}

fn check(
    embeddings: &[f32],
    features: usize,
    classes_of: &[usize],
    classes: usize,
    settings: HeadSettings,
) -> Result<()> {
    let refuse = |sentence: String| Err(Error::training(sentence));
    if features == 0 || embeddings.len() != features * classes_of.len() {
        let (values, examples) = (embeddings.len(), classes_of.len());
        return refuse(format!("{values} values are no {examples} embeddings of {features} features"));
    }
    if let Some(index) = embeddings.iter().position(|value| !value.is_finite()) {
        return refuse(format!("example {} has an embedding that is not finite", index / features));
    }
    if classes < 2 {
        return refuse(format!("a head needs examples of at least two classes, and there are {classes}"));
    }
    let HeadSettings { epochs, batch, rate, .. } = settings;
    let argument = |sentence: String| Err(Error::argument(sentence));
    if epochs == 0 {
        return argument("epochs: must be at least 1, got 0".into());
    }
    if batch == 0 {
        return argument("batch size: must be at least 1, got 0".into());
    }
    if !(rate > 0.0 && rate.is_finite()) {
        return argument(format!("learning rate: must be finite and above 0, got {}", Decimal(rate.into())));
    }
    if let Some(example) = classes_of.iter().position(|&class| class >= classes) {
        return refuse(format!("example {example} is of class {}, of {classes}", classes_of[example]));
    }
    match (0..classes).find(|class| !classes_of.contains(class)) {
        Some(class) => refuse(format!("class {class} has no example; add one or leave the class out")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples(count: usize, features: usize, classes: usize) -> (Vec<f32>, Vec<usize>) {
        let mut random = Random::new(&[3]);
        let centres: Vec<f32> = (0..classes * features).map(|_| random.normal()).collect();
        let classes_of: Vec<usize> = (0..count).map(|example| example % classes).collect();
        let embedding = |&class: &usize| centres[class * features..][..features].to_vec();
        let mut embeddings: Vec<f32> = classes_of.iter().flat_map(embedding).collect();
        embeddings.iter_mut().for_each(|value| *value = (*value + 0.5 * random.normal()).max(0.0));
        (embeddings, classes_of)
    }

    #[test]
    fn learns_separable_embeddings_and_repeats_itself() {
        let (embeddings, classes_of) = examples(120, 64, 5);
        let (learn, seen) = (&embeddings[..80 * 64], &classes_of[..80]);
        let head = train(learn, 64, seen, 5, HeadSettings::default()).unwrap();
        assert_eq!(head, train(learn, 64, seen, 5, HeadSettings::default()).unwrap());
        assert!(head.accuracy > 0.99, "accuracy {}", head.accuracy);
        let unseen = embeddings[80 * 64..].chunks_exact(64).zip(&classes_of[80..]);
        let right = unseen.filter(|(values, class)| argmax(&head.logits(values)) == **class).count();
        assert!(right >= 38, "{right} of 40 unseen");
    }

    #[test]
    fn refuses_what_cannot_be_learnt() {
        let settings = HeadSettings::default();
        let sentence = |result: Result<Head>| result.unwrap_err().to_string();
        assert!(sentence(train(&[0.0; 4], 2, &[0, 0], 2, settings)).contains("class 1 has no example"));
        assert!(sentence(train(&[0.0; 3], 2, &[0, 1], 2, settings)).contains("no 2 embeddings"));
        assert!(sentence(train(&[0.0; 4], 2, &[0, 2], 2, settings)).contains("class 2, of 2"));
        assert!(sentence(train(&[f32::NAN; 4], 2, &[0, 1], 2, settings)).contains("not finite"));
        assert!(sentence(train(&[0.0; 2], 2, &[0], 1, settings)).contains("at least two classes"));
    }
}
