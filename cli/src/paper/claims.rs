//! Whether the paper's three claims hold, judged by the numbers.
//!
//! Goes in: top-1 accuracies, counted on so many pictures. Comes out: a [`Claim`] with its verdict and the figures that
//! led to it. A difference smaller than two of its standard errors is called undecided, whichever way it points.

use super::family::Member;

/// Most points that separable convolutions may lose.
const LOSS: f64 = 3.0;

/// What the numbers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Holds,
    /// It may hold or not: the difference is smaller than two standard errors.
    Undecided,
    Fails,
}

impl Verdict {
    pub fn text(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Undecided => "not decided",
            Self::Fails => "does not hold",
        }
    }

    /// Of a surplus that is to be above zero.
    fn of(surplus: f64, error: f64) -> Self {
        match surplus {
            _ if surplus > 2.0 * error => Self::Holds,
            _ if surplus >= -2.0 * error => Self::Undecided,
            _ => Self::Fails,
        }
    }
}

/// A claim and what became of it.
pub struct Claim {
    pub title: &'static str,
    pub verdict: Verdict,
    pub text: String,
}

/// A network that was trained.
#[derive(Clone, Copy, Debug)]
pub struct Scored {
    pub member: Member,
    /// Per cent, as the next.
    pub top1: f64,
    /// On the pictures that it learnt from.
    pub training_top1: f64,
    pub mult_adds: u64,
}

/// Standard error, in points, of an accuracy in per cent counted on so many pictures.
pub fn error(top1: f64, pictures: usize) -> f64 {
    (top1 * (100.0 - top1) / pictures as f64).sqrt()
}

/// Of the difference of two accuracies. Both are counted on the same pictures, which makes the true error smaller.
fn error_between(a: f64, b: f64, pictures: usize) -> f64 {
    error(a, pictures).hypot(error(b, pictures))
}

/// How well two networks know the pictures that they learnt from: whether one lacks training or has had too much.
fn learnt(a: Scored, b: Scored) -> String {
    format!(
        "Of the pictures that they learnt from they know {:.0} and {:.0} %.",
        a.training_top1, b.training_top1
    )
}

/// Table 4: separable within three points of standard, at about an eighth of the cost.
pub fn separable(standard: Scored, separable: Scored, pictures: usize) -> Claim {
    let lost = standard.top1 - separable.top1;
    let noise = error_between(standard.top1, separable.top1, pictures);
    let ratio = standard.mult_adds as f64 / separable.mult_adds as f64;
    let cheap = (7.0..=10.0).contains(&ratio);
    let verdict = if cheap { Verdict::of(LOSS - lost, noise) } else { Verdict::Fails };
    let change = match lost {
        _ if lost > 0.0 => format!("{lost:.1} points less"),
        _ => format!("{:.1} points more", -lost),
    };
    let text = format!(
        "{} reaches {:.1} %, {} {:.1} %: {change} (standard error {noise:.1}) for 1/{ratio:.1} of the Mult-Adds. {} In \
         the paper it is 1.1 points less for 1/8.6.",
        standard.member.name(),
        standard.top1,
        separable.member.name(),
        separable.top1,
        learnt(standard, separable)
    );
    Claim {
        title: "Separable convolutions within 3 points of standard ones at about an eighth of the cost",
        verdict,
        text,
    }
}

/// Table 5: better narrow than shallow. `base` is what both were made from, where it was trained.
pub fn narrow(narrow: Scored, shallow: Scored, base: Option<Scored>, pictures: usize) -> Claim {
    let ahead = narrow.top1 - shallow.top1;
    let noise = error_between(narrow.top1, shallow.top1, pictures);
    let millions = |scored: Scored| scored.mult_adds as f64 / 1e6;
    let mut text = format!(
        "{} reaches {:.1} % with {:.2} million Mult-Adds, {} {:.1} % with {:.2}: {:.1} points {} (standard error \
         {noise:.1}). {} In the paper the narrow one is 3.1 points ahead.",
        narrow.member.name(),
        narrow.top1,
        millions(narrow),
        shallow.member.name(),
        shallow.top1,
        millions(shallow),
        ahead.abs(),
        if ahead >= 0.0 { "ahead" } else { "behind" },
        learnt(narrow, shallow)
    );
    let behind = |base: &Scored| {
        let noise = error_between(shallow.top1, base.top1, pictures);
        Verdict::of(shallow.top1 - base.top1, noise) == Verdict::Holds
    };
    if let Some(base) = base.filter(behind) {
        text += &format!(
            " The shallow one is ahead of {} too, which has all its blocks and more ({:.1} %): so short a training does \
             not reach through so many layers, and the comparison says more of that than of the networks.",
            base.member.name(),
            base.top1
        );
    }
    Claim { title: "Narrow ahead of shallow", verdict: Verdict::of(ahead, noise), text }
}

/// Figures 4 and 5: accuracy falls from each width and each resolution to the next smaller. Fails where one step rises
/// by more than two standard errors; holds where every one falls.
pub fn smooth(all: &[Scored], pictures: usize) -> Claim {
    let steps = all.iter().flat_map(|from| {
        let narrower = all.iter().filter(|to| {
            to.member.resolution == from.member.resolution && to.member.alpha < from.member.alpha
        });
        let smaller = all.iter().filter(|to| {
            to.member.alpha == from.member.alpha && to.member.resolution < from.member.resolution
        });
        let narrower = narrower.max_by(|a, b| a.member.alpha.total_cmp(&b.member.alpha));
        let smaller = smaller.max_by_key(|to| to.member.resolution);
        narrower.into_iter().chain(smaller).map(move |to| (*from, *to))
    });
    let steps: Vec<(Scored, Scored)> = steps.collect();
    let noise = |from: Scored, to: Scored| error_between(from.top1, to.top1, pictures);
    let rises: Vec<_> = steps.iter().filter(|(from, to)| to.top1 >= from.top1).collect();
    let clear =
        rises.iter().any(|(from, to)| Verdict::of(to.top1 - from.top1, noise(*from, *to)) == Verdict::Holds);
    let verdict = match rises.len() {
        0 => Verdict::Holds,
        _ if clear => Verdict::Fails,
        _ => Verdict::Undecided,
    };
    let mut text = format!(
        "Of {} steps from a network to the next narrower or the next smaller one, {} lose accuracy.",
        steps.len(),
        steps.len() - rises.len()
    );
    if let Some((from, to)) =
        steps.iter().max_by(|a, b| (a.0.top1 - a.1.top1).total_cmp(&(b.0.top1 - b.1.top1)))
    {
        text += &format!(
            " The steepest is {} to {}, by {:.1} points.",
            from.member.name(),
            to.member.name(),
            from.top1 - to.top1
        );
    }
    for (from, to) in rises {
        text += &format!(
            " {} is {:.1} points better than {} (standard error {:.1}).",
            to.member.name(),
            to.top1 - from.top1,
            from.member.name(),
            noise(*from, *to)
        );
    }
    Claim { title: "Accuracy falls smoothly over width and resolution", verdict, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(alpha: f64, resolution: usize, top1: f64, mult_adds: u64) -> Scored {
        Scored { member: Member::new(alpha, resolution), top1, training_top1: 60.0, mult_adds }
    }

    #[test]
    fn the_papers_own_figures_hold() {
        let (standard, base) = (scored(1.0, 224, 71.7, 4866), scored(1.0, 224, 70.6, 569));
        let claim = separable(standard, base, 50_000);
        assert_eq!(claim.verdict, Verdict::Holds);
        assert!(claim.text.contains("1.1 points less") && claim.text.contains("1/8.6"), "{}", claim.text);
        assert!(claim.text.contains("they know 60 and 60 %"), "{}", claim.text);
        assert_eq!(
            narrow(scored(0.75, 224, 68.4, 325), scored(1.0, 224, 65.3, 307), Some(base), 50_000).verdict,
            Verdict::Holds
        );
        let table = [scored(1.0, 224, 70.6, 569), scored(0.75, 224, 68.4, 325), scored(1.0, 192, 69.1, 418)];
        assert_eq!(smooth(&table, 50_000).verdict, Verdict::Holds);
    }

    #[test]
    fn what_does_not_hold_is_said_and_what_is_noise_too() {
        let base = scored(1.0, 56, 50.0, 100);
        assert_eq!(separable(scored(1.0, 56, 60.0, 850), base, 5000).verdict, Verdict::Fails);
        assert_eq!(separable(scored(1.0, 56, 53.5, 850), base, 5000).verdict, Verdict::Undecided);
        let better = separable(scored(1.0, 56, 45.0, 850), base, 5000);
        assert!(
            better.verdict == Verdict::Holds && better.text.contains("5.0 points more"),
            "{}",
            better.text
        );
        // Cheap is part of the claim.
        assert_eq!(separable(scored(1.0, 56, 50.0, 300), base, 5000).verdict, Verdict::Fails);
        assert_eq!(narrow(base, scored(1.0, 56, 49.0, 100), None, 5000).verdict, Verdict::Undecided);
        let claim = narrow(base, scored(1.0, 56, 54.0, 100), Some(base), 5000);
        assert!(
            claim.verdict == Verdict::Fails && claim.text.contains("so short a training"),
            "{}",
            claim.text
        );
        // A shallow network that is ahead of its base by chance says nothing.
        let claim = narrow(base, scored(1.0, 56, 51.0, 100), Some(base), 5000);
        assert!(!claim.text.contains("so short a training"), "{}", claim.text);
        let claim = smooth(&[base, scored(0.5, 56, 51.0, 30), scored(0.25, 56, 30.0, 9)], 5000);
        assert_eq!(claim.verdict, Verdict::Undecided);
        assert!(
            claim.text.contains("Of 2 steps") && claim.text.contains("1.0 points better"),
            "{}",
            claim.text
        );
        assert_eq!(smooth(&[base, scored(1.0, 48, 56.0, 80)], 5000).verdict, Verdict::Fails);
    }
}
