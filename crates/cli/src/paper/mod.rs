//! `mobilenet paper`: the paper's tables, trained again small, and one report of them.
//!
//! `family` says which networks there are, `mod` trains each once by the parts of `train`, `kept` keeps its result,
//! `claims` judges, `report` and `figures` write. `networks` counts the networks of Tables 8 and 9 from their layers.

mod claims;
mod family;
mod figures;
mod kept;
mod networks;
mod report;

use crate::disk::replace;
use crate::train::data::Set;
use crate::train::source::Source;
use crate::train::validation::validate;
use crate::train::{Plan, interruption, session};
use anyhow::{Context, bail, ensure};
use claims::Scored;
use family::{Family, Member, Part, Printed};
use figures::Axis;
use kept::Kept;
use mobilenet::Architecture;
use mobilenet_train::schedule::{LrSchedule, Schedule};
use mobilenet_train::{Augmentation, Settings};
use report::{Report, Row, Table, scored};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

/// Arguments of `paper`: without `--data` only what needs no training is printed.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    /// Where report.md and the figures go, and the folder work/ with what is kept of every network.
    #[arg(long, default_value = "paper")]
    output: PathBuf,
    /// Width multipliers of Table 6 and the figures.
    #[arg(long, value_delimiter = ',', default_value = "1,0.75,0.5,0.25")]
    alphas: Vec<f64>,
    /// Resolutions of Table 7 and the figures; the default is a quarter of the paper's.
    #[arg(long, value_delimiter = ',', default_value = "56,48,40,32")]
    resolutions: Vec<usize>,
    /// Width of the network that Tables 4, 5 and 7 vary; with standard convolutions it costs eight times as much.
    #[arg(long, default_value_t = 0.25)]
    base_alpha: f64,
    /// Its resolution in Tables 4 and 5.
    #[arg(long, default_value_t = 48)]
    base_resolution: usize,
    /// Only these parts of the report.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Passes over the data, for every network the same.
    #[arg(long, default_value_t = 20)]
    epochs: u64,
    /// Passes for the networks of Tables 4 and 5, where not as many, or one number for each (120,240); none of their
    /// networks may then be one of the grid's.
    #[arg(long, value_delimiter = ',')]
    base_epochs: Vec<u64>,
    /// Pictures per step, over all workers: batch norm sees a worker's share.
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// Threads that learn, each on its share of a batch.
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Greatest learning rate, for every network the same.
    #[arg(long, default_value_t = 0.1)]
    rate: f64,
    /// Of everything random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Prints Tables 8 and 9, or trains the family and writes the report.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.source.data.is_empty() {
        print!("{}", report::counted());
        println!("\nWith --data the other tables are trained: see --help.");
        return Ok(());
    }
    let family = family(arguments)?;
    let all = [Part::Table4, Part::Table5, Part::Table6, Part::Table7, Part::Figures];
    let parts = if arguments.only.is_empty() { &all[..] } else { &arguments.only };
    let members = family.members(parts);
    for member in &members {
        plan(arguments, &family, member, &[String::new(), String::new()]).with_context(|| member.name())?;
    }
    let (set, validation) = arguments.source.read(true)?;
    let validation = validation.context(
        "there is nothing to count on: give --validation, or --pictures to leave some out of training",
    )?;
    let labels = arguments.source.labels(&set.classes)?;
    let work = arguments.output.join("work");
    std::fs::create_dir_all(&work).with_context(|| work.display().to_string())?;
    let prints = kept::prints(&set, &validation);
    let mut rows: Vec<(Kept, Plan, Row)> = Vec::new();
    for member in members {
        let plan = plan(arguments, &family, &member, &labels)?;
        let kept = Kept::new(&work, &member, &plan, prints);
        let outcome = kept.outcome()?;
        rows.push((kept, plan, (member, outcome)));
    }
    let stop = interruption()?;
    let count = rows.len();
    for index in 0..count {
        if rows[index].2.1.is_some() {
            continue;
        }
        println!(
            "{} ({} of {count}; {}):",
            rows[index].2.0.name(),
            index + 1,
            share(&rows, set.classes.len())
        );
        let finished = train(&mut rows[index], &set, &validation, &stop)?;
        // The report grows with every network.
        if rows.iter().any(|row| row.2.1.is_some()) {
            write(arguments, parts, &family, &set, &validation, &rows)?;
        }
        if !finished {
            println!("stopped; the same command goes on");
            return Ok(());
        }
    }
    write(arguments, parts, &family, &set, &validation, &rows)?;
    println!("{count} networks are trained: {}", arguments.output.join("report.md").display());
    Ok(())
}

/// Trains one network. `false` where that was interrupted.
fn train(
    (kept, plan, row): &mut (Kept, Plan, Row),
    set: &Set,
    validation: &Set,
    stop: &AtomicBool,
) -> anyhow::Result<bool> {
    if stop.load(Ordering::Relaxed) {
        return Ok(false);
    }
    let run =
        session::run(plan, None, set, None, None, kept.record()?, stop).with_context(|| row.0.name())?;
    if !run.is_complete(plan) {
        return Ok(false);
    }
    let score = validate(plan, validation, run.trainer.best())?;
    println!("top-1 {:.2} %, top-5 {:.2} % of the other pictures", 100.0 * score.top1, 100.0 * score.top5);
    row.1 = Some(kept.finish(&run.lines, &score)?);
    Ok(true)
}

/// How much of the work is done, by Mult-Adds.
fn share(rows: &[(Kept, Plan, Row)], classes: usize) -> String {
    let work = |(_, plan, (member, _)): &(Kept, Plan, Row)| member.cost(classes).mult_adds * plan.epochs;
    let all = rows.iter().map(work).sum::<u64>() as f64;
    let done = rows.iter().filter(|row| row.2.1.is_some()).map(work).sum::<u64>() as f64;
    format!("{:.0} % of the work is done", 100.0 * done / all)
}

fn family(arguments: &Arguments) -> anyhow::Result<Family> {
    let mut alphas = arguments.alphas.clone();
    alphas.sort_by(|a, b| b.total_cmp(a));
    alphas.dedup();
    let mut resolutions = arguments.resolutions.clone();
    resolutions.sort_unstable_by(|a, b| b.cmp(a));
    resolutions.dedup();
    ensure!(!alphas.is_empty(), "--alphas is empty, and one width is needed");
    ensure!(!resolutions.is_empty(), "--resolutions is empty, and one is needed");
    let family =
        Family { base: Member::new(arguments.base_alpha, arguments.base_resolution), alphas, resolutions };
    ensure!(
        arguments.base_epochs.len() <= 2,
        "--base-epochs has {} numbers, and takes one for both tables, or one for Table 4 and one for Table 5",
        arguments.base_epochs.len()
    );
    for (members, (_, epochs)) in pairs(&family).into_iter().zip(base_epochs(arguments)) {
        let twice = members.into_iter().find(|member| epochs != arguments.epochs && family.elsewhere(member));
        if let Some(member) = twice {
            bail!(
                "{} stands in other tables too, for which it is trained as long as --epochs says: leave --base-epochs \
                 out, or give --base-resolution a side that is not among --resolutions",
                member.name()
            );
        }
    }
    Ok(family)
}

/// The networks of Tables 4 and 5. The base stands in the first alone, whose epochs are its own.
fn pairs(family: &Family) -> [[Member; 2]; 2] {
    [family.table4().map(|row| row.0), family.table5().map(|row| row.0)]
}

/// Epochs of the networks of Tables 4 and 5, with the option that says so.
fn base_epochs(arguments: &Arguments) -> [(&'static str, u64); 2] {
    match arguments.base_epochs[..] {
        [both] => [("--base-epochs", both); 2],
        [table4, table5] => [("--base-epochs", table4), ("--base-epochs", table5)],
        _ => [("--epochs", arguments.epochs); 2],
    }
}

/// How a network is trained: the same for each, as in the paper, but for the epochs of those that are only compared
/// with one another.
fn plan(arguments: &Arguments, family: &Family, member: &Member, labels: &[String]) -> anyhow::Result<Plan> {
    let Arguments { batch, workers, rate, seed, .. } = *arguments;
    let table = pairs(family).iter().position(|pair| pair.contains(member));
    let (name, epochs) = table.map_or(("--epochs", arguments.epochs), |table| base_epochs(arguments)[table]);
    ensure!(epochs > 0, "{name} is 0, and a run needs one");
    ensure!((1..=256).contains(&workers), "--workers is {workers}, and must be 1 to 256");
    ensure!(batch >= workers, "--batch is {batch}, and every one of the {workers} workers needs a picture");
    ensure!(rate > 0.0 && rate.is_finite(), "--rate is {rate}, and must be above 0");
    let architecture = Architecture { labels: labels.to_vec(), ..member.architecture(labels.len()) };
    architecture.validate()?;
    // A run of so few steps has no use for an average over a thousand of them.
    let settings = Settings { average_decay: 0.0, seed, ..Settings::default() };
    Ok(Plan {
        architecture,
        settings,
        schedule: Schedule { peak: rate, warm_up: 1.0, epochs: epochs as f64, decay: LrSchedule::Cosine },
        augmentation: AUGMENTATION,
        resolutions: vec![(0, member.resolution)],
        epochs,
        batch,
        workers,
        asynchronous: false,
        smoothing: 0.0,
        teacher_weight: 0.0,
        validate_every: epochs,
    })
}

/// Little, as the paper advises for small networks.
const AUGMENTATION: Augmentation = Augmentation { area: 0.5, flip: true, jitter: 0.0, mixup: 0.0 };

/// Writes report and figures from what is trained.
fn write(
    arguments: &Arguments,
    parts: &[Part],
    family: &Family,
    set: &Set,
    validation: &Set,
    rows: &[(Kept, Plan, Row)],
) -> anyhow::Result<()> {
    let classes = set.classes.len();
    let row = |member: Member| -> Row {
        let found = rows.iter().find(|row| row.2.0 == member);
        (member, found.and_then(|row| row.2.1.clone()))
    };
    let table = |part, title, list: &[(Member, Option<Printed>)]| {
        let rows = list.iter().map(|(member, printed)| (row(*member), *printed)).collect();
        Table { part, title, rows }
    };
    let grid: Vec<Row> = family.grid().into_iter().map(row).collect();
    let points: Vec<Scored> = grid.iter().filter_map(|row| scored(row, classes)).collect();
    let pair = |[a, b]: [(Member, Option<Printed>); 2]| {
        Some((scored(&row(a.0), classes)?, scored(&row(b.0), classes)?))
    };
    let pictures = validation.len();
    let separable = pair(family.table4()).map(|(a, b)| claims::separable(&a, &b));
    let [(_, table4), (_, table5)] = base_epochs(arguments);
    let base = scored(&row(family.base), classes).filter(|_| table4 == table5);
    let narrow = pair(family.table5()).map(|(a, b)| claims::narrow(&a, &b, base.as_ref()));
    let Arguments { epochs, batch, rate, seed, .. } = arguments;
    let apart = match arguments.base_epochs[..] {
        [both] => format!(" ({both} in Tables 4 and 5)"),
        [table4, table5] => format!(" ({table4} in Table 4, {table5} in Table 5)"),
        _ => String::new(),
    };
    let report = Report {
        classes,
        training_pictures: set.len(),
        validation_pictures: pictures,
        recipe: format!(
            "{epochs} epochs{apart} of RMSprop in batches of {batch}, a learning rate of {rate} that falls to zero along \
             half a cosine, random crops and mirrors, seed {seed}, the same for every network"
        ),
        command: command(std::env::args().skip(1)),
        parts,
        tables: vec![
            table(Part::Table4, "Table 4: standard against separable convolutions", &family.table4()),
            table(Part::Table5, "Table 5: narrow against shallow", &family.table5()),
            table(Part::Table6, "Table 6: width multiplier", &family.table6()),
            table(Part::Table7, "Table 7: resolution multiplier", &family.table7()),
        ],
        grid,
        claims: separable.into_iter().chain(narrow).chain(claims::smooth(&points)).collect(),
    };
    if parts.contains(&Part::Figures) {
        let parameters = |scored: &Scored| scored.member.cost(classes).parameters;
        for (axis, name) in [(Axis::MultAdds, "mult-adds"), (Axis::Parameters, "parameters")] {
            let svg = figures::draw(axis, &points, parameters)?;
            replace(&arguments.output.join(format!("accuracy-{name}.svg")), svg.as_bytes())?;
        }
    }
    replace(&arguments.output.join("report.md"), report.markdown().as_bytes())
}

/// The command as it can be given again: an option a line.
fn command(words: impl Iterator<Item = String>) -> String {
    words.fold("mobilenet".into(), |text, word| {
        let gap = if word.starts_with("--") { " \\\n  " } else { " " };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./,=@+".contains(&byte);
        let word = if word.bytes().all(plain) { word } else { format!("'{}'", word.replace('\'', "'\\''")) };
        text + gap + &word
    })
}
