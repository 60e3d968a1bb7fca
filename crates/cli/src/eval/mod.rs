//! `mobilenet eval --weights F --images X`: measures a network's accuracy on labeled images, its confusions, and its
//! differences from another network.

mod report;
mod tally;

use crate::console::{errln, outln};
use crate::images::{Batch, EncodedImage, ImageLimits, Unreadable, labeled};
use crate::model::{self, ModelArgs};
use crate::runner::{decoded, distribute, probabilities, threads};
use crate::words::words;
use anyhow::{Context, Result, ensure};
use mobilenet::{Architecture, Classifier, Precision, Selection, Weights};
use std::path::PathBuf;
use tally::{Compared, Judged, Tally};

/// Arguments of `eval`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Network to evaluate, in any format.
    #[arg(long)]
    weights: PathBuf,
    /// Folder with classes.json (file name to class), or folder, tar or tar.gz with one folder per class, named by its
    /// number in ImageNet's order, its label or its WordNet id.
    #[arg(long)]
    images: PathBuf,
    /// Precision to compute in; default int8 for files made for it, else f32.
    #[arg(long, value_parser = words::<Precision>(|_| true))]
    precision: Option<Precision>,
    /// Another network to compare with: on how many images both agree, and how far their probabilities differ.
    #[arg(long, value_name = "OTHER")]
    compare: Option<PathBuf>,
    /// Precision of the other network.
    #[arg(long, requires = "compare", value_parser = words::<Precision>(|_| true))]
    compare_precision: Option<Precision>,
    /// Print a line for each class.
    #[arg(long)]
    per_class: bool,
    /// Print which classes were confused, the most frequent first.
    #[arg(long)]
    confusion: bool,
    /// Print one JSON object instead of lines.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    limits: ImageLimits,
    #[command(flatten)]
    model: ModelArgs,
}

/// Evaluates and prints.
pub fn run(arguments: &Arguments) -> Result<()> {
    let weights = model::read(&arguments.weights, &arguments.model)?.weights;
    let precision = arguments.precision.unwrap_or(Precision::of(&weights));
    let mut workers = workers(arguments, &weights, precision)?;
    let (tally, unreadable) = evaluate(arguments, &weights.architecture, &mut workers)?;
    let skipped = unreadable.count();
    unreadable.check(tally.total.n + skipped, "repair or remove them and run again")?;
    let wanted = report::Wanted { per_class: arguments.per_class, confusion: arguments.confusion };
    if arguments.json {
        outln!("{}", report::json(&tally, skipped, &weights.architecture, precision, &wanted)?);
    } else {
        report::lines(&tally, &weights.architecture, &wanted);
    }
    if skipped > 0 {
        errln!("{skipped} of {} images skipped", tally.total.n + skipped);
    }
    Ok(())
}

/// One worker per thread.
fn workers(arguments: &Arguments, weights: &Weights, precision: Precision) -> Result<Vec<Worker>> {
    let other = arguments.compare.as_deref().map(|path| model::read(path, &arguments.model)).transpose()?;
    let other = other.map(|model| model.weights);
    if let Some(other) = &other {
        check_comparable(&weights.architecture, &other.architecture)?;
    }
    let worker = || -> Result<Worker> {
        let compared = other.as_ref().map(|other| {
            let precision = arguments.compare_precision.unwrap_or(Precision::of(other));
            Classifier::new(other, precision)
        });
        Ok(Worker {
            network: Classifier::new(weights, precision)?,
            other: compared.transpose()?,
            shift: other.as_ref().map_or(0, |other| background(weights) as i64 - background(other) as i64),
            background: background(weights),
        })
    };
    (0..threads()).map(|_| worker()).collect()
}

/// Runs the networks on all images.
fn evaluate(
    arguments: &Arguments,
    architecture: &Architecture,
    workers: &mut [Worker],
) -> Result<(Tally, Unreadable)> {
    let mut tally = Tally::new(architecture.classes);
    let unreadable = Unreadable::default();
    let mut run = |batch: &[Labeled]| -> Result<()> {
        let judged = distribute(workers, batch, |worker, labeled: &Labeled| {
            let pixels = decoded(labeled.index, &labeled.image, arguments.limits, &unreadable);
            pixels.map(|pixels| worker.judge(&labeled.image.name, &pixels, labeled.class)).transpose()
        })?;
        judged.iter().flatten().for_each(|judged| tally.add(judged));
        Ok(())
    };
    let (mut batch, mut next) = (Batch::new(), 0);
    let folders = arguments.model.folders()?;
    labeled(&arguments.images, architecture, &folders, |image, class| {
        let size = image.bytes.len();
        let full = batch.push(Labeled { index: next, image, class }, size);
        next += 1;
        full.map_or(Ok(()), |full| run(&full))
    })?;
    run(&batch.take())?;
    Ok((tally, unreadable))
}

/// An image, its class, and its index among all images.
struct Labeled {
    index: usize,
    image: EncodedImage,
    class: usize,
}

fn background(weights: &Weights) -> usize {
    usize::from(weights.architecture.background)
}

/// Refuses to compare networks of different classes. A background class may be absent in one.
fn check_comparable(one: &Architecture, other: &Architecture) -> Result<()> {
    let classes = |architecture: &Architecture| architecture.classes - usize::from(architecture.background);
    let (one, other) = (classes(one), classes(other));
    ensure!(
        one == other,
        "--compare: both networks must have the same classes, got {one} classes and {other} (without background)"
    );
    Ok(())
}

/// The networks of one thread.
struct Worker {
    network: Classifier,
    other: Option<Classifier>,
    /// Added to a class of the other network to get that of this one.
    shift: i64,
    background: usize,
}

impl Worker {
    fn judge(&mut self, name: &str, pixels: &image::RgbaImage, class: usize) -> Result<Judged> {
        let own = probabilities(&mut self.network, name, pixels)?;
        let best = Selection::top(own.len().min(5)).pick(own)?;
        let first = best.first().map(|best| best.index as i64);
        let first = first.with_context(|| {
            format!("image `{name}`: the network must answer with numbers, got NaN; repair its weights")
        })?;
        let compared = match &mut self.other {
            None => None,
            Some(other) => {
                let others = probabilities(other, name, pixels)?;
                let best = Selection::top(1).pick(others)?;
                let agree = best.first().is_some_and(|best| best.index as i64 + self.shift == first);
                // The classes of both networks, without a background that only one may have.
                let own = &own[self.background..];
                let others = &others[others.len() - own.len()..];
                let differences = own.iter().zip(others).map(|(a, b)| f64::from((a - b).abs()));
                let (sum, largest) = differences
                    .fold((0.0, 0.0_f64), |(sum, largest), value| (sum + value, largest.max(value)));
                Some(Compared { agree, mean: sum / own.len() as f64, largest })
            }
        };
        Ok(Judged { class, best: best.iter().map(|best| best.index).collect(), compared })
    }
}
