//! Options of `paper`, and what follows from them alone.

use super::family::{Family, Member, Part};
use crate::train::plan::{TrainingPlan, check_lr, check_workers};
use crate::train::source::TrainingSource;
use anyhow::{Result, bail, ensure};
use mobilenet::Architecture;
use mobilenet_train::schedule::{LrSchedule, Schedule};
use mobilenet_train::{Augmentation, Settings};
use std::path::PathBuf;

/// Arguments of `paper`; without `--data` it only prints what needs no training.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    pub source: TrainingSource,
    /// Folder for report.md, the figures, and work/ with the results of each network.
    #[arg(long, default_value = "paper")]
    pub output: PathBuf,
    /// Width multipliers of Table 6 and the figures.
    #[arg(long, value_delimiter = ',', default_value = "1,0.75,0.5,0.25")]
    alphas: Vec<f64>,
    /// Resolutions of Table 7 and the figures; the default is a quarter of the paper's.
    #[arg(long, value_delimiter = ',', default_value = "56,48,40,32")]
    resolutions: Vec<usize>,
    /// Width of the base network of Tables 4, 5 and 7; with standard convolutions it costs eight times as much.
    #[arg(long, default_value_t = 0.25)]
    base_alpha: f64,
    /// Resolution of the base network in Tables 4 and 5.
    #[arg(long, default_value_t = 48)]
    base_resolution: usize,
    /// Write only these parts of the report.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Passes over the training images, for each network.
    #[arg(long, default_value_t = 20)]
    pub epochs: u64,
    /// Passes for the networks of Tables 4 and 5, or one number for each (120,240); their networks must then not be
    /// among the others'.
    #[arg(long, value_delimiter = ',')]
    base_epochs: Vec<u64>,
    /// Images per step, over all workers. Batch normalization sees a worker's share.
    #[arg(long, default_value_t = 64)]
    pub batch: usize,
    /// Training threads, each with its share of a batch.
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Peak learning rate, for each network.
    #[arg(long, alias = "rate", default_value_t = 0.1)]
    pub lr: f64,
    /// Seed of all random numbers.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Light augmentation, as the paper advises for small networks.
const AUGMENTATION: Augmentation = Augmentation { area: 0.5, flip: true, jitter: 0.0, mixup: 0.0 };

impl Arguments {
    /// Whether nothing is to be trained.
    pub fn only_counts(&self) -> bool {
        self.source.data.is_empty()
    }

    /// Parts of the report.
    pub fn parts(&self) -> &[Part] {
        if self.only.is_empty() { &Part::ALL } else { &self.only }
    }

    /// The networks.
    pub fn family(&self) -> Result<Family> {
        let mut alphas = self.alphas.clone();
        alphas.sort_by(|a, b| b.total_cmp(a));
        alphas.dedup();
        let mut resolutions = self.resolutions.clone();
        resolutions.sort_unstable_by(|a, b| b.cmp(a));
        resolutions.dedup();
        ensure!(!alphas.is_empty(), "--alphas: must have at least one width, got none");
        ensure!(!resolutions.is_empty(), "--resolutions: must have at least one, got none");
        let family = Family { base: Member::new(self.base_alpha, self.base_resolution), alphas, resolutions };
        let count = self.base_epochs.len();
        ensure!(
            count <= 2,
            "--base-epochs: must have one number for both tables, or one for Table 4 and one for Table 5, got {count}"
        );
        for (members, (_, epochs)) in pairs(&family).into_iter().zip(self.base_epochs()) {
            let twice = members.into_iter().find(|member| epochs != self.epochs && family.elsewhere(member));
            if let Some(member) = twice {
                bail!(
                    "--base-epochs: must be for networks of Tables 4 and 5 alone, got {}, which is in other tables too; \
                     leave it out, or choose a --base-resolution that is not among --resolutions",
                    member.name()
                );
            }
        }
        Ok(family)
    }

    /// Epochs of the networks of Tables 4 and 5, and the option that sets them.
    pub fn base_epochs(&self) -> [(&'static str, u64); 2] {
        match self.base_epochs[..] {
            [both] => [("--base-epochs", both); 2],
            [table4, table5] => [("--base-epochs", table4), ("--base-epochs", table5)],
            _ => [("--epochs", self.epochs); 2],
        }
    }

    /// Epochs of Tables 4 and 5 for the report, if they differ from the others'.
    pub fn base_epochs_text(&self) -> String {
        match self.base_epochs[..] {
            [both] => format!(" ({both} in Tables 4 and 5)"),
            [table4, table5] => format!(" ({table4} in Table 4, {table5} in Table 5)"),
            _ => String::new(),
        }
    }

    /// How a network is trained: like all others, except for the epochs of those that are only compared with each other.
    pub fn plan(&self, family: &Family, member: &Member, labels: &[String]) -> Result<TrainingPlan> {
        let Arguments { batch, workers, lr, seed, .. } = *self;
        let table = pairs(family).iter().position(|pair| pair.contains(member));
        let (name, epochs) = table.map_or(("--epochs", self.epochs), |table| self.base_epochs()[table]);
        ensure!(epochs > 0, "{name}: must be at least 1, got 0");
        check_workers(workers, batch)?;
        check_lr(lr)?;
        let architecture = Architecture { labels: labels.to_vec(), ..member.architecture(labels.len()) };
        architecture.validate()?;
        // So few steps have no use for an average over a thousand of them.
        let settings = Settings { average_decay: 0.0, seed, ..Settings::default() };
        let decay = LrSchedule::Cosine;
        Ok(TrainingPlan {
            architecture,
            settings,
            schedule: Schedule { peak: lr, warm_up: 1.0, epochs: epochs as f64, decay },
            augmentation: AUGMENTATION,
            resolutions: vec![(0, member.resolution)],
            epochs,
            batch,
            workers,
            asynchronous: false,
            label_smoothing: 0.0,
            teacher_weight: 0.0,
            validate_every: epochs,
        })
    }
}

/// The networks of Tables 4 and 5. The base counts as one of Table 4, which sets its epochs.
fn pairs(family: &Family) -> [[Member; 2]; 2] {
    [family.table4().map(|row| row.0), family.table5().map(|row| row.0)]
}
