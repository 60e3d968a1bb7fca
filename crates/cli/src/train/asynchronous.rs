//! An epoch of asynchronous gradient descent: each worker takes the next batch, learns from it with the weights as they
//! are, and updates them without waiting for the others.

use super::feed::Batch;
use super::plan::TrainingPlan;
use super::progress::Progress;
use anyhow::Result;
use mobilenet_train::replica::Outcome;
use mobilenet_train::{Replica, Shared, Trainer};
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Batches, the number of the next, and whether to take it.
type Queue = (Receiver<mobilenet::Result<Batch>>, usize, bool);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Learns from all batches of `receiver`. `count` is called after each step and returns whether to continue; if it does not,
/// the result is `false`.
pub fn learn(
    plan: &TrainingPlan,
    trainer: &mut Trainer,
    replicas: &mut [Replica],
    receiver: Receiver<mobilenet::Result<Batch>>,
    steps: usize,
    progress: &mut Progress,
    count: impl FnMut(&mut Progress, Outcome) -> Result<bool> + Send,
) -> Result<bool> {
    let shared = Shared::new(trainer);
    let epoch = progress.epoch;
    // Batches are taken in order, each with its number; steps are counted as they end.
    let queue: Mutex<Queue> = Mutex::new((receiver, progress.step, true));
    let counted = Mutex::new((progress, count));
    let finished = std::thread::scope(|scope| -> Result<bool> {
        let (shared, queue, counted) = (&shared, &queue, &counted);
        let work = |replica: &mut Replica, worker: usize| -> Result<()> {
            let mut trained = vec![0.0; replica.gradient().len()];
            loop {
                let mut next = lock(queue);
                if !next.2 {
                    return Ok(());
                }
                let Ok(made) = next.0.recv() else { return Ok(()) };
                let step = next.1;
                next.1 += 1;
                drop(next);
                let batch = made?;
                shared.read(&mut trained);
                let dropout = plan.dropout(epoch, step, worker);
                let outcome = replica.learn(&trained, &batch.inputs, &batch.targets, dropout)?;
                shared.apply(replica, outcome, plan.lr(epoch, step, steps))?;
                let (progress, count) = &mut *lock(counted);
                let go_on = count(progress, outcome);
                if !matches!(go_on, Ok(true)) {
                    lock(queue).2 = false;
                    go_on?;
                }
            }
        };
        let workers = replicas.iter_mut().enumerate().map(|(worker, replica)| {
            // A worker's error ends the epoch, which is not kept, for the others too.
            scope.spawn(move || work(replica, worker).inspect_err(|_| lock(queue).2 = false))
        });
        let mut outcome = Ok(());
        for worker in workers.collect::<Vec<_>>() {
            let ended = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            outcome = outcome.and(ended);
        }
        outcome?;
        Ok(lock(queue).2)
    })?;
    shared.give_back(trainer);
    Ok(finished)
}
