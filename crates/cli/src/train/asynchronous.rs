//! An epoch of asynchronous gradient descent: every worker takes the next batch, learns it on the weights as they are,
//! and moves them without waiting for anybody.

use super::Plan;
use super::feed::Batch;
use super::session::{Place, dropout, moment};
use mobilenet_train::replica::Outcome;
use mobilenet_train::{Replica, Shared, Trainer};
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, PoisonError};

/// Learns all that `receiver` gives. `count` is told of every step and says whether to go on; `false` where it did not.
pub fn learn(
    plan: &Plan,
    trainer: &mut Trainer,
    replicas: &mut [Replica],
    receiver: Receiver<mobilenet::Result<Batch>>,
    steps: usize,
    place: &mut Place,
    count: impl FnMut(&mut Place, Outcome) -> anyhow::Result<bool> + Send,
) -> anyhow::Result<bool> {
    let shared = Shared::new(trainer);
    let epoch = place.epoch;
    // Batches are taken in order, each with its number; steps are counted as they end.
    let queue = Mutex::new((receiver, place.step, true));
    let counted = Mutex::new((place, count));
    let finished = std::thread::scope(|scope| -> anyhow::Result<bool> {
        let (shared, queue, counted) = (&shared, &queue, &counted);
        let work = |replica: &mut Replica, worker: usize| -> anyhow::Result<()> {
            let mut trained = vec![0.0; replica.gradient().len()];
            loop {
                let mut next = queue.lock().unwrap_or_else(PoisonError::into_inner);
                if !next.2 {
                    return Ok(());
                }
                let Ok(made) = next.0.recv() else { return Ok(()) };
                let step = next.1;
                next.1 += 1;
                drop(next);
                let batch = made?;
                let rate = plan.schedule.rate(moment(epoch, step, steps));
                shared.read(&mut trained);
                let kept = dropout(plan, epoch, step, worker);
                let outcome = replica.learn(&trained, &batch.images, &batch.targets, kept)?;
                shared.apply(replica, outcome, rate)?;
                let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
                let (place, count) = &mut *counted;
                let go_on = count(place, outcome);
                if !matches!(go_on, Ok(true)) {
                    queue.lock().unwrap_or_else(PoisonError::into_inner).2 = false;
                    go_on?;
                }
            }
        };
        let workers: Vec<_> = replicas
            .iter_mut()
            .enumerate()
            .map(|(worker, replica)| {
                scope.spawn(move || {
                    // What one worker fails at ends the epoch, which is not kept, for the others too.
                    work(replica, worker).inspect_err(|_| {
                        queue.lock().unwrap_or_else(PoisonError::into_inner).2 = false;
                    })
                })
            })
            .collect();
        let mut outcome = Ok(());
        for worker in workers {
            let ended = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            outcome = outcome.and(ended);
        }
        outcome?;
        Ok(queue.lock().unwrap_or_else(PoisonError::into_inner).2)
    })?;
    shared.give_back(trainer);
    Ok(finished)
}
