//! How far a run is: what a checkpoint keeps of it, and the progress bar.

use super::plan::TrainingPlan;
use super::record::EpochMetrics;
use crate::console::outln;
use anyhow::{Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use mobilenet_train::replica::Outcome;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// Interval between lines about the progress, where no terminal shows a bar.
const INTERVAL: Duration = Duration::from_secs(60);

/// Where in its run a checkpoint is. The names in the file are those of 0.1.0.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Progress {
    pub epoch: u64,
    /// Steps of this epoch that were taken.
    pub step: usize,
    /// Sum of their losses.
    loss: f64,
    correct: usize,
    /// Images that were learned from.
    pub count: usize,
    pub seconds: f64,
    /// The epochs that are finished.
    #[serde(rename = "lines")]
    pub epochs: Vec<EpochMetrics>,
    /// Images of a step and of the epoch; 0 in checkpoints of earlier builds.
    #[serde(default)]
    batch: usize,
    #[serde(default, rename = "pictures")]
    images: usize,
}

impl Progress {
    /// Refuses to continue an epoch with other batches: images would be shown twice, or never.
    pub fn begin(&mut self, batch: usize, images: usize) -> Result<()> {
        ensure!(
            self.step == 0 || self.batch == 0 || (self.batch, self.images) == (batch, images),
            "--resume: must continue inside an epoch of {} images, {} per step, got {images} and {batch}; give the \
             same --data, --batch and --workers until that epoch is finished",
            self.images,
            self.batch
        );
        (self.batch, self.images) = (batch, images);
        Ok(())
    }

    /// Mean loss of the epoch so far, in nats.
    pub fn loss(&self) -> f64 {
        self.loss / self.count.max(1) as f64
    }

    /// Training accuracy of the epoch so far, 0 to 1.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.count.max(1) as f64
    }

    /// Goes on to the next epoch.
    pub fn finish_epoch(&mut self, metrics: EpochMetrics) {
        let mut epochs = std::mem::take(&mut self.epochs);
        epochs.push(metrics);
        *self = Self { epoch: self.epoch + 1, epochs, ..Self::default() };
    }
}

/// Counts an epoch's steps, and shows them as a bar or as a line now and then.
pub struct Meter {
    bar: ProgressBar,
    start: Instant,
    printed: Instant,
    /// Seconds and images of the epoch before a resume.
    before: (f64, usize),
}

impl Meter {
    pub fn new(plan: &TrainingPlan, progress: &Progress, steps: usize) -> Result<Self> {
        let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {msg} {eta} left")?;
        let bar = ProgressBar::new(steps as u64).with_style(style);
        bar.set_prefix(format!("epoch {}/{}", progress.epoch + 1, plan.epochs));
        let now = Instant::now();
        Ok(Self { bar, start: now, printed: now, before: (progress.seconds, progress.count) })
    }

    pub fn count(&mut self, progress: &mut Progress, outcome: Outcome) {
        progress.step += 1;
        progress.loss += outcome.loss;
        progress.correct += outcome.correct;
        progress.count += outcome.count;
        let spent = self.start.elapsed().as_secs_f64();
        progress.seconds = self.before.0 + spent;
        self.bar.set_position(progress.step as u64);
        self.bar.set_message(format!(
            "loss {:.3}, accuracy {:.1} %, {:.0} images/s,",
            progress.loss(),
            100.0 * progress.accuracy(),
            (progress.count - self.before.1) as f64 / spent
        ));
        if self.bar.is_hidden() && self.printed.elapsed() > INTERVAL {
            self.printed = Instant::now();
            outln!("{} step {}, {}", self.bar.prefix(), progress.step, self.bar.message());
        }
    }
}
