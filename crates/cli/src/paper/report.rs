//! The report as Markdown: each table beside the paper's figures.

use super::claims::{Claim, Scored, error};
use super::family::{Member, Part, Printed};
use super::kept::KeptResult;
use super::networks;
use mobilenet::Architecture;
use mobilenet::cost;

/// A network of the family and its result, if it is trained.
pub type Row = (Member, Option<KeptResult>);

/// One of Tables 4 to 7.
pub struct Table {
    pub part: Part,
    pub title: &'static str,
    /// Each with the paper's figures in its place.
    pub rows: Vec<(Row, Option<Printed>)>,
}

/// Content of the report.
pub struct Report<'a> {
    pub classes: usize,
    pub training_images: usize,
    pub validation_images: usize,
    /// How the networks are trained, in a sentence.
    pub recipe: String,
    /// The command line.
    pub command: String,
    /// Parts to write.
    pub parts: &'a [Part],
    pub tables: Vec<Table>,
    /// Every width at every resolution.
    pub grid: Vec<Row>,
    pub claims: Vec<Claim>,
}

/// A result for the claims.
pub fn scored(row: &Row, classes: usize) -> Option<Scored> {
    let (member, result) = row;
    let result = result.as_ref()?;
    Some(Scored {
        member: *member,
        top1: 100.0 * result.top1,
        right: result.right(),
        training_top1: 100.0 * result.training_top1,
        mult_adds: member.cost(classes).mult_adds,
    })
}

impl Report<'_> {
    /// The whole text. It refers to the files of the figures.
    pub fn markdown(&self) -> String {
        let mut text = self.beginning();
        for table in self.tables.iter().filter(|table| self.parts.contains(&table.part)) {
            text += &self.table(table);
        }
        if self.parts.contains(&Part::Figures) {
            text += "\n## Figures 4 and 5: accuracy against cost\n\n\
                     ![Accuracy against Mult-Adds](accuracy-mult-adds.svg)\n\n\
                     ![Accuracy against parameters](accuracy-parameters.svg)\n\n\
                     The paper prints figures of eight of its sixteen networks, on the right.";
            let trained = self.grid.iter().filter(|row| row.1.is_some()).count();
            if trained < self.grid.len() {
                text += &format!(
                    " Of the {} networks here {trained} are trained so far; the same command continues with the rest.",
                    self.grid.len()
                );
            }
            text += "\n\n";
            text += &self.all();
        }
        text += "\n## Tables 8 and 9: other networks, counted from their layers\n\n";
        text + &counted()
    }

    fn beginning(&self) -> String {
        let trained = |rows: &[Row]| rows.iter().filter_map(|row| row.1.clone()).collect::<Vec<_>>();
        let rows = self.tables.iter().flat_map(|table| &table.rows).map(|(row, _)| row.clone());
        let rows: Vec<Row> = rows.chain(self.grid.iter().cloned()).collect();
        let mean = {
            let done = trained(&rows);
            done.iter().map(|result| 100.0 * result.top1).sum::<f64>() / done.len().max(1) as f64
        };
        let mut text = format!(
            "# The paper's tables, trained again small\n\n\
             The networks of arXiv 1704.04861 on {} classes, {} training images and {} validation images; {}. \
             Made by\n\n```sh\n{}\n```\n\n\
             Around {mean:.0} % the standard error of an accuracy on {} images is {:.1} points; that of a difference \
             comes from the images on which the networks differ. Each network was trained once, so the variance of \
             training comes on top. The networks are the paper's own, for smaller images and fewer classes. Beside \
             each are the paper's figures for its network in that place, trained on ImageNet's 1.2 million images at \
             224 × 224: compare the trend of the two columns, not their level.\n\n## The three claims\n\n",
            self.classes,
            self.training_images,
            self.validation_images,
            self.recipe,
            self.command,
            self.validation_images,
            error(mean, self.validation_images),
        );
        for claim in &self.claims {
            text += &format!("- **{}: {}.** {}\n", claim.title, claim.verdict.text(), claim.text);
        }
        if self.claims.is_empty() {
            text += "None can be judged by the networks that are trained so far.\n";
        }
        text
    }

    fn table(&self, table: &Table) -> String {
        let mut text = format!(
            "\n## {}\n\n\
             | network | top-1 | top-5 | million Mult-Adds | million parameters | in the paper | top-1 | million \
             Mult-Adds | million parameters |\n|---|---|---|---|---|---|---|---|---|\n",
            table.title
        );
        for ((member, result), printed) in &table.rows {
            let cost = self.cost(member);
            let accuracy = result.as_ref().map_or("not trained yet | –".into(), |result| {
                format!("{:.1} % | {:.1} %", 100.0 * result.top1, 100.0 * result.top5)
            });
            let printed = printed.map_or("– | – | – | –".into(), |row| {
                format!("{} | {} % | {} | {}", row.name, row.top1, row.mult_adds, row.parameters)
            });
            text += &format!("| {} | {accuracy} | {cost} | {printed} |\n", member.name());
        }
        text
    }

    /// Two cells: million multiply-adds and million parameters.
    fn cost(&self, member: &Member) -> String {
        let cost = member.cost(self.classes);
        format!("{:.2} | {:.3}", cost.mult_adds as f64 / 1e6, cost.parameters as f64 / 1e6)
    }

    /// The networks of the figures.
    fn all(&self) -> String {
        let mut text = String::from(
            "| network | top-1 | top-1 on the training images | million Mult-Adds | million parameters | seconds \
             of training |\n|---|---|---|---|---|---|\n",
        );
        for (member, result) in &self.grid {
            let cost = self.cost(member);
            let (accuracy, seconds) = match result {
                Some(result) => (
                    format!("{:.1} % | {:.1} %", 100.0 * result.top1, 100.0 * result.training_top1),
                    format!("{:.0}", result.seconds),
                ),
                None => ("not trained yet | –".into(), "–".into()),
            };
            text += &format!("| {} | {accuracy} | {cost} | {seconds} |\n", member.name());
        }
        text
    }
}

/// Tables 8 and 9: counted beside the paper's.
pub fn counted() -> String {
    let mut text = String::from(
        "| network | top-1 in the paper | Mult-Adds, counted | in the paper | parameters, counted | in the paper |\n\
         |---|---|---|---|---|---|\n",
    );
    let mut row = |name: &str, mult_adds: u64, parameters: u64, paper: (f64, f64, f64)| {
        let millions = |value: u64| value as f64 / 1e6;
        let (counted, held) = (millions(mult_adds), millions(parameters));
        text += &format!(
            "| {name} | {} % | {counted:.0} M | {} M | {held:.2} M | {} M |\n",
            paper.0, paper.1, paper.2
        );
    };
    for (name, alpha, resolution, paper) in [
        ("1.0 MobileNet-224", 1.0, 224, (70.6, 569.0, 4.2)),
        ("0.50 MobileNet-160", 0.5, 160, (60.2, 76.0, 1.32)),
    ] {
        let total = cost::of(&Architecture { alpha, resolution, ..Architecture::default() });
        row(name, total.mult_adds, total.parameters, paper);
    }
    for network in networks::networks() {
        let paper = (network.paper_top1, network.paper_mult_adds, network.paper_parameters);
        row(network.name, network.count.mult_adds, network.count.parameters, paper);
    }
    text + "\nThe paper's 1700 M for SqueezeNet is twice the count of its layers: it seems to count additions separately.\n"
}
