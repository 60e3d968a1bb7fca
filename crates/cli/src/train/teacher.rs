//! A teacher's answers for distillation (Hinton, Vinyals and Dean, arXiv 1503.02531): the probabilities that a larger
//! network gives to each training image without augmentation. It is asked once; a file keeps the answers in 16 bits.

use super::data::Dataset;
use crate::files::{self, explain, replace};
use anyhow::{Context, Result, anyhow, ensure};
use mobilenet::Input;
use mobilenet::Weights;
use mobilenet::image::{ImageOptions, Resizer};
use mobilenet_train::{Layout, Parameters, Replica};
use rayon::prelude::*;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

/// Images of a replica's batch.
const BLOCK: usize = 25;

/// The teacher's probabilities for each image.
pub struct TeacherAnswers {
    classes: usize,
    /// images × classes, in units of 1/65535.
    parts: Vec<u16>,
}

impl TeacherAnswers {
    /// Reads the answers from `path` if it has them, else computes and writes them. They are the softmax at `temperature`
    /// over the teacher's classes `columns`, one for each class of the set.
    pub fn get(
        set: &Dataset,
        weights: &Weights,
        columns: &[usize],
        temperature: f32,
        path: &Path,
    ) -> Result<Self> {
        let fingerprint = fingerprint(set, weights, columns, temperature)?.to_le_bytes();
        let (classes, length) = (columns.len(), set.len() * columns.len());
        let size = fingerprint.len() + 2 * length;
        if let Ok(bytes) = files::read(path, size as u64)
            && bytes.len() == size
            && let Some(kept) = bytes.strip_prefix(&fingerprint)
        {
            let parts = kept.as_chunks::<2>().0.iter().map(|word| u16::from_le_bytes(*word)).collect();
            return Ok(Self { classes, parts });
        }
        files::check_target(path)?;
        let answers = Self { classes, parts: ask(set, weights, columns, temperature)? };
        let words = answers.parts.iter().flat_map(|part| part.to_le_bytes());
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|error| anyhow!(explain(folder, "must be a folder or not exist", &error)))?;
        }
        replace(path, &fingerprint.into_iter().chain(words).collect::<Vec<u8>>())?;
        Ok(answers)
    }

    /// Top-1 accuracy of the teacher itself, 0 to 1.
    pub fn accuracy(&self, set: &Dataset) -> f64 {
        let right = self.parts.chunks_exact(self.classes).enumerate().filter(|(index, parts)| {
            let best = parts.iter().enumerate().max_by_key(|(_, part)| **part);
            best.is_some_and(|(class, _)| class == set.class(*index))
        });
        right.count() as f64 / set.len() as f64
    }

    /// Blends the teacher's answer into a target, with the weight `weight`.
    pub fn blend(&self, index: usize, weight: f32, target: &mut [f32]) {
        let parts = &self.parts[index * self.classes..][..self.classes];
        let total: f32 = parts.iter().map(|&part| f32::from(part)).sum();
        if total <= 0.0 {
            return;
        }
        for (target, &part) in target.iter_mut().zip(parts) {
            *target = *target * (1.0 - weight) + f32::from(part) * weight / total;
        }
    }
}

/// A number that changes with all that the answers depend on. Files of 0.1.0 have the same.
fn fingerprint(set: &Dataset, weights: &Weights, columns: &[usize], temperature: f32) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    (set.fingerprint(), columns, temperature.to_bits()).hash(&mut hasher);
    let architecture = serde_json::to_string(&weights.architecture)?;
    architecture.replace("\"normalization\":", "\"normalisation\":").hash(&mut hasher);
    for layer in &weights.layers {
        let values = layer.kernel.to_f32();
        values.iter().chain(&layer.bias).for_each(|value| value.to_bits().hash(&mut hasher));
    }
    Ok(hasher.finish())
}

/// Asks the teacher about all images.
fn ask(set: &Dataset, weights: &Weights, columns: &[usize], temperature: f32) -> Result<Vec<u16>> {
    let (architecture, classes) = (&weights.architecture, columns.len());
    ensure!(
        columns.iter().all(|&column| column < architecture.classes),
        "--teacher: must have a class for each of its labels, got {}",
        architecture.classes
    );
    // A replica takes many images at once, which is twice as fast as a network that takes one.
    let layout = Layout::new(architecture)?;
    let own: Vec<Option<usize>> = (0..architecture.classes).map(Some).collect();
    let parameters = Parameters::from_weights(&layout, weights, &own)?;
    let (side, normalization) = (architecture.resolution, &architecture.normalization);
    let mut parts = vec![0u16; set.len() * classes];
    let bar = indicatif::ProgressBar::new(set.len() as u64).with_message("images seen by the teacher");
    parts.par_chunks_mut(classes * BLOCK).enumerate().try_for_each_init(
        || (Replica::new(&layout, BLOCK), Resizer::new()),
        |(replica, resizer), (block, parts)| -> Result<()> {
            let replica = replica.as_mut().map_err(|error| anyhow!("--teacher: {error}"))?;
            let count = parts.len() / classes;
            let mut inputs = vec![0.0; count * side * side * 3];
            for (offset, input) in inputs.chunks_exact_mut(side * side * 3).enumerate() {
                if let Some(pixels) = set.decode(block * BLOCK + offset) {
                    let target = Input::F32(input);
                    resizer.resize(
                        &pixels.frame()?,
                        &ImageOptions::default(),
                        side,
                        normalization,
                        target,
                    )?;
                }
            }
            let logits = replica.infer(&parameters, &inputs)?;
            for (logits, parts) in
                logits.chunks_exact(architecture.classes).zip(parts.chunks_exact_mut(classes))
            {
                let greatest = columns.iter().map(|&column| logits[column]).fold(f32::MIN, f32::max);
                let answer = |&column: &usize| ((logits[column] - greatest) / temperature).exp();
                let total: f32 = columns.iter().map(answer).sum();
                for (part, column) in parts.iter_mut().zip(columns) {
                    *part = (answer(column) / total * 65535.0).round() as u16;
                }
            }
            bar.inc(count as u64);
            Ok(())
        },
    )?;
    bar.finish_and_clear();
    Ok(parts)
}

/// The teacher's class for each of the set's labels.
pub fn columns(labels: &[String], teacher: &[String]) -> Result<Vec<usize>> {
    let found = matching(labels, teacher).into_iter().zip(labels);
    let all = found.map(|(found, label)| {
        found.with_context(|| {
            format!("--teacher: must have the set's labels, got no class `{label}`; choose another or rename classes")
        })
    });
    all.collect()
}

/// The index of each of `labels` among `others`, if it is one of them.
pub fn matching(labels: &[String], others: &[String]) -> Vec<Option<usize>> {
    labels.iter().map(|label| others.iter().position(|other| other == label)).collect()
}
