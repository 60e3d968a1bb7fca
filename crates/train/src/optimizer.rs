//! Optimizers: RMSprop as TensorFlow 1 defines it, and gradient descent with momentum.

use super::parameters::{Layout, Role};
use mobilenet::{Error, Result};
use serde::{Deserialize, Serialize};

/// Which rule turns a gradient `g` into a step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "lowercase")]
pub enum Optimizer {
    /// `s = decay·s + (1 − decay)·g²`, starting at 1; `v = momentum·v + rate·g / sqrt(s + epsilon)`; `w −= v`.
    /// Epsilon stands under the root, which makes it count for more than in other implementations.
    RmsProp {
        /// Of the mean square; the authors' 0.9.
        decay: f32,
        /// Of the step; the authors' 0.9.
        momentum: f32,
        /// The authors' 1.0.
        epsilon: f32,
    },
    /// `v = momentum·v + g`; `w −= rate·v`.
    Sgd {
        /// Usually 0.9.
        momentum: f32,
    },
}

impl Default for Optimizer {
    fn default() -> Self {
        Self::RmsProp { decay: 0.9, momentum: 0.9, epsilon: 1.0 }
    }
}

impl Optimizer {
    /// Refuses what cannot converge.
    pub fn validate(self) -> Result<()> {
        let below_one = |value: f32| (0.0..1.0).contains(&value);
        let fine = match self {
            Self::RmsProp { decay, momentum, epsilon } => {
                below_one(decay) && below_one(momentum) && epsilon > 0.0 && epsilon.is_finite()
            }
            Self::Sgd { momentum } => below_one(momentum),
        };
        if fine {
            return Ok(());
        }
        Err(Error::training(format!(
            "optimizer: decay and momentum must be at least 0 and below 1, epsilon positive, got {self:?}"
        )))
    }

    /// Moves one weight by gradient `g`; `square` and `velocity` are its state.
    #[inline(always)]
    pub fn step(self, rate: f32, g: f32, weight: &mut f32, square: &mut f32, velocity: &mut f32) {
        match self {
            Self::RmsProp { decay, momentum, epsilon } => {
                *square = decay * *square + (1.0 - decay) * g * g;
                *velocity = momentum * *velocity + rate * g / (*square + epsilon).sqrt();
                *weight -= *velocity;
            }
            Self::Sgd { momentum } => {
                *velocity = momentum * *velocity + g;
                *weight -= rate * *velocity;
            }
        }
    }
}

/// What the optimizer remembers of every weight.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Mean square of the gradient.
    pub square: Vec<f32>,
    /// Velocity.
    pub velocity: Vec<f32>,
}

impl State {
    /// Before the first step: mean squares 1, velocities 0.
    pub fn new(length: usize) -> Self {
        Self { square: vec![1.0; length], velocity: vec![0.0; length] }
    }

    /// Moves all weights. `decay` is added times the weight to the gradients of kernels that are not depthwise.
    pub fn step(
        &mut self,
        optimizer: Optimizer,
        layout: &Layout,
        rate: f32,
        decay: f32,
        gradient: &[f32],
        trained: &mut [f32],
    ) {
        for slot in &layout.trained {
            let decay = if slot.role == Role::Kernel { decay } else { 0.0 };
            let range = slot.range.clone();
            let state = self.square[range.clone()].iter_mut().zip(&mut self.velocity[range.clone()]);
            let weights = trained[range.clone()].iter_mut().zip(&gradient[range]);
            for ((square, velocity), (weight, gradient)) in state.zip(weights) {
                let gradient = gradient + decay * *weight;
                optimizer.step(rate, gradient, weight, square, velocity);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rmsprop_follows_tensorflow_by_hand() {
        let rule = Optimizer::RmsProp { decay: 0.9, momentum: 0.9, epsilon: 1.0 };
        let (mut weight, mut square, mut velocity) = (1.0, 1.0, 0.0);
        rule.step(0.01, 2.0, &mut weight, &mut square, &mut velocity);
        assert!((square - 1.3f32).abs() < 1e-6);
        assert!((velocity - 0.02f32 / 2.3f32.sqrt()).abs() < 1e-7);
        let first = velocity;
        rule.step(0.01, 0.0, &mut weight, &mut square, &mut velocity);
        assert!((velocity - 0.9 * first).abs() < 1e-7);
        assert!((weight - (1.0 - 1.9 * first)).abs() < 1e-6);
    }

    #[test]
    fn momentum_adds_up() {
        let (mut weight, mut square, mut velocity) = (0.0, 1.0, 0.0);
        for _ in 0..2 {
            let rule = Optimizer::Sgd { momentum: 0.5 };
            rule.step(0.1, 1.0, &mut weight, &mut square, &mut velocity);
        }
        assert!((weight + 0.25f32).abs() < 1e-7);
        assert!(Optimizer::Sgd { momentum: 1.0 }.validate().is_err());
    }
}
