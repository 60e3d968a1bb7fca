//! A network's accuracy on images that it did not learn from.
//!
//! A [`Score`] tells for each image whether it was right, so that two networks can be compared image by image.

use super::data::Dataset;
use super::feed::{AHEAD, Batch, Recipe};
use super::plan::TrainingPlan;
use anyhow::{Result, ensure};
use mobilenet_kernels::f32::loss::softmax_cross_entropy;
use mobilenet_train::replica::argmax;
use mobilenet_train::{Augmentation, Layout, Parameters, Replica};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError};

/// Most images of a batch. Training may take fewer because of the memory.
const BATCH: usize = 50;

/// Loss and accuracy on a set.
#[derive(Clone, Debug)]
pub struct Score {
    /// Mean cross-entropy, in nats.
    pub loss: f64,
    /// 0 to 1, as the next.
    pub top1: f64,
    pub top5: f64,
    /// For each image whether its class was the most probable; `false` if it cannot be decoded.
    pub right: Vec<bool>,
}

/// The answer to one image.
struct Judged {
    index: usize,
    loss: f64,
    top1: bool,
    top5: bool,
}

/// Runs the network on all of a set, at its final resolution.
pub fn validate(plan: &TrainingPlan, set: &Dataset, parameters: &Parameters) -> Result<Score> {
    let layout = Layout::new(&plan.architecture)?;
    let recipe = Recipe {
        set,
        side: plan.architecture.resolution,
        classes: plan.architecture.classes,
        normalization: plan.architecture.normalization,
        augmentation: Augmentation::none(),
        label_smoothing: 0.0,
        teacher: None,
        seed: 0,
    };
    let order: Vec<usize> = (0..set.len()).collect();
    let block = BATCH.min(plan.batch.div_ceil(plan.workers));
    let (sender, receiver) = sync_channel(AHEAD);
    let receiver = Mutex::new(receiver);
    let mut judged = std::thread::scope(|scope| -> Result<Vec<Judged>> {
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
    ensure!(!judged.is_empty(), "--validation: must hold images, got none that can be decoded");
    // The sum must not depend on which worker took which batch.
    judged.sort_unstable_by_key(|judged| judged.index);
    let count = judged.len() as f64;
    let share = |of: fn(&Judged) -> bool| judged.iter().filter(|judged| of(judged)).count() as f64 / count;
    let mut right = vec![false; set.len()];
    judged.iter().for_each(|judged| right[judged.index] = judged.top1);
    Ok(Score {
        loss: judged.iter().map(|judged| judged.loss).sum::<f64>() / count,
        top1: share(|judged| judged.top1),
        top5: share(|judged| judged.top5),
        right,
    })
}

/// Takes batches of at most `block` images until there are no more.
fn judge(
    layout: &Layout,
    parameters: &Parameters,
    block: usize,
    receiver: &Mutex<Receiver<mobilenet::Result<Batch>>>,
) -> Result<Vec<Judged>> {
    let mut replica = Replica::new(layout, block)?;
    let classes = layout.architecture.classes;
    let (mut judged, mut unused) = (Vec::new(), vec![0.0; classes]);
    loop {
        let made = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(made) = made else { return Ok(judged) };
        let batch = made?;
        let logits = replica.infer(parameters, &batch.inputs)?;
        let answers = logits.chunks_exact(classes).zip(batch.targets.chunks_exact(classes));
        for ((logits, target), (&class, &index)) in answers.zip(batch.classes.iter().zip(&batch.indices)) {
            let above = logits.iter().filter(|&&logit| logit > logits[class]).count();
            judged.push(Judged {
                index,
                loss: softmax_cross_entropy(logits, target, 1.0, &mut unused),
                top1: argmax(logits) == class,
                top5: above < 5,
            });
        }
    }
}
