//! Whether the paper's three claims hold, judged by accuracies on the validation images.
//!
//! A [`Claim`] has its verdict and the figures behind it. A difference below two of its standard errors is undecided.

use super::family::Member;

/// Largest loss of accuracy by separable convolutions, in points.
const LOSS: f64 = 3.0;

/// Result of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Holds,
    /// The difference is below two standard errors.
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

    /// For a surplus that should be above zero.
    fn of(surplus: f64, error: f64) -> Self {
        match surplus {
            _ if surplus > 2.0 * error => Self::Holds,
            _ if surplus >= -2.0 * error => Self::Undecided,
            _ => Self::Fails,
        }
    }
}

/// A claim and its verdict.
pub struct Claim {
    pub title: &'static str,
    pub verdict: Verdict,
    pub text: String,
}

/// A trained network.
#[derive(Clone, Debug)]
pub struct Scored {
    pub member: Member,
    /// Percent, as the next.
    pub top1: f64,
    /// On the training images.
    pub training_top1: f64,
    pub mult_adds: u64,
    /// For each validation image, in the same order for each network, whether its class was the most probable.
    pub right: Vec<bool>,
}

/// Standard error in points of an accuracy in percent on so many images.
pub fn error(top1: f64, images: usize) -> f64 {
    (top1 * (100.0 - top1) / images as f64).sqrt()
}

/// The lead in accuracy of some networks over others.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Lead {
    /// Difference of their mean top-1, in points.
    points: f64,
    /// Its standard error: McNemar's for two networks. Images on which both sides are right, or wrong, do not count.
    error: f64,
}

impl Lead {
    fn of(ahead: &[&Scored], behind: &[&Scored]) -> Self {
        let images = ahead.iter().chain(behind).map(|scored| scored.right.len()).min().unwrap_or(0);
        let share = |side: &[&Scored], image: usize| {
            side.iter().filter(|scored| scored.right[image]).count() as f64 / side.len() as f64
        };
        let leads = (0..images).map(|image| 100.0 * (share(ahead, image) - share(behind, image)));
        let (sum, squares) =
            leads.fold((0.0, 0.0), |(sum, squares), lead| (sum + lead, squares + lead * lead));
        let count = images.max(1) as f64;
        let points = sum / count;
        Self { points, error: ((squares / count - points * points).max(0.0) / count).sqrt() }
    }

    fn between(a: &Scored, b: &Scored) -> Self {
        Self::of(&[a], &[b])
    }

    fn verdict(self) -> Verdict {
        Verdict::of(self.points, self.error)
    }
}

/// The accuracies on the training images: they show too little training, or overfitting.
fn training(a: &Scored, b: &Scored) -> String {
    format!("On the training images they reach {:.0} and {:.0} %.", a.training_top1, b.training_top1)
}

/// Table 4: separable convolutions within three points of standard ones, at about an eighth of the cost.
pub fn separable(standard: &Scored, separable: &Scored) -> Claim {
    let Lead { points: lost, error } = Lead::between(standard, separable);
    let ratio = standard.mult_adds as f64 / separable.mult_adds as f64;
    let cheap = (7.0..=10.0).contains(&ratio);
    let verdict = if cheap { Verdict::of(LOSS - lost, error) } else { Verdict::Fails };
    let change = match lost {
        _ if lost > 0.0 => format!("{lost:.1} points less"),
        _ => format!("{:.1} points more", -lost),
    };
    let text = format!(
        "{} reaches {:.1} %, {} {:.1} %: {change} (standard error {error:.1}) for 1/{ratio:.1} of the Mult-Adds. {} In \
         the paper it is 1.1 points less for 1/8.6.",
        standard.member.name(),
        standard.top1,
        separable.member.name(),
        separable.top1,
        training(standard, separable)
    );
    Claim {
        title: "Separable convolutions within 3 points of standard ones at about an eighth of the cost",
        verdict,
        text,
    }
}

/// Table 5: narrow networks are better than shallow ones. `base` is the network that both vary, if it is trained.
pub fn narrow(narrow: &Scored, shallow: &Scored, base: Option<&Scored>) -> Claim {
    let lead = Lead::between(narrow, shallow);
    let millions = |scored: &Scored| scored.mult_adds as f64 / 1e6;
    let mut text = format!(
        "{} reaches {:.1} % with {:.2} million Mult-Adds, {} {:.1} % with {:.2}: {:.1} points {} (standard error \
         {:.1}). {} In the paper the narrow one is 3.1 points ahead.",
        narrow.member.name(),
        narrow.top1,
        millions(narrow),
        shallow.member.name(),
        shallow.top1,
        millions(shallow),
        lead.points.abs(),
        if lead.points >= 0.0 { "ahead" } else { "behind" },
        lead.error,
        training(narrow, shallow)
    );
    if let Some(base) = base.filter(|base| Lead::between(shallow, base).verdict() == Verdict::Holds) {
        text += &format!(
            " The shallow one is ahead of {} too, which has all its blocks and more ({:.1} %): so short a training does \
             not suffice for so many layers, so the comparison tells more about training than about the networks.",
            base.member.name(),
            base.top1
        );
    }
    Claim { title: "Narrow ahead of shallow", verdict: lead.verdict(), text }
}

/// Figures 4 and 5: accuracy falls from each width to the next narrower, on average over the resolutions, and from each
/// resolution to the next smaller, on average over the widths. Of single steps some rise by chance. `None` if no two
/// networks differ in width or resolution alone.
pub fn smooth(all: &[Scored]) -> Option<Claim> {
    let width = |scored: &Scored| scored.member.alpha;
    let side = |scored: &Scored| scored.member.resolution as f64;
    let (widths, sides) = (steps(all, width, side), steps(all, side, width));
    let means: Vec<Lead> = widths.iter().chain(&sides).map(|step| step.mean).collect();
    let verdict = match () {
        () if means.is_empty() => return None,
        () if means.iter().any(|mean| mean.verdict() == Verdict::Fails) => Verdict::Fails,
        () if means.iter().all(|mean| mean.verdict() == Verdict::Holds) => Verdict::Holds,
        () => Verdict::Undecided,
    };
    let mut text = String::new();
    for (what, over, steps) in [("width", "resolutions", &widths), ("side", "widths", &sides)] {
        let list: Vec<String> = steps.iter().map(|step| step.text(what)).collect();
        if !list.is_empty() {
            text +=
                &format!("On average over the {over}, the next smaller {what} costs {}. ", list.join(", "));
        }
    }
    let pairs = widths.iter().chain(&sides).flat_map(|step| &step.pairs);
    let singles: Vec<_> = pairs.map(|&(from, to)| (from, to, Lead::between(from, to))).collect();
    let rises: Vec<_> = singles.iter().filter(|(_, _, lead)| lead.points <= 0.0).collect();
    text += &format!("Of {} single steps {} lose accuracy.", singles.len(), singles.len() - rises.len());
    if let Some((from, to, lead)) = singles.iter().max_by(|a, b| a.2.points.total_cmp(&b.2.points)) {
        let (from, to) = (from.member.name(), to.member.name());
        text += &format!(" The steepest is {from} to {to}, by {:.1} points.", lead.points);
    }
    for (from, to, Lead { points, error }) in rises {
        let (from, to) = (from.member.name(), to.member.name());
        text += &format!(" {to} is {:.1} points better than {from} (standard error {error:.1}).", -points);
    }
    Some(Claim { title: "Accuracy falls smoothly over width and resolution", verdict, text })
}

/// From one width, or one resolution, to the next smaller.
struct Step<'a> {
    from: f64,
    to: f64,
    /// Networks that differ in that alone, the larger one first.
    pairs: Vec<(&'a Scored, &'a Scored)>,
    /// Lead of the larger ones.
    mean: Lead,
}

impl Step<'_> {
    fn text(&self, what: &str) -> String {
        let digits = usize::from(what == "width") * 2;
        let Lead { points, error } = self.mean;
        format!(
            "{points:.1} points ({:.digits$} to {:.digits$}; standard error {error:.1})",
            self.from, self.to
        )
    }
}

/// The steps of the property `key`, between networks with the same `other`.
fn steps(all: &[Scored], key: fn(&Scored) -> f64, other: fn(&Scored) -> f64) -> Vec<Step<'_>> {
    let mut values: Vec<f64> = all.iter().map(key).collect();
    values.sort_by(|a, b| b.total_cmp(a));
    values.dedup();
    let step = |pair: &[f64]| {
        let (from, to) = (pair[0], pair[1]);
        let twin =
            |larger: &Scored| all.iter().find(|scored| key(scored) == to && other(scored) == other(larger));
        let larger = all.iter().filter(|scored| key(scored) == from);
        let pairs: Vec<_> = larger.filter_map(|larger| Some((larger, twin(larger)?))).collect();
        let (ahead, behind): (Vec<&Scored>, Vec<&Scored>) = pairs.iter().copied().unzip();
        (!pairs.is_empty()).then(|| Step { from, to, mean: Lead::of(&ahead, &behind), pairs })
    };
    values.windows(2).filter_map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mobilenet_train::random::Random;

    /// A network that is right on some of `images`, for each network others.
    fn scored_on(images: usize, alpha: f64, resolution: usize, top1: f64, mult_adds: u64) -> Scored {
        let known = (top1 / 100.0 * images as f64).round() as usize;
        let mut right: Vec<bool> = (0..images).map(|image| image < known).collect();
        Random::new(&[alpha.to_bits(), resolution as u64, mult_adds, known as u64]).shuffle(&mut right);
        let top1 = 100.0 * known as f64 / images as f64;
        Scored { member: Member::new(alpha, resolution), top1, training_top1: 60.0, mult_adds, right }
    }

    fn scored(alpha: f64, resolution: usize, top1: f64, mult_adds: u64) -> Scored {
        scored_on(5000, alpha, resolution, top1, mult_adds)
    }

    #[test]
    fn a_difference_is_judged_by_the_images_on_which_networks_differ() {
        let (a, b) = (scored(1.0, 224, 60.0, 1), scored(1.0, 192, 57.0, 1));
        let lead = Lead::between(&a, &b);
        let apart =
            |x: &Scored, y: &Scored| x.right.iter().zip(&y.right).filter(|(x, y)| **x && !**y).count() as f64;
        let (only_a, only_b) = (apart(&a, &b), apart(&b, &a));
        let mcnemar = 100.0 * (only_a + only_b - (only_a - only_b).powi(2) / 5000.0).sqrt() / 5000.0;
        assert!(
            (lead.points - 3.0).abs() < 1e-9 && (lead.error - mcnemar).abs() < 1e-9,
            "{lead:?} {mcnemar}"
        );
        // Networks that are right on the same images but for a few surely differ by those few.
        let mut more = b.clone();
        let unknown = b.right.iter().enumerate().filter(|(_, right)| !**right).map(|(index, _)| index);
        unknown.take(50).for_each(|index| more.right[index] = true);
        let lead = Lead::between(&more, &b);
        assert!((lead.points - 1.0).abs() < 1e-9 && lead.error < 0.15, "{lead:?}");
        assert_eq!(Lead::between(&b, &b), Lead { points: 0.0, error: 0.0 });
        assert_eq!(Lead::between(&b, &b).verdict(), Verdict::Undecided);
        // A mean over networks has a smaller error than each.
        let lead = Lead::of(&[&a, &b], &[&scored(0.5, 224, 50.0, 1), &scored(0.5, 192, 50.0, 1)]);
        assert!((lead.points - 8.5).abs() < 1e-9 && lead.error < mcnemar, "{lead:?}");
    }

    #[test]
    fn the_papers_own_figures_hold() {
        let paper = |alpha, resolution, top1, cost| scored_on(50_000, alpha, resolution, top1, cost);
        let (standard, base) = (paper(1.0, 224, 71.7, 4866), paper(1.0, 224, 70.6, 569));
        let claim = separable(&standard, &base);
        assert_eq!(claim.verdict, Verdict::Holds);
        assert!(claim.text.contains("1.1 points less") && claim.text.contains("1/8.6"), "{}", claim.text);
        assert!(claim.text.contains("they reach 60 and 60 %"), "{}", claim.text);
        assert_eq!(
            narrow(&paper(0.75, 224, 68.4, 325), &paper(1.0, 224, 65.3, 307), Some(&base)).verdict,
            Verdict::Holds
        );
        let table = [base, paper(0.75, 224, 68.4, 325), paper(1.0, 192, 69.1, 418)];
        let claim = smooth(&table).unwrap();
        assert_eq!(claim.verdict, Verdict::Holds);
        assert!(claim.text.contains("2.2 points (1.00 to 0.75; standard error 0."), "{}", claim.text);
        assert!(claim.text.contains("1.5 points (224 to 192; standard error 0."), "{}", claim.text);
    }

    #[test]
    fn what_does_not_hold_is_said_and_what_is_noise_too() {
        let base = scored(1.0, 56, 50.0, 100);
        assert_eq!(separable(&scored(1.0, 56, 60.0, 850), &base).verdict, Verdict::Fails);
        assert_eq!(separable(&scored(1.0, 56, 53.5, 850), &base).verdict, Verdict::Undecided);
        let better = separable(&scored(1.0, 56, 45.0, 850), &base);
        assert!(
            better.verdict == Verdict::Holds && better.text.contains("5.0 points more"),
            "{}",
            better.text
        );
        // Cheap is part of the claim.
        assert_eq!(separable(&scored(1.0, 56, 50.0, 300), &base).verdict, Verdict::Fails);
        assert_eq!(narrow(&base, &scored(1.0, 56, 49.0, 101), None).verdict, Verdict::Undecided);
        let claim = narrow(&base, &scored(1.0, 56, 54.0, 101), Some(&base));
        assert!(
            claim.verdict == Verdict::Fails && claim.text.contains("so short a training"),
            "{}",
            claim.text
        );
        // A shallow network that is ahead of its base by chance says nothing.
        let claim = narrow(&base, &scored(1.0, 56, 51.0, 101), Some(&base));
        assert!(!claim.text.contains("so short a training"), "{}", claim.text);
        let claim = smooth(&[base.clone(), scored(0.5, 56, 51.0, 30), scored(0.25, 56, 30.0, 9)]).unwrap();
        assert_eq!(claim.verdict, Verdict::Undecided);
        assert!(
            claim.text.contains("Of 2 single steps 1 lose") && claim.text.contains("1.0 points better"),
            "{}",
            claim.text
        );
        assert_eq!(smooth(&[base.clone(), scored(1.0, 48, 56.0, 80)]).unwrap().verdict, Verdict::Fails);
        assert!(smooth(&[base.clone(), scored(0.5, 48, 40.0, 20)]).is_none());
        // One step that rises by chance does not change the verdict of the mean.
        let grid = [base, scored(0.5, 56, 51.0, 30), scored(1.0, 48, 49.0, 80), scored(0.5, 48, 36.0, 20)];
        let claim = smooth(&grid).unwrap();
        assert_eq!(claim.verdict, Verdict::Holds, "{}", claim.text);
        assert!(claim.text.contains("0.5 MobileNet-56 is 1.0 points better than 1.0 MobileNet-56"));
    }
}
