//! Constants of a foreign graph: borrowed bytes with a shape, a type and perhaps a quantization.
//!
//! Goes in: what a parser found, unread. Comes out: kernels as HWIO in the type they deserve (floats, or bytes with one
//! scale per channel), vectors of floats, small integers. Shapes are checked against the bytes before anything is
//! allocated, and values are decoded and moved to their place in one pass. Next: `matcher`.

use mobilenet::Kernel;
use mobilenet::{Error, Result};
use std::borrow::Cow;

/// Type of a constant's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// IEEE single.
    F32,
    /// IEEE half.
    F16,
    /// The upper half of an IEEE single.
    Bf16,
    /// IEEE double.
    F64,
    /// Signed byte.
    I8,
    /// Unsigned byte.
    U8,
    /// Two signed bytes.
    I16,
    /// Two unsigned bytes.
    U16,
    /// Four signed bytes.
    I32,
    /// Eight signed bytes.
    I64,
}

impl Element {
    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            Element::I8 | Element::U8 => 1,
            Element::F16 | Element::Bf16 | Element::I16 | Element::U16 => 2,
            Element::F32 | Element::I32 => 4,
            Element::F64 | Element::I64 => 8,
        }
    }
}

/// What a whole number stands for: `(number − zero) · scale`, one pair, or one for each step along `axis`.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantization {
    /// Finite, at least one.
    pub scales: Vec<f64>,
    /// Empty (all zero), one, or as many as scales.
    pub zeros: Vec<f64>,
    /// The axis that several scales go along.
    pub axis: usize,
}

impl Quantization {
    /// One scale and one zero point for the whole tensor.
    pub fn uniform(scale: f64, zero: f64) -> Self {
        Self { scales: vec![scale], zeros: vec![zero], axis: 0 }
    }

    /// Scale and zero point of a channel.
    fn of(&self, channel: usize) -> (f64, f64) {
        let pick = |values: &[f64], absent| match values {
            [] => absent,
            [one] => *one,
            many => many.get(channel).copied().unwrap_or(absent),
        };
        (pick(&self.scales, 1.0), pick(&self.zeros, 0.0))
    }
}

/// How the axes of a kernel stand in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// TensorFlow: rows, columns, inputs, outputs.
    Hwio,
    /// TFLite: outputs, rows, columns, inputs.
    Ohwi,
    /// ONNX: outputs, inputs (of one group), rows, columns.
    Oihw,
    /// TensorFlow's depthwise: rows, columns, channels, multiplier.
    Hwcm,
    /// TFLite's depthwise: 1, rows, columns, channels.
    OneHwc,
    /// A matrix of outputs × inputs.
    Oi,
    /// A matrix of inputs × outputs.
    Io,
}

/// Geometry of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Rows and columns of the window.
    pub window: [usize; 2],
    /// Channels that go in, of all groups.
    pub inputs: usize,
    /// Channels that come out.
    pub outputs: usize,
    /// Whether every channel is filtered by itself.
    pub depthwise: bool,
}

/// A constant tensor of the file.
#[derive(Clone, Debug)]
pub struct Constant<'a> {
    /// Its name in the file.
    pub name: Cow<'a, str>,
    /// Lengths of the axes, row-major.
    pub shape: Vec<usize>,
    element: Element,
    bytes: Cow<'a, [u8]>,
    quantization: Option<Quantization>,
}

impl<'a> Constant<'a> {
    /// Checks the shape against the bytes, and the quantization against the shape.
    ///
    /// # Errors
    /// [`Error::shape`] or [`Error::format`] with the tensor's name.
    pub fn new(
        name: impl Into<Cow<'a, str>>,
        shape: Vec<usize>,
        element: Element,
        bytes: impl Into<Cow<'a, [u8]>>,
        quantization: Option<Quantization>,
    ) -> Result<Self> {
        let (name, bytes) = (name.into(), bytes.into());
        let wanted = shape.iter().try_fold(element.size(), |product, &axis| product.checked_mul(axis));
        if wanted != Some(bytes.len()) {
            let problem = format!(
                "tensor `{name}` of shape {shape:?} and type {element:?} has {} bytes, which do not match",
                bytes.len()
            );
            return Err(Error::format("graph", problem));
        }
        if let Some(Quantization { scales, zeros, axis }) = &quantization {
            let steps = shape.get(*axis).copied().unwrap_or(1);
            let fits = |count: usize| count <= 1 || count == steps;
            let sound = |value: &f64| value.is_finite();
            if !(fits(scales.len()) && fits(zeros.len()) && scales.iter().chain(zeros).all(sound))
                || scales.is_empty()
                || scales.iter().any(|scale| *scale < 0.0)
            {
                let problem = format!("tensor `{name}`: its quantization does not fit its shape {shape:?}");
                return Err(Error::format("graph", problem));
            }
        }
        Ok(Self { name, shape, element, bytes, quantization })
    }

    /// Type of its elements.
    pub fn element(&self) -> Element {
        self.element
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.element.size()
    }

    /// Whether the elements are bytes that stand for floats.
    fn is_quantized(&self) -> bool {
        self.quantization.is_some() && matches!(self.element, Element::I8 | Element::U8)
    }

    /// Numbers that stand elsewhere than in a tensor, as one.
    ///
    /// # Errors
    /// Where they are not as many as `shape` takes.
    pub fn of_numbers(name: &str, shape: Vec<usize>, values: &[f64]) -> Result<Constant<'static>> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Constant::new(name.to_owned(), shape, Element::F64, bytes, None)
    }

    /// The same constant under another quantization (a dequantising node).
    pub fn quantized(self, quantization: Quantization) -> Result<Self> {
        Self::new(self.name, self.shape, self.element, self.bytes, Some(quantization))
    }

    /// The same constant with its one scale per channel replaced, where it has none (an int32 bias).
    pub fn or_scales(mut self, scales: impl FnOnce() -> Option<Vec<f64>>) -> Self {
        if self.quantization.is_none()
            && matches!(self.element, Element::I32 | Element::I64)
            && let Some(scales) = scales()
        {
            self.quantization = Some(Quantization { scales, zeros: Vec::new(), axis: 0 });
        }
        self
    }

    /// Its scales, one or one per channel; none where it is not quantized.
    pub fn scales(&self) -> Option<&[f64]> {
        self.quantization.as_ref().map(|quantization| quantization.scales.as_slice())
    }

    /// The whole numbers of a small tensor (paddings, axes, shapes); `None` where it holds floats or more than 64.
    pub fn integers(&self) -> Option<Vec<i64>> {
        if self.len() > 64 {
            return None;
        }
        match self.element {
            Element::I32 => {
                let (values, _) = self.bytes.as_chunks::<4>();
                Some(values.iter().map(|&value| i64::from(i32::from_le_bytes(value))).collect())
            }
            Element::I64 => {
                let (values, _) = self.bytes.as_chunks::<8>();
                Some(values.iter().map(|&value| i64::from_le_bytes(value)).collect())
            }
            _ => None,
        }
    }

    /// Every element as a float, in the file's order. `channel` tells an element's place on the quantized axis.
    pub fn floats(&self) -> Vec<f32> {
        let inner = |axis: usize| {
            self.shape.get(axis.saturating_add(1)..).map_or(1, |rest| rest.iter().product::<usize>()).max(1)
        };
        let axis = self.quantization.as_ref().map_or(0, |quantization| quantization.axis);
        let (inner, steps) = (inner(axis), self.shape.get(axis).copied().unwrap_or(1).max(1));
        let mut index = 0;
        self.decode(Order::AsItIs, |_| {
            let channel = index / inner % steps;
            index += 1;
            channel
        })
    }

    /// The only element as a float.
    pub fn scalar(&self) -> Option<f32> {
        if self.len() == 1 { self.floats().first().copied() } else { None }
    }

    /// A vector of one float per channel from a constant that is broadcast: a scalar, or all elements along one axis,
    /// the one `from_end` axes before the last. `None` where it is neither.
    pub fn per_channel(&self, channels: usize, from_end: usize) -> Option<Vec<f32>> {
        if self.len() == 1 {
            return Some(vec![self.scalar()?; channels]);
        }
        let axis = self.shape.len().checked_sub(from_end + 1)?;
        (self.len() == channels && self.shape.get(axis) == Some(&channels)).then(|| self.floats())
    }

    /// Geometry of the kernel in this layout with so many groups; `None` where the rank or the groups do not fit.
    pub fn geometry(&self, layout: Layout, groups: usize) -> Option<Geometry> {
        let plain = |h, w, i, o| Geometry { window: [h, w], inputs: i, outputs: o, depthwise: false };
        let deep = |h, w, c| Geometry { window: [h, w], inputs: c, outputs: c, depthwise: true };
        match (layout, self.shape.as_slice(), groups) {
            (Layout::Hwio, &[h, w, i, o], 1) | (Layout::Ohwi, &[o, h, w, i], 1) => Some(plain(h, w, i, o)),
            (Layout::Oihw, &[o, i, h, w], 1) => Some(plain(h, w, i, o)),
            (Layout::Oihw, &[c, 1, h, w], groups) if groups == c => Some(deep(h, w, c)),
            (Layout::Hwcm, &[h, w, c, 1], _) | (Layout::OneHwc, &[1, h, w, c], _) => Some(deep(h, w, c)),
            (Layout::Oi, &[o, i], 1) | (Layout::Io, &[i, o], 1) => Some(plain(1, 1, i, o)),
            _ => None,
        }
    }

    /// Bytes that [`Constant::kernel`] will allocate.
    pub fn kernel_bytes(&self) -> usize {
        self.len().saturating_mul(4)
    }

    /// The kernel in HWIO order: bytes with scales where the file has them symmetric around zero, else floats.
    ///
    /// # Errors
    /// Where the scales do not go along the outputs.
    pub fn kernel(&self, layout: Layout, geometry: Geometry) -> Result<Kernel> {
        let outputs = geometry.outputs;
        let order = match layout {
            Layout::Hwio | Layout::Hwcm | Layout::OneHwc | Layout::Io => Order::AsItIs,
            Layout::Ohwi | Layout::Oi => Order::OutputsFirst { outputs, pixels: 1 },
            Layout::Oihw => Order::OutputsFirst { outputs, pixels: geometry.window[0] * geometry.window[1] },
        };
        if let Some(quantization) = &self.quantization
            && quantization.scales.len().max(quantization.zeros.len()) > 1
        {
            let wanted = match layout {
                Layout::Ohwi | Layout::Oihw | Layout::Oi => 0,
                Layout::Io => 1,
                Layout::Hwcm => 2,
                Layout::Hwio | Layout::OneHwc => 3,
            };
            if quantization.axis != wanted {
                let problem = format!(
                    "tensor `{}`: its scales go along axis {}, expected axis {wanted}, the outputs",
                    self.name, quantization.axis
                );
                return Err(Error::format("graph", problem));
            }
        }
        if let Some(kernel) = self.bytes_kernel(order, outputs) {
            return Ok(kernel);
        }
        Ok(Kernel::F32(self.decode(order, |index| if outputs == 0 { 0 } else { index % outputs })))
    }

    /// The kernel as signed bytes, where every one stands for `byte · scale` with −127 ≤ byte ≤ 127.
    fn bytes_kernel(&self, order: Order, outputs: usize) -> Option<Kernel> {
        let quantization = self.quantization.as_ref().filter(|_| self.is_quantized())?;
        let (flip, zero) = if self.element == Element::U8 { (0x80, 128.0) } else { (0, 0.0) };
        let centred = (0..outputs).all(|channel| quantization.of(channel).1 == zero);
        if !centred || self.bytes.iter().any(|byte| byte ^ flip == 0x80) {
            return None;
        }
        let scale = |channel| quantization.of(channel).0 as f32;
        // A channel of zeros may have no scale; a scale of one keeps it zero.
        let live = |channel: usize| scale(channel) > 0.0;
        let values =
            order.apply(
                &self.bytes,
                |index, &byte| {
                    if live(index % outputs.max(1)) { (byte ^ flip) as i8 } else { 0 }
                },
            );
        let scales = (0..outputs).map(|channel| if live(channel) { scale(channel) } else { 1.0 }).collect();
        Some(Kernel::Int8 { values, scales })
    }

    /// Decodes every element to the place that `order` gives it; `channel` tells, from that place, whose scale counts.
    fn decode(&self, order: Order, mut channel: impl FnMut(usize) -> usize) -> Vec<f32> {
        let bytes = &self.bytes;
        macro_rules! plain {
            ($size:literal, $one:expr) => {{
                let (values, _) = bytes.as_chunks::<$size>();
                order.apply(values, |_, &value| $one(value))
            }};
        }
        macro_rules! whole {
            ($size:literal, $type:ty) => {{
                let (values, _) = bytes.as_chunks::<$size>();
                let absent = Quantization::uniform(1.0, 0.0);
                let quantization = self.quantization.as_ref().unwrap_or(&absent);
                order.apply(values, |index, &value| {
                    let (scale, zero) = quantization.of(channel(index));
                    ((<$type>::from_le_bytes(value) as f64 - zero) * scale) as f32
                })
            }};
        }
        match self.element {
            Element::F32 => plain!(4, f32::from_le_bytes),
            Element::F16 => plain!(2, |value| half::f16::from_le_bytes(value).to_f32()),
            Element::Bf16 => plain!(2, |value| half::bf16::from_le_bytes(value).to_f32()),
            Element::F64 => plain!(8, |value| f64::from_le_bytes(value) as f32),
            Element::I8 => whole!(1, i8),
            Element::U8 => whole!(1, u8),
            Element::I16 => whole!(2, i16),
            Element::U16 => whole!(2, u16),
            Element::I32 => whole!(4, i32),
            Element::I64 => whole!(8, i64),
        }
    }
}

/// Where the elements of a kernel go.
#[derive(Clone, Copy)]
enum Order {
    AsItIs,
    /// Outputs outermost become innermost; inside an output `pixels` innermost (OIHW) become outermost.
    OutputsFirst {
        outputs: usize,
        pixels: usize,
    },
}

impl Order {
    /// Outputs that are moved together, so that the result is written in runs.
    const STRIP: usize = 16;

    /// Moves and converts in one pass; `one` sees the place in the result.
    fn apply<T, U: Copy + Default>(self, input: &[T], mut one: impl FnMut(usize, &T) -> U) -> Vec<U> {
        let Order::OutputsFirst { outputs, pixels } = self else {
            return input.iter().enumerate().map(|(index, value)| one(index, value)).collect();
        };
        let mut output = vec![U::default(); input.len()];
        if input.is_empty() || outputs == 0 || pixels == 0 {
            return output;
        }
        let columns = input.len() / outputs;
        let inputs = columns / pixels;
        for strip in (0..outputs).step_by(Self::STRIP) {
            for column in 0..columns {
                let row = column % pixels * inputs + column / pixels;
                for channel in strip..outputs.min(strip + Self::STRIP) {
                    let index = row * outputs + channel;
                    output[index] = one(index, &input[channel * columns + column]);
                }
            }
        }
        output
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(shape: &[usize]) -> Constant<'static> {
        let elements: usize = shape.iter().product();
        let bytes: Vec<u8> = (0..elements).flat_map(|value| (value as f32).to_le_bytes()).collect();
        Constant::new("k", shape.to_vec(), Element::F32, bytes, None).unwrap()
    }

    /// Against the definition: the element at (h, w, i, o), found by its strides in the file.
    #[test]
    fn every_layout_ends_as_hwio() {
        let (h, w, i, o) = (2, 3, 4, 37);
        let cases: [(Layout, [usize; 4], [usize; 4]); 3] = [
            (Layout::Hwio, [h, w, i, o], [w * i * o, i * o, o, 1]),
            (Layout::Ohwi, [o, h, w, i], [w * i, i, 1, h * w * i]),
            (Layout::Oihw, [o, i, h, w], [w, 1, h * w, i * h * w]),
        ];
        for (layout, shape, strides) in cases {
            let constant = counted(&shape);
            let geometry = constant.geometry(layout, 1).unwrap();
            assert_eq!((geometry.window, geometry.inputs, geometry.outputs), ([h, w], i, o), "{layout:?}");
            let Kernel::F32(values) = constant.kernel(layout, geometry).unwrap() else { panic!() };
            for (index, value) in values.iter().enumerate() {
                let place = [index / (o * i * w), index / (o * i) % w, index / o % i, index % o];
                let wanted: usize = place.iter().zip(&strides).map(|(place, stride)| place * stride).sum();
                assert_eq!(*value, wanted as f32, "{layout:?} at {place:?}");
            }
        }
        let depthwise = counted(&[5, 1, 3, 3]);
        let geometry = depthwise.geometry(Layout::Oihw, 5).unwrap();
        let Kernel::F32(values) = depthwise.kernel(Layout::Oihw, geometry).unwrap() else { panic!() };
        assert_eq!(values[1], 9.0, "channel 1 of the first pixel");
        assert_eq!(values[5], 1.0, "channel 0 of the second pixel");
    }

    /// A negative axis in a file; with one scale it says nothing.
    #[test]
    fn an_axis_beyond_any_shape_is_no_overflow() {
        let nowhere = Quantization { scales: vec![0.5], zeros: vec![1.0], axis: usize::MAX };
        let constant = Constant::new("k", vec![3], Element::I8, vec![3, 2, 1], Some(nowhere)).unwrap();
        assert_eq!(constant.floats(), [1.0, 0.5, 0.0]);
    }

    #[test]
    fn symmetric_bytes_stay_bytes_and_others_become_floats() {
        let scales = Quantization { scales: vec![0.5, 0.25], zeros: vec![0.0, 0.0], axis: 0 };
        let bytes = |values: Vec<u8>, element, quantization: &Quantization| {
            let constant =
                Constant::new("k", vec![2, 3], element, values, Some(quantization.clone())).unwrap();
            let geometry = constant.geometry(Layout::Oi, 1).unwrap();
            constant.kernel(Layout::Oi, geometry)
        };
        let signed = bytes(vec![1, 2, 3, 255, 254, 253], Element::I8, &scales).unwrap();
        let wanted = Kernel::Int8 { values: vec![1, -1, 2, -2, 3, -3], scales: vec![0.5, 0.25] };
        assert_eq!(signed, wanted);
        let lowest = bytes(vec![128, 2, 3, 255, 254, 253], Element::I8, &scales).unwrap();
        assert_eq!(lowest, Kernel::F32(vec![-64.0, -0.25, 1.0, -0.5, 1.5, -0.75]));
        let unsigned =
            bytes(vec![129, 130, 131, 127, 126, 125], Element::U8, &Quantization::uniform(0.5, 128.0));
        assert_eq!(
            unsigned.unwrap(),
            Kernel::Int8 { values: vec![1, -1, 2, -2, 3, -3], scales: vec![0.5; 2] }
        );
        let shifted =
            bytes(vec![129, 130, 131, 127, 126, 125], Element::U8, &Quantization::uniform(0.5, 127.0));
        assert_eq!(shifted.unwrap(), Kernel::F32(vec![1.0, 0.0, 1.5, -0.5, 2.0, -1.0]));
        let along = Quantization { scales: vec![1.0; 3], zeros: Vec::new(), axis: 1 };
        let refused = bytes(vec![0; 6], Element::I8, &along).unwrap_err().to_string();
        assert!(refused.contains("along axis 1, expected axis 0"), "{refused}");
    }

    #[test]
    fn a_shape_or_quantisation_that_lies_is_refused() {
        let new = |shape: Vec<usize>, quantization| {
            Constant::new("k", shape, Element::I8, vec![0; 6], quantization)
        };
        assert!(new(vec![2, 4], None).unwrap_err().to_string().contains("has 6 bytes"));
        assert!(new(vec![usize::MAX, 6], None).is_err());
        let quantized = |scales| Some(Quantization { scales, zeros: Vec::new(), axis: 0 });
        assert!(new(vec![2, 3], quantized(vec![1.0; 3])).is_err());
        assert!(new(vec![2, 3], quantized(vec![f64::NAN])).is_err());
        assert!(new(vec![2, 3], quantized(vec![-1.0])).is_err());
        assert!(new(vec![2, 3], quantized(Vec::new())).is_err());
    }

    #[test]
    fn a_vector_is_per_channel_only_along_the_channels() {
        assert_eq!(counted(&[3, 1, 1]).per_channel(3, 2), Some(vec![0.0, 1.0, 2.0]));
        assert_eq!(counted(&[3]).per_channel(3, 2), None);
        assert_eq!(counted(&[1, 1, 3]).per_channel(3, 0), Some(vec![0.0, 1.0, 2.0]));
        assert_eq!(counted(&[]).per_channel(2, 0), Some(vec![0.0, 0.0]));
    }
}
