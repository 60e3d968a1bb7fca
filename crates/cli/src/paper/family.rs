//! The networks that the paper compares, and the tables of each.
//!
//! A [`Family`] of widths, resolutions and a base network gives the rows of the tables, with the paper's figures for its
//! own network in that place, and the list of networks to train: each once, the tables' first, then the rest of the grid
//! by cost.

use mobilenet::Architecture;
use mobilenet::architecture::Convolution;
use mobilenet::cost::{self, Cost};

/// One network of the family.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Member {
    pub alpha: f64,
    pub resolution: usize,
    pub convolution: Convolution,
    pub shallow: bool,
}

impl Member {
    /// A MobileNet with separable convolutions and all blocks.
    pub const fn new(alpha: f64, resolution: usize) -> Self {
        Self { alpha, resolution, convolution: Convolution::Separable, shallow: false }
    }

    /// Its name in the paper's form: `0.75 MobileNet-56`, `0.5 Conv MobileNet-40`, `0.5 Shallow MobileNet-40`.
    pub fn name(&self) -> String {
        let kind = match (self.convolution, self.shallow) {
            (Convolution::Standard, _) => "Conv ",
            (_, true) => "Shallow ",
            _ => "",
        };
        format!("{:?} {kind}MobileNet-{}", self.alpha, self.resolution)
    }

    /// Its architecture for so many classes.
    pub fn architecture(&self, classes: usize) -> Architecture {
        Architecture {
            alpha: self.alpha,
            resolution: self.resolution,
            convolution: self.convolution,
            shallow: self.shallow,
            classes,
            ..Architecture::default()
        }
    }

    /// Its cost for so many classes.
    pub fn cost(&self, classes: usize) -> Cost {
        cost::of(&self.architecture(classes))
    }
}

/// The paper's figures for a network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Printed {
    pub name: &'static str,
    /// ImageNet top-1 in percent.
    pub top1: f64,
    /// Million Mult-Adds.
    pub mult_adds: f64,
    /// Million parameters.
    pub parameters: f64,
}

const fn printed(name: &'static str, top1: f64, mult_adds: f64, parameters: f64) -> Printed {
    Printed { name, top1, mult_adds, parameters }
}

const CONV: Printed = printed("Conv MobileNet", 71.7, 4866.0, 29.3);
const FULL: Printed = printed("1.0 MobileNet-224", 70.6, 569.0, 4.2);
const NARROW: Printed = printed("0.75 MobileNet-224", 68.4, 325.0, 2.6);
const SHALLOW: Printed = printed("Shallow MobileNet", 65.3, 307.0, 2.9);
/// Table 6 with the widths, falling.
pub const WIDTHS: [(f64, Printed); 4] = [
    (1.0, FULL),
    (0.75, NARROW),
    (0.5, printed("0.5 MobileNet-224", 63.7, 149.0, 1.3)),
    (0.25, printed("0.25 MobileNet-224", 50.6, 41.0, 0.5)),
];
/// Table 7 with the resolutions, falling.
pub const SIDES: [(usize, Printed); 4] = [
    (224, FULL),
    (192, printed("1.0 MobileNet-192", 69.1, 418.0, 4.2)),
    (160, printed("1.0 MobileNet-160", 67.2, 290.0, 4.2)),
    (128, printed("1.0 MobileNet-128", 64.4, 186.0, 4.2)),
];
/// Table 9's MobileNet. Of the other networks of the grid the paper prints no figures.
pub const SMALL: Printed = printed("0.5 MobileNet-160", 60.2, 76.0, 1.32);

/// A part of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Separable against standard convolutions.
    Table4,
    /// Narrow against shallow.
    Table5,
    /// Width multiplier.
    Table6,
    /// Resolution multiplier.
    Table7,
    /// Figures 4 and 5: every width at every resolution.
    Figures,
}

impl Part {
    /// All parts, in order.
    pub const ALL: [Self; 5] = [Self::Table4, Self::Table5, Self::Table6, Self::Table7, Self::Figures];
}

/// The networks.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Width multipliers, falling.
    pub alphas: Vec<f64>,
    /// Resolutions in pixels, falling.
    pub resolutions: Vec<usize>,
    /// The network that Tables 4, 5 and 7 vary; 1.0 MobileNet-224 in the paper.
    pub base: Member,
}

impl Family {
    /// The base with standard convolutions, and itself.
    pub fn table4(&self) -> [(Member, Option<Printed>); 2] {
        let standard = Member { convolution: Convolution::Standard, ..self.base };
        [(standard, Some(CONV)), (self.base, Some(FULL))]
    }

    /// Three quarters of the base's width, and the base without its five middle blocks.
    pub fn table5(&self) -> [(Member, Option<Printed>); 2] {
        let narrow = Member { alpha: 0.75 * self.base.alpha, ..self.base };
        [(narrow, Some(NARROW)), (Member { shallow: true, ..self.base }, Some(SHALLOW))]
    }

    /// Every width at the largest resolution.
    pub fn table6(&self) -> Vec<(Member, Option<Printed>)> {
        let row = |&alpha: &f64| {
            let printed = WIDTHS.iter().find(|(width, _)| *width == alpha).map(|(_, printed)| *printed);
            (Member::new(alpha, self.resolutions[0]), printed)
        };
        self.alphas.iter().map(row).collect()
    }

    /// Every resolution at the base's width, in the order of the paper's.
    pub fn table7(&self) -> Vec<(Member, Option<Printed>)> {
        let row = |(index, &side): (usize, &usize)| {
            (Member::new(self.base.alpha, side), SIDES.get(index).map(|(_, printed)| *printed))
        };
        self.resolutions.iter().enumerate().map(row).collect()
    }

    /// Every width at every resolution, by width.
    pub fn grid(&self) -> Vec<Member> {
        let row = |&alpha: &f64| self.resolutions.iter().map(move |&side| Member::new(alpha, side));
        self.alphas.iter().flat_map(row).collect()
    }

    /// Whether a network is in other tables than 4 and 5.
    pub fn elsewhere(&self, member: &Member) -> bool {
        let others = [Part::Table6, Part::Table7, Part::Figures];
        self.members(&others).contains(member)
    }

    /// The networks of `parts`, each once, in the order of training.
    pub fn members(&self, parts: &[Part]) -> Vec<Member> {
        let mut members: Vec<Member> = Vec::new();
        for part in Part::ALL {
            let rows = match part {
                _ if !parts.contains(&part) => continue,
                Part::Table4 => self.table4().map(|row| row.0).to_vec(),
                Part::Table5 => self.table5().map(|row| row.0).to_vec(),
                Part::Table6 => self.table6().into_iter().map(|row| row.0).collect(),
                Part::Table7 => self.table7().into_iter().map(|row| row.0).collect(),
                Part::Figures => {
                    let mut grid = self.grid();
                    grid.sort_by_key(|member| member.cost(1).mult_adds);
                    grid
                }
            };
            for member in rows {
                if !members.contains(&member) {
                    members.push(member);
                }
            }
        }
        members
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At the paper's own widths and sides every printed figure is what the shapes come to, as far as it is printed.
    #[test]
    fn the_papers_figures_are_those_of_its_networks() {
        let family = Family {
            alphas: vec![1.0, 0.75, 0.5, 0.25],
            resolutions: vec![224, 192, 160, 128],
            base: Member::new(1.0, 224),
        };
        let rows = family.table4().into_iter().chain(family.table5());
        let rows: Vec<_> = rows.chain(family.table6()).chain(family.table7()).collect();
        for (member, printed) in rows {
            let (printed, cost) = (printed.unwrap(), member.cost(1000));
            let (counted, parameters) = (cost.mult_adds as f64 / 1e6, cost.parameters as f64 / 1e6);
            assert!((counted / printed.mult_adds - 1.0).abs() < 0.01, "{}: {counted}", member.name());
            assert!((parameters - printed.parameters).abs() < 0.15, "{}: {parameters}", member.name());
        }
        let all = [Part::Figures, Part::Table4, Part::Table5, Part::Table6, Part::Table7];
        // Sixteen of the grid, and two that stand outside it.
        assert_eq!(family.members(&all).len(), 18);
        assert_eq!(family.members(&[Part::Table5]).len(), 2);
    }

    /// Rows of other resolutions have the paper's figures in order, those of other widths have none.
    #[test]
    fn rows_of_another_family_have_the_papers_figures() {
        let family = Family { alphas: vec![0.3], resolutions: vec![56, 36], base: Member::new(0.5, 56) };
        let names: Vec<_> = family.table7().iter().map(|row| row.1.map(|printed| printed.name)).collect();
        assert_eq!(names, [Some("1.0 MobileNet-224"), Some("1.0 MobileNet-192")]);
        assert_eq!(family.table6()[0].1, None);
        assert_eq!(family.table5()[0].0.name(), "0.375 MobileNet-56");
        assert_eq!(family.table7()[1].0.name(), "0.5 MobileNet-36");
        let trained = family.members(&[Part::Table6, Part::Figures]);
        assert_eq!(trained.iter().map(|member| member.resolution).collect::<Vec<_>>(), [56, 36]);
    }
}
