//! Batches, made while the network learns from earlier ones.
//!
//! A [`Recipe`] turns the images of a [`Dataset`] into [`Batch`]es in the order of an epoch and sends them through a
//! channel. All random numbers depend on seed, epoch and image alone, so a batch is the same at any time and in any
//! thread, and a run that was interrupted continues with the batch that it stopped before.

use super::data::Dataset;
use super::teacher::TeacherAnswers;
use mobilenet::architecture::Normalization;
use mobilenet::image::Resizer;
use mobilenet_train::Augmentation;
use mobilenet_train::random::Random;
use rayon::prelude::*;
use std::sync::mpsc::SyncSender;

/// Number of batches that are made ahead.
pub const AHEAD: usize = 4;

/// Streams of random numbers of a seed.
const ORDER: u64 = 1;
const AUGMENTATION: u64 = 2;
const MIXUP: u64 = 3;
/// Used by the workers.
pub const DROPOUT: u64 = 4;

/// Images and their targets.
pub struct Batch {
    /// count × side² × 3, normalized.
    pub inputs: Vec<f32>,
    /// count × classes, each summing to 1.
    pub targets: Vec<f32>,
    /// Class of each image.
    pub classes: Vec<usize>,
    /// Index of each image in its set.
    pub indices: Vec<usize>,
}

/// How batches are made.
#[derive(Clone, Copy)]
pub struct Recipe<'a> {
    pub set: &'a Dataset,
    pub side: usize,
    pub classes: usize,
    pub normalization: Normalization,
    pub augmentation: Augmentation,
    /// Part of a target that is spread over all classes.
    pub label_smoothing: f32,
    /// A teacher's answers, and their weight in a target.
    pub teacher: Option<(&'a TeacherAnswers, f32)>,
    pub seed: u64,
}

/// The order of the images in an epoch.
pub fn order(images: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..images).collect();
    Random::new(&[seed, ORDER, epoch]).shuffle(&mut order);
    order
}

impl Recipe<'_> {
    /// One batch of the images `indices`, without those that cannot be decoded.
    pub fn batch(&self, indices: &[usize], epoch: u64) -> mobilenet::Result<Batch> {
        let size = self.side * self.side * 3;
        let mut inputs = vec![0.0; indices.len() * size];
        let shown = indices.par_iter().zip(inputs.par_chunks_exact_mut(size)).map_init(
            Resizer::new,
            |resizer, (&index, input)| {
                let Some(pixels) = self.set.decode(index) else { return Ok(false) };
                let mut random = Random::new(&[self.seed, AUGMENTATION, epoch, index as u64]);
                let (side, normalization) = (self.side, &self.normalization);
                self.augmentation.show(&pixels.frame()?, &mut random, resizer, side, normalization, input)?;
                Ok(true)
            },
        );
        let shown = shown.collect::<mobilenet::Result<Vec<bool>>>()?;
        let mut targets = vec![0.0; indices.len() * self.classes];
        let mut classes = Vec::with_capacity(indices.len());
        let mut readable = Vec::with_capacity(indices.len());
        for (position, (&index, _)) in indices.iter().zip(&shown).filter(|(_, shown)| **shown).enumerate() {
            classes.push(self.set.class(index));
            readable.push(index);
            self.target(index, &mut targets[position * self.classes..][..self.classes]);
        }
        if classes.len() < indices.len() {
            let mut gap = 0;
            for (position, shown) in shown.iter().enumerate() {
                if *shown {
                    inputs.copy_within(position * size..(position + 1) * size, gap * size);
                    gap += 1;
                }
            }
            inputs.truncate(gap * size);
            targets.truncate(gap * self.classes);
        }
        let mut random =
            Random::new(&[self.seed, MIXUP, epoch, indices.first().map_or(0, |&index| index as u64)]);
        self.augmentation.mix(&mut random, &mut inputs, &mut targets, classes.len());
        Ok(Batch { inputs, targets, classes, indices: readable })
    }

    /// Writes the target of an image: its class, smoothed, and the teacher's answer.
    fn target(&self, index: usize, target: &mut [f32]) {
        target.fill(self.label_smoothing / self.classes as f32);
        target[self.set.class(index)] += 1.0 - self.label_smoothing;
        if let Some((answers, weight)) = self.teacher {
            answers.blend(index, weight, target);
        }
    }

    /// Sends the batches of `order` from number `first` on, until the receiver is gone. `rest` includes a last batch of
    /// fewer images.
    pub fn send(
        &self,
        order: &[usize],
        batch: usize,
        first: usize,
        epoch: u64,
        rest: bool,
        sender: &SyncSender<mobilenet::Result<Batch>>,
    ) {
        for indices in order.chunks(batch).skip(first).filter(|indices| rest || indices.len() == batch) {
            let made = self.batch(indices, epoch);
            if made.as_ref().is_ok_and(|batch| batch.classes.is_empty()) {
                continue;
            }
            if sender.send(made).is_err() {
                return;
            }
        }
    }
}
