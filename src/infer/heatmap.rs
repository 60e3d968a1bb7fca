//! Where in the picture a class is seen: the class activation map, exact for MobileNet, whose classifier is linear over
//! the mean of the last feature map.
//!
//! Goes in: the last feature map of a run and the classifier's kernel. Comes out: a [`Heatmap`]. Next: `js`, `cli`.
//!
//! ```text
//! logit[class] = bias[class] + mean over places of  Σ feature[place][channel] · kernel[channel][class]
//! ```
//! so the sum at a place is what that place alone says for the class (Zhou et al., arXiv 1512.04150).

use crate::model::Kernel;
use crate::shape::Map;
use crate::{Error, Result};

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

/// The map of `class`, from the features (HWC, of shape `map`) and the classifier's kernel (`[channels, classes]`).
///
/// # Errors
/// [`Error::Argument`] if the class does not exist, [`Error::Shape`] if features and kernel do not belong together.
pub fn class_activation(features: &[f32], map: Map, kernel: &Kernel, class: usize) -> Result<Heatmap> {
    let channels = map.channels;
    let classes = kernel.len() / channels.max(1);
    if features.len() != map.len() || classes * channels != kernel.len() || map.is_empty() {
        let name = "conv_preds/kernel".into();
        return Err(Error::Shape {
            name,
            expected: vec![1, 1, channels, classes],
            found: vec![kernel.len()],
        });
    }
    if class >= classes {
        return Err(Error::Argument(format!("class {class} does not exist; there are {classes}")));
    }
    let column: Vec<f32> = match kernel {
        Kernel::F32(values) => values[class..].iter().step_by(classes).copied().collect(),
        Kernel::Int8 { values, scales } => {
            let scale = scales[class];
            values[class..].iter().step_by(classes).map(|&value| f32::from(value) * scale).collect()
        }
    };
    let speaks = |place: &[f32]| place.iter().zip(&column).map(|(feature, weight)| feature * weight).sum();
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
    const MAP: Map = Map::new(1, 2, 2);

    #[test]
    fn the_mean_over_the_map_is_the_logit() {
        let kernel = Kernel::F32(vec![0.1, 0.2, -0.3, 0.4, -0.5, 0.6]);
        for (class, weights) in [[0.1, 0.4], [0.2, -0.5], [-0.3, 0.6]].into_iter().enumerate() {
            let heat = class_activation(&FEATURES, MAP, &kernel, class).unwrap();
            let raw = heat.values.iter().map(|value| heat.minimum + value * (heat.maximum - heat.minimum));
            let logit = (4.0 * weights[0] + 2.5 * weights[1]) / 2.0;
            assert!((raw.sum::<f32>() / 2.0 - logit).abs() < 1e-6, "class {class}");
            assert!(heat.values.contains(&0.0) && heat.values.contains(&1.0));
        }
    }

    #[test]
    fn an_int8_kernel_is_multiplied_out() {
        let kernel = Kernel::Int8 { values: vec![1, 2, -3, 4, -5, 6], scales: vec![0.1, 0.2, 0.3] };
        let float = Kernel::F32(kernel.to_f32().into_owned());
        for class in 0..3 {
            let quantised = class_activation(&FEATURES, MAP, &kernel, class).unwrap();
            assert_eq!(quantised, class_activation(&FEATURES, MAP, &float, class).unwrap());
        }
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let kernel = Kernel::F32(vec![0.0; 6]);
        assert!(class_activation(&FEATURES, MAP, &kernel, 3).unwrap_err().to_string().contains("class 3"));
        assert!(class_activation(&FEATURES[1..], MAP, &kernel, 0).is_err());
        assert!(class_activation(&FEATURES, MAP, &Kernel::F32(vec![0.0; 5]), 0).is_err());
        let flat = class_activation(&FEATURES, MAP, &kernel, 0).unwrap();
        assert_eq!((flat.values, flat.minimum), (vec![0.0; 2], 0.0));
    }
}
