//! Batches, made while the network learns from the ones before.
//!
//! Goes in: a [`Set`], the order of an epoch, what to do to a picture. Comes out: [`Batch`]es in that order, a few of
//! them ahead, through a channel. Everything random hangs on seed, epoch and picture alone, so a batch is the same
//! whoever makes it and whenever, and a run that was cut off goes on with the batch that it stopped before.

use super::data::Set;
use super::teacher::Answers;
use mobilenet::architecture::Normalization;
use mobilenet::image::Resizer;
use mobilenet_train::Augmentation;
use mobilenet_train::random::Random;
use rayon::prelude::*;
use std::sync::mpsc::SyncSender;

/// Batches that are made ahead.
pub const AHEAD: usize = 4;

/// Streams of random numbers that hang on the seed, by what they are for.
const ORDER: u64 = 1;
const PICTURE: u64 = 2;
const MIXUP: u64 = 3;
/// What dropout draws; the loop uses it.
pub const DROPOUT: u64 = 4;

/// Pictures and their targets.
pub struct Batch {
    /// count × side² × 3, normalized.
    pub images: Vec<f32>,
    /// count × classes, each summing to 1.
    pub targets: Vec<f32>,
    /// Class of each.
    pub classes: Vec<usize>,
    /// Number of each in its set.
    pub pictures: Vec<usize>,
}

/// How batches are made.
#[derive(Clone, Copy)]
pub struct Recipe<'a> {
    pub set: &'a Set,
    pub side: usize,
    pub classes: usize,
    pub normalization: Normalization,
    pub augmentation: Augmentation,
    /// Part of a target that is spread over all classes.
    pub smoothing: f32,
    /// A teacher's answers, and their part of a target.
    pub teacher: Option<(&'a Answers, f32)>,
    pub seed: u64,
}

/// The order in which an epoch shows the pictures.
pub fn order(pictures: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..pictures).collect();
    Random::new(&[seed, ORDER, epoch]).shuffle(&mut order);
    order
}

impl Recipe<'_> {
    /// One batch of the pictures `indices`; those that cannot be decoded are missing from it.
    pub fn batch(&self, indices: &[usize], epoch: u64) -> mobilenet::Result<Batch> {
        let size = self.side * self.side * 3;
        let mut images = vec![0.0; indices.len() * size];
        let shown = indices.par_iter().zip(images.par_chunks_exact_mut(size)).map_init(
            Resizer::new,
            |resizer, (&index, image)| {
                let Some(pixels) = self.set.decode(index) else { return Ok(false) };
                let mut random = Random::new(&[self.seed, PICTURE, epoch, index as u64]);
                let (side, normalization) = (self.side, &self.normalization);
                self.augmentation.show(&pixels.frame()?, &mut random, resizer, side, normalization, image)?;
                Ok(true)
            },
        );
        let shown = shown.collect::<mobilenet::Result<Vec<bool>>>()?;
        let mut targets = vec![0.0; indices.len() * self.classes];
        let mut classes = Vec::with_capacity(indices.len());
        let mut pictures = Vec::with_capacity(indices.len());
        for (position, (&index, _)) in indices.iter().zip(&shown).filter(|(_, shown)| **shown).enumerate() {
            classes.push(self.set.class(index));
            pictures.push(index);
            self.aim(index, &mut targets[position * self.classes..][..self.classes]);
        }
        if classes.len() < indices.len() {
            let mut gap = 0;
            for (position, shown) in shown.iter().enumerate() {
                if *shown {
                    images.copy_within(position * size..(position + 1) * size, gap * size);
                    gap += 1;
                }
            }
            images.truncate(gap * size);
            targets.truncate(gap * self.classes);
        }
        let mut random =
            Random::new(&[self.seed, MIXUP, epoch, indices.first().map_or(0, |&index| index as u64)]);
        self.augmentation.mix(&mut random, &mut images, &mut targets, classes.len());
        Ok(Batch { images, targets, classes, pictures })
    }

    /// The target of a picture: its class, smoothed, and the teacher's answer.
    fn aim(&self, index: usize, target: &mut [f32]) {
        target.fill(self.smoothing / self.classes as f32);
        target[self.set.class(index)] += 1.0 - self.smoothing;
        if let Some((answers, weight)) = self.teacher {
            answers.blend(index, weight, target);
        }
    }

    /// Sends the batches of `order` from number `first` on, until they are all sent or nobody listens. The pictures
    /// left over at the end are shown too where `rest` says so.
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
