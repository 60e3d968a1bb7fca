//! Which pictures a command trains and validates on: the options that say so, and the sets that they name.

use super::data::{Classes, Set};
use crate::network::label_lines;
use anyhow::{Context, ensure};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Source {
    /// Training pictures: tar or tar.gz files (<class>/<file> inside) or folders with a folder a class; several make
    /// one set.
    #[arg(long, num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// Pictures to validate on, in the same forms.
    #[arg(long, num_args = 1..)]
    validation: Vec<PathBuf>,
    /// A file with a line `class<tab>label` for each class, for labels better than the folders' names.
    #[arg(long)]
    labels: Option<PathBuf>,
    /// Only the first this many classes of the set; in --validation too others are passed over then.
    #[arg(long)]
    classes: Option<usize>,
    /// Only the first this many training pictures of each class; `paper` counts on the others.
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    pictures: usize,
    /// MiB of decoded pictures to keep; the rest is decoded again every epoch.
    #[arg(long, default_value_t = 2048)]
    keep: usize,
}

impl Source {
    /// The training set, and the one to validate on where there is one. `spare` makes the training pictures that
    /// `--pictures` leaves out part of it.
    pub fn read(&self, spare: bool) -> anyhow::Result<(Set, Option<Set>)> {
        let keep = self.keep << 20;
        let mut set = Set::read(&self.data, Classes::Found, keep)?;
        let count = self.classes.unwrap_or(set.classes.len());
        ensure!(
            (2..=set.classes.len()).contains(&count),
            "--classes is {count}, and the set has {} (training needs two)",
            set.classes.len()
        );
        ensure!(self.pictures > 0, "--pictures is 0, and every class needs one to learn from");
        let rest = set.restrict(count, self.pictures);
        let mut validation = match self.validation.as_slice() {
            [] => None,
            paths => {
                let names = &set.classes;
                let classes =
                    if self.classes.is_some() { Classes::Only(names) } else { Classes::These(names) };
                Some(Set::read(paths, classes, keep / 4)?)
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

    /// The label of every class: from the file where there is one, else the class's own name.
    pub fn labels(&self, classes: &[String]) -> anyhow::Result<Vec<String>> {
        let Some(path) = &self.labels else { return Ok(classes.to_vec()) };
        let lines = label_lines(path)?;
        let find = |class: &String| {
            let found = lines.iter().find(|line| line.folder.as_ref() == Some(class));
            found
                .map(|line| line.label.clone())
                .with_context(|| format!("{} has no line for class `{class}`", path.display()))
        };
        classes.iter().map(find).collect()
    }
}
