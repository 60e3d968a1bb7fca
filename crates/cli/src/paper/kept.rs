//! What is kept of every network that was trained: a folder each in the work folder, named by the network and a hash of
//! all that its result hangs on, so that a result is never taken for another's and never trained twice.

use super::family::Member;
use crate::disk::replace;
use crate::train::Plan;
use crate::train::data::Set;
use crate::train::record::{Line, Record};
use crate::train::validation::Score;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// What a trained network came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its name, for who opens the file.
    pub network: String,
    /// Everything that the result hangs on, for the same.
    pub settings: String,
    /// 0 to 1, as the two below.
    pub top1: f64,
    pub top5: f64,
    /// Of every picture that was counted on, in order, `1` where its class stands first, else `0`.
    pub verdicts: String,
    /// On the training pictures in the last epoch.
    pub training_top1: f64,
    /// Spent on training.
    pub seconds: f64,
}

impl Outcome {
    /// Of every picture that was counted on, in order, whether its class stands first.
    pub fn right(&self) -> Vec<bool> {
        self.verdicts.bytes().map(|verdict| verdict == b'1').collect()
    }
}

/// The folder of one network.
pub struct Kept {
    folder: PathBuf,
    network: String,
    settings: String,
}

impl Kept {
    /// The folder of `member`, trained by `plan` on these pictures.
    pub fn new(work: &Path, member: &Member, plan: &Plan, prints: [u64; 2]) -> Self {
        let settings = format!("{plan:?} {prints:x?}");
        let hash: String =
            Sha256::digest(&settings).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let network = member.name();
        let name = network.to_lowercase().replace(' ', "-");
        Self { folder: work.join(format!("{name}-{hash}")), network, settings }
    }

    fn result(&self) -> PathBuf {
        self.folder.join("result.json")
    }

    /// The result, where the network was trained already.
    pub fn outcome(&self) -> anyhow::Result<Option<Outcome>> {
        let path = self.result();
        let Ok(bytes) = std::fs::read(&path) else { return Ok(None) };
        let broken = || format!("{} is no result; remove it to train the network again", path.display());
        serde_json::from_slice(&bytes).map(Some).with_context(broken)
    }

    /// Where its training leaves checkpoints, or goes on from one.
    pub fn record(&self) -> anyhow::Result<Record> {
        Record::proceed(&self.folder)
    }

    /// Puts the result away; checkpoint and network, which are large, are no longer needed.
    pub fn finish(&self, lines: &[Line], score: &Score) -> anyhow::Result<Outcome> {
        let last = lines.last().context("no epoch was trained")?;
        let outcome = Outcome {
            network: self.network.clone(),
            settings: self.settings.clone(),
            top1: score.top1,
            top5: score.top5,
            verdicts: score.right.iter().map(|&right| if right { '1' } else { '0' }).collect(),
            training_top1: last.accuracy,
            seconds: lines.iter().map(|line| line.seconds).sum(),
        };
        replace(&self.result(), &serde_json::to_vec_pretty(&outcome)?)?;
        for name in ["checkpoint.safetensors", "network.safetensors"] {
            std::fs::remove_file(self.folder.join(name))
                .with_context(|| format!("{}: {name}", self.folder.display()))?;
        }
        Ok(outcome)
    }
}

/// A number that changes with a set's pictures.
pub fn prints(set: &Set, validation: &Set) -> [u64; 2] {
    [set.print(), validation.print()]
}
