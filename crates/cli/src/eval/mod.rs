//! `mobilenet eval --weights F --images X`: how often a network names labelled pictures rightly, which classes it takes
//! for which, and how far it is from another network.

mod report;
mod tally;

use crate::network::{self, Known};
use crate::pictures::{self, Picture};
use crate::runner::{BATCH, answer, spread, threads};
use anyhow::{Result, bail};
use clap::ValueEnum;
use mobilenet::{Architecture, Weights};
use mobilenet::{Classifier, Precision, Selection};
use std::path::PathBuf;
use tally::{Compared, Outcome, Tally};

/// In which numbers a network computes.
#[derive(Clone, Copy, ValueEnum)]
enum Numbers {
    F32,
    Int8,
}

/// Arguments of `eval`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The network, in any format.
    #[arg(long)]
    weights: PathBuf,
    /// A folder with classes.json (file name to class), or a folder, tar or tar.gz with one folder a class, called by
    /// its number in ImageNet's order, its label or its WordNet id.
    #[arg(long)]
    images: PathBuf,
    /// In which numbers to compute; without it int8 where the file was made for it, else f32.
    #[arg(long)]
    precision: Option<Numbers>,
    /// Another network for the same pictures: how often both name the same class, and how far their probabilities
    /// are from each other.
    #[arg(long, value_name = "OTHER")]
    compare: Option<PathBuf>,
    /// In which numbers the other network computes.
    #[arg(long, requires = "compare")]
    compare_precision: Option<Numbers>,
    /// A line for every class.
    #[arg(long)]
    per_class: bool,
    /// Which classes were taken for which, the most frequent first.
    #[arg(long)]
    confusion: bool,
    /// One JSON object instead of lines.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    known: Known,
}

/// Evaluates and prints.
pub fn run(arguments: &Arguments) -> Result<()> {
    let weights = network::read(&arguments.weights, &arguments.known)?.weights;
    let precision = chosen(arguments.precision, &weights);
    let other = match &arguments.compare {
        Some(path) => {
            let weights = network::read(path, &arguments.known)?.weights;
            let precision = chosen(arguments.compare_precision, &weights);
            Some((weights, precision))
        }
        None => None,
    };
    if let Some((other, _)) = &other {
        comparable(&weights.architecture, &other.architecture)?;
    }
    let mut workers = Vec::new();
    for _ in 0..threads() {
        workers.push(Worker {
            network: Classifier::new(&weights, precision)?,
            other: match &other {
                Some((weights, precision)) => Some(Classifier::new(weights, *precision)?),
                None => None,
            },
            shift: other
                .as_ref()
                .map_or(0, |(other, _)| background(&weights) as i64 - background(other) as i64),
            background: background(&weights),
        });
    }
    let mut tally = Tally::new(weights.architecture.classes);
    let mut batch = Vec::with_capacity(BATCH);
    let mut run = |batch: &mut Vec<(Picture, usize)>| -> Result<()> {
        let outcomes = spread(&mut workers, batch, Worker::judge)?;
        outcomes.iter().for_each(|outcome| tally.add(outcome));
        batch.clear();
        Ok(())
    };
    let folders = arguments.known.folders()?;
    pictures::labelled(&arguments.images, &weights.architecture, &folders, |picture, class| {
        batch.push((picture, class));
        if batch.len() == BATCH { run(&mut batch) } else { Ok(()) }
    })?;
    run(&mut batch)?;
    let wanted = report::Wanted { per_class: arguments.per_class, confusion: arguments.confusion };
    if arguments.json {
        println!("{}", report::json(&tally, &weights.architecture, precision, &wanted)?);
    } else {
        report::lines(&tally, &weights.architecture, &wanted);
    }
    Ok(())
}

/// What was asked for, else what the file holds.
fn chosen(asked: Option<Numbers>, weights: &Weights) -> Precision {
    match asked {
        Some(Numbers::F32) => Precision::F32,
        Some(Numbers::Int8) => Precision::Int8,
        None => Precision::of(weights),
    }
}

fn background(weights: &Weights) -> usize {
    usize::from(weights.architecture.background)
}

/// Refuses to compare networks of different classes; a background class may be there or not.
fn comparable(one: &Architecture, other: &Architecture) -> Result<()> {
    let classes = |architecture: &Architecture| architecture.classes - usize::from(architecture.background);
    if classes(one) != classes(other) {
        bail!(
            "the networks cannot be compared: one has {} classes, the other {} (background apart)",
            classes(one),
            classes(other)
        );
    }
    Ok(())
}

/// One thread's networks.
struct Worker {
    network: Classifier,
    other: Option<Classifier>,
    /// What a class of the other network is called here: its index plus this.
    shift: i64,
    background: usize,
}

impl Worker {
    fn judge(&mut self, (picture, class): &(Picture, usize)) -> Result<Outcome> {
        let pixels = picture.decode()?;
        let Picture { name, .. } = picture;
        let mine = answer(&mut self.network, name, &pixels)?;
        let best = Selection::top(mine.len().min(5)).pick(mine)?;
        let compared = match &mut self.other {
            None => None,
            Some(other) => {
                let theirs = answer(other, name, &pixels)?;
                let first = Selection::top(1).pick(theirs)?[0].index as i64 + self.shift;
                // Classes that both have: from behind the background of whichever has one.
                let mine = &mine[self.background..];
                let theirs = &theirs[theirs.len() - mine.len()..];
                let apart = mine.iter().zip(theirs).map(|(a, b)| f64::from((a - b).abs()));
                let (sum, largest) =
                    apart.fold((0.0, 0.0_f64), |(sum, largest), apart| (sum + apart, largest.max(apart)));
                Some(Compared {
                    agree: first == best[0].index as i64,
                    mean: sum / mine.len() as f64,
                    largest,
                })
            }
        };
        Ok(Outcome { class: *class, best: best.iter().map(|named| named.index).collect(), compared })
    }
}
