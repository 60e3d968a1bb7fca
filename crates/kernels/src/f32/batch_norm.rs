//! Batch norm with the statistics of the batch, forward and backward, fused with the convolutions around it.
//!
//! A convolution's output `y` is stored once, unnormalized. Batch norm and activation are an affine map and a clamp
//! ([`Affine`]) that the next layer applies while it reads. Backward, the gradient of `y` is again affine, in the
//! gradient behind the activation and in `y` ([`Backward`]). So each map is written once forward and once backward, and
//! no intermediate is stored.
//!
//! Per channel over the `m` pixels of the batch (Ioffe and Szegedy, arXiv 1502.03167):
//! `x̂ = (y − mean) / sqrt(variance + ε)`, `z = γ·x̂ + β`;
//! `d_β = Σ d_z`, `d_γ = Σ d_z·x̂`, `d_y = γ / sqrt(variance + ε) · (d_z − d_β / m − x̂ · d_γ / m)`.

use super::lanes::{lanes, mul_add, sweep};
use crate::shape::Activation;

/// Batch norm and activation as the next layer applies them: `clamp(scale · (y − pivot) + shift, low, high)`, per
/// channel.
///
/// The pivot is the mean. Subtracting it first avoids cancellation, so that the sign of the result, which decides
/// whether a gradient passes the activation, is accurate.
#[derive(Clone, Debug)]
pub struct Affine {
    /// One subtrahend per channel.
    pub pivot: Vec<f32>,
    /// One factor per channel.
    pub scale: Vec<f32>,
    /// One addend per channel.
    pub shift: Vec<f32>,
    /// Lower bound of the result.
    pub low: f32,
    /// Upper bound of the result.
    pub high: f32,
}

impl Affine {
    /// Creates the identity over `channels` channels (for a network's input).
    pub fn identity(channels: usize) -> Self {
        let (low, high) = Activation::None.bounds();
        Self { pivot: vec![0.0; channels], scale: vec![1.0; channels], shift: vec![0.0; channels], low, high }
    }

    /// Applies the map to `input` (dense pixels), writing a pixel to every `stride` values of `output`.
    pub fn apply(&self, input: &[f32], output: &mut [f32], stride: usize) {
        let channels = self.scale.len();
        let pixels = block_pixels(channels);
        for (input, output) in input.chunks(pixels * channels).zip(output.chunks_mut(pixels * stride)) {
            sweep!(channels, 16 8 1, apply_affine(self, input, output, stride));
        }
    }
}

/// Returns the number of pixels that all channels pass over before the next block: few enough for nearly sequential
/// access, which the hardware prefetches, and enough to amortize loading a channel's coefficients. Saves 3 % of a
/// training step.
fn block_pixels(channels: usize) -> usize {
    (1024 / channels).max(8)
}

#[inline(always)]
fn apply_affine<const L: usize>(
    channel: usize,
    affine: &Affine,
    input: &[f32],
    output: &mut [f32],
    stride: usize,
) {
    let coefficients = Coefficients::<L>::of(affine, channel);
    let pixels = input.chunks_exact(affine.scale.len()).zip(output.chunks_exact_mut(stride));
    for (input, output) in pixels {
        let values: [f32; L] = lanes(input, channel);
        let Some(output) = output[channel..].first_chunk_mut::<L>() else { break };
        for lane in 0..L {
            let value = coefficients.apply(lane, values[lane]);
            output[lane] = value.max(affine.low).min(affine.high);
        }
    }
}

/// `L` channels of an [`Affine`].
struct Coefficients<const L: usize> {
    pivot: [f32; L],
    scale: [f32; L],
    shift: [f32; L],
}

impl<const L: usize> Coefficients<L> {
    #[inline(always)]
    fn of(affine: &Affine, channel: usize) -> Self {
        Self {
            pivot: lanes(&affine.pivot, channel),
            scale: lanes(&affine.scale, channel),
            shift: lanes(&affine.shift, channel),
        }
    }

    /// Applies the affine map without the clamp.
    #[inline(always)]
    fn apply(&self, lane: usize, value: f32) -> f32 {
        mul_add(self.scale[lane], value - self.pivot[lane], self.shift[lane])
    }
}

/// Mean and sum of squared deviations per channel, accumulated block by block while a map is written.
#[derive(Clone, Debug, Default)]
pub struct Moments {
    count: f64,
    mean: Vec<f64>,
    scatter: Vec<f64>,
}

impl Moments {
    /// Resets to no pixels of `channels` channels.
    pub fn reset(&mut self, channels: usize) {
        self.count = 0.0;
        for (list, value) in [(&mut self.mean, 0.0), (&mut self.scatter, 0.0)] {
            list.clear();
            list.resize(channels, value);
        }
    }

    /// Adds a block of pixels.
    ///
    /// The block is read twice, for the mean and for the squares around it, which avoids cancellation; it should still
    /// be in the cache. Blocks are combined by Chan's rule in `f64`.
    pub fn add(&mut self, block: &[f32]) {
        let channels = self.mean.len();
        let count = (block.len() / channels) as f64;
        if count == 0.0 {
            return;
        }
        sweep!(channels, 16 8 1, add_block(self, block));
        self.count += count;
    }

    /// Returns the mean of a channel.
    pub fn mean(&self, channel: usize) -> f64 {
        self.mean[channel]
    }

    /// Returns the biased variance of a channel (divided by the count), which batch norm uses.
    pub fn variance(&self, channel: usize) -> f64 {
        self.scatter[channel] / self.count
    }

    /// Returns the number of pixels added.
    pub fn count(&self) -> f64 {
        self.count
    }
}

#[inline(always)]
fn add_block<const L: usize>(channel: usize, moments: &mut Moments, block: &[f32]) {
    let channels = moments.mean.len();
    let pixels = || block.chunks_exact(channels).map(|pixel| lanes::<L>(pixel, channel));
    let count = (block.len() / channels) as f64;
    let mut sums = [0.0; L];
    for values in pixels() {
        for lane in 0..L {
            sums[lane] += values[lane];
        }
    }
    let part = 1.0 / count as f32;
    let mean = sums.map(|sum| sum * part);
    let mut scatter = [0.0; L];
    for values in pixels() {
        for lane in 0..L {
            let difference = values[lane] - mean[lane];
            scatter[lane] = mul_add(difference, difference, scatter[lane]);
        }
    }
    let total = moments.count + count;
    for lane in 0..L {
        let difference = f64::from(mean[lane]) - moments.mean[channel + lane];
        moments.mean[channel + lane] += difference * count / total;
        moments.scatter[channel + lane] +=
            f64::from(scatter[lane]) + difference * difference * moments.count * count / total;
    }
}

/// Sums over the batch that the gradient of batch norm needs, accumulated while the gradient is written.
#[derive(Clone, Debug, Default)]
pub struct GradientSums {
    d_z: Vec<f64>,
    d_z_y: Vec<f64>,
}

impl GradientSums {
    /// Resets to no pixels of `channels` channels.
    pub fn reset(&mut self, channels: usize) {
        for list in [&mut self.d_z, &mut self.d_z_y] {
            list.clear();
            list.resize(channels, 0.0);
        }
    }

    /// Propagates the gradient of a block of pixels back through the activation of `affine`.
    ///
    /// `d_read` is the gradient of what `affine` computed from `y`, a pixel to every `stride` values. It passes to
    /// `d_z` where that lies strictly between the bounds and is zero elsewhere, also at the bounds (as in TensorFlow).
    /// Sums over a block are accumulated in `f32`.
    pub fn propagate(&mut self, affine: &Affine, y: &[f32], d_read: &[f32], stride: usize, d_z: &mut [f32]) {
        sweep!(self.d_z.len(), 16 8 1, propagate(self, affine, y, d_read, stride, d_z));
    }
}

#[inline(always)]
fn propagate<const L: usize>(
    channel: usize,
    sums: &mut GradientSums,
    affine: &Affine,
    y: &[f32],
    d_read: &[f32],
    stride: usize,
    d_z: &mut [f32],
) {
    let channels = sums.d_z.len();
    let coefficients = Coefficients::<L>::of(affine, channel);
    let (mut sum, mut product) = ([0.0; L], [0.0; L]);
    let pixels = y.chunks_exact(channels).zip(d_z.chunks_exact_mut(channels));
    for (pixel, (y, d_z)) in pixels.enumerate() {
        let (y, d_read): ([f32; L], [f32; L]) = (lanes(y, channel), lanes(d_read, pixel * stride + channel));
        let Some(d_z) = d_z[channel..].first_chunk_mut::<L>() else { break };
        for lane in 0..L {
            let read = coefficients.apply(lane, y[lane]);
            let gradient = if read > affine.low && read < affine.high { d_read[lane] } else { 0.0 };
            d_z[lane] = gradient;
            sum[lane] += gradient;
            product[lane] = mul_add(gradient, y[lane] - coefficients.pivot[lane], product[lane]);
        }
    }
    for lane in 0..L {
        sums.d_z[channel + lane] += f64::from(sum[lane]);
        sums.d_z_y[channel + lane] += f64::from(product[lane]);
    }
}

/// Batch statistics per channel.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    /// Means.
    pub mean: Vec<f32>,
    /// Biased variances (divided by the count).
    pub variance: Vec<f32>,
    /// Pixels in the batch.
    pub count: f64,
}

impl Statistics {
    /// Overwrites the statistics with those of `moments`.
    pub fn take(&mut self, moments: &Moments) {
        self.count = moments.count();
        for (channel, (mean, variance)) in self.mean.iter_mut().zip(&mut self.variance).enumerate() {
            *mean = moments.mean(channel) as f32;
            *variance = moments.variance(channel) as f32;
        }
    }

    /// Returns the factor that makes a variance an unbiased estimate, of which TensorFlow's fused batch norm keeps the
    /// moving average.
    pub fn unbiased(&self) -> f32 {
        (self.count / (self.count - 1.0).max(1.0)) as f32
    }
}

/// Computes the map that the next layer applies from a batch's statistics or their moving averages.
///
/// All slices have one value per channel; `affine` keeps its bounds.
pub fn forward(
    mean: &[f32],
    variance: &[f32],
    gamma: &[f32],
    beta: &[f32],
    epsilon: f64,
    affine: &mut Affine,
) {
    for channel in 0..gamma.len() {
        let scale = f64::from(gamma[channel]) / (f64::from(variance[channel]) + epsilon).sqrt();
        affine.scale[channel] = scale as f32;
    }
    affine.pivot.copy_from_slice(mean);
    affine.shift.copy_from_slice(beta);
}

/// The gradient of a convolution's output, `d_y = d_z · factor + (y − mean) · slope + offset` per channel.
#[derive(Clone, Debug, Default)]
pub struct Backward {
    pivot: Vec<f32>,
    factor: Vec<f32>,
    slope: Vec<f32>,
    offset: Vec<f32>,
}

impl Backward {
    /// Creates the identity, to test a convolution alone.
    #[cfg(test)]
    pub(super) fn identity(channels: usize) -> Self {
        let zeros = vec![0.0; channels];
        Self { pivot: zeros.clone(), factor: vec![1.0; channels], slope: zeros.clone(), offset: zeros }
    }

    /// Writes `d_gamma` and `d_beta`, and stores the coefficients that [`apply`](Self::apply) needs.
    pub fn prepare(
        &mut self,
        sums: &GradientSums,
        statistics: &Statistics,
        gamma: &[f32],
        epsilon: f64,
        d_gamma: &mut [f32],
        d_beta: &mut [f32],
    ) {
        let channels = gamma.len();
        for list in [&mut self.factor, &mut self.slope, &mut self.offset] {
            list.resize(channels, 0.0);
        }
        self.pivot.clone_from(&statistics.mean);
        let part = 1.0 / statistics.count;
        for channel in 0..channels {
            let inverse = 1.0 / (f64::from(statistics.variance[channel]) + epsilon).sqrt();
            let gradient = sums.d_z_y[channel] * inverse;
            d_gamma[channel] = gradient as f32;
            d_beta[channel] = sums.d_z[channel] as f32;
            let factor = f64::from(gamma[channel]) * inverse;
            let slope = -factor * inverse * gradient * part;
            let offset = -factor * sums.d_z[channel] * part;
            self.factor[channel] = factor as f32;
            self.slope[channel] = slope as f32;
            self.offset[channel] = offset as f32;
        }
    }

    /// Computes the gradient `d_y` of a block of pixels, a pixel to every `stride` values.
    pub fn apply(&self, d_z: &[f32], y: &[f32], d_y: &mut [f32], stride: usize) {
        let channels = self.factor.len();
        let pixels = block_pixels(channels);
        let inputs = d_z.chunks(pixels * channels).zip(y.chunks(pixels * channels));
        for ((d_z, y), d_y) in inputs.zip(d_y.chunks_mut(pixels * stride)) {
            sweep!(channels, 16 8 1, apply(self, d_z, y, d_y, stride));
        }
    }
}

#[inline(always)]
fn apply<const L: usize>(
    channel: usize,
    norm: &Backward,
    d_z: &[f32],
    y: &[f32],
    d_y: &mut [f32],
    stride: usize,
) {
    let channels = norm.factor.len();
    let [pivot, factor, slope, offset]: [[f32; L]; 4] =
        [&norm.pivot, &norm.factor, &norm.slope, &norm.offset].map(|list| lanes(list, channel));
    let pixels = d_z.chunks_exact(channels).zip(y.chunks_exact(channels));
    for ((d_z, y), d_y) in pixels.zip(d_y.chunks_exact_mut(stride)) {
        let (d_z, y): ([f32; L], [f32; L]) = (lanes(d_z, channel), lanes(y, channel));
        let Some(d_y) = d_y[channel..].first_chunk_mut::<L>() else { break };
        for lane in 0..L {
            let around = mul_add(y[lane] - pivot[lane], slope[lane], offset[lane]);
            d_y[lane] = mul_add(d_z[lane], factor[lane], around);
        }
    }
}
