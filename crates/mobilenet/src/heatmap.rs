//! The class activation map: how much each position of the image contributes to a class. Exact for MobileNet, whose
//! classifier is linear over the mean of the last feature map.
//!
//! ```text
//! logit[class] = bias[class] + mean over positions of  Σ feature[position][channel] · kernel[channel][class]
//! ```
//! The sum at a position is that position's contribution (Zhou et al., arXiv 1512.04150).

use crate::{Error, Result};
use mobilenet_kernels::shape::FeatureMap;

/// How much each place speaks for a class.
#[derive(Clone, Debug, PartialEq)]
pub struct Heatmap {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Row by row, 0 (least) to 1 (most); all 0 where every place says the same.
    pub values: Vec<f32>,
    /// What 0 stands for, in units of the class's logit.
    pub minimum: f32,
    /// What 1 stands for.
    pub maximum: f32,
}

/// The map of a class, from the features (HWC, of shape `map`) and what the class's logit takes of each channel.
///
/// # Errors
/// [`Error::shape`] if features and weights do not belong together.
pub fn class_activation(features: &[f32], map: FeatureMap, weights: &[f32]) -> Result<Heatmap> {
    let channels = map.channels;
    if features.len() != map.len() || weights.len() != channels || map.is_empty() {
        return Err(Error::shape("conv_preds/kernel", &[channels], &[weights.len()]));
    }
    let speaks = |place: &[f32]| place.iter().zip(weights).map(|(feature, weight)| feature * weight).sum();
    let mut values: Vec<f32> = features.chunks_exact(channels).map(speaks).collect();
    let minimum = values.iter().copied().fold(f32::INFINITY, f32::min);
    let maximum = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let span = maximum - minimum;
    for value in &mut values {
        *value = if span > 0.0 { (*value - minimum) / span } else { 0.0 };
    }
    Ok(Heatmap { height: map.height, width: map.width, values, minimum, maximum })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two places, two channels, three classes.
    const FEATURES: [f32; 4] = [1.0, 2.0, 3.0, 0.5];
    const MAP: FeatureMap = FeatureMap::new(1, 2, 2);

    #[test]
    fn the_mean_over_the_map_is_the_logit() {
        for weights in [[0.1, 0.4], [0.2, -0.5], [-0.3, 0.6]] {
            let heat = class_activation(&FEATURES, MAP, &weights).unwrap();
            let raw = heat.values.iter().map(|value| heat.minimum + value * (heat.maximum - heat.minimum));
            let logit = (4.0 * weights[0] + 2.5 * weights[1]) / 2.0;
            assert!((raw.sum::<f32>() / 2.0 - logit).abs() < 1e-6, "{weights:?}");
            assert!(heat.values.contains(&0.0) && heat.values.contains(&1.0));
        }
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        assert!(class_activation(&FEATURES[1..], MAP, &[0.0; 2]).is_err());
        assert!(class_activation(&FEATURES, MAP, &[0.0; 3]).is_err());
        let flat = class_activation(&FEATURES, MAP, &[0.0; 2]).unwrap();
        assert_eq!((flat.values, flat.minimum), (vec![0.0; 2], 0.0));
    }
}
