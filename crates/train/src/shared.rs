//! Asynchronous gradient descent as in the paper: workers read and update shared weights without waiting for each other.
//!
//! A [`Shared`] is made from a trainer and turned back into one. Any thread may [`read`](Shared::read) the weights, compute a
//! gradient, and [`apply`](Shared::apply) it to whatever the weights have become since. Each value is an atomic of its own;
//! if two workers update one at the same moment, one of the two updates may be lost, which is rare and harmless (Recht et
//! al., "Hogwild!", 2011). A run is not reproducible.

use super::parameters::{Layout, Role};
use super::replica::{Outcome, Replica};
use super::trainer::{Settings, Trainer, diverged};
use mobilenet::Result;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

struct Floats(Vec<AtomicU32>);

impl Floats {
    fn new(values: &[f32]) -> Self {
        Self(values.iter().map(|value| AtomicU32::new(value.to_bits())).collect())
    }

    fn get(&self, index: usize) -> f32 {
        f32::from_bits(self.0[index].load(Relaxed))
    }

    fn set(&self, index: usize, value: f32) {
        self.0[index].store(value.to_bits(), Relaxed);
    }

    fn read(&self, values: &mut [f32]) {
        for (value, shared) in values.iter_mut().zip(&self.0) {
            *value = f32::from_bits(shared.load(Relaxed));
        }
    }

    /// Follows `now` at the speed `1 − keep`.
    fn follow(&self, now: &Self, keep: f32) {
        for (average, now) in self.0.iter().zip(&now.0) {
            let (old, new) = (f32::from_bits(average.load(Relaxed)), f32::from_bits(now.load(Relaxed)));
            average.store((old + (1.0 - keep) * (new - old)).to_bits(), Relaxed);
        }
    }
}

/// A trainer's numbers where all workers reach them.
pub struct Shared {
    layout: Layout,
    settings: Settings,
    trained: Floats,
    moving: Floats,
    average_trained: Floats,
    average_moving: Floats,
    square: Floats,
    velocity: Floats,
    steps: AtomicU64,
}

impl Shared {
    /// Shares what `trainer` holds.
    pub fn new(trainer: &Trainer) -> Self {
        Self {
            layout: trainer.layout.clone(),
            settings: trainer.settings,
            trained: Floats::new(&trainer.parameters.trained),
            moving: Floats::new(&trainer.parameters.moving),
            average_trained: Floats::new(&trainer.average.trained),
            average_moving: Floats::new(&trainer.average.moving),
            square: Floats::new(&trainer.state.square),
            velocity: Floats::new(&trainer.state.velocity),
            steps: AtomicU64::new(trainer.steps),
        }
    }

    /// Copies the weights as they are now; `trained` has [`Layout::trained_len`] values.
    pub fn read(&self, trained: &mut [f32]) {
        self.trained.read(trained);
    }

    /// Moves the weights by the gradient of the batch that `replica` just learnt.
    ///
    /// # Errors
    /// Where the loss or the gradient is not finite; nothing moves then.
    pub fn apply(&self, replica: &Replica, outcome: Outcome, rate: f64) -> Result<()> {
        let gradient = replica.gradient();
        let step = self.steps.load(Relaxed) + 1;
        if !outcome.loss.is_finite() {
            return Err(diverged("the loss", step));
        }
        if !gradient.iter().sum::<f32>().is_finite() {
            return Err(diverged("a gradient", step));
        }
        for (ranges, statistics) in replica.statistics() {
            let follow = |index: usize, value: f32| {
                let old = self.moving.get(index);
                self.moving.set(index, old + (1.0 - self.settings.moving_decay) * (value - old));
            };
            ranges.mean.clone().zip(&statistics.mean).for_each(|(index, mean)| follow(index, *mean));
            let unbiased = statistics.unbiased();
            for (index, variance) in ranges.variance.clone().zip(&statistics.variance) {
                follow(index, unbiased * variance);
            }
        }
        let Settings { optimizer, weight_decay, average_decay, .. } = self.settings;
        for slot in &self.layout.trained {
            let decay = if slot.role == Role::Kernel { weight_decay } else { 0.0 };
            for (index, gradient) in slot.range.clone().zip(&gradient[slot.range.clone()]) {
                let (mut weight, mut square) = (self.trained.get(index), self.square.get(index));
                let mut velocity = self.velocity.get(index);
                let gradient = gradient + decay * weight;
                optimizer.step(rate as f32, gradient, &mut weight, &mut square, &mut velocity);
                self.square.set(index, square);
                self.velocity.set(index, velocity);
                self.trained.set(index, weight);
            }
        }
        let steps = self.steps.fetch_add(1, Relaxed) as f32 + 1.0;
        let keep = average_decay.min((1.0 + steps) / (10.0 + steps));
        self.average_trained.follow(&self.trained, keep);
        self.average_moving.follow(&self.moving, keep);
        Ok(())
    }

    /// Gives everything back to the trainer that it was made from.
    pub fn give_back(&self, trainer: &mut Trainer) {
        self.trained.read(&mut trainer.parameters.trained);
        self.moving.read(&mut trainer.parameters.moving);
        self.average_trained.read(&mut trainer.average.trained);
        self.average_moving.read(&mut trainer.average.moving);
        self.square.read(&mut trainer.state.square);
        self.velocity.read(&mut trainer.state.velocity);
        trainer.steps = self.steps.load(Relaxed);
    }
}
