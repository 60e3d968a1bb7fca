//! From the weights of a layer, and the step of the map before it, to a packed kernel and the step of the map after it.
//!
//! Goes in: [`LayerWeights`] in bytes with their scales and range. Comes out: what the int8 kernels read. Everything that
//! turns one layer's steps into the next one's is computed here, once, in 64-bit floats, so that no sum that any input can
//! give leaves the bits it is kept in. Next: [`Int8Network`](super::Int8Network) strings the kernels together.

use crate::architecture::ChannelOrder;
use crate::{Architecture, Kernel, LayerWeights};
use crate::{Error, Result};
use mobilenet_kernels::int8::{MAX_ACTIVATION, SUM_LIMIT, depthwise, stem, weight_sums};

/// Real value of one step of a layer's output: its range in 127, or more where some input could drive its sums
/// further than the kernels round. `worst` is the largest real output.
pub(crate) fn step(range: f32, worst: f64) -> f64 {
    (f64::from(range) / f64::from(MAX_ACTIVATION)).max(worst / f64::from(SUM_LIMIT))
}

/// The largest real output of a layer before its activation, up or down, whatever the input; `largest` bounds the
/// input, which is never negative where `signed` is false.
pub(crate) fn worst(kernel: &[f32], bias: &[f32], largest: f64, signed: bool) -> f64 {
    let (mut worst, outputs) = (0.0_f64, bias.len());
    for (channel, &bias) in bias.iter().enumerate() {
        let (mut up, mut down) = (0.0, 0.0);
        for &weight in kernel[channel..].iter().step_by(outputs) {
            let size = f64::from(weight.abs());
            up += if weight > 0.0 || signed { size } else { 0.0 };
            down += if weight < 0.0 || signed { size } else { 0.0 };
        }
        let bias = f64::from(bias);
        worst = worst.max(up * largest + bias).max(down * largest - bias);
    }
    worst
}

/// As [`worst`] of an input that is never negative, for weights in bytes.
fn worst_of_bytes(layer: &LayerWeights, largest: f64) -> Result<f64> {
    let (values, scales) = int8_kernel(layer)?;
    let mut worst = 0.0_f64;
    for (([up, down], &scale), &bias) in
        weight_sums(values, scales.len()).into_iter().zip(scales).zip(&layer.bias)
    {
        let real = |sum: i32| f64::from(sum) * f64::from(scale) * largest;
        let bias = f64::from(bias);
        worst = worst.max(real(up) + bias).max(real(-down) - bias);
    }
    Ok(worst)
}

/// The largest size of a normalized color.
pub(crate) fn largest_color(architecture: &Architecture) -> f64 {
    let normalization = &architecture.normalization;
    let ends = |c: usize| {
        let (mean, deviation) = (normalization.mean[c], normalization.deviation[c]);
        f64::from((mean.max(255.0 - mean) / deviation).abs())
    };
    (0..3).map(ends).fold(0.0, f64::max)
}

/// A layer's bytes and scales.
pub(super) fn int8_kernel(layer: &LayerWeights) -> Result<(&[i8], &[f32])> {
    match &layer.kernel {
        Kernel::Int8 { values, scales } => Ok((values, scales)),
        Kernel::F32(_) | Kernel::Rows { .. } => {
            let name = &layer.name;
            Err(Error::argument(format!("layer `{name}` has no int8 kernel: quantize the network first")))
        }
    }
}

/// A layer's range, above zero.
fn range(layer: &LayerWeights) -> Result<f32> {
    layer.range.filter(|&range| range > 0.0 && range.is_finite()).ok_or_else(|| {
        let name = &layer.name;
        Error::argument(format!("layer `{name}` has no range of activations: calibrate the network first"))
    })
}

/// The stem. `after` becomes the step of its output. Its weights gain bits where bytes of color want them: normalization and
/// the order of the colors are folded in.
pub(super) fn pack_stem(
    architecture: &Architecture,
    given: &LayerWeights,
    after: &mut f64,
) -> Result<stem::PackedStem> {
    let outputs = given.bias.len();
    let normalization = &architecture.normalization;
    let reals = given.kernel.to_f32();
    let step = step(range(given)?, worst(&reals, &given.bias, largest_color(architecture), true));
    // Position of a color, red first, in the network's order.
    let position = |color: usize| match normalization.order {
        ChannelOrder::Rgb => color,
        ChannelOrder::Bgr => 2 - color,
    };
    let folded = |tap: usize, output: usize| {
        let channel = position(tap % 3);
        let weight = reals[(tap / 3 * 3 + channel) * outputs + output];
        f64::from(weight) / f64::from(normalization.deviation[channel])
    };
    let (mut kernel, mut bias, mut scale) = (vec![0; 27 * outputs], vec![0; outputs], vec![0.0; outputs]);
    for output in 0..outputs {
        let sizes = (0..27).map(|tap| folded(tap, output).abs());
        let sum: f64 = sizes.clone().sum();
        let by_sum = sum / f64::from(stem::LARGEST_WEIGHTS - 27);
        let by_bias = f64::from(given.bias[output].abs()) * f64::from(stem::FINE) / f64::from(1 << 29);
        let unit = sizes.fold(by_sum.max(by_bias), |unit, size| unit.max(size / f64::from(i16::MAX)));
        let unit = unit.max(f64::from(f32::MIN_POSITIVE));
        for tap in 0..27 {
            kernel[tap * outputs + output] = (folded(tap, output) / unit).round_ties_even() as i16;
        }
        let fine = unit / f64::from(stem::FINE);
        bias[output] = (f64::from(given.bias[output]) / fine).round_ties_even() as i32;
        scale[output] = (fine / step) as f32;
    }
    let mean = [0, 1, 2].map(|color| normalization.mean[position(color)]);
    *after = step;
    Ok(stem::pack(&kernel, &bias, &scale, mean))
}

/// A depthwise convolution after a map of steps `steps`, which become those of its output.
pub(super) fn pack_depthwise(given: &LayerWeights, steps: &mut f64) -> Result<depthwise::PackedDepthwise> {
    let before = *steps;
    let (values, scales) = int8_kernel(given)?;
    let channels = given.bias.len();
    let largest = before * f64::from(MAX_ACTIVATION);
    let after = step(range(given)?, worst_of_bytes(given, largest)?);
    let mut kernel = values.to_vec();
    let (mut bias, mut factor) = (vec![0; channels], vec![0; channels]);
    for channel in 0..channels {
        let weights = std::array::from_fn(|tap| values[tap * channels + channel]);
        let fitted = fit(weights, f64::from(scales[channel]), f64::from(given.bias[channel]), before);
        for (tap, &weight) in fitted.weights.iter().enumerate() {
            kernel[tap * channels + channel] = weight;
        }
        bias[channel] = fitted.bias;
        let exact = (fitted.scale * before / after * f64::from(1 << 15)).round_ties_even();
        factor[channel] = exact.clamp(0.0, i16::MAX.into()) as i16;
    }
    *steps = after;
    Ok(depthwise::pack(&kernel, &bias, &factor))
}

/// A channel's depthwise weights whose sums fit 16 bits.
struct Fitted {
    weights: [i8; 9],
    bias: i16,
    scale: f64,
}

/// Coarsens the weights until no input can drive their sum out of 16 bits. Weights that `quantize` made fit as
/// they are.
fn fit(weights: [i8; 9], scale: f64, bias: f64, before: f64) -> Fitted {
    let mut coarser = scale;
    loop {
        let fitted = weights.map(|weight| (f64::from(weight) * scale / coarser).round_ties_even() as i8);
        let units = (bias / (coarser * before)).round_ties_even();
        if units.abs() < f64::from(i16::MAX) && depthwise::fits(fitted, units as i16) {
            return Fitted { weights: fitted, bias: units as i16, scale: coarser };
        }
        coarser *= 1.0625_f64.max(units.abs() / f64::from(i16::MAX));
    }
}

/// Bias and scale of a pointwise convolution after a panel of steps `steps`, which become those of its output.
pub(super) fn pointwise_terms(given: &LayerWeights, steps: &mut f64) -> Result<(Vec<i32>, Vec<f32>)> {
    let (_, scales) = int8_kernel(given)?;
    let before = *steps;
    let after = step(range(given)?, worst_of_bytes(given, before * f64::from(MAX_ACTIVATION))?);
    let (mut bias, mut scale) = (Vec::with_capacity(scales.len()), Vec::with_capacity(scales.len()));
    for (&unit, &given) in scales.iter().zip(&given.bias) {
        let unit = f64::from(unit) * before;
        bias.push((f64::from(given) / unit).round_ties_even().clamp(-1e9, 1e9) as i32);
        scale.push((unit / after) as f32);
    }
    *steps = after;
    Ok((bias, scale))
}
