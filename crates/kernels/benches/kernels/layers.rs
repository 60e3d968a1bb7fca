//! The layers of a network, packed, compared with the naive kernels and ready to run.

use mobilenet_kernels::int8::{native, padded_channels, panel};
use mobilenet_kernels::shape::{Activation, ConvShape, FeatureMap, Padding};
use mobilenet_kernels::{f32, int8, reference};

/// The kinds of layers, with their names.
pub const KINDS: [(&str, Kind); 4] = [
    ("stem", Kind::Stem),
    ("depthwise", Kind::Depthwise),
    ("pointwise", Kind::Pointwise),
    ("classifier", Kind::Classifier),
];

/// Numbers in ±1.
fn numbers(len: usize) -> Vec<f32> {
    (0..len as u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0).collect()
}

/// Integers in ±`largest`.
fn integers<T>(len: usize, largest: f32, convert: fn(f32) -> T) -> Vec<T> {
    numbers(len).into_iter().map(|number| convert((number * largest).round())).collect()
}

/// What a layer computes.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Stem,
    Depthwise,
    Pointwise,
    Classifier,
}

/// A layer to time.
pub struct Layer {
    pub name: String,
    pub kind: Kind,
    pub shape: ConvShape,
}

impl Layer {
    fn new(name: impl Into<String>, kind: Kind, shape: ConvShape) -> Self {
        Self { name: name.into(), kind, shape }
    }

    /// Weights of the kernel.
    fn weights(&self) -> usize {
        let inputs = if self.kind == Kind::Depthwise { 1 } else { self.shape.input.channels };
        self.shape.kernel * self.shape.kernel * inputs * self.shape.output.channels
    }

    pub fn multiply_adds(&self) -> u64 {
        (self.shape.output.pixels() * self.weights()) as u64
    }

    /// The first output row alone, which is enough to compare.
    fn first_row(&self) -> ConvShape {
        let mut shape = self.shape;
        shape.output.height = 1;
        shape
    }
}

/// The layers of the network: (stride, channels) of every depthwise-separable block.
pub fn network() -> Vec<Layer> {
    let blocks = [(1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512)];
    let blocks = blocks.into_iter().chain([(1, 512); 5]).chain([(2, 1024), (1, 1024)]);
    let stem = ConvShape::window(FeatureMap::new(224, 224, 3), 32, 2, Padding::Same);
    let mut layers = vec![Layer::new("stem", Kind::Stem, stem)];
    let mut input = stem.output;
    for (index, (stride, channels)) in blocks.enumerate() {
        let depthwise = ConvShape::window(input, input.channels, stride, Padding::Same);
        let pointwise = ConvShape::pointwise(depthwise.output, channels);
        layers.push(Layer::new(format!("depthwise {}", index + 1), Kind::Depthwise, depthwise));
        layers.push(Layer::new(format!("pointwise {}", index + 1), Kind::Pointwise, pointwise));
        input = pointwise.output;
    }
    let classifier = ConvShape::pointwise(FeatureMap::new(1, 1, 1024), 1000);
    layers.push(Layer::new("classifier", Kind::Classifier, classifier));
    layers
}

/// A layer ready to run.
pub type Run = Box<dyn FnMut()>;
/// A layer ready to run into a given output.
type RunInto<T> = Box<dyn FnMut(&mut [T])>;

/// Packs a float32 layer and compares its output with the reference.
pub fn prepare_f32(layer: &Layer) -> Run {
    use f32::{depthwise, pointwise, window};
    let (shape, activation) = (layer.shape, Activation::Relu6);
    let (kernel, bias) = (numbers(layer.weights()), numbers(shape.output.channels));
    let input = numbers(shape.input.len());
    let mut wanted = vec![0.0; layer.first_row().output.len()];
    let reference = match layer.kind {
        Kind::Depthwise => reference::depthwise,
        _ => reference::convolution,
    };
    reference(&layer.first_row(), activation, &input, &kernel, &bias, &mut wanted);
    let rows = 0..shape.output.height;
    let mut run: RunInto<f32> = match layer.kind {
        Kind::Stem => {
            let packed = window::pack(kernel, &bias);
            let mut scratch = vec![0.0; window::scratch_len(&shape)];
            Box::new(move |output| {
                window::forward(&shape, &packed, activation, rows.clone(), &input, &mut scratch, output);
            })
        }
        Kind::Depthwise => {
            let packed = depthwise::pack(&kernel, &bias);
            Box::new(move |output| {
                depthwise::forward(&shape, &packed, activation, rows.clone(), &input, output)
            })
        }
        Kind::Pointwise | Kind::Classifier => {
            let packed = pointwise::pack(kernel, &bias);
            Box::new(move |output| pointwise::forward(&packed, activation, &input, output))
        }
    };
    let mut output = vec![0.0; shape.output.len()];
    run(&mut output);
    let terms = layer.weights() as f32 / shape.output.channels as f32;
    let tolerance = terms * terms.sqrt() * f32::EPSILON;
    for (got, wanted) in output.iter().zip(&wanted) {
        assert!((got - wanted).abs() <= tolerance, "{}: {got}, not {wanted}", layer.name);
    }
    Box::new(move || run(&mut output))
}

/// Packs an int8 layer and compares its output with the reference.
pub fn prepare_int8(layer: &Layer) -> Run {
    match layer.kind {
        Kind::Stem => prepare_int8_stem(layer),
        Kind::Depthwise => prepare_int8_depthwise(layer),
        Kind::Pointwise => prepare_int8_pointwise(layer),
        Kind::Classifier => prepare_int8_classifier(layer),
    }
}

fn activations(shape: &ConvShape) -> Vec<u8> {
    integers(shape.input.len(), 127.0, |number| number.abs() as u8)
}

fn prepare_int8_stem(layer: &Layer) -> Run {
    use int8::stem;
    let (shape, outputs) = (layer.shape, layer.shape.output.channels);
    let (input, rows) = (activations(&shape), 0..shape.output.height);
    let kernel: Vec<i16> = integers(layer.weights(), 2000.0, |number| number as i16);
    let (bias, scale, mean) = (vec![0; outputs], vec![1e-6; outputs], [127.5; 3]);
    let packed = stem::pack(&kernel, &bias, &scale, mean);
    let mut scratch = vec![0; stem::scratch_len(&shape, rows.len())];
    let mut output = vec![0; shape.output.pixels() * padded_channels(outputs)];
    let wanted = int8::reference::stem(&layer.first_row(), &input, &kernel, &bias, &scale, mean);
    let mut run = move |output: &mut [u8]| {
        stem::forward(&shape, &packed, rows.clone(), &input, &mut scratch, output);
    };
    run(&mut output);
    assert_eq!(output[..wanted.len()], wanted, "{}", layer.name);
    Box::new(move || run(&mut output))
}

fn prepare_int8_depthwise(layer: &Layer) -> Run {
    use int8::depthwise;
    let (shape, channels, tile) = (layer.shape, layer.shape.output.channels, panel::tile_pixels());
    let (input, rows) = (activations(&shape), 0..shape.output.height);
    let kernel: Vec<i8> = integers(layer.weights(), 28.0, |number| number as i8);
    let (bias, factor) = (vec![100; channels], vec![600; channels]);
    let packed = depthwise::pack(&kernel, &bias, &factor);
    let mut output = vec![Default::default(); panel::len(shape.output.pixels(), channels, tile)];
    let wanted = int8::reference::depthwise(&layer.first_row(), &input, &kernel, &bias, &factor);
    let run = move |output: &mut panel::NativePanel| {
        native::depthwise(&shape, &packed, rows.clone(), &input, output);
    };
    run(&mut output);
    for (index, &wanted) in wanted.iter().enumerate() {
        let got = panel::get(&output, index / channels, index % channels, channels, tile);
        assert_eq!(got, wanted, "{}", layer.name);
    }
    Box::new(move || run(&mut output))
}

fn prepare_int8_pointwise(layer: &Layer) -> Run {
    let (shape, tile) = (layer.shape, panel::tile_pixels());
    let (inputs, outputs, pixels) = (shape.input.channels, shape.output.channels, shape.output.pixels());
    let kernel: Vec<i8> = integers(layer.weights(), 127.0, |number| number as i8);
    let bias: Vec<i32> = integers(outputs, 5000.0, |number| number as i32);
    let scale = vec![0.5 / (inputs as f32).sqrt() / 127.0; outputs];
    let packed = native::pack_pointwise(kernel.clone(), &bias, &scale);
    let len = panel::len(pixels, inputs, tile);
    let input: Vec<panel::NativeElement> =
        integers(len, 127.0, |number| number.abs() as panel::NativeElement);
    let first_pixel: Vec<u8> =
        (0..inputs).map(|channel| panel::get(&input, 0, channel, inputs, tile)).collect();
    let wanted = int8::reference::pointwise(&first_pixel, &kernel, &bias, &scale);
    let mut output = vec![0; pixels * padded_channels(outputs)];
    let run = move |output: &mut [u8]| native::pointwise(&packed, pixels, &input, output);
    run(&mut output);
    assert_eq!(output[..outputs], wanted, "{}", layer.name);
    Box::new(move || run(&mut output))
}

fn prepare_int8_classifier(layer: &Layer) -> Run {
    let (inputs, outputs) = (layer.shape.input.channels, layer.shape.output.channels);
    let kernel: Vec<i8> = integers(layer.weights(), 127.0, |number| number as i8);
    let (embedding, scale, bias) = (numbers(inputs), vec![0.01; outputs], numbers(outputs));
    let packed = int8::classifier::pack(kernel.clone(), &scale, &bias);
    let wanted = int8::reference::classifier(&embedding, &kernel, &scale, &bias);
    let (mut scratch, mut logits) = (vec![0; padded_channels(inputs)], vec![0.0; outputs]);
    let mut run = move |logits: &mut [f32]| {
        int8::classifier::forward(&packed, &embedding, &mut scratch, logits);
    };
    run(&mut logits);
    assert_eq!(logits, wanted, "{}", layer.name);
    Box::new(move || run(&mut logits))
}
