//! Global average pooling: the mean over all pixels, channel by channel.
//!
//! Goes in: the last map. Comes out: the embedding. The sums are kept in the output, so the map is read once from
//! front to back. Next: the classifier.

/// Mean over the pixels of `input` (dense rows of `output.len()` channels): their sum in order, times `1 / pixels`.
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
