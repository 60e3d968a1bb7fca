//! Batch norm with the batch's own statistics, forward and backward, in the form that lets the convolutions around it
//! apply it while they read.
//!
//! A convolution's output is remembered once, as the convolution gave it. Batch norm and ReLU are an affine map and a
//! clamp ([`Affine`]) that the next layer applies on the way in; on the way back the gradient of the convolution's
//! output is again affine, in the gradient behind the ReLU and the remembered output ([`Backward`]). So each map
//! is written once forward and once backward, and nothing between is ever stored.
//!
//! The naive form, per channel over the m pixels of the batch (Ioffe and Szegedy, arXiv 1502.03167):
//! `x̂ = (y − mean) / sqrt(variance + ε)`, `z = γ·x̂ + β`;
//! `d_β = Σ d_z`, `d_γ = Σ d_z·x̂`, `d_y = γ / sqrt(variance + ε) · (d_z − d_β / m − x̂ · d_γ / m)`.

use super::matmul::mul_add;
use crate::shape::Activation;

/// What a reader does to a remembered map: `clamp(scale · (y − pivot) + shift, low, high)`, per channel. The pivot is
/// the mean: subtracted first it leaves nothing to cancel, and the sign of what comes out, which decides whether a
/// gradient passes, is right to the last bits.
#[derive(Clone, Debug)]
pub struct Affine {
    /// One subtrahend per channel.
    pub pivot: Vec<f32>,
    /// One factor per channel.
    pub scale: Vec<f32>,
    /// One addend per channel.
    pub shift: Vec<f32>,
    /// Least value that comes out.
    pub low: f32,
    /// Greatest value that comes out.
    pub high: f32,
}

impl Affine {
    /// Leaves `channels` channels as they are (the picture that the stem reads).
    pub fn identity(channels: usize) -> Self {
        let (low, high) = Activation::None.bounds();
        Self { pivot: vec![0.0; channels], scale: vec![1.0; channels], shift: vec![0.0; channels], low, high }
    }

    /// `input` (whole pixels) as the next layer sees it.
    #[inline]
    pub fn read(&self, input: &[f32], output: &mut [f32]) {
        let channels = self.scale.len();
        for (output, input) in output.chunks_exact_mut(channels).zip(input.chunks_exact(channels)) {
            self.read_pixel(input, output);
        }
    }

    /// One pixel.
    #[inline]
    pub fn read_pixel(&self, input: &[f32], output: &mut [f32]) {
        let coefficients = self.pivot.iter().zip(&self.scale).zip(&self.shift);
        for ((output, &input), ((&pivot, &scale), &shift)) in output.iter_mut().zip(input).zip(coefficients) {
            *output = mul_add(scale, input - pivot, shift).max(self.low).min(self.high);
        }
    }

    /// Takes the gradient of what was read, `d_read`, back through the clamp: where `read` lies strictly between the
    /// bounds it passes, elsewhere it is zero (TensorFlow's rule at the bounds themselves).
    #[inline]
    pub fn back_pixel(&self, read: &[f32], d_read: &[f32], d_z: &mut [f32]) {
        for ((d_z, &read), &d_read) in d_z.iter_mut().zip(read).zip(d_read) {
            *d_z = if read > self.low && read < self.high { d_read } else { 0.0 };
        }
    }
}

/// Mean and scatter of every channel of a map, gathered block by block while the map is written.
#[derive(Clone, Debug, Default)]
pub struct Moments {
    count: f64,
    mean: Vec<f64>,
    scatter: Vec<f64>,
    block_mean: Vec<f32>,
    block_scatter: Vec<f32>,
}

impl Moments {
    /// Forgets everything and counts `channels` channels from now on.
    pub fn reset(&mut self, channels: usize) {
        self.count = 0.0;
        for (list, value) in [(&mut self.mean, 0.0), (&mut self.scatter, 0.0)] {
            list.clear();
            list.resize(channels, value);
        }
        self.block_mean.resize(channels, 0.0);
        self.block_scatter.resize(channels, 0.0);
    }

    /// Adds a block of pixels, which should lie in the cache still, for it is read twice: the mean first, then the
    /// squares around it, so that nothing cancels. Blocks are joined by Chan's rule in `f64`.
    pub fn add(&mut self, block: &[f32]) {
        let channels = self.mean.len();
        let count = (block.len() / channels) as f64;
        if count == 0.0 {
            return;
        }
        self.block_mean.fill(0.0);
        self.block_scatter.fill(0.0);
        for pixel in block.chunks_exact(channels) {
            for (sum, &value) in self.block_mean.iter_mut().zip(pixel) {
                *sum += value;
            }
        }
        let part = 1.0 / count as f32;
        self.block_mean.iter_mut().for_each(|sum| *sum *= part);
        for pixel in block.chunks_exact(channels) {
            for ((sum, &mean), &value) in self.block_scatter.iter_mut().zip(&self.block_mean).zip(pixel) {
                *sum = mul_add(value - mean, value - mean, *sum);
            }
        }
        let total = self.count + count;
        for channel in 0..channels {
            let difference = f64::from(self.block_mean[channel]) - self.mean[channel];
            self.mean[channel] += difference * count / total;
            self.scatter[channel] +=
                f64::from(self.block_scatter[channel]) + difference * difference * self.count * count / total;
        }
        self.count = total;
    }

    /// Mean of a channel.
    pub fn mean(&self, channel: usize) -> f64 {
        self.mean[channel]
    }

    /// Variance of a channel over the batch (divided by the count, as batch norm uses it).
    pub fn variance(&self, channel: usize) -> f64 {
        self.scatter[channel] / self.count
    }

    /// Pixels seen.
    pub fn count(&self) -> f64 {
        self.count
    }
}

/// Sums over the batch that batch norm's gradient needs, gathered while the gradient is written.
#[derive(Clone, Debug, Default)]
pub struct GradientSums {
    mean: Vec<f32>,
    d_z: Vec<f64>,
    d_z_y: Vec<f64>,
    block_d_z: Vec<f32>,
    block_d_z_y: Vec<f32>,
}

impl GradientSums {
    /// Forgets everything; `mean` is the batch's mean of each channel.
    pub fn reset(&mut self, mean: &[f32]) {
        self.mean.clear();
        self.mean.extend_from_slice(mean);
        for list in [&mut self.d_z, &mut self.d_z_y] {
            list.clear();
            list.resize(mean.len(), 0.0);
        }
        for list in [&mut self.block_d_z, &mut self.block_d_z_y] {
            list.clear();
            list.resize(mean.len(), 0.0);
        }
    }

    /// Adds one pixel: the gradient behind the ReLU and the remembered output.
    #[inline]
    pub fn add_pixel(&mut self, d_z: &[f32], y: &[f32]) {
        let sums = self.block_d_z.iter_mut().zip(&mut self.block_d_z_y).zip(&self.mean);
        for (((sum, product), &mean), (&d_z, &y)) in sums.zip(d_z.iter().zip(y)) {
            *sum += d_z;
            *product = mul_add(d_z, y - mean, *product);
        }
    }

    /// Ends a block: what was gathered in `f32` goes over into `f64`.
    pub fn flush(&mut self) {
        for (total, block) in self.d_z.iter_mut().zip(&mut self.block_d_z) {
            *total += f64::from(std::mem::take(block));
        }
        for (total, block) in self.d_z_y.iter_mut().zip(&mut self.block_d_z_y) {
            *total += f64::from(std::mem::take(block));
        }
    }
}

/// The statistics of one batch, per channel.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    /// Mean.
    pub mean: Vec<f32>,
    /// Variance, divided by the count.
    pub variance: Vec<f32>,
    /// Pixels in the batch.
    pub count: f64,
}

impl Statistics {
    /// What a variance is multiplied with to be an unbiased estimate (TensorFlow's fused batch norm keeps moving
    /// averages of those).
    pub fn unbiased(&self) -> f32 {
        (self.count / (self.count - 1.0).max(1.0)) as f32
    }
}

/// From the moments of a batch to what the next layer applies.
pub fn forward(
    moments: &Moments,
    gamma: &[f32],
    beta: &[f32],
    epsilon: f64,
    statistics: &mut Statistics,
    affine: &mut Affine,
) {
    statistics.count = moments.count();
    for channel in 0..gamma.len() {
        statistics.mean[channel] = moments.mean(channel) as f32;
        statistics.variance[channel] = moments.variance(channel) as f32;
    }
    let Statistics { mean, variance, .. } = &*statistics;
    inference(mean, variance, gamma, beta, epsilon, affine);
}

/// The same from moving averages.
pub fn inference(
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

/// Gradient of a convolution's output: `d_y = d_z · factor + (y − mean) · slope + offset`, per channel.
#[derive(Clone, Debug, Default)]
pub struct Backward {
    pivot: Vec<f32>,
    factor: Vec<f32>,
    slope: Vec<f32>,
    offset: Vec<f32>,
}

impl Backward {
    /// Leaves the gradient as it is: for testing a convolution by itself.
    #[cfg(test)]
    pub(super) fn identity(channels: usize) -> Self {
        let zeros = vec![0.0; channels];
        Self { pivot: zeros.clone(), factor: vec![1.0; channels], slope: zeros.clone(), offset: zeros }
    }

    /// Writes `d_gamma` and `d_beta`, and keeps what is needed for `d_y`.
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

    /// Gradient of one pixel of the convolution's output.
    #[inline]
    pub fn apply_pixel(&self, d_z: &[f32], y: &[f32], d_y: &mut [f32]) {
        let coefficients = self.pivot.iter().zip(&self.factor).zip(self.slope.iter().zip(&self.offset));
        let values = d_y.iter_mut().zip(d_z.iter().zip(y));
        for ((d_y, (&d_z, &y)), ((&pivot, &factor), (&slope, &offset))) in values.zip(coefficients) {
            *d_y = mul_add(d_z, factor, mul_add(y - pivot, slope, offset));
        }
    }
}
