//! What stands in front of the stem: scales and shifts, composed to one [`Normalization`], and what does nothing.

use super::super::{Node, Op};
use super::{Walk, differs};
use mobilenet::architecture::{ChannelOrder, Normalization};
use mobilenet::weights::{BatchNorm, InputGrid};
use mobilenet::{LayerWeights, Result};

/// The nodes before the stem as `x · scale + shift` per color, in the order in which the stem takes them.
pub struct Front {
    scales: [f64; 3],
    shifts: [f64; 3],
    reversed: bool,
    /// Ends of what the input is quantized to, where it is.
    range: Option<(f32, f32)>,
    /// Side that the pictures are resized to, where the input has any size.
    pub resolution: Option<usize>,
}

/// A factor below this belongs to bytes, one above it to colors from 0 to 1.
const BYTES_BELOW: f64 = 0.5;

/// A mean above this is one of bytes.
const BYTES_ABOVE: f64 = 1.5;

/// Sum of the sizes of a stem's weights below which it takes bytes: those of networks that take −1 to 1 are 3 and more,
/// and 1/255 of that where a converter folded a division into them.
const STEM_OF_BYTES: f32 = 0.5;

impl<'a> Walk<'a> {
    /// Everything before the stem; `resolution` is the input's side, where the file fixes it.
    pub fn front(&mut self, resolution: Option<usize>) -> Result<Front> {
        let mut front =
            Front { scales: [1.0; 3], shifts: [0.0; 3], reversed: false, range: None, resolution: None };
        loop {
            let wanted = |node: &Node| {
                matches!(
                    node.op,
                    Op::Pass | Op::Affine { .. } | Op::BatchNorm { .. } | Op::Resize(_) | Op::Reverse
                )
            };
            let Some(node) = self.nodes.next_if(wanted) else { return Ok(front) };
            match &node.op {
                Op::Pass if front.range.is_none() && front.is_identity() => front.range = node.range,
                Op::Resize([height, width]) => {
                    let known = resolution.or(front.resolution);
                    if height != width || known.is_some_and(|side| side != *height) {
                        let what = format!("makes pictures {height}×{width}");
                        let expected =
                            "pictures that keep the input's size; save the model from the layer after it";
                        return Err(differs(&node, &what, expected));
                    }
                    front.resolution = Some(*height);
                    self.size = (*height).min(1 << 16);
                }
                Op::Reverse => {
                    front.scales.reverse();
                    front.shifts.reverse();
                    front.reversed = !front.reversed;
                }
                Op::Affine { .. } => {
                    let (scale, shift) = self.affine(&node, 3)?;
                    front.compose(&scale, &shift);
                }
                Op::BatchNorm { .. } => {
                    let (scale, shift) = norm_factors(&node, 3)?;
                    front.compose(&scale, &shift);
                }
                _ => {}
            }
            if node.clip.is_some() {
                return Err(differs(&node, "has an activation", "none before the first convolution"));
            }
        }
    }
}

/// Factor and summand of each channel of a batch norm.
pub fn norm_factors(node: &Node, channels: usize) -> Result<(Vec<f64>, Vec<f64>)> {
    let Op::BatchNorm { gamma, beta, mean, variance, epsilon } = &node.op else {
        return Ok((vec![1.0; channels], vec![0.0; channels]));
    };
    let parts = [gamma.as_ref(), beta.as_ref(), Some(mean), Some(variance)];
    if parts.into_iter().flatten().any(|part| part.len() != channels) {
        return Err(differs(node, "has another number of channels", &format!("{channels}")));
    }
    let [gamma, beta, mean, variance] = parts.map(|part| part.map(|part| part.floats()));
    let (mean, variance) = (mean.unwrap_or_default(), variance.unwrap_or_default());
    let norm = BatchNorm { gamma: gamma.as_deref(), beta: beta.as_deref(), mean: &mean, variance: &variance };
    let (factors, bias) = norm.factors(&[], *epsilon);
    if !factors.iter().all(|factor| factor.is_finite()) {
        return Err(differs(node, "divides by the root of a negative variance", "a variance of 0 or more"));
    }
    Ok((factors, bias.into_iter().map(f64::from).collect()))
}

impl Front {
    fn compose(&mut self, scale: &[f64], shift: &[f64]) {
        for color in 0..3 {
            self.scales[color] *= scale[color];
            self.shifts[color] = self.shifts[color] * scale[color] + shift[color];
        }
    }

    fn is_identity(&self) -> bool {
        self.scales == [1.0; 3] && self.shifts == [0.0; 3]
    }

    /// What the input is rounded to, where it is the stem's.
    pub fn grid(&self) -> Option<InputGrid> {
        let (low, high) = self.range.filter(|_| self.is_identity())?;
        let grid = InputGrid { step: (high - low) / 255.0, low, high };
        grid.is_valid().then_some(grid)
    }

    /// From bytes of color to the stem, and whether that is a guess. `said` is how the file says that bytes become the
    /// graph's input, `takes_bytes` whether the input's type does.
    pub fn normalization(
        &self,
        takes_bytes: bool,
        said: Option<Normalization>,
        stem: Option<&LayerWeights>,
    ) -> (Option<Normalization>, bool) {
        let bytes = Normalization::uniform(0.0, 1.0);
        let unit = Normalization::uniform(0.0, 255.0);
        let near = |range: (f32, f32), low: f32, high: f32| {
            (range.0 - low).abs() < 0.02 * high && (range.1 - high).abs() < 0.02 * high
        };
        let by_range = self.range.and_then(|range| match range {
            range if near(range, -1.0, 1.0) => Some(Normalization::default()),
            range if near(range, 0.0, 1.0) => Some(unit),
            (_, high) if high > 100.0 => Some(bytes),
            _ => None,
        });
        let known = if takes_bytes { Some(bytes) } else { said.or(by_range) };
        let largest = |values: [f64; 3]| values.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
        let means = std::array::from_fn(|color| self.shifts[color] / self.scales[color]);
        let (input, guessed) = match known {
            Some(known) => (known, false),
            None if !self.is_identity() => {
                let of_bytes = largest(means) > BYTES_ABOVE || largest(self.scales) < BYTES_BELOW;
                (if of_bytes { bytes } else { unit }, false)
            }
            None if stem.is_some_and(takes_large) => (bytes, true),
            None if self.reversed => (Normalization::default(), true),
            None => return (None, true),
        };
        // (byte − m) / d, then · scale + shift; `m` and `d` are in the input's order.
        let (mut means, mut deviations) = (input.mean.map(f64::from), input.deviation.map(f64::from));
        if self.reversed {
            means.reverse();
            deviations.reverse();
        }
        let mean = |color: usize| means[color] - self.shifts[color] * deviations[color] / self.scales[color];
        let deviation = |color: usize| deviations[color] / self.scales[color];
        let order = match (input.order, self.reversed) {
            (order, false) => order,
            (ChannelOrder::Rgb, true) => ChannelOrder::Bgr,
            (ChannelOrder::Bgr, true) => ChannelOrder::Rgb,
        };
        let normalization = Normalization {
            mean: std::array::from_fn(|color| mean(color) as f32),
            deviation: std::array::from_fn(|color| deviation(color) as f32),
            order,
        };
        (Some(normalization), guessed)
    }
}

/// Whether the weights of a stem are so small that what it takes must be bytes.
fn takes_large(stem: &LayerWeights) -> bool {
    let (kernel, outputs) = (stem.kernel.to_f32(), stem.bias.len().max(1));
    let mut sums = vec![0.0f32; outputs];
    for row in kernel.chunks_exact(outputs) {
        sums.iter_mut().zip(row).for_each(|(sum, weight)| *sum += weight.abs());
    }
    let most = sums.iter().copied().fold(0.0, f32::max);
    most > 0.0 && most < STEM_OF_BYTES
}
