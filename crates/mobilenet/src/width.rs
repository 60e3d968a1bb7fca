//! The width multiplier: channels from alpha, and alpha from the channels of a file.

use serde::{Deserialize, Serialize};

/// How `channels · alpha` becomes a whole number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// `max(8, int(c · alpha))`: TensorFlow's own code.
    #[default]
    Truncate,
    /// `int(c · alpha)`: Keras, which differs from [`Truncate`](Rounding::Truncate) below 8 channels only.
    Keras,
    /// The nearest multiple of 8, never below 90 % of `c · alpha`: timm.
    MultipleOf8,
}

impl Rounding {
    /// Channels that a layer of `channels` has at width multiplier `alpha`.
    pub fn channels(self, channels: usize, alpha: f64) -> usize {
        let exact = channels as f64 * alpha;
        match self {
            Rounding::Truncate => (exact as usize).max(8),
            Rounding::Keras => exact as usize,
            Rounding::MultipleOf8 => {
                let rounded = ((exact + 4.0) as usize / 8 * 8).max(8);
                if (rounded as f64) < 0.9 * exact { rounded + 8 } else { rounded }
            }
        }
    }

    /// The alpha with the fewest decimals at which `asked` channels become `found`.
    fn solve(self, asked: &[usize], found: &[usize]) -> Option<f64> {
        let (mut low, mut high) = (0.0f64, 16.0f64);
        for (&asked, &found) in asked.iter().zip(found) {
            let (from, to) = self.interval(found)?;
            low = low.max(from / asked as f64);
            high = high.min(to / asked as f64);
        }
        let mut scale = 1.0;
        for _digits in 0..=9 {
            let mut tried = (low * scale).floor();
            // The ends of the intervals are rounded, so the two decimals after the first are tried as well.
            for _ in 0..3 {
                let alpha = tried / scale;
                let mut pairs = asked.iter().zip(found);
                if alpha > 0.0
                    && alpha <= high
                    && pairs.all(|(&asked, &found)| self.channels(asked, alpha) == found)
                {
                    return Some(alpha);
                }
                tried += 1.0;
            }
            scale *= 10.0;
        }
        None
    }

    /// The exact widths, from and up to, that are rounded to `channels`. `None` where nothing is.
    fn interval(self, channels: usize) -> Option<(f64, f64)> {
        let exact = channels as f64;
        match self {
            _ if channels == 0 => None,
            Rounding::Keras => Some((exact, exact + 1.0)),
            _ if channels < 8 => None,
            Rounding::Truncate if channels == 8 => Some((0.0, 9.0)),
            Rounding::Truncate => Some((exact, exact + 1.0)),
            Rounding::MultipleOf8 if !channels.is_multiple_of(8) => None,
            Rounding::MultipleOf8 => {
                let below = exact - 8.0;
                Some(((below + 4.0).min(below / 0.9), (exact + 4.0).min(exact / 0.9)))
            }
        }
    }
}

/// The roundest alpha, with the rounding, at which `asked` channels become `found`: the first of [`Rounding::Truncate`],
/// [`Rounding::MultipleOf8`] and [`Rounding::Keras`] that does, `None` where none does.
pub fn of(asked: &[usize], found: &[usize]) -> Option<(f64, Rounding)> {
    let roundings = [Rounding::Truncate, Rounding::MultipleOf8, Rounding::Keras];
    roundings.into_iter().find_map(|rounding| Some((rounding.solve(asked, found)?, rounding)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: [usize; 7] = [32, 64, 128, 256, 512, 1024, 1024];

    #[test]
    fn an_odd_alpha_is_found_with_its_rounding() {
        for rounding in [Rounding::Truncate, Rounding::MultipleOf8] {
            let found = ASKED.map(|channels| rounding.channels(channels, 0.35));
            assert_eq!(of(&ASKED, &found), Some((0.35, rounding)));
        }
    }

    #[test]
    fn a_width_without_a_floor_is_keras() {
        for alpha in [0.1, 0.05, 0.125, 0.2] {
            let found = ASKED.map(|channels| Rounding::Keras.channels(channels, alpha));
            assert_eq!(of(&ASKED, &found), Some((alpha, Rounding::Keras)));
        }
    }

    #[test]
    fn channels_of_no_width_have_none() {
        assert_eq!(of(&ASKED, &ASKED), Some((1.0, Rounding::Truncate)));
        let mut odd = ASKED;
        odd[3] = 200;
        assert_eq!(of(&ASKED, &odd), None);
        assert_eq!(of(&ASKED, &[7; 7]), None);
        assert_eq!(of(&ASKED, &[0; 7]), None);
        assert_eq!(of(&ASKED, &[usize::MAX; 7]), None);
    }
}
