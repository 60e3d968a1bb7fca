//! Counts a network's answers to labeled images.

use std::collections::BTreeMap;

/// The answer to one image.
pub struct Judged {
    /// Its class.
    pub class: usize,
    /// The network's five most probable classes, in order.
    pub best: Vec<usize>,
    /// How it compares with another network's.
    pub compared: Option<Compared>,
}

/// Two networks' answers to one image.
#[derive(Clone, Copy)]
pub struct Compared {
    /// Whether both have the same most probable class.
    pub agree: bool,
    /// Mean absolute difference of the probabilities of their common classes.
    pub mean: f64,
    /// Largest absolute difference.
    pub largest: f64,
}

/// Images, those whose class was the most probable, and those where it was among five.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    pub n: usize,
    pub first: usize,
    pub five: usize,
}

impl Counts {
    /// Share of images whose class was the most probable.
    pub fn top1(&self) -> f64 {
        self.first as f64 / self.n as f64
    }

    /// Share of images whose class was among the five most probable.
    pub fn top5(&self) -> f64 {
        self.five as f64 / self.n as f64
    }
}

/// How two networks compare over all images.
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

/// All counts.
pub struct Tally {
    pub total: Counts,
    /// By class; zero for classes without images.
    pub classes: Vec<Counts>,
    /// Images of one class (first) that were classified as another (second).
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

    pub fn add(&mut self, judged: &Judged) {
        let Some(&first) = judged.best.first() else { return };
        for counts in [&mut self.total, &mut self.classes[judged.class]] {
            counts.n += 1;
            counts.first += usize::from(first == judged.class);
            counts.five += usize::from(judged.best.contains(&judged.class));
        }
        if first != judged.class {
            *self.confused.entry((judged.class, first)).or_default() += 1;
        }
        if let Some(compared) = judged.compared {
            self.comparison.n += 1;
            self.comparison.agree += usize::from(compared.agree);
            self.comparison.sum_of_means += compared.mean;
            self.comparison.largest = self.comparison.largest.max(compared.largest);
        }
    }

    /// (class, classified as, times), the most frequent first.
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
    fn answers_are_counted_by_class_and_by_pair() {
        let mut tally = Tally::new(3);
        for (class, best, agree) in
            [(0, vec![0, 1], true), (0, vec![2, 0], true), (1, vec![2, 0], false), (1, vec![2, 1], true)]
        {
            let compared = Some(Compared { agree, mean: 0.5, largest: 0.75 });
            tally.add(&Judged { class, best, compared });
        }
        assert_eq!((tally.total.n, tally.total.first, tally.total.five), (4, 1, 3));
        assert_eq!((tally.classes[0].top1(), tally.classes[0].top5()), (0.5, 1.0));
        assert_eq!(tally.classes[2].n, 0);
        assert_eq!(tally.confused(), [(1, 2, 2), (0, 2, 1)]);
        assert_eq!((tally.comparison.agree, tally.comparison.mean()), (3, 0.5));
    }
}
