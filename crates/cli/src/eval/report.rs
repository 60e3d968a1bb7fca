//! Prints an evaluation as lines or as one JSON object.

use super::tally::{Comparison, Tally};
use crate::console::outln;
use anyhow::Result;
use mobilenet::Architecture;
use mobilenet::Precision;
use mobilenet::predictions::class_name;
use serde_json::json;

/// What to print beside the totals.
pub struct Wanted {
    pub per_class: bool,
    pub confusion: bool,
}

/// Prints the totals on the first line, the rest below.
pub fn lines(tally: &Tally, architecture: &Architecture, wanted: &Wanted) {
    let total = tally.total;
    outln!("top-1 {:.3} top-5 {:.3} n {}", total.top1(), total.top5(), total.n);
    if tally.comparison.n > 0 {
        let Comparison { agree, n, largest, .. } = tally.comparison;
        let (share, mean) = (agree as f64 / n as f64, tally.comparison.mean());
        outln!("same top-1 {share:.3} ({agree} of {n}) mean difference {mean:.2e} largest {largest:.2e}");
    }
    if wanted.per_class {
        outln!("\n{:>6} {:>6} {:>6} {:>5}  class", "number", "top-1", "top-5", "n");
        for (class, counts) in tally.classes.iter().enumerate().filter(|(_, counts)| counts.n > 0) {
            let (top1, top5, n) = (counts.top1(), counts.top5(), counts.n);
            outln!("{class:>6} {top1:>6.3} {top5:>6.3} {n:>5}  {}", class_name(architecture, class));
        }
    }
    if wanted.confusion {
        outln!("\n{:>5}  class -> taken for", "n");
        for (class, said, n) in tally.confused() {
            outln!("{n:>5}  {} -> {}", class_name(architecture, class), class_name(architecture, said));
        }
    }
}

/// The same as JSON, with the number of skipped images if there are any.
pub fn json(
    tally: &Tally,
    skipped: usize,
    architecture: &Architecture,
    precision: Precision,
    wanted: &Wanted,
) -> Result<String> {
    let total = tally.total;
    let mut all = json!({ "top1": total.top1(), "top5": total.top5(), "n": total.n, "precision": precision });
    if skipped > 0 {
        all["skipped"] = skipped.into();
    }
    if tally.comparison.n > 0 {
        let Comparison { agree, n, largest, .. } = tally.comparison;
        all["compare"] = json!({
            "same_top1": agree as f64 / n as f64,
            "agree": agree,
            "mean_difference": tally.comparison.mean(),
            "largest_difference": largest,
        });
    }
    if wanted.per_class {
        let classes = tally.classes.iter().enumerate().filter(|(_, counts)| counts.n > 0);
        let rows = classes.map(|(class, counts)| {
            let name = class_name(architecture, class);
            json!({
                "class": class, "name": name, "top1": counts.top1(), "top5": counts.top5(), "n": counts.n
            })
        });
        all["classes"] = rows.collect();
    }
    if wanted.confusion {
        let rows = tally.confused().into_iter().map(|(class, said, n)| {
            json!({
                "class": class, "taken_for": said, "n": n,
                "name": class_name(architecture, class), "taken_for_name": class_name(architecture, said),
            })
        });
        all["confusion"] = rows.collect();
    }
    Ok(serde_json::to_string_pretty(&all)?)
}
