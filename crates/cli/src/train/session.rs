//! The run itself: epochs of steps, validation, and what is put away between them.

use super::asynchronous;
use super::data::Set;
use super::feed::{AHEAD, Batch, DROPOUT, Recipe, order};
use super::record::{Line, Record};
use super::teacher::Answers;
use super::validation::validate;
use super::{Plan, Start};
use anyhow::{Context, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use mobilenet::Architecture;
use mobilenet_train::random::Random;
use mobilenet_train::replica::Outcome;
use mobilenet_train::{Layout, Parameters, Replica, Settings, Trainer, checkpoint};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

/// How often a line says where the run is, where there is no terminal to show a bar.
const SILENCE: Duration = Duration::from_secs(60);

/// Where in its run a checkpoint stands.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Place {
    pub epoch: u64,
    /// Steps of this epoch that were taken.
    pub step: usize,
    /// What they came to.
    loss: f64,
    correct: usize,
    count: usize,
    seconds: f64,
    lines: Vec<Line>,
    /// Pictures of a step and of the epoch; 0 in checkpoints of earlier builds.
    #[serde(default)]
    batch: usize,
    #[serde(default)]
    pictures: usize,
}

impl Place {
    /// Refuses to go on inside an epoch that is divided otherwise: pictures would be shown twice, or never.
    fn begin(&mut self, batch: usize, pictures: usize) -> anyhow::Result<()> {
        ensure!(
            self.step == 0 || self.batch == 0 || (self.batch, self.pictures) == (batch, pictures),
            "the checkpoint stands inside an epoch of {} pictures, {} a step, and this one would have {pictures} and \
             {batch}; give the same --data, --batch and --workers until that epoch is done",
            self.pictures,
            self.batch
        );
        (self.batch, self.pictures) = (batch, pictures);
        Ok(())
    }
}

/// Where a run ended.
pub struct Run {
    /// The epochs that were finished.
    pub lines: Vec<Line>,
    pub trainer: Trainer,
}

impl Run {
    /// Whether it came to its end.
    pub fn is_complete(&self, plan: &Plan) -> bool {
        self.lines.len() as u64 >= plan.epochs
    }
}

/// Trains by the plan until it is done or `stop` is set.
pub fn run(
    plan: &Plan,
    start: Option<&Start>,
    set: &Set,
    validation: Option<&Set>,
    teacher: Option<&Answers>,
    record: Record,
    stop: &AtomicBool,
) -> anyhow::Result<Run> {
    let (mut trainer, mut place) = match record.checkpoint()? {
        None => (begin(plan, start, set)?, Place::default()),
        Some((path, bytes)) => {
            let named = || path.display().to_string();
            let (trainer, note) =
                checkpoint::read(&bytes, &plan.architecture, plan.settings).with_context(named)?;
            (trainer, serde_json::from_str(&note).with_context(named)?)
        }
    };
    let mut replicas = Vec::new();
    let keep = |trainer: &Trainer, place: &Place| {
        record.keep(&checkpoint::write(trainer, &serde_json::to_string(place)?)?)
    };
    while place.epoch < plan.epochs {
        let finished = epoch(plan, set, teacher, &mut trainer, &mut replicas, &mut place, stop, None)?;
        set.check()?;
        if finished {
            let number = place.epoch + 1;
            let due = number.is_multiple_of(plan.validate_every) || number == plan.epochs;
            let validation = validation.filter(|_| due);
            if validation.is_some() {
                // Whatever becomes of validation, the epoch must not go with it.
                keep(&trainer, &place)?;
            }
            let line = finish_epoch(plan, validation, &trainer, &mut place)?;
            place.lines.push(line);
            place = Place { epoch: place.epoch + 1, lines: place.lines, ..Place::default() };
        }
        keep(&trainer, &place)?;
        record.lines(&place.lines)?;
        if !finished {
            println!("stopped in epoch {} after step {}, with a checkpoint", place.epoch + 1, place.step);
            return Ok(Run { lines: place.lines, trainer });
        }
    }
    trainer.set_resolution(plan.architecture.resolution)?;
    record.network(&trainer.weights()?)?;
    Ok(Run { lines: place.lines, trainer })
}

/// Trains for half a minute and prints how fast.
pub fn benchmark(
    plan: &Plan,
    start: Option<&Start>,
    set: &Set,
    teacher: Option<&Answers>,
) -> anyhow::Result<()> {
    let mut trainer = begin(plan, start, set)?;
    let (mut replicas, mut place) = (Vec::new(), Place::default());
    let stop = AtomicBool::new(false);
    let end = Some(Instant::now() + Duration::from_secs(30));
    epoch(plan, set, teacher, &mut trainer, &mut replicas, &mut place, &stop, end)?;
    println!(
        "{:.1} images/s: {} pictures in {:.1} s, decoding included",
        place.count as f64 / place.seconds,
        place.count,
        place.seconds
    );
    Ok(())
}

/// A trainer before its first step.
fn begin(plan: &Plan, start: Option<&Start>, set: &Set) -> anyhow::Result<Trainer> {
    let Some(start) = start else { return Ok(Trainer::new(&plan.architecture, plan.settings)?) };
    let side = side(plan, 0);
    let layout = Layout::new(&Architecture { resolution: side, ..plan.architecture.clone() })?;
    let parameters = Parameters::from_weights(&layout, &start.weights, &start.classes)?;
    let mut trainer = Trainer::from_parameters(layout, plan.settings, parameters)?;
    // As many as a worker learns from first, so that they are normalized as they will be.
    let share = share(plan, set);
    let order = order(set.len(), plan.settings.seed, 0);
    let first = recipe(plan, set, None, side).batch(&order[..share], 0)?;
    set.check()?;
    trainer.settle(&mut Replica::new(&trainer.layout, share)?, &first.images)?;
    Ok(trainer)
}

/// Pictures that a worker learns from at a step. A set smaller than a batch is one batch.
fn share(plan: &Plan, set: &Set) -> usize {
    plan.batch.min(set.len()).div_ceil(plan.workers)
}

fn recipe<'a>(plan: &Plan, set: &'a Set, teacher: Option<&'a Answers>, side: usize) -> Recipe<'a> {
    Recipe {
        set,
        side,
        classes: plan.architecture.classes,
        normalization: plan.architecture.normalization,
        augmentation: plan.augmentation,
        smoothing: plan.smoothing,
        teacher: teacher.map(|answers| (answers, plan.teacher_weight)),
        seed: plan.settings.seed,
    }
}

fn side(plan: &Plan, epoch: u64) -> usize {
    let last = plan.resolutions.iter().rfind(|(first, _)| *first <= epoch);
    last.map_or(plan.architecture.resolution, |(_, side)| *side)
}

/// When a step begins, in epochs; the middle of an epoch that is one step, which would learn nothing at a rate that begins
/// at zero.
pub fn moment(epoch: u64, step: usize, steps: usize) -> f64 {
    epoch as f64 + if steps == 1 { 0.5 } else { step as f64 / steps as f64 }
}

/// Runs the rest of an epoch. `false` where it was stopped before its end.
#[allow(clippy::too_many_arguments)]
fn epoch(
    plan: &Plan,
    set: &Set,
    teacher: Option<&Answers>,
    trainer: &mut Trainer,
    replicas: &mut Vec<Replica>,
    place: &mut Place,
    stop: &AtomicBool,
    end: Option<Instant>,
) -> anyhow::Result<bool> {
    let side = side(plan, place.epoch);
    let (whole, share) = (plan.batch.min(set.len()), share(plan, set));
    if trainer.layout.architecture.resolution != side || replicas.is_empty() {
        trainer.set_resolution(side)?;
        *replicas =
            (0..plan.workers).map(|_| Replica::new(&trainer.layout, share)).collect::<Result<_, _>>()?;
    }
    let recipe = recipe(plan, set, teacher, side);
    let order = order(set.len(), plan.settings.seed, place.epoch);
    let batch = if plan.asynchronous { share } else { whole };
    let steps = order.len() / batch;
    place.begin(batch, order.len())?;
    let mut meter = Meter::new(plan, place, steps)?;
    let (sender, receiver) = sync_channel(AHEAD);
    let (first, number) = (place.step, place.epoch);
    let over = |place: &Place| {
        stop.load(Ordering::Relaxed) && place.step < steps || end.is_some_and(|end| Instant::now() > end)
    };
    std::thread::scope(|scope| -> anyhow::Result<bool> {
        let (recipe, order) = (&recipe, &order);
        scope.spawn(move || recipe.send(order, batch, first, number, false, &sender));
        if plan.asynchronous {
            return asynchronous::learn(plan, trainer, replicas, receiver, steps, place, |place, outcome| {
                meter.count(place, outcome);
                set.check()?;
                Ok(!over(place))
            });
        }
        for made in receiver {
            let rate = plan.schedule.rate(moment(place.epoch, place.step, steps));
            let outcome = step(plan, trainer, replicas, &made?, share, rate, place)?;
            meter.count(place, outcome);
            set.check()?;
            if over(place) {
                return Ok(false);
            }
        }
        Ok(true)
    })
}

/// Counts an epoch's steps into its place in the run, and shows them: as a bar, or as a line now and then.
struct Meter {
    bar: ProgressBar,
    began: Instant,
    said: Instant,
    /// Seconds and pictures of the epoch that were spent before a resume.
    before: (f64, usize),
}

impl Meter {
    fn new(plan: &Plan, place: &Place, steps: usize) -> anyhow::Result<Self> {
        let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {msg} {eta} left")?;
        let bar = ProgressBar::new(steps as u64).with_style(style);
        bar.set_prefix(format!("epoch {}/{}", place.epoch + 1, plan.epochs));
        let now = Instant::now();
        Ok(Self { bar, began: now, said: now, before: (place.seconds, place.count) })
    }

    fn count(&mut self, place: &mut Place, outcome: Outcome) {
        place.step += 1;
        place.loss += outcome.loss;
        place.correct += outcome.correct;
        place.count += outcome.count;
        let spent = self.began.elapsed().as_secs_f64();
        place.seconds = self.before.0 + spent;
        self.bar.set_position(place.step as u64);
        self.bar.set_message(format!(
            "loss {:.3}, {:.1} % right, {:.0} images/s,",
            place.loss / place.count as f64,
            100.0 * place.correct as f64 / place.count as f64,
            (place.count - self.before.1) as f64 / spent
        ));
        if self.bar.is_hidden() && self.said.elapsed() > SILENCE {
            self.said = Instant::now();
            println!("{} step {}, {}", self.bar.prefix(), place.step, self.bar.message());
        }
    }
}

/// What a worker leaves out at a step.
pub fn dropout(plan: &Plan, epoch: u64, step: usize, worker: usize) -> Option<(f32, Random)> {
    let Settings { seed, dropout, .. } = plan.settings;
    let keys = [seed, DROPOUT, epoch, step as u64, worker as u64];
    (dropout > 0.0).then(|| (dropout, Random::new(&keys)))
}

/// One step: every worker learns its share of the batch, then their gradients are joined.
fn step(
    plan: &Plan,
    trainer: &mut Trainer,
    replicas: &mut [Replica],
    batch: &Batch,
    share: usize,
    rate: f64,
    place: &Place,
) -> anyhow::Result<Outcome> {
    let size = batch.images.len() / batch.classes.len();
    let trained = &trainer.parameters.trained;
    let dropout = |worker| dropout(plan, place.epoch, place.step, worker);
    let images = batch.images.chunks(share * size);
    let targets = batch.targets.chunks(share * plan.architecture.classes);
    let outcomes = std::thread::scope(|scope| {
        let shares = replicas.iter_mut().zip(images.zip(targets)).enumerate();
        let learn = |(worker, (replica, (images, targets))): (usize, (&mut Replica, (_, _)))| {
            replica.learn(trained, images, targets, dropout(worker))
        };
        let mut shares: Vec<_> = shares.collect();
        let own = shares.remove(0);
        let others: Vec<_> = shares.into_iter().map(|share| scope.spawn(move || learn(share))).collect();
        let mut outcomes = vec![learn(own)];
        for other in others {
            outcomes.push(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        outcomes
    });
    let outcomes = outcomes.into_iter().collect::<Result<Vec<_>, _>>()?;
    let shares: Vec<(&Replica, Outcome)> = replicas.iter().zip(outcomes).collect();
    Ok(trainer.apply(&shares, rate)?)
}

/// Validates where there is a set for it, prints the epoch's line and gives it.
fn finish_epoch(
    plan: &Plan,
    validation: Option<&Set>,
    trainer: &Trainer,
    place: &mut Place,
) -> anyhow::Result<Line> {
    let number = place.epoch + 1;
    let score = validation.map(|set| validate(plan, set, trainer.best())).transpose()?;
    let line = Line {
        epoch: number,
        resolution: trainer.layout.architecture.resolution,
        rate: plan.schedule.rate(place.epoch as f64),
        loss: place.loss / place.count.max(1) as f64,
        accuracy: place.correct as f64 / place.count.max(1) as f64,
        validation: score.map(|score| [score.loss, score.top1, score.top5]),
        images_per_second: place.count as f64 / place.seconds.max(1e-9),
        seconds: place.seconds,
    };
    let validated = line.validation.map_or(String::new(), |[loss, first, five]| {
        format!("; validation: loss {loss:.3}, top-1 {:.2} %, top-5 {:.2} %", 100.0 * first, 100.0 * five)
    });
    println!(
        "epoch {number}/{} at {}: loss {:.3}, {:.2} % right, {:.0} images/s{validated}",
        plan.epochs,
        line.resolution,
        line.loss,
        100.0 * line.accuracy,
        line.images_per_second
    );
    Ok(line)
}
