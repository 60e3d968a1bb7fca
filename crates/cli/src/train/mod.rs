//! `mobilenet train`: labelled pictures become a network, as the paper trained (RMSprop, asynchronously if asked), with
//! a checkpoint after every epoch from which `--resume` goes on to the same result.
//!
//! `source` says which pictures, `data` reads them, `feed` makes batches while the network learns, `teacher` asks a
//! larger network, `session` runs epochs (`asynchronous` where workers do not wait), `validation` counts on other
//! pictures, `record` keeps checkpoint, log and curves. `paper` trains its family by the same parts.

mod asynchronous;
pub mod data;
mod feed;
pub mod record;
pub mod session;
pub mod source;
mod teacher;
pub mod validation;

use crate::network::Known;
use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use data::Set;
use mobilenet::architecture::Convolution;
use mobilenet::{Architecture, Weights};
use mobilenet_train::schedule::{LrSchedule, Schedule};
use mobilenet_train::{Augmentation, Optimizer, Settings};
use source::Source;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Clone, Copy, ValueEnum)]
enum ConvolutionName {
    Separable,
    Standard,
}

#[derive(Clone, Copy, ValueEnum)]
enum RuleName {
    Rmsprop,
    Sgd,
}

#[derive(Clone, Copy, ValueEnum)]
enum FallName {
    Cosine,
    Step,
    Constant,
}

/// Side of the input where nobody says one.
const RESOLUTION: usize = 96;

/// Greatest learning rate of a network that starts from nothing (the authors' released code).
const RATE: f64 = 0.045;

/// The same of one that knows something: its features are large, and at more a new classifier on them runs away.
const TUNING_RATE: f64 = 0.002;

#[derive(clap::Args)]
#[command(mut_arg("data", |data| data.required(true)))]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    /// Where checkpoint, log, curves and the network go.
    #[arg(long, default_value = "run")]
    output: PathBuf,
    /// Start from this network, in any form that `convert` reads, and not from nothing: width, padding, activation and
    /// normalization are its own, and of its classes those that the set has too, by their labels; others start anew. Best a
    /// native file, which leaves nothing open.
    #[arg(long, conflicts_with_all = ["alpha", "convolution", "shallow"])]
    from: Option<PathBuf>,
    /// Width multiplier.
    #[arg(long, default_value_t = 0.5)]
    alpha: f64,
    /// Side of the finished network's input in pixels; validation uses it too. 96, or what --from has.
    #[arg(long)]
    resolution: Option<usize>,
    /// Train at other resolutions, SIDE@EPOCH from that epoch on: 64@0,96@20.
    #[arg(long)]
    resolution_schedule: Option<String>,
    /// Separable blocks, or the full convolutions of the paper's Table 4.
    #[arg(long, value_enum, default_value = "separable")]
    convolution: ConvolutionName,
    /// Leave the five 14x14x512 blocks out (Table 5).
    #[arg(long)]
    shallow: bool,
    /// Passes over the data.
    #[arg(long, default_value_t = 30)]
    epochs: u64,
    /// Pictures per step, over all workers.
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// Threads that learn, each on its share of a batch (or on a batch of its own, --asynchronous).
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Workers read and move the weights without waiting for each other, as the paper trained; faster, and never twice
    /// the same.
    #[arg(long)]
    asynchronous: bool,
    /// The optimizer's rule: RMSprop as TensorFlow 1 means it, or gradient descent with momentum.
    #[arg(long, value_enum, default_value = "rmsprop")]
    rule: RuleName,
    /// Part of a step that the rule keeps for the next.
    #[arg(long, default_value_t = 0.9)]
    momentum: f32,
    /// What RMSprop adds to the mean square under the root; the authors' 1 makes it almost plain descent.
    #[arg(long, default_value_t = 1.0)]
    epsilon: f32,
    /// Greatest learning rate. 0.045, or 0.002 with --from.
    #[arg(long)]
    rate: Option<f64>,
    /// How the rate falls; step is the authors' 0.94 every 2.5 epochs.
    #[arg(long, value_enum, default_value = "cosine")]
    fall: FallName,
    /// Epochs over which the rate grows from zero.
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Weight decay; none on depthwise filters, batch norm and biases.
    #[arg(long, default_value_t = 4e-5)]
    weight_decay: f32,
    /// Part of itself that the average of the weights keeps at every step; 0 turns it off.
    #[arg(long, default_value_t = 0.999)]
    average: f32,
    /// Part of itself that batch norm's moving averages keep at every step.
    #[arg(long, default_value_t = 0.99)]
    moving: f32,
    /// Part of the features that the classifier does not see.
    #[arg(long, default_value_t = 0.0)]
    dropout: f32,
    /// Part of a target that is spread over all classes.
    #[arg(long, default_value_t = 0.0)]
    smoothing: f32,
    /// Least part of a picture's area that a random crop keeps; 1 turns cropping off.
    #[arg(long, default_value_t = 0.35)]
    crop: f32,
    /// Never mirror pictures.
    #[arg(long)]
    no_flip: bool,
    /// Greatest change of brightness, contrast and saturation.
    #[arg(long, default_value_t = 0.2)]
    jitter: f32,
    /// Parameter of mixup; 0 turns it off.
    #[arg(long, default_value_t = 0.0)]
    mixup: f32,
    /// A network whose soft answers are learned from too, best a native file (`mobilenet convert`); its labels must
    /// contain the set's.
    #[arg(long)]
    teacher: Option<PathBuf>,
    /// Side at which the teacher looks at the pictures, where not its own.
    #[arg(long)]
    teacher_resolution: Option<usize>,
    /// Where the teacher's answers are kept, so that it is asked once; in the output folder where absent.
    #[arg(long)]
    teacher_answers: Option<PathBuf>,
    /// The teacher's part of a target.
    #[arg(long, default_value_t = 0.5)]
    teacher_weight: f32,
    /// Temperature of the teacher's answers.
    #[arg(long, default_value_t = 1.0)]
    temperature: f32,
    /// Of everything random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Validate after every this many epochs (and after the last).
    #[arg(long, default_value_t = 1)]
    validate_every: u64,
    /// Go on from the checkpoint in the output folder.
    #[arg(long)]
    resume: bool,
    /// Train for half a minute, or an epoch if that is shorter, print pictures per second, and keep nothing but a teacher's
    /// answers.
    #[arg(long)]
    benchmark: bool,
}

/// A network to start from.
pub struct Start {
    pub weights: Weights,
    /// For each class of the set which of the network's it is, if any.
    pub classes: Vec<Option<usize>>,
}

/// What a run is, checked.
#[derive(Debug)]
pub struct Plan {
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
    pub smoothing: f32,
    /// The teacher's part of a target.
    pub teacher_weight: f32,
    pub validate_every: u64,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    ensure!(
        (1..=256).contains(&arguments.workers),
        "--workers is {}, and must be 1 to 256",
        arguments.workers
    );
    ensure!(
        arguments.batch >= arguments.workers,
        "--batch is {}, and every one of the {} workers needs a picture",
        arguments.batch,
        arguments.workers
    );
    let (set, validation) = arguments.source.read(false)?;
    let (plan, start) = plan(arguments, arguments.source.labels(&set.classes)?)?;
    if arguments.benchmark {
        let teacher =
            arguments.teacher.as_deref().map(|path| ask(arguments, path, &set, &plan)).transpose()?;
        return session::benchmark(&plan, start.as_ref(), &set, teacher.as_ref());
    }
    let stop = interruption()?;
    let record = record::Record::open(&arguments.output, arguments.resume)?;
    let teacher = arguments.teacher.as_deref().map(|path| ask(arguments, path, &set, &plan)).transpose()?;
    let run =
        session::run(&plan, start.as_ref(), &set, validation.as_ref(), teacher.as_ref(), record, &stop)?;
    if !run.is_complete(&plan) {
        println!("go on with --resume");
    }
    Ok(())
}

/// What Ctrl-C sets, so that a run ends after its step; the second ends the program.
pub fn interruption() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let heard = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if heard.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        eprintln!("stopping after this step, with a checkpoint; once more to stop at once");
    })?;
    Ok(stop)
}

/// The network to train, and the one it starts from.
fn network(arguments: &Arguments, labels: Vec<String>) -> anyhow::Result<(Architecture, Option<Start>)> {
    let Some(path) = &arguments.from else {
        let architecture = Architecture {
            alpha: arguments.alpha,
            resolution: arguments.resolution.unwrap_or(RESOLUTION),
            classes: labels.len(),
            convolution: match arguments.convolution {
                ConvolutionName::Separable => Convolution::Separable,
                ConvolutionName::Standard => Convolution::Standard,
            },
            shallow: arguments.shallow,
            labels,
            ..Architecture::default()
        };
        return Ok((architecture, None));
    };
    let weights = crate::network::read(path, &Known::at(arguments.resolution))?.weights;
    let classes = teacher::namesakes(&labels, &weights.architecture.labels);
    let known = classes.iter().flatten().count();
    let rest = if known < labels.len() { "; the others start anew" } else { "" };
    println!("{} knows {known} of {} classes by their labels{rest}", path.display(), labels.len());
    let architecture =
        Architecture { classes: labels.len(), background: false, labels, ..weights.architecture.clone() };
    Ok((architecture, Some(Start { weights, classes })))
}

fn plan(arguments: &Arguments, labels: Vec<String>) -> anyhow::Result<(Plan, Option<Start>)> {
    let (architecture, start) = network(arguments, labels)?;
    architecture.validate()?;
    let settings = Settings {
        optimizer: match arguments.rule {
            RuleName::Rmsprop => {
                Optimizer::RmsProp { decay: 0.9, momentum: arguments.momentum, epsilon: arguments.epsilon }
            }
            RuleName::Sgd => Optimizer::Sgd { momentum: arguments.momentum },
        },
        weight_decay: arguments.weight_decay,
        moving_decay: arguments.moving,
        average_decay: arguments.average,
        dropout: arguments.dropout,
        seed: arguments.seed,
    };
    settings.validate()?;
    let decay = match arguments.fall {
        FallName::Cosine => LrSchedule::Cosine,
        FallName::Step => LrSchedule::Step { factor: 0.94, epochs: 2.5 },
        FallName::Constant => LrSchedule::Constant,
    };
    let epochs = arguments.epochs;
    ensure!(epochs > 0, "--epochs is 0, and a run needs one");
    let rate = arguments.rate.unwrap_or(if start.is_some() { TUNING_RATE } else { RATE });
    let warm_up = arguments.warm_up;
    ensure!(rate > 0.0 && rate.is_finite(), "--rate is {rate}, and must be above 0");
    ensure!(warm_up >= 0.0 && warm_up.is_finite(), "--warm-up is {warm_up}, and must be 0 or more");
    let fraction = |name: &str, value: f32| {
        ensure!((0.0..=1.0).contains(&value), "{name} is {value}, and must be 0 to 1");
        Ok(())
    };
    fraction("--smoothing", arguments.smoothing)?;
    fraction("--teacher-weight", arguments.teacher_weight)?;
    let temperature = arguments.temperature;
    ensure!(
        temperature > 0.0 && temperature.is_finite(),
        "--temperature is {temperature}, and must be above 0"
    );
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
    let plan = Plan {
        architecture,
        settings,
        schedule: Schedule { peak: rate, warm_up, epochs: epochs as f64, decay },
        augmentation,
        resolutions,
        epochs,
        batch: arguments.batch,
        workers: arguments.workers,
        asynchronous: arguments.asynchronous,
        smoothing: arguments.smoothing,
        teacher_weight: arguments.teacher_weight,
        validate_every: arguments.validate_every.max(1),
    };
    Ok((plan, start))
}

/// `64@0,96@20` as (epoch, side), in order of epochs.
fn resolutions(text: &str, architecture: &Architecture) -> anyhow::Result<Vec<(u64, usize)>> {
    let wrong =
        || format!("--resolution-schedule is `{text}`, and must be like 64@0,96@20, the first at epoch 0");
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

fn ask(arguments: &Arguments, path: &Path, set: &Set, plan: &Plan) -> anyhow::Result<teacher::Answers> {
    let weights = crate::network::read(path, &Known::at(arguments.teacher_resolution))?.weights;
    let columns = teacher::columns(&plan.architecture.labels, &weights.architecture.labels)?;
    let kept =
        arguments.teacher_answers.clone().unwrap_or_else(|| arguments.output.join("answers.safetensors"));
    let answers = teacher::Answers::get(set, &weights, &columns, arguments.temperature, &kept)?;
    println!("the teacher names {:.2} % of the training pictures rightly", 100.0 * answers.accuracy(set));
    Ok(answers)
}
