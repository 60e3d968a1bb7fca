//! `mobilenet train`: trains a network on labeled images as the paper did (RMSprop, asynchronously if asked), with a
//! checkpoint after each epoch from which `--resume` continues to the same result.
//!
//! `source` names the images, `data` reads them, `feed` makes batches while the network learns, `teacher` asks a larger
//! network, `session` runs epochs (`asynchronous` those whose workers do not wait) and `progress` counts them, `validation`
//! measures accuracy on other images, `record` writes checkpoint, log and curves. `paper` uses the same parts.

mod args;
mod asynchronous;
pub mod data;
mod feed;
pub mod plan;
mod progress;
pub mod record;
pub mod session;
pub mod source;
mod teacher;
pub mod validation;

pub use args::Arguments;

use crate::console::{errln, outln};
use crate::model::{self, ModelArgs};
use anyhow::Result;
use data::Dataset;
use plan::TrainingPlan;
use session::Session;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use teacher::TeacherAnswers;

/// Trains, or measures the speed of training.
pub fn run(arguments: &Arguments) -> Result<()> {
    plan::check_workers(arguments.workers, arguments.batch)?;
    let (training, validation) = arguments.source.read(false)?;
    let (plan, pretrained) = plan::plan(arguments, arguments.source.labels(&training.classes)?)?;
    // A record in use is refused before the teacher is asked, which takes long.
    let record = (!arguments.benchmark)
        .then(|| record::Record::open(&arguments.output, arguments.resume))
        .transpose()?;
    let stop = if arguments.benchmark { Arc::default() } else { interruption()? };
    let teacher =
        arguments.teacher.as_deref().map(|path| ask(arguments, path, &training, &plan)).transpose()?;
    let session = Session {
        plan: &plan,
        pretrained: pretrained.as_ref(),
        training: &training,
        validation: validation.as_ref(),
        teacher: teacher.as_ref(),
    };
    let Some(record) = record else { return session.benchmark() };
    let trained = session.run(&record, &stop)?;
    if !trained.is_complete(&plan) {
        outln!("continue with --resume");
    }
    Ok(())
}

/// What Ctrl-C sets, so that a run ends after its step. A second Ctrl-C ends the program.
pub fn interruption() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let heard = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if heard.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        errln!("stopping after this step, with a checkpoint; press again to stop at once");
    })?;
    Ok(stop)
}

/// Asks the teacher about the training images, or reads its answers of an earlier run.
fn ask(arguments: &Arguments, path: &Path, set: &Dataset, plan: &TrainingPlan) -> Result<TeacherAnswers> {
    let weights = model::read(path, &ModelArgs::at(arguments.teacher_resolution))?.weights;
    let columns = teacher::columns(&plan.architecture.labels, &weights.architecture.labels)?;
    let kept =
        arguments.teacher_answers.clone().unwrap_or_else(|| arguments.output.join("answers.safetensors"));
    let answers = TeacherAnswers::get(set, &weights, &columns, arguments.temperature, &kept)?;
    outln!("the teacher classifies {:.2} % of the training images correctly", 100.0 * answers.accuracy(set));
    Ok(answers)
}
