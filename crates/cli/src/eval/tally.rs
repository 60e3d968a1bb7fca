//! Counts what a network said of labelled pictures.

use std::collections::BTreeMap;

/// What was said of one picture.
pub struct Outcome {
    /// Its class.
    pub class: usize,
    /// The network's first five, the most probable first.
    pub best: Vec<usize>,
    /// How another network's answer compares.
    pub compared: Option<Compared>,
}

/// Two networks' answers to one picture.
#[derive(Clone, Copy)]
pub struct Compared {
    /// Whether both name the same class first.
    pub agree: bool,
    /// Mean absolute difference of the probabilities of the classes that both have.
    pub mean: f64,
    /// The largest of them.
    pub largest: f64,
}

/// Pictures, those whose class came first, and those where it was among five.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    pub n: usize,
    pub first: usize,
    pub five: usize,
}

impl Counts {
    /// Share of pictures whose class came first.
    pub fn top1(&self) -> f64 {
        self.first as f64 / self.n as f64
    }

    /// Share of pictures whose class was among the first five.
    pub fn top5(&self) -> f64 {
        self.five as f64 / self.n as f64
    }
}

/// How two networks compare over all pictures.
#[derive(Clone, Copy, Default)]
pub struct Comparison {
    pub agree: usize,
    pub n: usize,
    pub sum_of_means: f64,
    pub largest: f64,
}

impl Comparison {
    /// Mean absolute difference of a probability.
    pub fn mean(&self) -> f64 {
        self.sum_of_means / self.n as f64
    }
}

/// All that was counted.
pub struct Tally {
    pub total: Counts,
    /// By class; those without a picture stay at zero.
    pub classes: Vec<Counts>,
    /// Pictures of one class (first) that were taken for another (second).
    confused: BTreeMap<(usize, usize), usize>,
    pub comparison: Comparison,
}

impl Tally {
    pub fn new(classes: usize) -> Self {
        Self {
            total: Counts::default(),
            classes: vec![Counts::default(); classes],
            confused: BTreeMap::new(),
            comparison: Comparison::default(),
        }
    }

    pub fn add(&mut self, outcome: &Outcome) {
        let Some(&first) = outcome.best.first() else { return };
        for counts in [&mut self.total, &mut self.classes[outcome.class]] {
            counts.n += 1;
            counts.first += usize::from(first == outcome.class);
            counts.five += usize::from(outcome.best.contains(&outcome.class));
        }
        if first != outcome.class {
            *self.confused.entry((outcome.class, first)).or_default() += 1;
        }
        if let Some(compared) = outcome.compared {
            self.comparison.n += 1;
            self.comparison.agree += usize::from(compared.agree);
            self.comparison.sum_of_means += compared.mean;
            self.comparison.largest = self.comparison.largest.max(compared.largest);
        }
    }

    /// (class, taken for, times), the most frequent first.
    pub fn confused(&self) -> Vec<(usize, usize, usize)> {
        let mut pairs: Vec<_> = self.confused.iter().map(|(&(class, said), &n)| (class, said, n)).collect();
        pairs.sort_by_key(|&(class, said, n)| (std::cmp::Reverse(n), class, said));
        pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_counted_by_class_and_by_pair() {
        let mut tally = Tally::new(3);
        for (class, best, agree) in
            [(0, vec![0, 1], true), (0, vec![2, 0], true), (1, vec![2, 0], false), (1, vec![2, 1], true)]
        {
            let compared = Some(Compared { agree, mean: 0.5, largest: 0.75 });
            tally.add(&Outcome { class, best, compared });
        }
        assert_eq!((tally.total.n, tally.total.first, tally.total.five), (4, 1, 3));
        assert_eq!((tally.classes[0].top1(), tally.classes[0].top5()), (0.5, 1.0));
        assert_eq!(tally.classes[2].n, 0);
        assert_eq!(tally.confused(), [(1, 2, 2), (0, 2, 1)]);
        assert_eq!((tally.comparison.agree, tally.comparison.mean()), (3, 0.5));
    }
}
