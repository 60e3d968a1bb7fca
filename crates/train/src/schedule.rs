//! Learning-rate schedules.

use serde::{Deserialize, Serialize};

/// The learning rate after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "form", rename_all = "lowercase")]
pub enum LrSchedule {
    /// Stays.
    Constant,
    /// Times `factor` every `epochs` epochs (the authors: 0.94 every 2.5).
    Step {
        /// 0 to 1.
        factor: f64,
        /// Above 0.
        epochs: f64,
    },
    /// Half a cosine down to zero at the end of the run.
    Cosine,
}

/// The rate at any moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Greatest rate.
    pub peak: f64,
    /// Epochs over which the rate grows from zero; where a cosine follows, half of the run at most, for a run as short as its
    /// warm-up would never come to it.
    pub warm_up: f64,
    /// Epochs of the whole run.
    pub epochs: f64,
    /// What follows the warm-up.
    pub decay: LrSchedule,
}

impl Schedule {
    /// The rate at `epoch`, a fraction of an epoch included.
    pub fn rate(&self, epoch: f64) -> f64 {
        let warm_up =
            if self.decay == LrSchedule::Cosine { self.warm_up.min(self.epochs / 2.0) } else { self.warm_up };
        if epoch < warm_up {
            return self.peak * epoch / warm_up;
        }
        match self.decay {
            LrSchedule::Constant => self.peak,
            LrSchedule::Step { factor, epochs } => self.peak * factor.powf((epoch / epochs).floor()),
            LrSchedule::Cosine => {
                let length = (self.epochs - warm_up).max(f64::MIN_POSITIVE);
                let gone = ((epoch - warm_up) / length).clamp(0.0, 1.0);
                self.peak * 0.5 * (1.0 + (std::f64::consts::PI * gone).cos())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_then_falls() {
        let schedule = Schedule { peak: 0.4, warm_up: 2.0, epochs: 10.0, decay: LrSchedule::Cosine };
        let near = |epoch, rate: f64| assert!((schedule.rate(epoch) - rate).abs() < 1e-12);
        near(0.0, 0.0);
        near(1.0, 0.2);
        near(2.0, 0.4);
        near(6.0, 0.2);
        near(10.0, 0.0);
        near(11.0, 0.0);
        let short = Schedule { epochs: 1.0, warm_up: 1.0, ..schedule };
        assert!(short.rate(0.5) > 0.399 && short.rate(0.25) < 0.201 && short.rate(1.0) < 1e-12);
        let decay = LrSchedule::Step { factor: 0.94, epochs: 2.5 };
        let schedule = Schedule { peak: 0.045, warm_up: 0.0, epochs: 10.0, decay };
        assert!((schedule.rate(5.1) - 0.045 * 0.94 * 0.94).abs() < 1e-12);
    }
}
