//! The letters of the project, declared once: feature maps, padding and the geometry of one convolution.
//!
//! Everything here is plain integers. Maps are NHWC with the batch left out (`height × width × channels`,
//! channels innermost), kernels are HWIO. `model` computes these shapes from the architecture, `kernels` obey them.

use serde::{Deserialize, Serialize};

/// Size of one feature map, stored row by row with channels innermost (HWC).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FeatureMap {
    /// Rows.
    pub height: usize,
    /// Pixels in a row.
    pub width: usize,
    /// Values at each pixel.
    pub channels: usize,
}

impl FeatureMap {
    /// A map of `height × width × channels`.
    pub const fn new(height: usize, width: usize, channels: usize) -> Self {
        Self { height, width, channels }
    }

    /// `height · width`.
    pub const fn pixels(self) -> usize {
        self.height * self.width
    }

    /// `height · width · channels`, the number of values.
    pub const fn len(self) -> usize {
        self.height * self.width * self.channels
    }

    /// Whether the map holds no value at all.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// How a 3×3 convolution meets the border. Both give the same output size; they differ at stride 2 on even sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Padding {
    /// TensorFlow's SAME: what is missing is split, the odd row or column goes to the bottom and the right.
    #[default]
    Same,
    /// One row and column on every side (PyTorch, Caffe).
    Symmetric,
}

impl Padding {
    /// Rows (or columns) of zeros before the first, for a 3-wide window at `stride` over `size` rows.
    pub const fn before(self, size: usize, stride: usize) -> usize {
        match self {
            Padding::Symmetric => 1,
            Padding::Same => {
                let covered = (size.div_ceil(stride) - 1) * stride + 3;
                covered.saturating_sub(size) / 2
            }
        }
    }
}

/// Geometry of one convolution: stem, depthwise, standard (3×3) or pointwise (1×1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ConvShape {
    /// Map that goes in.
    pub input: FeatureMap,
    /// Map that comes out.
    pub output: FeatureMap,
    /// Window side: 3 or 1.
    pub kernel: usize,
    /// 1 or 2.
    pub stride: usize,
    /// Zero rows above the input.
    pub pad_top: usize,
    /// Zero columns left of the input.
    pub pad_left: usize,
}

impl ConvShape {
    /// A 3×3 window over `input` giving `channels` maps of `ceil(size / stride)`.
    pub const fn window(input: FeatureMap, channels: usize, stride: usize, padding: Padding) -> Self {
        let output = FeatureMap::new(input.height.div_ceil(stride), input.width.div_ceil(stride), channels);
        let pad_top = padding.before(input.height, stride);
        let pad_left = padding.before(input.width, stride);
        Self { input, output, kernel: 3, stride, pad_top, pad_left }
    }

    /// A 1×1 convolution: every pixel by itself. The fully connected layer is one with a single pixel.
    pub const fn pointwise(input: FeatureMap, channels: usize) -> Self {
        let output = FeatureMap::new(input.height, input.width, channels);
        Self { input, output, kernel: 1, stride: 1, pad_top: 0, pad_left: 0 }
    }
}

/// What follows a convolution (and its batch norm).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// Nothing: the classifier.
    None,
    /// `max(0, x)` (the paper, Caffe).
    Relu,
    /// `min(max(0, x), 6)` (TensorFlow, Keras, timm).
    #[default]
    Relu6,
}

impl Activation {
    /// Lower and upper bound as the kernels clamp to.
    pub const fn bounds(self) -> (f32, f32) {
        match self {
            Activation::None => (f32::NEG_INFINITY, f32::INFINITY),
            Activation::Relu => (0.0, f32::INFINITY),
            Activation::Relu6 => (0.0, 6.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// TensorFlow's own rule written out: total = max((out − 1)·stride + 3 − in, 0), before = total / 2.
    #[test]
    fn same_padding_is_zero_before_even_sizes_at_stride_two() {
        assert_eq!(Padding::Same.before(224, 2), 0);
        assert_eq!(Padding::Same.before(225, 2), 1);
        assert_eq!(Padding::Same.before(14, 1), 1);
        assert_eq!(Padding::Same.before(1, 2), 1);
        assert_eq!(Padding::Same.before(2, 2), 0);
        assert_eq!(Padding::Symmetric.before(224, 2), 1);
    }

    #[test]
    fn both_paddings_give_the_same_size() {
        for size in 1..40 {
            let symmetric = (size + 2 - 3) / 2 + 1;
            let shape = ConvShape::window(FeatureMap::new(size, size, 1), 1, 2, Padding::Symmetric);
            assert_eq!(shape.output.height, symmetric, "size {size}");
        }
    }
}
