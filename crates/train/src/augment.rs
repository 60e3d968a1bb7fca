//! Augmentation: random crop, mirroring and color distortion of a sample, and mixing of two samples.
//!
//! Writes the normalized input of a replica and the matching targets. It resizes with the resizer of inference, so that a
//! network sees the same pixels in training and in use.

use super::random::Random;
use mobilenet::Input;
use mobilenet::architecture::{ChannelOrder, Normalization};
use mobilenet::image::{Fit, Frame, ImageOptions, Region, Resizer};
use mobilenet::{Error, Result};
use serde::{Deserialize, Serialize};

/// What may happen to a picture. [`Augmentation::none`] shows it as inference does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Augmentation {
    /// Least part of the picture's area that a crop keeps, above 0 to 1; 1 turns cropping off.
    pub area: f32,
    /// Whether half of the pictures are mirrored.
    pub flip: bool,
    /// Greatest change of brightness, contrast and saturation, 0 to below 1.
    pub jitter: f32,
    /// Parameter of mixup's beta distribution (Zhang et al., arXiv 1710.09412); 0 turns it off.
    pub mixup: f32,
}

impl Default for Augmentation {
    /// Moderate, as the paper advises for small networks (section 3.2).
    fn default() -> Self {
        Self { area: 0.35, flip: true, jitter: 0.2, mixup: 0.0 }
    }
}

impl Augmentation {
    /// Nothing happens.
    pub const fn none() -> Self {
        Self { area: 1.0, flip: false, jitter: 0.0, mixup: 0.0 }
    }

    /// Refuses what cannot be drawn.
    pub fn validate(&self) -> Result<()> {
        if !(self.area > 0.0 && self.area <= 1.0) {
            let area = self.area;
            return Err(Error::training(format!("crop: must be above 0 and at most 1, got {area}")));
        }
        if !(0.0..1.0).contains(&self.jitter) {
            let jitter = self.jitter;
            return Err(Error::training(format!("jitter: must be at least 0 and below 1, got {jitter}")));
        }
        if !(0.0..=4.0).contains(&self.mixup) {
            return Err(Error::training(format!("mixup: must be between 0 and 4, got {}", self.mixup)));
        }
        Ok(())
    }

    /// Writes `frame`, changed as `random` decides, into `output` (`side × side × 3`).
    pub fn show(
        &self,
        frame: &Frame,
        random: &mut Random,
        resizer: &mut Resizer,
        side: usize,
        normalization: &Normalization,
        output: &mut [f32],
    ) -> Result<()> {
        let mut options = ImageOptions::default();
        if self.area < 1.0 {
            options = ImageOptions { region: Some(self.crop(frame, random)), fit: Fit::Stretch, ..options };
        }
        options.mirror = self.flip && random.unit() < 0.5;
        resizer.resize(frame, &options, side, normalization, Input::F32(output))?;
        if self.jitter > 0.0 {
            self.recolour(random, normalization, output);
        }
        Ok(())
    }

    /// A part of `area` to 1 of the frame, its sides' ratio 3:4 to 4:3, anywhere.
    fn crop(&self, frame: &Frame, random: &mut Random) -> Region {
        let (width, height) = (frame.width() as f64, frame.height() as f64);
        let area = width * height * f64::from(random.range(self.area, 1.0));
        let ratio = f64::from(random.range(-1.0, 1.0) * (4.0f32 / 3.0).ln()).exp();
        let across = ((area * ratio).sqrt() / width).min(1.0);
        let down = ((area / ratio).sqrt() / height).min(1.0);
        let left = f64::from(random.unit()) * (1.0 - across);
        let top = f64::from(random.unit()) * (1.0 - down);
        Region { left, top, right: (left + across).min(1.0), bottom: (top + down).min(1.0) }
    }

    /// Brightness, contrast and saturation each times a factor around 1, in units of a byte.
    fn recolour(&self, random: &mut Random, normalization: &Normalization, output: &mut [f32]) {
        let mut factor = || random.range(1.0 - self.jitter, 1.0 + self.jitter);
        let (brightness, contrast, saturation) = (factor(), factor(), factor());
        let Normalization { mean, deviation, order } = *normalization;
        let grey = match order {
            ChannelOrder::Rgb => [0.299, 0.587, 0.114],
            ChannelOrder::Bgr => [0.114, 0.587, 0.299],
        };
        let bytes = |pixel: &[f32]| [0, 1, 2].map(|color| pixel[color] * deviation[color] + mean[color]);
        let light = |[a, b, c]: [f32; 3]| a * grey[0] + b * grey[1] + c * grey[2];
        let total: f32 = output.chunks_exact(3).map(|pixel| light(bytes(pixel))).sum();
        let centre = total / (output.len() / 3).max(1) as f32 * (1.0 - contrast);
        for pixel in output.chunks_exact_mut(3) {
            let colors = bytes(pixel);
            let grey = light(colors) * (1.0 - saturation);
            for (color, value) in colors.into_iter().enumerate() {
                let value = (value * saturation + grey) * contrast + centre;
                pixel[color] = ((value * brightness).clamp(0.0, 255.0) - mean[color]) / deviation[color];
            }
        }
    }

    /// Mixes every picture of a batch with the one as far from the end, and their targets by the same share.
    pub fn mix(&self, random: &mut Random, images: &mut [f32], targets: &mut [f32], count: usize) {
        if self.mixup <= 0.0 || count < 2 {
            return;
        }
        let share = beta(random, self.mixup);
        for list in [images, targets] {
            let length = list.len() / count;
            let (front, back) = list.split_at_mut(count / 2 * length);
            let pairs = front.chunks_exact_mut(length).zip(back.chunks_exact_mut(length).rev());
            for (first, second) in pairs {
                for (first, second) in first.iter_mut().zip(second) {
                    let both = (*first, *second);
                    *first = share * both.0 + (1.0 - share) * both.1;
                    *second = share * both.1 + (1.0 - share) * both.0;
                }
            }
        }
    }
}

/// A number from the symmetric beta distribution (Jöhnk's rule for small parameters, which mixup's are).
fn beta(random: &mut Random, parameter: f32) -> f32 {
    for _ in 0..1000 {
        let (x, y) = (random.unit().powf(1.0 / parameter), random.unit().powf(1.0 / parameter));
        if x + y > 0.0 && x + y <= 1.0 {
            return x / (x + y);
        }
    }
    0.5
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Vec<u8> {
        let mut random = Random::new(&[5]);
        (0..20 * 16 * 4).map(|_| random.below(256) as u8).collect()
    }

    fn show(augmentation: Augmentation, seed: u64) -> Vec<f32> {
        let bytes = picture();
        let frame = Frame::new(&bytes, 20, 16).unwrap();
        let mut output = vec![0.0; 12 * 12 * 3];
        let (mut random, mut resizer) = (Random::new(&[seed]), Resizer::new());
        let normalization = Normalization::default();
        augmentation.show(&frame, &mut random, &mut resizer, 12, &normalization, &mut output).unwrap();
        output
    }

    #[test]
    fn the_same_seed_shows_the_same_and_another_something_else() {
        let all = Augmentation::default();
        assert_eq!(show(all, 1), show(all, 1));
        assert_ne!(show(all, 1), show(all, 2));
        assert_eq!(show(Augmentation::none(), 1), show(Augmentation::none(), 2));
        assert!((0..50).flat_map(|seed| show(all, seed)).all(|value| value.abs() <= 1.0));
    }

    #[test]
    fn jitter_keeps_grey_pictures_grey() {
        let bytes = [90u8; 8 * 8 * 4];
        let frame = Frame::new(&bytes, 8, 8).unwrap();
        let jitter = Augmentation { jitter: 0.5, ..Augmentation::none() };
        let (mut output, normalization) = (vec![0.0; 8 * 8 * 3], Normalization::default());
        let mut resizer = Resizer::new();
        jitter.show(&frame, &mut Random::new(&[9]), &mut resizer, 8, &normalization, &mut output).unwrap();
        assert!(output.iter().all(|value| (value - output[0]).abs() < 1e-5));
        assert!((output[0] - (90.0 / 127.5 - 1.0)).abs() > 1e-3, "{}", output[0]);
    }

    #[test]
    fn mixup_keeps_sums_and_mixes_targets_as_it_mixes_pictures() {
        let mixup = Augmentation { mixup: 0.3, ..Augmentation::none() };
        let (mut images, mut targets) = (vec![1.0, 2.0, 3.0, 4.0, 5.0], vec![0.0; 25]);
        (0..5).for_each(|index| targets[index * 6] = 1.0);
        mixup.mix(&mut Random::new(&[4]), &mut images, &mut targets, 5);
        assert!((images.iter().sum::<f32>() - 15.0).abs() < 1e-5);
        assert_eq!(images[2], 3.0);
        for (image, target) in images.iter().zip(targets.chunks_exact(5)) {
            assert!((target.iter().sum::<f32>() - 1.0).abs() < 1e-6);
            let mean: f32 = target.iter().zip(1..).map(|(share, value)| share * value as f32).sum();
            assert!((mean - image).abs() < 1e-5);
        }
        let mut random = Random::new(&[8]);
        let draws: Vec<f32> = (0..4000).map(|_| beta(&mut random, 0.2)).collect();
        let mean = draws.iter().sum::<f32>() / 4000.0;
        let square = draws.iter().map(|draw| (draw - 0.5).powi(2)).sum::<f32>() / 4000.0;
        // Beta(a, a): mean 1/2, variance 1 / (4 (2a + 1)).
        assert!((mean - 0.5).abs() < 0.03 && (square - 0.25 / 1.4).abs() < 0.01, "{mean} {square}");
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        let refused = |changed: Augmentation| changed.validate().unwrap_err().to_string();
        assert!(
            refused(Augmentation { area: 0.0, ..Augmentation::none() })
                .contains("crop: must be above 0 and at most 1, got 0")
        );
        assert!(
            refused(Augmentation { jitter: 1.0, ..Augmentation::none() })
                .contains("jitter: must be at least 0 and below 1, got 1")
        );
        assert!(
            refused(Augmentation { mixup: f32::NAN, ..Augmentation::none() })
                .contains("mixup: must be between 0 and 4, got NaN")
        );
    }
}
