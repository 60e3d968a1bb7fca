//! A training run's settings, checked.

use super::args::Arguments;
use super::feed::DROPOUT;
use super::teacher;
use crate::console::outln;
use crate::model::{self, ModelArgs};
use anyhow::{Context, Result, bail, ensure};
use mobilenet::architecture::Output;
use mobilenet::{Architecture, Kernel, Weights};
use mobilenet_train::random::Random;
use mobilenet_train::schedule::{LrSchedule, Schedule};
use mobilenet_train::{Augmentation, Optimizer, Settings};

/// Input resolution in pixels by default.
const RESOLUTION: usize = 96;

/// Peak learning rate of a new network (the authors' released code).
const LR: f64 = 0.045;

/// Peak learning rate of a trained network. Its features are large: at more, a new classifier on them diverges.
const FINE_TUNING_LR: f64 = 0.002;

/// Most training threads.
const MAX_WORKERS: usize = 256;

/// A network to start from.
pub struct Pretrained {
    pub weights: Weights,
    /// For each class of the training set the network's class of the same label.
    pub classes: Vec<Option<usize>>,
}

/// What determines a run, the images aside.
#[derive(Debug)]
pub struct TrainingPlan {
    pub architecture: Architecture,
    pub settings: Settings,
    pub schedule: Schedule,
    pub augmentation: Augmentation,
    /// (first epoch, side), from epoch 0 on.
    pub resolutions: Vec<(u64, usize)>,
    pub epochs: u64,
    pub batch: usize,
    pub workers: usize,
    pub asynchronous: bool,
    pub label_smoothing: f32,
    /// Weight of the teacher's answers in a target.
    pub teacher_weight: f32,
    pub validate_every: u64,
}

impl TrainingPlan {
    /// Images that a worker learns from at a step, of a set of so many. A set smaller than a batch is one batch.
    pub fn share(&self, images: usize) -> usize {
        self.batch.min(images).div_ceil(self.workers)
    }

    /// Training resolution of an epoch.
    pub fn side(&self, epoch: u64) -> usize {
        let last = self.resolutions.iter().rfind(|(first, _)| *first <= epoch);
        last.map_or(self.architecture.resolution, |(_, side)| *side)
    }

    /// Learning rate of a step. An epoch of one step has that of its middle: at the start a warm-up's rate is zero.
    pub fn lr(&self, epoch: u64, step: usize, steps: usize) -> f64 {
        let part = if steps == 1 { 0.5 } else { step as f64 / steps as f64 };
        self.schedule.rate(epoch as f64 + part)
    }

    /// Dropout of a worker's step: its rate and its random numbers.
    pub fn dropout(&self, epoch: u64, step: usize, worker: usize) -> Option<(f32, Random)> {
        let Settings { seed, dropout, .. } = self.settings;
        let keys = [seed, DROPOUT, epoch, step as u64, worker as u64];
        (dropout > 0.0).then(|| (dropout, Random::new(&keys)))
    }
}

/// Refuses numbers of workers and images that do not fit.
pub fn check_workers(workers: usize, batch: usize) -> Result<()> {
    ensure!(
        (1..=MAX_WORKERS).contains(&workers),
        "--workers: must be between 1 and {MAX_WORKERS}, got {workers}"
    );
    ensure!(
        batch >= workers,
        "--batch: must be at least {workers}, an image for every worker, got {batch}; use a larger --batch or fewer \
         --workers"
    );
    Ok(())
}

/// Refuses learning rates that do not train.
pub fn check_lr(lr: f64) -> Result<()> {
    ensure!(lr > 0.0 && lr.is_finite(), "--lr: must be positive and finite, got {lr}");
    Ok(())
}

/// The plan for classes of these labels, and the network that it starts from.
pub fn plan(arguments: &Arguments, labels: Vec<String>) -> Result<(TrainingPlan, Option<Pretrained>)> {
    let (architecture, pretrained) = network(arguments, labels)?;
    architecture.validate()?;
    let settings = settings(arguments)?;
    let augmentation = Augmentation {
        area: arguments.crop,
        flip: !arguments.no_flip,
        jitter: arguments.jitter,
        mixup: arguments.mixup,
    };
    augmentation.validate()?;
    let resolutions = match &arguments.resolution_schedule {
        Some(text) => resolutions(text, &architecture)?,
        None => vec![(0, architecture.resolution)],
    };
    let plan = TrainingPlan {
        architecture,
        settings,
        schedule: schedule(arguments, pretrained.is_some())?,
        augmentation,
        resolutions,
        epochs: arguments.epochs,
        batch: arguments.batch,
        workers: arguments.workers,
        asynchronous: arguments.asynchronous,
        label_smoothing: fraction("--label-smoothing", arguments.label_smoothing)?,
        teacher_weight: fraction("--teacher-weight", arguments.teacher_weight)?,
        validate_every: arguments.validate_every.max(1),
    };
    let temperature = arguments.temperature;
    ensure!(
        temperature > 0.0 && temperature.is_finite(),
        "--temperature: must be positive and finite, got {temperature}"
    );
    Ok((plan, pretrained))
}

fn settings(arguments: &Arguments) -> Result<Settings> {
    let Arguments { momentum, epsilon, .. } = *arguments;
    let settings = Settings {
        optimizer: match arguments.optimizer.unwrap_or_default() {
            Optimizer::RmsProp { decay, .. } => Optimizer::RmsProp { decay, momentum, epsilon },
            Optimizer::Sgd { .. } => Optimizer::Sgd { momentum },
        },
        weight_decay: arguments.weight_decay,
        moving_decay: arguments.bn_momentum,
        average_decay: arguments.ema_decay,
        dropout: arguments.dropout,
        seed: arguments.seed,
    };
    settings.validate()?;
    Ok(settings)
}

fn schedule(arguments: &Arguments, fine_tuning: bool) -> Result<Schedule> {
    let Arguments { epochs, warm_up, .. } = *arguments;
    let peak = arguments.lr.unwrap_or(if fine_tuning { FINE_TUNING_LR } else { LR });
    ensure!(epochs > 0, "--epochs: must be at least 1, got 0");
    check_lr(peak)?;
    ensure!(
        warm_up >= 0.0 && warm_up.is_finite(),
        "--warm-up: must be finite and non-negative, got {warm_up}"
    );
    let decay = arguments.lr_schedule.unwrap_or(LrSchedule::Cosine);
    Ok(Schedule { peak, warm_up, epochs: epochs as f64, decay })
}

fn fraction(name: &str, value: f32) -> Result<f32> {
    ensure!((0.0..=1.0).contains(&value), "{name}: must be between 0 and 1, got {value}");
    Ok(value)
}

/// The network to train, and the one it starts from.
fn network(arguments: &Arguments, labels: Vec<String>) -> Result<(Architecture, Option<Pretrained>)> {
    let Some(path) = &arguments.from else {
        let architecture = Architecture {
            alpha: arguments.alpha,
            resolution: arguments.resolution.unwrap_or(RESOLUTION),
            classes: labels.len(),
            convolution: arguments.convolution.unwrap_or_default(),
            shallow: arguments.shallow,
            labels,
            ..Architecture::default()
        };
        return Ok((architecture, None));
    };
    let mut weights = model::read(path, &ModelArgs::at(arguments.resolution))?.weights;
    let mut classes = teacher::matching(&labels, &weights.architecture.labels);
    if !weights.architecture.head.is_empty() || weights.architecture.output != Output::Softmax {
        // Only a classifier alone is trained: it starts at zero in place of the head.
        let kernel = vec![0.0; weights.architecture.features() * labels.len()];
        weights.replace_classifier(Kernel::F32(kernel), vec![0.0; labels.len()], labels.clone())?;
        classes = vec![None; labels.len()];
    }
    let known = classes.iter().flatten().count();
    let rest = if known < labels.len() { "; the others start at zero" } else { "" };
    outln!("{} knows {known} of {} classes by their labels{rest}", path.display(), labels.len());
    let architecture = weights.architecture.with_classes(labels.len(), labels);
    Ok((architecture, Some(Pretrained { weights, classes })))
}

/// Parses `64@0,96@20` into (epoch, side), in the order of epochs.
fn resolutions(text: &str, architecture: &Architecture) -> Result<Vec<(u64, usize)>> {
    let wrong = || {
        format!(
            "--resolution-schedule: must be like 64@0,96@20, in order and the first at epoch 0, got `{text}`"
        )
    };
    let mut list = Vec::new();
    for part in text.split(',') {
        let (side, epoch) = part.trim().split_once('@').with_context(wrong)?;
        let (side, epoch): (usize, u64) =
            (side.parse().with_context(wrong)?, epoch.parse().with_context(wrong)?);
        Architecture { resolution: side, ..architecture.clone() }.validate()?;
        list.push((epoch, side));
    }
    if list.first().is_none_or(|first| first.0 != 0) || !list.is_sorted_by(|a, b| a.0 < b.0) {
        bail!(wrong());
    }
    Ok(list)
}
