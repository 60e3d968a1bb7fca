//! A teacher's answers: what a larger network says of every training picture, asked once and kept.
//!
//! Goes in: a network of any resolution, a set, and which of the teacher's classes each of ours is. Comes out: its
//! softmax over those classes for every picture as it is (no crop, no mirror), in 16 bits a class. Next: `feed` mixes
//! them into the targets (Hinton, Vinyals and Dean, arXiv 1503.02531).

use super::data::Set;
use crate::disk::replace;
use anyhow::{Context, ensure};
use mobilenet::Input;
use mobilenet::Weights;
use mobilenet::image::{ImageOptions, Resizer};
use mobilenet_train::{Layout, Parameters, Replica};
use rayon::prelude::*;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

/// Pictures that a thread asks about before it takes the next.
const BLOCK: usize = 25;

/// Probabilities of every picture, in parts of 65535.
pub struct Answers {
    classes: usize,
    parts: Vec<u16>,
}

impl Answers {
    /// Reads the answers kept in `path` if they are these, else asks and keeps them. `columns` says which of the
    /// teacher's classes each of ours is; answers are softmax at `temperature` over those alone.
    pub fn get(
        set: &Set,
        weights: &Weights,
        columns: &[usize],
        temperature: f32,
        path: &Path,
    ) -> anyhow::Result<Self> {
        let mut hasher = DefaultHasher::new();
        (set.print(), columns, temperature.to_bits()).hash(&mut hasher);
        serde_json::to_string(&weights.architecture)?.hash(&mut hasher);
        for layer in &weights.layers {
            let values = layer.kernel.to_f32();
            values.iter().chain(&layer.bias).for_each(|value| value.to_bits().hash(&mut hasher));
        }
        let print = hasher.finish().to_le_bytes();
        let (classes, length) = (columns.len(), set.len() * columns.len());
        if let Ok(bytes) = std::fs::read(path)
            && let Some(kept) = bytes.strip_prefix(&print)
            && kept.len() == 2 * length
        {
            let parts = kept.as_chunks::<2>().0.iter().map(|word| u16::from_le_bytes(*word)).collect();
            return Ok(Self { classes, parts });
        }
        let answers = Self { classes, parts: ask(set, weights, columns, temperature)? };
        let words = answers.parts.iter().flat_map(|part| part.to_le_bytes());
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        replace(path, &print.into_iter().chain(words).collect::<Vec<u8>>())?;
        Ok(answers)
    }

    /// Part of the pictures that the teacher itself names rightly.
    pub fn accuracy(&self, set: &Set) -> f64 {
        let right = self.parts.chunks_exact(self.classes).enumerate().filter(|(index, parts)| {
            let best = parts.iter().enumerate().max_by_key(|(_, part)| **part);
            best.is_some_and(|(class, _)| class == set.class(*index))
        });
        right.count() as f64 / set.len() as f64
    }

    /// Makes `weight` of a target the teacher's answer.
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

fn ask(set: &Set, weights: &Weights, columns: &[usize], temperature: f32) -> anyhow::Result<Vec<u16>> {
    let (architecture, classes) = (&weights.architecture, columns.len());
    ensure!(columns.iter().all(|&column| column < architecture.classes), "the teacher has too few classes");
    // A replica takes many pictures at once, which is twice as fast as a network that answers one by one.
    let layout = Layout::new(architecture)?;
    let own: Vec<Option<usize>> = (0..architecture.classes).map(Some).collect();
    let parameters = Parameters::from_weights(&layout, weights, &own)?;
    let (side, normalization) = (architecture.resolution, &architecture.normalization);
    let mut parts = vec![0u16; set.len() * classes];
    let bar = indicatif::ProgressBar::new(set.len() as u64).with_message("pictures seen by the teacher");
    parts.par_chunks_mut(classes * BLOCK).enumerate().try_for_each_init(
        || (Replica::new(&layout, BLOCK), Resizer::new()),
        |(replica, resizer), (block, parts)| -> anyhow::Result<()> {
            let replica = replica.as_mut().map_err(|error| anyhow::anyhow!("the teacher: {error}"))?;
            let count = parts.len() / classes;
            let mut images = vec![0.0; count * side * side * 3];
            for (offset, image) in images.chunks_exact_mut(side * side * 3).enumerate() {
                if let Some(pixels) = set.decode(block * BLOCK + offset) {
                    let target = Input::F32(image);
                    resizer.resize(
                        &pixels.frame()?,
                        &ImageOptions::default(),
                        side,
                        normalization,
                        target,
                    )?;
                }
            }
            let logits = replica.infer(&parameters, &images)?;
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

/// For each of our labels the teacher's class of the same name.
pub fn columns(ours: &[String], theirs: &[String]) -> anyhow::Result<Vec<usize>> {
    let found = namesakes(ours, theirs).into_iter().zip(ours);
    let all = found.map(|(found, label)| {
        found
            .with_context(|| format!("the teacher has no class `{label}`; its labels must contain the set's"))
    });
    all.collect()
}

/// For each of our labels the class of the same name among theirs, if there is one.
pub fn namesakes(ours: &[String], theirs: &[String]) -> Vec<Option<usize>> {
    ours.iter().map(|label| theirs.iter().position(|their| their == label)).collect()
}
