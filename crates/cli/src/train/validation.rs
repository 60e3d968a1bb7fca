//! What a network makes of pictures that it did not learn from.
//!
//! Goes in: a plan, a [`Set`] and weights. Comes out: a [`Score`], with the verdict on every picture, by which two
//! networks can be compared picture by picture.

use super::Plan;
use super::data::Set;
use super::feed::{AHEAD, Batch, Recipe};
use anyhow::ensure;
use mobilenet_kernels::f32::loss::softmax_cross_entropy;
use mobilenet_train::replica::argmax;
use mobilenet_train::{Augmentation, Layout, Parameters, Replica};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError};

/// Pictures that are looked at together, where training does not take fewer: it may need all the memory there is.
const BATCH: usize = 50;

/// How a network does on a set.
#[derive(Clone, Debug)]
pub struct Score {
    /// Mean cross-entropy, in nats.
    pub loss: f64,
    /// Part of the pictures, 0 to 1, as the next.
    pub top1: f64,
    pub top5: f64,
    /// Of every picture of the set whether its class stands first; one that cannot be read never does.
    pub right: Vec<bool>,
}

/// What is known of one picture.
struct Judged {
    picture: usize,
    loss: f64,
    first: bool,
    among_five: bool,
}

/// Shows `parameters` all of a set, at the finished network's resolution.
pub fn validate(plan: &Plan, set: &Set, parameters: &Parameters) -> anyhow::Result<Score> {
    let layout = Layout::new(&plan.architecture)?;
    let recipe = Recipe {
        set,
        side: plan.architecture.resolution,
        classes: plan.architecture.classes,
        normalization: plan.architecture.normalization,
        augmentation: Augmentation::none(),
        smoothing: 0.0,
        teacher: None,
        seed: 0,
    };
    let order: Vec<usize> = (0..set.len()).collect();
    let block = BATCH.min(plan.batch.div_ceil(plan.workers));
    let (sender, receiver) = sync_channel(AHEAD);
    let receiver = Mutex::new(receiver);
    let mut judged = std::thread::scope(|scope| -> anyhow::Result<Vec<Judged>> {
        let (recipe, order, layout, receiver) = (&recipe, &order, &layout, &receiver);
        scope.spawn(move || recipe.send(order, block, 0, 0, true, &sender));
        let work = move || judge(layout, parameters, block, receiver);
        let workers: Vec<_> = (0..plan.workers).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::new();
        for worker in workers {
            all.extend(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(all)
    })?;
    set.check()?;
    ensure!(!judged.is_empty(), "no validation picture can be read");
    // Whoever took which batch, the mean is the same.
    judged.sort_unstable_by_key(|judged| judged.picture);
    let count = judged.len() as f64;
    let share = |of: fn(&Judged) -> bool| judged.iter().filter(|judged| of(judged)).count() as f64 / count;
    let mut right = vec![false; set.len()];
    judged.iter().for_each(|judged| right[judged.picture] = judged.first);
    Ok(Score {
        loss: judged.iter().map(|judged| judged.loss).sum::<f64>() / count,
        top1: share(|judged| judged.first),
        top5: share(|judged| judged.among_five),
        right,
    })
}

/// Takes batches of `block` pictures at most until there are no more.
fn judge(
    layout: &Layout,
    parameters: &Parameters,
    block: usize,
    receiver: &Mutex<Receiver<mobilenet::Result<Batch>>>,
) -> anyhow::Result<Vec<Judged>> {
    let mut replica = Replica::new(layout, block)?;
    let classes = layout.architecture.classes;
    let (mut judged, mut unused) = (Vec::new(), vec![0.0; classes]);
    loop {
        let made = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(made) = made else { return Ok(judged) };
        let batch = made?;
        let logits = replica.infer(parameters, &batch.images)?;
        let answers = logits.chunks_exact(classes).zip(batch.targets.chunks_exact(classes));
        for ((logits, target), (&class, &picture)) in answers.zip(batch.classes.iter().zip(&batch.pictures)) {
            let above = logits.iter().filter(|&&logit| logit > logits[class]).count();
            judged.push(Judged {
                picture,
                loss: softmax_cross_entropy(logits, target, 1.0, &mut unused),
                first: argmax(logits) == class,
                among_five: above < 5,
            });
        }
    }
}
