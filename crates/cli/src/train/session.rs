//! The run itself: epochs of steps, validation, and checkpoints in between.

use super::asynchronous;
use super::data::Dataset;
use super::feed::{AHEAD, Batch, Recipe, order};
use super::plan::{Pretrained, TrainingPlan};
use super::progress::{Meter, Progress};
use super::record::{EpochMetrics, Record};
use super::teacher::TeacherAnswers;
use super::validation::validate;
use crate::console::outln;
use anyhow::{Context, Result};
use mobilenet::Architecture;
use mobilenet_train::replica::Outcome;
use mobilenet_train::{Layout, Parameters, Replica, Trainer, checkpoint};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

/// Length of a benchmark.
const BENCHMARK: Duration = Duration::from_secs(30);

/// What a run trains, from what and on what.
#[derive(Clone, Copy)]
pub struct Session<'a> {
    pub plan: &'a TrainingPlan,
    pub pretrained: Option<&'a Pretrained>,
    pub training: &'a Dataset,
    pub validation: Option<&'a Dataset>,
    pub teacher: Option<&'a TeacherAnswers>,
}

/// How far a run came.
pub struct Trained {
    /// The epochs that are finished.
    pub epochs: Vec<EpochMetrics>,
    pub trainer: Trainer,
}

impl Trained {
    /// Whether it came to its end.
    pub fn is_complete(&self, plan: &TrainingPlan) -> bool {
        self.epochs.len() as u64 >= plan.epochs
    }
}

/// A trainer with the memory of its workers, and where it is.
struct State {
    trainer: Trainer,
    replicas: Vec<Replica>,
    progress: Progress,
}

/// When to stop inside an epoch.
struct Stop<'a> {
    asked: &'a AtomicBool,
    end: Option<Instant>,
}

impl Stop<'_> {
    fn now(&self, progress: &Progress, steps: usize) -> bool {
        let asked = self.asked.load(Ordering::Relaxed) && progress.step < steps;
        asked || self.end.is_some_and(|end| Instant::now() > end)
    }
}

impl Session<'_> {
    /// Trains until the plan is done or `stop` is set.
    pub fn run(&self, record: &Record, stop: &AtomicBool) -> Result<Trained> {
        let plan = self.plan;
        let mut state = self.state(record)?;
        let keep = |state: &State| {
            record.keep(&checkpoint::write(&state.trainer, &serde_json::to_string(&state.progress)?)?)
        };
        while state.progress.epoch < plan.epochs {
            let finished = self.epoch(&mut state, &Stop { asked: stop, end: None })?;
            self.training.check()?;
            if finished {
                let number = state.progress.epoch + 1;
                let due = number.is_multiple_of(plan.validate_every) || number == plan.epochs;
                let validation = self.validation.filter(|_| due);
                if validation.is_some() {
                    // If validation fails, the epoch must not be lost.
                    keep(&state)?;
                }
                let metrics = self.finish_epoch(validation, &state)?;
                state.progress.finish_epoch(metrics);
            }
            keep(&state)?;
            let Progress { epoch, step, .. } = state.progress;
            record.log(&state.progress.epochs)?;
            if !finished {
                outln!("stopped in epoch {} after step {step}, with a checkpoint", epoch + 1);
                return Ok(Trained { epochs: state.progress.epochs, trainer: state.trainer });
            }
        }
        let State { mut trainer, progress, .. } = state;
        trainer.set_resolution(plan.architecture.resolution)?;
        record.network(&trainer.weights()?)?;
        Ok(Trained { epochs: progress.epochs, trainer })
    }

    /// Trains for half a minute and prints the speed.
    pub fn benchmark(&self) -> Result<()> {
        let mut state =
            State { trainer: self.trainer()?, replicas: Vec::new(), progress: Progress::default() };
        let end = Some(Instant::now() + BENCHMARK);
        self.epoch(&mut state, &Stop { asked: &AtomicBool::new(false), end })?;
        let Progress { count, seconds, .. } = state.progress;
        let speed = count as f64 / seconds;
        outln!("{speed:.1} images/s: {count} images in {seconds:.1} s, decoding included");
        Ok(())
    }

    /// The state of the record's checkpoint, or that before the first step.
    fn state(&self, record: &Record) -> Result<State> {
        let (trainer, progress) = match record.checkpoint()? {
            None => (self.trainer()?, Progress::default()),
            Some((path, bytes)) => {
                let named = || path.display().to_string();
                let (trainer, note) = checkpoint::read(&bytes, &self.plan.architecture, self.plan.settings)
                    .with_context(named)?;
                (trainer, serde_json::from_str(&note).with_context(named)?)
            }
        };
        Ok(State { trainer, replicas: Vec::new(), progress })
    }

    /// A trainer before its first step.
    fn trainer(&self) -> Result<Trainer> {
        let plan = self.plan;
        let Some(pretrained) = self.pretrained else {
            return Ok(Trainer::new(&plan.architecture, plan.settings)?);
        };
        let side = plan.side(0);
        let layout = Layout::new(&Architecture { resolution: side, ..plan.architecture.clone() })?;
        let parameters = Parameters::from_weights(&layout, &pretrained.weights, &pretrained.classes)?;
        let mut trainer = Trainer::from_parameters(layout, plan.settings, parameters)?;
        // As many images as a worker's share: batch normalization's statistics are then those of training.
        let share = plan.share(self.training.len());
        let order = order(self.training.len(), plan.settings.seed, 0);
        let first = Recipe { teacher: None, ..self.recipe(side) }.batch(&order[..share], 0)?;
        self.training.check()?;
        trainer.settle(&mut Replica::new(&trainer.layout, share)?, &first.inputs)?;
        Ok(trainer)
    }

    fn recipe(&self, side: usize) -> Recipe<'_> {
        let plan = self.plan;
        Recipe {
            set: self.training,
            side,
            classes: plan.architecture.classes,
            normalization: plan.architecture.normalization,
            augmentation: plan.augmentation,
            label_smoothing: plan.label_smoothing,
            teacher: self.teacher.map(|answers| (answers, plan.teacher_weight)),
            seed: plan.settings.seed,
        }
    }

    /// Runs the rest of an epoch. `false` if it was stopped before its end.
    fn epoch(&self, state: &mut State, stop: &Stop) -> Result<bool> {
        let (plan, set) = (self.plan, self.training);
        let State { trainer, replicas, progress } = state;
        let side = plan.side(progress.epoch);
        let (whole, share) = (plan.batch.min(set.len()), plan.share(set.len()));
        if trainer.layout.architecture.resolution != side || replicas.is_empty() {
            trainer.set_resolution(side)?;
            *replicas =
                (0..plan.workers).map(|_| Replica::new(&trainer.layout, share)).collect::<Result<_, _>>()?;
        }
        let recipe = self.recipe(side);
        let order = order(set.len(), plan.settings.seed, progress.epoch);
        let batch = if plan.asynchronous { share } else { whole };
        let steps = order.len() / batch;
        progress.begin(batch, order.len())?;
        let mut meter = Meter::new(plan, progress, steps)?;
        let (sender, receiver) = sync_channel(AHEAD);
        let (first, number) = (progress.step, progress.epoch);
        std::thread::scope(|scope| -> Result<bool> {
            let (recipe, order) = (&recipe, &order);
            scope.spawn(move || recipe.send(order, batch, first, number, false, &sender));
            let mut count = |progress: &mut Progress, outcome| -> Result<bool> {
                meter.count(progress, outcome);
                set.check()?;
                Ok(!stop.now(progress, steps))
            };
            if plan.asynchronous {
                return asynchronous::learn(plan, trainer, replicas, receiver, steps, progress, count);
            }
            for made in receiver {
                let outcome = step(plan, trainer, replicas, &made?, share, steps, progress)?;
                if !count(progress, outcome)? {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    /// Validates on `validation`, prints the epoch's metrics and gives them.
    fn finish_epoch(&self, validation: Option<&Dataset>, state: &State) -> Result<EpochMetrics> {
        let (plan, State { trainer, progress, .. }) = (self.plan, state);
        let number = progress.epoch + 1;
        let score = validation.map(|set| validate(plan, set, trainer.best())).transpose()?;
        let metrics = EpochMetrics {
            epoch: number,
            resolution: trainer.layout.architecture.resolution,
            lr: plan.schedule.rate(progress.epoch as f64),
            loss: progress.loss(),
            accuracy: progress.accuracy(),
            validation: score.map(|score| [score.loss, score.top1, score.top5]),
            images_per_second: progress.count as f64 / progress.seconds.max(1e-9),
            seconds: progress.seconds,
        };
        let validated = metrics.validation.map_or(String::new(), |[loss, top1, top5]| {
            format!("; validation: loss {loss:.3}, top-1 {:.2} %, top-5 {:.2} %", 100.0 * top1, 100.0 * top5)
        });
        outln!(
            "epoch {number}/{} at {}: loss {:.3}, accuracy {:.2} %, {:.0} images/s{validated}",
            plan.epochs,
            metrics.resolution,
            metrics.loss,
            100.0 * metrics.accuracy,
            metrics.images_per_second
        );
        Ok(metrics)
    }
}

/// One step: every worker learns from its share of the batch, then their gradients are joined.
fn step(
    plan: &TrainingPlan,
    trainer: &mut Trainer,
    replicas: &mut [Replica],
    batch: &Batch,
    share: usize,
    steps: usize,
    progress: &Progress,
) -> Result<Outcome> {
    let size = batch.inputs.len() / batch.classes.len();
    let trained = &trainer.parameters.trained;
    let dropout = |worker| plan.dropout(progress.epoch, progress.step, worker);
    let inputs = batch.inputs.chunks(share * size);
    let targets = batch.targets.chunks(share * plan.architecture.classes);
    let outcomes = std::thread::scope(|scope| {
        let shares = replicas.iter_mut().zip(inputs.zip(targets)).enumerate();
        let learn = |(worker, (replica, (inputs, targets))): (usize, (&mut Replica, (_, _)))| {
            replica.learn(trained, inputs, targets, dropout(worker))
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
    let lr = plan.lr(progress.epoch, progress.step, steps);
    Ok(trainer.apply(&shares, lr)?)
}
