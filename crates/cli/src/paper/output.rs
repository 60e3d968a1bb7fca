//! Report and figures of what is trained so far.

use super::args::Arguments;
use super::claims::{self, Claim, Scored};
use super::family::{Family, Member, Part, Printed};
use super::figures::{self, Axis};
use super::kept::{KeptResult, NetworkFolder};
use super::report::{Report, Row, Table, scored};
use crate::files::replace;
use crate::train::data::Dataset;
use crate::train::plan::TrainingPlan;
use anyhow::Result;

/// The images of the report.
pub struct Sets {
    pub training: Dataset,
    pub validation: Dataset,
}

/// A network to train, and its result if it is trained.
pub struct Trainee {
    pub member: Member,
    pub plan: TrainingPlan,
    pub folder: NetworkFolder,
    pub result: Option<KeptResult>,
}

/// Writes report and figures.
pub fn write(arguments: &Arguments, family: &Family, sets: &Sets, trainees: &[Trainee]) -> Result<()> {
    let classes = sets.training.classes.len();
    let row = |member: Member| -> Row {
        let found = trainees.iter().find(|trainee| trainee.member == member);
        (member, found.and_then(|trainee| trainee.result.clone()))
    };
    let table = |part, title, list: &[(Member, Option<Printed>)]| {
        let rows = list.iter().map(|(member, printed)| (row(*member), *printed)).collect();
        Table { part, title, rows }
    };
    let grid: Vec<Row> = family.grid().into_iter().map(row).collect();
    let points: Vec<Scored> = grid.iter().filter_map(|row| scored(row, classes)).collect();
    let parts = arguments.parts();
    let Arguments { epochs, batch, lr, seed, .. } = arguments;
    let apart = arguments.base_epochs_text();
    let report = Report {
        classes,
        training_images: sets.training.len(),
        validation_images: sets.validation.len(),
        recipe: format!(
            "{epochs} epochs{apart} of RMSprop in batches of {batch}, learning rate {lr} with cosine decay to zero, random \
             crops and flips, seed {seed}, the same for each network"
        ),
        command: command(std::env::args().skip(1)),
        parts,
        tables: vec![
            table(Part::Table4, "Table 4: standard against separable convolutions", &family.table4()),
            table(Part::Table5, "Table 5: narrow against shallow", &family.table5()),
            table(Part::Table6, "Table 6: width multiplier", &family.table6()),
            table(Part::Table7, "Table 7: resolution multiplier", &family.table7()),
        ],
        claims: judge(arguments, family, &points, |member| scored(&row(member), classes)),
        grid,
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

/// The claims that can be judged by the networks that are trained.
fn judge(
    arguments: &Arguments,
    family: &Family,
    points: &[Scored],
    scored: impl Fn(Member) -> Option<Scored>,
) -> Vec<Claim> {
    let pair = |[a, b]: [(Member, Option<Printed>); 2]| Some((scored(a.0)?, scored(b.0)?));
    let separable = pair(family.table4()).map(|(a, b)| claims::separable(&a, &b));
    let [(_, table4), (_, table5)] = arguments.base_epochs();
    let base = scored(family.base).filter(|_| table4 == table5);
    let narrow = pair(family.table5()).map(|(a, b)| claims::narrow(&a, &b, base.as_ref()));
    separable.into_iter().chain(narrow).chain(claims::smooth(points)).collect()
}

/// The command as it can be given again, one option per line.
fn command(words: impl Iterator<Item = String>) -> String {
    words.fold("mobilenet".into(), |text, word| {
        let gap = if word.starts_with("--") { " \\\n  " } else { " " };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./,=@+".contains(&byte);
        let word = if word.bytes().all(plain) { word } else { format!("'{}'", word.replace('\'', "'\\''")) };
        text + gap + &word
    })
}
