//! The state of a run: parameters, optimizer state, moving averages, and the step that updates them.
//!
//! Gradients are summed in the order of the replicas, so a run repeats exactly for the same seed and number of workers,
//! whichever thread ran which replica.

use super::optimizer::{Optimizer, State};
use super::parameters::{Layout, Parameters};
use super::replica::{Outcome, Replica};
use mobilenet::{Architecture, Error, Result, Weights};
use serde::{Deserialize, Serialize};

/// What stays the same over a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The rule of the step. Checkpoints of 0.1.0 call it `optimiser`.
    #[serde(alias = "optimiser")]
    pub optimizer: Optimizer,
    /// Added times the weight to the gradient of every kernel that is not depthwise; the authors' 4e-5.
    pub weight_decay: f32,
    /// Part that batch norm's moving averages keep at every step; the authors' 0.9997, Keras' 0.99.
    pub moving_decay: f32,
    /// Part that the average of the weights keeps at every step; 0 turns it off.
    pub average_decay: f32,
    /// Part of the features that the classifier does not see.
    pub dropout: f32,
    /// Of everything random.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            optimizer: Optimizer::default(),
            weight_decay: 4e-5,
            moving_decay: 0.99,
            average_decay: 0.999,
            dropout: 0.0,
            seed: 1,
        }
    }
}

impl Settings {
    /// Refuses what cannot train.
    pub fn validate(&self) -> Result<()> {
        self.optimizer.validate()?;
        for (name, value) in [
            ("decay of the moving averages", self.moving_decay),
            ("decay of the averaged weights", self.average_decay),
            ("dropout", self.dropout),
        ] {
            if !(0.0..1.0).contains(&value) {
                return Err(Error::training(format!("{name}: must be at least 0 and below 1, got {value}")));
            }
        }
        if !(0.0..=1.0).contains(&self.weight_decay) {
            let decay = self.weight_decay;
            return Err(Error::training(format!("weight decay: must be between 0 and 1, got {decay}")));
        }
        Ok(())
    }
}

/// The error for a value that is not finite at `step`.
pub(crate) fn diverged(what: &str, step: u64) -> Error {
    Error::training(format!(
        "{what} is not finite at step {step}; take a smaller learning rate or a longer warm-up, and go on from \
         the last checkpoint"
    ))
}

/// Everything that changes from step to step; what a checkpoint holds.
#[derive(Clone, Debug)]
pub struct Trainer {
    /// Which range is which tensor.
    pub layout: Layout,
    /// What stays the same.
    pub settings: Settings,
    /// The network.
    pub parameters: Parameters,
    /// Its exponential moving average.
    pub average: Parameters,
    /// What the optimizer remembers.
    pub state: State,
    /// Steps taken.
    pub steps: u64,
    gradient: Vec<f32>,
}

impl Trainer {
    /// A fresh network.
    pub fn new(architecture: &Architecture, settings: Settings) -> Result<Self> {
        let layout = Layout::new(architecture)?;
        let parameters = Parameters::initial(&layout, settings.seed);
        Self::from_parameters(layout, settings, parameters)
    }

    /// A network that has its first values already.
    pub fn from_parameters(layout: Layout, settings: Settings, parameters: Parameters) -> Result<Self> {
        settings.validate()?;
        let length = layout.trained_len();
        if (parameters.trained.len(), parameters.moving.len()) != (length, layout.moving_len()) {
            return Err(Error::training("the parameters belong to another architecture"));
        }
        Ok(Self {
            average: parameters.clone(),
            state: State::new(length),
            gradient: vec![0.0; length],
            layout,
            settings,
            parameters,
            steps: 0,
        })
    }

    /// The same network at another input resolution (every kernel fits every resolution).
    pub fn set_resolution(&mut self, resolution: usize) -> Result<()> {
        self.layout = Layout::new(&Architecture { resolution, ..self.layout.architecture.clone() })?;
        Ok(())
    }

    /// Joins the replicas' gradients and statistics, weighted by their pictures, and moves the parameters at `rate`.
    /// A loss or gradient that is not finite is refused, and nothing moves.
    pub fn apply(&mut self, shares: &[(&Replica, Outcome)], rate: f64) -> Result<Outcome> {
        let mut total = Outcome::default();
        shares.iter().for_each(|(_, outcome)| total += *outcome);
        if total.count == 0 {
            return Err(Error::training("a step needs at least one picture"));
        }
        if !total.loss.is_finite() {
            return Err(diverged("the loss", self.steps + 1));
        }
        self.gradient.fill(0.0);
        for (replica, outcome) in shares {
            let part = outcome.count as f32 / total.count as f32;
            self.gradient.iter_mut().zip(replica.gradient()).for_each(|(sum, value)| *sum += part * value);
        }
        if !self.gradient.iter().sum::<f32>().is_finite() {
            return Err(diverged("a gradient", self.steps + 1));
        }
        self.move_averages(shares, total.count);
        let Settings { optimizer, weight_decay, .. } = self.settings;
        let trained = &mut self.parameters.trained;
        self.state.step(optimizer, &self.layout, rate as f32, weight_decay, &self.gradient, trained);
        self.steps += 1;
        self.average_weights();
        Ok(total)
    }

    /// `moving = decay·moving + (1 − decay)·statistic`, the variance as an unbiased estimate.
    fn move_averages(&mut self, shares: &[(&Replica, Outcome)], count: usize) {
        let decay = self.settings.moving_decay;
        let moving = &mut self.parameters.moving;
        moving.iter_mut().for_each(|value| *value *= decay);
        for (replica, outcome) in shares {
            let part = (1.0 - decay) * outcome.count as f32 / count as f32;
            for (ranges, statistics) in replica.statistics() {
                let unbiased = statistics.unbiased();
                for (value, mean) in moving[ranges.mean.clone()].iter_mut().zip(&statistics.mean) {
                    *value += part * mean;
                }
                let variances = moving[ranges.variance.clone()].iter_mut().zip(&statistics.variance);
                for (value, variance) in variances {
                    *value += part * unbiased * variance;
                }
            }
        }
    }

    /// The average follows quickly at first, by TensorFlow's rule `min(decay, (1 + steps) / (10 + steps))`.
    fn average_weights(&mut self) {
        let steps = self.steps as f32;
        let keep = self.settings.average_decay.min((1.0 + steps) / (10.0 + steps));
        let follow = |average: &mut [f32], now: &[f32]| {
            for (average, now) in average.iter_mut().zip(now) {
                *average += (1.0 - keep) * (now - *average);
            }
        };
        follow(&mut self.average.trained, &self.parameters.trained);
        follow(&mut self.average.moving, &self.parameters.moving);
    }

    /// The network to use: the average where one is kept, batch norm folded in.
    pub fn weights(&self) -> Result<Weights> {
        self.best().to_weights(&self.layout)
    }

    /// The parameters to use: the average where one is kept.
    pub fn best(&self) -> &Parameters {
        if self.settings.average_decay > 0.0 { &self.average } else { &self.parameters }
    }
}
