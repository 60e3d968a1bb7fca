//! Selection of the most probable classes, their names, and the similarity of embeddings.

use crate::Architecture;
use crate::error::Decimal;
use crate::{Error, Result};

/// One class and how probable it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Position among the network's classes.
    pub index: usize,
    /// 0 to 1.
    pub probability: f32,
}

/// Which classes count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// All of them.
    #[default]
    All,
    /// Only these.
    Allow(Vec<usize>),
    /// All but these.
    Deny(Vec<usize>),
}

/// What to pick.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// At most so many, 1 to the number of classes.
    pub topk: usize,
    /// Only those at least this probable, 0 to 1.
    pub threshold: f32,
    /// Which count at all.
    pub filter: Filter,
}

impl Selection {
    /// The `topk` most probable.
    pub fn top(topk: usize) -> Self {
        Self { topk, threshold: 0.0, filter: Filter::All }
    }

    /// Refuses what cannot be picked from `classes` classes.
    ///
    /// # Errors
    /// [`Error::argument`] that names the option, its value and its range.
    pub fn validate(&self, classes: usize) -> Result<()> {
        let refuse = |sentence: String| Err(Error::argument(sentence));
        if !(1..=classes).contains(&self.topk) {
            return refuse(format!("topk: must be from 1 to {classes}, got {}", self.topk));
        }
        if !(0.0..=1.0).contains(&self.threshold) {
            let threshold = Decimal(self.threshold.into());
            return refuse(format!("scoreThreshold: must be from 0 to 1, got {threshold}"));
        }
        let (Filter::Allow(indices) | Filter::Deny(indices)) = &self.filter else { return Ok(()) };
        match indices.iter().find(|&&index| index >= classes) {
            Some(index) => refuse(format!("class: must be from 0 to {}, got {index}", classes - 1)),
            None => Ok(()),
        }
    }

    /// For each of `classes` classes whether it counts. Lists may be long and name a class many times.
    fn counting(&self, classes: usize) -> Vec<bool> {
        let (indices, listed) = match &self.filter {
            Filter::All => (&[][..], false),
            Filter::Allow(indices) => (&indices[..], true),
            Filter::Deny(indices) => (&indices[..], false),
        };
        let mut counting = vec![!listed; classes];
        for &index in indices {
            counting[index] = listed;
        }
        counting
    }

    /// Picks from `probabilities`, one a class: the most probable first, of equals the lower index.
    ///
    /// # Errors
    /// As [`Selection::validate`], and if a probability is NaN.
    pub fn pick(&self, probabilities: &[f32]) -> Result<Vec<Prediction>> {
        self.validate(probabilities.len())?;
        if probabilities.iter().any(|probability| probability.is_nan()) {
            return Err(Error::not_finite_output("softmax"));
        }
        let counting = match self.filter {
            Filter::All => Vec::new(),
            _ => self.counting(probabilities.len()),
        };
        let mut best: Vec<Prediction> = Vec::with_capacity(self.topk.min(16));
        for (index, &probability) in probabilities.iter().enumerate() {
            let worst = best.last().map_or(f32::NEG_INFINITY, |last| last.probability);
            let full = best.len() == self.topk;
            let worthy = probability >= self.threshold && (!full || probability > worst);
            if !worthy || !counting.get(index).unwrap_or(&true) {
                continue;
            }
            if full {
                best.pop();
            }
            let place = best.partition_point(|other| other.probability >= probability);
            best.insert(place, Prediction { index, probability });
        }
        Ok(best)
    }
}

/// Name of a class: its label, or `class 17` where the network has none.
pub fn class_name(architecture: &Architecture, index: usize) -> String {
    match architecture.labels.get(index) {
        Some(label) => label.clone(),
        None => format!("class {index}"),
    }
}

/// Cosine of the angle between two embeddings: 1 alike, 0 unrelated or where one is all zeros.
///
/// # Errors
/// [`Error::argument`] if their lengths differ or a value is not finite.
pub fn cosine_similarity(a: &[f32], b: &[f32]) -> Result<f64> {
    if a.len() != b.len() {
        let lengths = format!("the embeddings have {} and {} values", a.len(), b.len());
        return Err(Error::argument(format!("{lengths}; only embeddings of one network can be compared")));
    }
    if !a.iter().chain(b).all(|value| value.is_finite()) {
        return Err(Error::argument("an embedding has a value that is not a finite number"));
    }
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    Ok(if lengths > 0.0 { (dot(a, b) / lengths).clamp(-1.0, 1.0) } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBABILITIES: [f32; 6] = [0.1, 0.3, 0.05, 0.3, 0.2, 0.05];

    fn indices(selection: &Selection) -> Vec<usize> {
        selection.pick(&PROBABILITIES).unwrap().iter().map(|prediction| prediction.index).collect()
    }

    /// Sorting everything, stably, is the definition.
    #[test]
    fn picks_what_a_full_sort_picks() {
        let mut order: Vec<usize> = (0..6).collect();
        order.sort_by(|&a, &b| PROBABILITIES[b].total_cmp(&PROBABILITIES[a]));
        for topk in 1..=6 {
            assert_eq!(indices(&Selection::top(topk)), order[..topk]);
        }
    }

    #[test]
    fn lists_may_name_a_class_many_times() {
        let many = vec![3; 1 << 20];
        assert_eq!(indices(&Selection { filter: Filter::Allow(many.clone()), ..Selection::top(6) }), [3]);
        assert_eq!(indices(&Selection { filter: Filter::Deny(many), ..Selection::top(6) }), [1, 4, 0, 2, 5]);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let error = Selection::top(1).pick(&[0.5, f32::NAN]).unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::NotFinite);
        assert!(
            error.to_string().starts_with("layer `softmax`: its output must be finite numbers"),
            "{error}"
        );
    }

    #[test]
    fn threshold_and_lists_leave_out() {
        let all = Selection::top(6);
        assert_eq!(indices(&Selection { threshold: 0.2, ..all.clone() }), [1, 3, 4]);
        assert_eq!(indices(&Selection { filter: Filter::Allow(vec![2, 0]), ..all.clone() }), [0, 2]);
        assert_eq!(indices(&Selection { filter: Filter::Deny(vec![1, 3]), ..all.clone() }), [4, 0, 2, 5]);
        assert!(indices(&Selection { threshold: 1.0, ..all }).is_empty());
    }

    #[test]
    fn bad_selections_are_sentences() {
        let refusal = |selection: Selection| selection.pick(&PROBABILITIES).unwrap_err().to_string();
        assert!(refusal(Selection::top(0)).contains("topk: must be from 1 to 6, got 0"));
        assert!(refusal(Selection::top(7)).contains("topk: must be from 1 to 6, got 7"));
        assert!(
            refusal(Selection { threshold: f32::NAN, ..Selection::top(1) })
                .contains("scoreThreshold: must be from 0 to 1, got NaN")
        );
        let filter = Filter::Allow(vec![6]);
        assert!(
            refusal(Selection { filter, ..Selection::top(1) }).contains("class: must be from 0 to 5, got 6")
        );
    }

    #[test]
    fn similarity_is_the_cosine() {
        assert_eq!(cosine_similarity(&[1.0, 0.0], &[2.0, 0.0]).unwrap(), 1.0);
        assert_eq!(cosine_similarity(&[1.0, 0.0], &[0.0, 3.0]).unwrap(), 0.0);
        assert_eq!(cosine_similarity(&[1.0, 2.0], &[-1.0, -2.0]).unwrap(), -1.0);
        assert_eq!(cosine_similarity(&[0.0, 0.0], &[1.0, 2.0]).unwrap(), 0.0);
        assert!(cosine_similarity(&[1.0], &[1.0, 2.0]).unwrap_err().to_string().contains("1 and 2 values"));
        assert!(cosine_similarity(&[f32::NAN], &[1.0]).is_err());
    }
}
