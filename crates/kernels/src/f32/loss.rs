//! Softmax cross-entropy against any target distribution: one-hot, mixed, smoothed or a teacher's.
//!
//! `p = exp(l) / Σ exp(l)`, `loss = −Σ t·ln p`, `d_l = p·Σt − t`.

use super::softmax;

/// Returns the loss of one sample in nats, and writes `(p − target) · scale` to `d_logits`.
///
/// `target` sums to 1. All slices have one value per class.
///
/// # Examples
///
/// ```
/// use mobilenet_kernels::f32::loss::softmax_cross_entropy;
///
/// let mut d_logits = [0.0; 2];
/// let loss = softmax_cross_entropy(&[0.0, 0.0], &[1.0, 0.0], 1.0, &mut d_logits);
/// assert!((loss - 2f64.ln()).abs() < 1e-6);
/// assert_eq!(d_logits, [-0.5, 0.5]);
/// ```
pub fn softmax_cross_entropy(logits: &[f32], target: &[f32], scale: f32, d_logits: &mut [f32]) -> f64 {
    let (greatest, total) = softmax::forward(logits, d_logits);
    let logarithm = total.ln();
    let mut loss = 0.0;
    for ((output, &logit), &target) in d_logits.iter_mut().zip(logits).zip(target) {
        if target != 0.0 {
            loss -= f64::from(target) * (f64::from(logit - greatest) - logarithm);
        }
        *output = (*output - target) * scale;
    }
    loss
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use crate::browser_test as test;

    #[test]
    fn gradient_agrees_with_finite_differences() {
        let (logits, target) = ([0.3f32, -1.2, 2.5, 0.0], [0.1f32, 0.6, 0.3, 0.0]);
        let (mut gradient, mut unused) = ([0.0; 4], [0.0; 4]);
        softmax_cross_entropy(&logits, &target, 1.0, &mut gradient);
        for class in 0..4 {
            let shifted = |step: f32| {
                let mut logits = logits;
                logits[class] += step;
                logits
            };
            let above = softmax_cross_entropy(&shifted(0.01), &target, 1.0, &mut unused);
            let below = softmax_cross_entropy(&shifted(-0.01), &target, 1.0, &mut unused);
            assert!(((above - below) / 0.02 - f64::from(gradient[class])).abs() < 1e-4);
        }
    }

    #[test]
    fn huge_logits_stay_finite() {
        let mut gradient = [0.0; 2];
        let loss = softmax_cross_entropy(&[1e4, -1e4], &[0.0, 1.0], 1.0, &mut gradient);
        assert_eq!(loss, 2e4);
        assert_eq!(gradient, [1.0, -1.0]);
    }
}
