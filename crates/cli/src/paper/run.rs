//! Trains what is not trained yet.

use super::args::Arguments;
use super::kept::{self, NetworkFolder};
use super::output::{Sets, Trainee, write};
use super::report;
use crate::console::{outln, print};
use crate::files::{FileLock, explain};
use crate::train::interruption;
use crate::train::session::Session;
use crate::train::validation::validate;
use anyhow::{Context, Result, anyhow};
use std::sync::atomic::{AtomicBool, Ordering};

/// Prints Tables 8 and 9, or trains the family and writes the report.
pub fn run(arguments: &Arguments) -> Result<()> {
    if arguments.only_counts() {
        print(format_args!("{}", report::counted()));
        outln!("\nWith --data the other tables are trained: see --help.");
        return Ok(());
    }
    let family = arguments.family()?;
    let members = family.members(arguments.parts());
    for member in &members {
        let plan = arguments.plan(&family, member, &[String::new(), String::new()]);
        plan.with_context(|| member.name())?;
    }
    let (training, validation) = arguments.source.read(true)?;
    let validation = validation.context(
        "--validation: must name images, got nothing to validate on; give some, or --images-per-class to leave some out \
         of training",
    )?;
    let sets = Sets { training, validation };
    let labels = arguments.source.labels(&sets.training.classes)?;
    let work = arguments.output.join("work");
    std::fs::create_dir_all(&work)
        .map_err(|error| anyhow!(explain(&work, "must be a folder or not exist", &error)))?;
    let cure = "wait for it or choose another --output";
    let _lock = FileLock::acquire(arguments.output.join(".paper.lock"), "writes the report", cure)?;
    let fingerprints = kept::fingerprints(&sets.training, &sets.validation);
    let mut trainees = Vec::new();
    for member in members {
        let plan = arguments.plan(&family, &member, &labels)?;
        let folder = NetworkFolder::new(&work, &member, &plan, fingerprints);
        let result = folder.result()?;
        trainees.push(Trainee { member, plan, folder, result });
    }
    let stop = interruption()?;
    let count = trainees.len();
    for index in 0..count {
        if trainees[index].result.is_some() {
            continue;
        }
        let done = done(&trainees, sets.training.classes.len());
        outln!("{} ({} of {count}; {done}):", trainees[index].member.name(), index + 1);
        let finished = train(&mut trainees[index], &sets, &stop)?;
        // The report grows with each network.
        if trainees.iter().any(|trainee| trainee.result.is_some()) {
            write(arguments, &family, &sets, &trainees)?;
        }
        if !finished {
            outln!("stopped; the same command continues");
            return Ok(());
        }
    }
    write(arguments, &family, &sets, &trainees)?;
    outln!("{count} networks are trained: {}", arguments.output.join("report.md").display());
    Ok(())
}

/// Trains one network. `false` if that was interrupted.
fn train(trainee: &mut Trainee, sets: &Sets, stop: &AtomicBool) -> Result<bool> {
    if stop.load(Ordering::Relaxed) {
        return Ok(false);
    }
    let plan = &trainee.plan;
    let session =
        Session { plan, pretrained: None, training: &sets.training, validation: None, teacher: None };
    let record = trainee.folder.record()?;
    let trained = session.run(&record, stop).with_context(|| trainee.member.name())?;
    if !trained.is_complete(plan) {
        return Ok(false);
    }
    let score = validate(plan, &sets.validation, trained.trainer.best())?;
    outln!("top-1 {:.2} %, top-5 {:.2} % on the validation images", 100.0 * score.top1, 100.0 * score.top5);
    trainee.result = Some(trainee.folder.finish(&trained.epochs, &score)?);
    Ok(true)
}

/// The part of the work that is done, by multiply-adds.
fn done(trainees: &[Trainee], classes: usize) -> String {
    let work = |trainee: &Trainee| trainee.member.cost(classes).mult_adds * trainee.plan.epochs;
    let all = trainees.iter().map(work).sum::<u64>() as f64;
    let done = trainees.iter().filter(|trainee| trainee.result.is_some()).map(work).sum::<u64>() as f64;
    format!("{:.0} % of the work is done", 100.0 * done / all)
}
