//! The images that a command trains and validates on.

use super::data::{Classes, Dataset};
use crate::images::ImageLimits;
use crate::model::label_lines;
use anyhow::{Context, Result, ensure};
use std::path::PathBuf;

/// Options that name images.
#[derive(clap::Args)]
pub struct TrainingSource {
    /// Training images: tar or tar.gz files (<class>/<file> inside) or folders with one folder per class; several make
    /// one set.
    #[arg(long, num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// Validation images, in the same forms.
    #[arg(long, num_args = 1..)]
    validation: Vec<PathBuf>,
    /// File with a line `class<tab>label` for each class, to replace the folders' names.
    #[arg(long)]
    labels: Option<PathBuf>,
    /// Use only the first classes, this many; images of others are skipped in --validation too.
    #[arg(long)]
    classes: Option<usize>,
    /// Use only the first training images of each class, this many; `paper` validates on the others.
    #[arg(long, alias = "pictures", default_value_t = usize::MAX, hide_default_value = true)]
    images_per_class: usize,
    /// MiB of decoded images to keep; the others are decoded again in each epoch.
    #[arg(long, default_value_t = 2048)]
    keep: usize,
    #[command(flatten)]
    limits: ImageLimits,
}

impl TrainingSource {
    /// The training set, and the validation set if there is one. `spare` adds to it the training images that
    /// `--images-per-class` leaves out.
    pub fn read(&self, spare: bool) -> Result<(Dataset, Option<Dataset>)> {
        let cache = self.keep.saturating_mul(1 << 20);
        let mut set = Dataset::read(&self.data, Classes::Found, self.limits, cache)?;
        let found = set.classes.len();
        let count = self.classes.unwrap_or(found);
        ensure!(
            count >= 2 && count <= found,
            "--classes: must be between 2 and {found}, the number of classes in --data, got {count}"
        );
        ensure!(self.images_per_class > 0, "--images-per-class: must be at least 1, got 0");
        let rest = set.restrict(count, self.images_per_class);
        let mut validation = match self.validation.as_slice() {
            [] => None,
            paths => {
                let names = &set.classes;
                let classes =
                    if self.classes.is_some() { Classes::Only(names) } else { Classes::Exactly(names) };
                Some(Dataset::read(paths, classes, self.limits, cache / 4)?)
            }
        };
        if spare && rest.len() > 0 {
            match &mut validation {
                Some(validation) => validation.append(rest),
                None => validation = Some(rest),
            }
        }
        Ok((set, validation))
    }

    /// The label of each class: from the labels file, else the class's own name.
    pub fn labels(&self, classes: &[String]) -> Result<Vec<String>> {
        let Some(path) = &self.labels else { return Ok(classes.to_vec()) };
        let lines = label_lines(path)?;
        let find = |class: &String| {
            let found = lines.iter().find(|line| line.folder.as_ref() == Some(class));
            found.map(|line| line.label.clone()).with_context(|| {
                format!(
                    "{}: must have a line for each class, got no line for class `{class}`",
                    path.display()
                )
            })
        };
        classes.iter().map(find).collect()
    }
}
