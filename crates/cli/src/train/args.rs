//! Options of `train`.

use super::source::TrainingSource;
use crate::words::{tagged, words};
use mobilenet::architecture::Convolution;
use mobilenet_train::Optimizer;
use mobilenet_train::schedule::LrSchedule;
use serde_json::json;
use std::path::PathBuf;

/// Arguments of `train`.
#[derive(clap::Args)]
#[command(mut_arg("data", |data| data.required(true)))]
pub struct Arguments {
    #[command(flatten)]
    pub source: TrainingSource,
    /// Folder for checkpoint, log, curves and network.
    #[arg(long, default_value = "run")]
    pub output: PathBuf,
    /// Start from this network, in any format, with its width, padding, activation and normalization. Classes are matched
    /// by label; the others start at zero.
    #[arg(long, conflicts_with_all = ["alpha", "convolution", "shallow"])]
    pub from: Option<PathBuf>,
    /// Width multiplier.
    #[arg(long, default_value_t = 0.5)]
    pub alpha: f64,
    /// Input resolution of the finished network and of validation, in pixels; default 96, or that of --from.
    #[arg(long)]
    pub resolution: Option<usize>,
    /// Training resolutions as SIDE@EPOCH, each from that epoch on: 64@0,96@20.
    #[arg(long)]
    pub resolution_schedule: Option<String>,
    /// Convolution of the blocks; default separable, `standard` is the network of the paper's Table 4.
    #[arg(long, value_parser = words::<Convolution>(|_| true))]
    pub convolution: Option<Convolution>,
    /// Leave out the five 14x14x512 blocks (Table 5).
    #[arg(long)]
    pub shallow: bool,
    /// Passes over the training images.
    #[arg(long, default_value_t = 30)]
    pub epochs: u64,
    /// Images per step, over all workers.
    #[arg(long, default_value_t = 64)]
    pub batch: usize,
    /// Training threads, each with its share of a batch (or its own batch, with --asynchronous).
    #[arg(long, default_value_t = 2)]
    pub workers: usize,
    /// Update the weights without waiting for other workers, as in the paper: faster, but not reproducible.
    #[arg(long)]
    pub asynchronous: bool,
    /// Optimizer; default rmsprop, as in TensorFlow 1.
    #[arg(long, alias = "rule", value_parser = optimizer())]
    pub optimizer: Option<Optimizer>,
    /// Momentum of the optimizer.
    #[arg(long, default_value_t = 0.9)]
    pub momentum: f32,
    /// RMSprop's epsilon, under the root; at the paper's 1, RMSprop is close to plain descent.
    #[arg(long, default_value_t = 1.0)]
    pub epsilon: f32,
    /// Peak learning rate; default 0.045, or 0.002 with --from.
    #[arg(long, alias = "rate")]
    pub lr: Option<f64>,
    /// Learning rate after the warm-up; default cosine, `step` is the authors' 0.94 every 2.5 epochs.
    #[arg(long, alias = "fall", value_parser = lr_schedule())]
    pub lr_schedule: Option<LrSchedule>,
    /// Epochs over which the learning rate grows from zero.
    #[arg(long, default_value_t = 1.0)]
    pub warm_up: f64,
    /// Weight decay of pointwise and standard kernels and the classifier's.
    #[arg(long, default_value_t = 4e-5)]
    pub weight_decay: f32,
    /// Decay of the exponential moving average of the weights; 0 disables it.
    #[arg(long, alias = "average", default_value_t = 0.999)]
    pub ema_decay: f32,
    /// Decay of batch normalization's moving averages.
    #[arg(long, alias = "moving", default_value_t = 0.99)]
    pub bn_momentum: f32,
    /// Dropout rate before the classifier.
    #[arg(long, default_value_t = 0.0)]
    pub dropout: f32,
    /// Label smoothing.
    #[arg(long, alias = "smoothing", default_value_t = 0.0)]
    pub label_smoothing: f32,
    /// Smallest area of a random crop, as a fraction of the image; 1 disables cropping.
    #[arg(long, default_value_t = 0.35)]
    pub crop: f32,
    /// Disable horizontal flips.
    #[arg(long)]
    pub no_flip: bool,
    /// Largest change of brightness, contrast and saturation.
    #[arg(long, default_value_t = 0.2)]
    pub jitter: f32,
    /// Alpha of mixup's beta distribution; 0 disables mixup.
    #[arg(long, default_value_t = 0.0)]
    pub mixup: f32,
    /// Distill from this network, in any format, whose labels must contain the training set's.
    #[arg(long)]
    pub teacher: Option<PathBuf>,
    /// Resolution of the teacher, instead of its own.
    #[arg(long)]
    pub teacher_resolution: Option<usize>,
    /// File that keeps the teacher's answers for the next run; default in the output folder.
    #[arg(long)]
    pub teacher_answers: Option<PathBuf>,
    /// Weight of the teacher's answers in the targets.
    #[arg(long, default_value_t = 0.5)]
    pub teacher_weight: f32,
    /// Temperature of the teacher's answers.
    #[arg(long, default_value_t = 1.0)]
    pub temperature: f32,
    /// Seed of all random numbers.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Epochs between validations; the last epoch is always validated.
    #[arg(long, default_value_t = 1)]
    pub validate_every: u64,
    /// Continue from the checkpoint in the output folder.
    #[arg(long)]
    pub resume: bool,
    /// Train for half a minute, or an epoch if that is shorter, print images per second, and write nothing but the
    /// teacher's answers.
    #[arg(long)]
    pub benchmark: bool,
}

fn optimizer() -> impl clap::builder::TypedValueParser<Value = Optimizer> {
    tagged("rule", json!({ "decay": 0.9, "momentum": 0.9, "epsilon": 1.0 }))
}

fn lr_schedule() -> impl clap::builder::TypedValueParser<Value = LrSchedule> {
    tagged("form", json!({ "factor": 0.94, "epochs": 2.5 }))
}
