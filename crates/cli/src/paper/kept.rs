//! The results of networks that were trained: a folder each in the work folder, named by the network and a hash of all that
//! its result depends on, so that nothing is trained twice or taken for another network's result.

use super::family::Member;
use crate::files::{read_text, replace};
use crate::train::data::Dataset;
use crate::train::plan::TrainingPlan;
use crate::train::record::{EpochMetrics, Record};
use crate::train::validation::Score;
use anyhow::{Context, Result};
use mobilenet::Architecture;
use mobilenet_train::schedule::Schedule;
use mobilenet_train::{Augmentation, Settings};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// The result of a trained network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptResult {
    /// Name of the network, for readers of the file.
    pub network: String,
    /// All that the result depends on, for the same.
    pub settings: String,
    /// 0 to 1, as the next.
    pub top1: f64,
    pub top5: f64,
    /// For each validation image, in order, `1` if its class was the most probable, else `0`.
    pub verdicts: String,
    /// Top-1 on the training images in the last epoch, 0 to 1.
    pub training_top1: f64,
    /// Time of training.
    pub seconds: f64,
}

impl KeptResult {
    /// For each validation image, in order, whether its class was the most probable.
    pub fn right(&self) -> Vec<bool> {
        self.verdicts.bytes().map(|verdict| verdict == b'1').collect()
    }
}

/// The folder of a network.
pub struct NetworkFolder {
    folder: PathBuf,
    network: String,
    settings: String,
}

impl NetworkFolder {
    /// The folder of `member`, trained by `plan` on images of these fingerprints.
    pub fn new(work: &Path, member: &Member, plan: &TrainingPlan, fingerprints: [u64; 2]) -> Self {
        let settings = settings(plan, fingerprints);
        let hash: String =
            Sha256::digest(&settings).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let network = member.name();
        let name = network.to_lowercase().replace(' ', "-");
        Self { folder: work.join(format!("{name}-{hash}")), network, settings }
    }

    fn result_path(&self) -> PathBuf {
        self.folder.join("result.json")
    }

    /// The result, if the network was trained already.
    pub fn result(&self) -> Result<Option<KeptResult>> {
        let path = self.result_path();
        if !path.exists() {
            return Ok(None);
        }
        let damaged = || {
            let path = path.display();
            format!("{path}: must be a result, got another file; remove it to train the network again")
        };
        serde_json::from_str(&read_text(&path)?).map(Some).with_context(damaged)
    }

    /// The record of its training, which may have begun.
    pub fn record(&self) -> Result<Record> {
        Record::proceed(&self.folder)
    }

    /// Writes the result, and removes checkpoint and network, which are large and no longer needed.
    pub fn finish(&self, epochs: &[EpochMetrics], score: &Score) -> Result<KeptResult> {
        let last = epochs.last().context("no epoch was trained")?;
        let result = KeptResult {
            network: self.network.clone(),
            settings: self.settings.clone(),
            top1: score.top1,
            top5: score.top5,
            verdicts: score.right.iter().map(|&right| if right { '1' } else { '0' }).collect(),
            training_top1: last.accuracy,
            seconds: epochs.iter().map(|metrics| metrics.seconds).sum(),
        };
        replace(&self.result_path(), &serde_json::to_vec_pretty(&result)?)?;
        for name in ["checkpoint.safetensors", "network.safetensors"] {
            std::fs::remove_file(self.folder.join(name))
                .with_context(|| format!("{}: {name}", self.folder.display()))?;
        }
        Ok(result)
    }
}

/// Numbers that change with the images of a set.
pub fn fingerprints(training: &Dataset, validation: &Dataset) -> [u64; 2] {
    [training.fingerprint(), validation.fingerprint()]
}

/// All that a result depends on, in the words of 0.1.0: they name the folders, so that older results stay valid.
fn settings(plan: &TrainingPlan, fingerprints: [u64; 2]) -> String {
    let TrainingPlan {
        architecture,
        settings,
        schedule,
        augmentation,
        resolutions,
        epochs,
        batch,
        workers,
        asynchronous,
        label_smoothing,
        teacher_weight,
        validate_every,
    } = plan;
    let Architecture {
        alpha,
        rounding,
        resolution,
        classes,
        background,
        padding,
        activation,
        epsilon,
        normalization,
        convolution,
        shallow,
        labels,
        // Networks that are trained here have a rule of padding, one classifier, softmax, and nothing to guess.
        pads: _,
        head: _,
        output: _,
        assumed: _,
    } = architecture;
    let Settings { optimizer, weight_decay, moving_decay, average_decay, dropout, seed } = settings;
    let Schedule { peak, warm_up, epochs: length, decay } = schedule;
    let Augmentation { area, flip, jitter, mixup } = augmentation;
    let (mean, deviation, order) = (normalization.mean, normalization.deviation, normalization.order);
    format!(
        "Plan {{ architecture: Architecture {{ alpha: {alpha:?}, rounding: {rounding:?}, resolution: {resolution}, \
         classes: {classes}, background: {background}, padding: {padding:?}, activation: {activation:?}, epsilon: \
         {epsilon:?}, normalisation: Normalisation {{ mean: {mean:?}, deviation: {deviation:?}, order: {order:?} }}, \
         convolution: {convolution:?}, shallow: {shallow}, labels: {labels:?} }}, settings: Settings {{ optimiser: \
         {optimizer:?}, weight_decay: {weight_decay:?}, moving_decay: {moving_decay:?}, average_decay: \
         {average_decay:?}, dropout: {dropout:?}, seed: {seed} }}, schedule: Schedule {{ peak: {peak:?}, warm_up: \
         {warm_up:?}, epochs: {length:?}, fall: {decay:?} }}, augmentation: Augmentation {{ area: {area:?}, flip: \
         {flip}, jitter: {jitter:?}, mixup: {mixup:?} }}, resolutions: {resolutions:?}, epochs: {epochs}, batch: \
         {batch}, workers: {workers}, asynchronous: {asynchronous}, smoothing: {label_smoothing:?}, teacher_weight: \
         {teacher_weight:?}, validate_every: {validate_every} }} {fingerprints:x?}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use mobilenet_train::schedule::LrSchedule;

    /// Written by the program of 0.1.0 into a `result.json`, in the folder `0.1875-mobilenet-32-df43f6cb`.
    const KEPT: &str = r#"Plan { architecture: Architecture { alpha: 0.1875, rounding: Truncate, resolution: 32, classes: 3, background: false, padding: Same, activation: Relu6, epsilon: 0.001, normalisation: Normalisation { mean: [127.5, 127.5, 127.5], deviation: [127.5, 127.5, 127.5], order: Rgb }, convolution: Separable, shallow: false, labels: ["blue", "green", "red"] }, settings: Settings { optimiser: RmsProp { decay: 0.9, momentum: 0.9, epsilon: 1.0 }, weight_decay: 4e-5, moving_decay: 0.99, average_decay: 0.0, dropout: 0.0, seed: 1 }, schedule: Schedule { peak: 0.1, warm_up: 1.0, epochs: 1.0, fall: Cosine }, augmentation: Augmentation { area: 0.5, flip: true, jitter: 0.0, mixup: 0.0 }, resolutions: [(0, 32)], epochs: 1, batch: 64, workers: 2, asynchronous: false, smoothing: 0.0, teacher_weight: 0.0, validate_every: 1 } [f5f1d17fa4b1d89f, a54a56a25daf5c7c]"#;

    #[test]
    fn results_of_earlier_builds_keep_their_folders() {
        let member = Member::new(0.1875, 32);
        let labels = ["blue", "green", "red"].map(String::from).to_vec();
        let plan = TrainingPlan {
            architecture: Architecture { labels, ..member.architecture(3) },
            settings: Settings { average_decay: 0.0, ..Settings::default() },
            schedule: Schedule { peak: 0.1, warm_up: 1.0, epochs: 1.0, decay: LrSchedule::Cosine },
            augmentation: Augmentation { area: 0.5, flip: true, jitter: 0.0, mixup: 0.0 },
            resolutions: vec![(0, 32)],
            epochs: 1,
            batch: 64,
            workers: 2,
            asynchronous: false,
            label_smoothing: 0.0,
            teacher_weight: 0.0,
            validate_every: 1,
        };
        let kept =
            NetworkFolder::new(Path::new(""), &member, &plan, [0xf5f1d17fa4b1d89f, 0xa54a56a25daf5c7c]);
        assert_eq!(kept.settings, KEPT);
        assert_eq!(kept.folder, Path::new("0.1875-mobilenet-32-df43f6cb"));
    }
}
