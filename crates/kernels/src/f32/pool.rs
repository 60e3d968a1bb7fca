//! Global average pooling: the mean of each channel over all pixels.

/// Computes the mean over the pixels of `input`, a dense map of `output.len()` channels: the sum in pixel order, times
/// `1 / pixels`.
///
/// The sums accumulate in `output`, so that the map is read once from front to back.
///
/// # Panics
///
/// If `output` is empty.
///
/// # Examples
///
/// ```
/// use mobilenet_kernels::f32::pool;
///
/// let map = [1.0, 10.0, 2.0, 20.0, 6.0, 60.0]; // three pixels of two channels
/// let mut mean = [0.0; 2];
/// pool::forward(&map, &mut mean);
/// assert_eq!(mean, [3.0, 30.0]);
/// ```
pub fn forward(input: &[f32], output: &mut [f32]) {
    output.fill(0.0);
    let pixels = input.chunks_exact(output.len());
    let share = 1.0 / pixels.len() as f32;
    for pixel in pixels {
        for (sum, &value) in output.iter_mut().zip(pixel) {
            *sum += value;
        }
    }
    for sum in output {
        *sum *= share;
    }
}
