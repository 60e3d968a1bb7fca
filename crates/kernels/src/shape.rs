//! Shapes: feature maps, padding, activations and the geometry of a convolution.
//!
//! Feature maps are NHWC with the batch left out (`height × width × channels`, channels innermost), kernels are HWIO.

use serde::{Deserialize, Serialize};

/// The size of a feature map, stored row by row with channels innermost (HWC).
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
    /// Creates a `height × width × channels` map.
    pub const fn new(height: usize, width: usize, channels: usize) -> Self {
        Self { height, width, channels }
    }

    /// Returns `height · width`.
    pub const fn pixels(self) -> usize {
        self.height * self.width
    }

    /// Returns the number of values, `height · width · channels`.
    pub const fn len(self) -> usize {
        self.height * self.width * self.channels
    }

    /// Returns whether the map holds no values.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// How 3×3 convolutions meet the border. [`Same`](Padding::Same) and [`Symmetric`](Padding::Symmetric) give the same
/// output size and differ at stride 2 on even sizes; [`Keras`](Padding::Keras) differs from `Same` on odd ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "lowercase")]
pub enum Padding {
    /// TensorFlow's SAME: the padding is split, an odd row or column goes to the bottom or the right.
    #[default]
    Same,
    /// One row and column on every side (PyTorch, Caffe).
    Symmetric,
    /// `keras.applications`: SAME, but at stride 2 after the stem one row below and one column to the right
    /// (`ZeroPadding2D(((0, 1), (0, 1)))`), so that odd sizes are rounded down.
    Keras,
}

impl Padding {
    /// Returns the rows (or columns) of zeros before the first one of `size`, for a window of 3 at `stride`.
    pub const fn before(self, size: usize, stride: usize) -> usize {
        match self {
            Padding::Symmetric => 1,
            Padding::Keras if stride > 1 => 0,
            Padding::Same | Padding::Keras => {
                let covered = (size.div_ceil(stride) - 1) * stride + 3;
                covered.saturating_sub(size) / 2
            }
        }
    }

    /// The padding of the first convolution.
    pub const fn of_stem(self) -> Self {
        match self {
            Padding::Keras => Padding::Same,
            other => other,
        }
    }
}

/// The geometry of one convolution: 3×3 (standard, depthwise) or 1×1 (pointwise).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ConvShape {
    /// The input map.
    pub input: FeatureMap,
    /// The output map.
    pub output: FeatureMap,
    /// Side of the window: 3 or 1.
    pub kernel: usize,
    /// 1 or 2.
    pub stride: usize,
    /// Rows of zeros above the input.
    pub pad_top: usize,
    /// Columns of zeros left of the input.
    pub pad_left: usize,
}

impl ConvShape {
    /// Creates a 3×3 convolution of `input` with `channels` outputs.
    ///
    /// # Examples
    ///
    /// ```
    /// use mobilenet_kernels::shape::{ConvShape, FeatureMap, Padding};
    ///
    /// let shape = ConvShape::window(FeatureMap::new(224, 224, 3), 32, 2, Padding::Same);
    /// assert_eq!(shape.output, FeatureMap::new(112, 112, 32));
    /// assert_eq!((shape.pad_top, shape.pad_left), (0, 0)); // one row and column at the bottom and right
    /// ```
    pub const fn window(input: FeatureMap, channels: usize, stride: usize, padding: Padding) -> Self {
        let before = [padding.before(input.height, stride), padding.before(input.width, stride)];
        Self::window_after(input, channels, stride, before)
    }

    /// A 3×3 window over `input` after so many rows and columns of zeros (1 at stride 1, 0 or 1 at stride 2), and before
    /// as many as the last window takes.
    pub const fn window_after(input: FeatureMap, channels: usize, stride: usize, before: [usize; 2]) -> Self {
        let [pad_top, pad_left] = before;
        let height = if stride == 1 { input.height } else { (input.height + pad_top) / stride };
        let width = if stride == 1 { input.width } else { (input.width + pad_left) / stride };
        Self { input, output: FeatureMap::new(height, width, channels), kernel: 3, stride, pad_top, pad_left }
    }

    /// Creates a 1×1 convolution of `input` with `channels` outputs. A fully connected layer is one of a single pixel.
    pub const fn pointwise(input: FeatureMap, channels: usize) -> Self {
        let output = FeatureMap::new(input.height, input.width, channels);
        Self { input, output, kernel: 1, stride: 1, pad_top: 0, pad_left: 0 }
    }
}

/// The activation after a convolution and its batch norm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// The identity (a classifier's logits).
    None,
    /// `max(0, x)` (the MobileNet paper, Caffe).
    Relu,
    /// `min(max(0, x), 6)` (TensorFlow, Keras, timm).
    #[default]
    Relu6,
}

impl Activation {
    /// Returns the lower and upper bound that the kernels clamp to.
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
    #[cfg(target_arch = "wasm32")]
    use crate::browser_test as test;

    /// TensorFlow's rule: total = max((out − 1)·stride + 3 − in, 0), before = total / 2.
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
            for padding in [Padding::Symmetric, Padding::Same] {
                let shape = ConvShape::window(FeatureMap::new(size, size, 1), 1, 2, padding);
                assert_eq!(shape.output.height, symmetric, "size {size}");
            }
        }
    }

    /// Keras pads by (0, 1) and convolves VALID: `(size + 1 − 3) / 2 + 1`.
    #[test]
    fn keras_rounds_odd_sizes_down_after_the_stem() {
        for size in 2..40 {
            let shape = ConvShape::window(FeatureMap::new(size, size, 1), 1, 2, Padding::Keras);
            assert_eq!((shape.output.height, shape.pad_top), ((size + 1 - 3) / 2 + 1, 0), "size {size}");
        }
        assert_eq!(Padding::Keras.before(7, 1), 1);
        assert_eq!(Padding::Keras.of_stem(), Padding::Same);
    }
}
