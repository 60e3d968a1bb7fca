//! `cargo bench -p mobilenet-kernels`: the throughput of every kernel in multiply-adds per second, and of a loop of
//! independent multiply-adds in registers, the peak that a kernel over the same vectors can reach.
//!
//! The layers are those of a 224×224 network of width 1.0 (table 1 of arXiv 1704.04861). Groups `f32` and `int8` time
//! all layers of a kind together, `f32 layers` and `int8 layers` each alone. Every result is compared with the naive
//! kernels before it is timed.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mobilenet_kernels::int8::{native, padded_channels, panel};
use mobilenet_kernels::shape::{Activation, ConvShape, FeatureMap, Padding};
use mobilenet_kernels::simd::{F32x4, I16x8, I32x4};
use mobilenet_kernels::{f32, int8, reference};
use std::hint::black_box;
use std::time::Duration;

/// Numbers in ±1.
fn numbers(len: usize) -> Vec<f32> {
    (0..len as u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0).collect()
}

/// Integers in ±`largest`.
fn integers<T>(len: usize, largest: f32, convert: fn(f32) -> T) -> Vec<T> {
    numbers(len).into_iter().map(|number| convert((number * largest).round())).collect()
}

/// Independent multiply-adds in registers.
fn peak(criterion: &mut Criterion) {
    const STEPS: u64 = 10_000;
    const CHAINS: u64 = 12;
    let mut group = criterion.benchmark_group("peak");
    group.throughput(Throughput::Elements(STEPS * CHAINS * 4));
    group.bench_function("f32", |bencher| {
        bencher.iter(|| {
            let (factor, addend) = (F32x4::splat(black_box(0.999)), F32x4::splat(black_box(0.001)));
            let mut sums: [F32x4; CHAINS as usize] = std::array::from_fn(|chain| F32x4::splat(chain as f32));
            for _ in 0..STEPS {
                sums.iter_mut().for_each(|sum| *sum = sum.mul_add(factor, addend));
            }
            sums.map(F32x4::sum)
        });
    });
    // Natively int8 kernels multiply 16-bit integers, eight at once.
    group.throughput(Throughput::Elements(STEPS * CHAINS * 8));
    group.bench_function("int8", |bencher| {
        bencher.iter(|| {
            let mut sums: [I32x4; CHAINS as usize] = std::array::from_fn(|chain| I32x4::splat(chain as i32));
            let a = I16x8::load(&black_box([1, 2, 3, 4, 5, 6, 7, 8]));
            for _ in 0..STEPS {
                // A new operand in every step, or LLVM would hoist the product.
                let b = I16x8::splat_pair(black_box([3, -3]));
                sums.iter_mut().for_each(|sum| *sum = sum.dot_i16(a, b));
            }
            sums.map(I32x4::to_array)
        });
    });
    group.finish();
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Stem,
    Depthwise,
    Pointwise,
    Classifier,
}

/// A layer to time.
struct Layer {
    name: String,
    kind: Kind,
    shape: ConvShape,
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

    fn multiply_adds(&self) -> u64 {
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
fn network() -> Vec<Layer> {
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
type Run = Box<dyn FnMut()>;
/// A layer ready to run into a given output.
type RunInto<T> = Box<dyn FnMut(&mut [T])>;

/// Packs a float32 layer and compares its output with the reference.
fn prepare_f32(layer: &Layer) -> Run {
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
fn prepare_int8(layer: &Layer) -> Run {
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

fn layers(criterion: &mut Criterion, precision: &str, prepare: fn(&Layer) -> Run) {
    let mut layers: Vec<(Layer, Run)> = network()
        .into_iter()
        .map(|layer| {
            let run = prepare(&layer);
            (layer, run)
        })
        .collect();
    let mut group = criterion.benchmark_group(precision);
    for (name, kind) in [
        ("stem", Kind::Stem),
        ("depthwise", Kind::Depthwise),
        ("pointwise", Kind::Pointwise),
        ("classifier", Kind::Classifier),
    ] {
        let of_kind = || layers.iter().filter(|(layer, _)| layer.kind == kind);
        group.throughput(Throughput::Elements(of_kind().map(|(layer, _)| layer.multiply_adds()).sum()));
        let mut runs: Vec<&mut Run> =
            layers.iter_mut().filter(|(layer, _)| layer.kind == kind).map(|(_, run)| run).collect();
        group.bench_function(name, |bencher| bencher.iter(|| runs.iter_mut().for_each(|run| run())));
    }
    group.finish();
    let mut group = criterion.benchmark_group(format!("{precision} layers"));
    for (layer, run) in &mut layers {
        group.throughput(Throughput::Elements(layer.multiply_adds()));
        group.bench_function(&layer.name, |bencher| bencher.iter(&mut *run));
    }
    group.finish();
}

fn layers_f32(criterion: &mut Criterion) {
    layers(criterion, "f32", prepare_f32);
}

fn layers_int8(criterion: &mut Criterion) {
    layers(criterion, "int8", prepare_int8);
}

/// About 100 seconds for everything; `cargo bench -- --measurement-time 5` takes longer and is more precise.
fn brief() -> Criterion {
    let second = Duration::from_secs(1);
    Criterion::default().warm_up_time(second / 3).measurement_time(second).sample_size(20)
}

criterion_group!(name = benches; config = brief(); targets = peak, layers_f32, layers_int8);
criterion_main!(benches);
