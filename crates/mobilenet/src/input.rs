//! The network's input: where a resized image is written.

/// The network's input, `resolution × resolution × 3`, dense HWC.
#[derive(Debug)]
pub enum Input<'a> {
    /// Normalized, `(byte − mean) / deviation`, in the network's channel order.
    F32(&'a mut [f32]),
    /// Bytes as they are, red first whatever the network's order: the int8 stem normalizes.
    U8(&'a mut [u8]),
}

impl Input<'_> {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Input::F32(values) => values.len(),
            Input::U8(values) => values.len(),
        }
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
