//! `cargo bench`: every layer shape of Table 1 at 1.0-224, natively; the throughput is in multiply-adds, to be held
//! against the peak loop's. Answers are checked by the library's tests; here each kernel is run on the same numbers.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mobilenet_kernels::f32::{depthwise, pointwise, window};
use mobilenet_kernels::reference;
use mobilenet_kernels::shape::{Activation, ConvShape, FeatureMap, Padding};
use mobilenet_kernels::simd::F32x4;
use std::hint::black_box;
use std::time::Duration;

/// Numbers in ±1.
fn numbers(len: usize) -> Vec<f32> {
    (0..len as u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0).collect()
}

/// Independent multiply-adds in registers: what a kernel of this vocabulary can reach at best.
fn peak(criterion: &mut Criterion) {
    const STEPS: u64 = 10_000;
    let mut group = criterion.benchmark_group("peak");
    group.throughput(Throughput::Elements(STEPS * 12 * 4));
    group.bench_function("multiply-add", |bencher| {
        bencher.iter(|| {
            let (factor, addend) = (F32x4::splat(black_box(0.999)), F32x4::splat(black_box(0.001)));
            let mut sums: [F32x4; 12] = std::array::from_fn(|chain| F32x4::splat(chain as f32));
            for _ in 0..STEPS {
                sums.iter_mut().for_each(|sum| *sum = sum.mul_add(factor, addend));
            }
            sums.map(F32x4::sum)
        });
    });
    group.finish();
}

/// A layer to time: its name, its kind and its shape.
struct Layer {
    name: String,
    kind: Kind,
    shape: ConvShape,
}

#[derive(PartialEq)]
enum Kind {
    Stem,
    Depthwise,
    Pointwise,
}

/// The layers of a 224×224 network as in table 1 of arXiv 1704.04861: (stride, channels) of every separable block.
fn network() -> Vec<Layer> {
    let blocks = [(1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512)];
    let blocks = blocks.into_iter().chain([(1, 512); 5]).chain([(2, 1024), (1, 1024)]);
    let stem = ConvShape::window(FeatureMap::new(224, 224, 3), 32, 2, Padding::Same);
    let mut layers = vec![Layer { name: "stem".into(), kind: Kind::Stem, shape: stem }];
    let mut input = stem.output;
    for (index, (stride, channels)) in blocks.enumerate() {
        let depthwise = ConvShape::window(input, input.channels, stride, Padding::Same);
        let pointwise = ConvShape::pointwise(depthwise.output, channels);
        layers.push(Layer {
            name: format!("depthwise {}", index + 1),
            kind: Kind::Depthwise,
            shape: depthwise,
        });
        layers.push(Layer {
            name: format!("pointwise {}", index + 1),
            kind: Kind::Pointwise,
            shape: pointwise,
        });
        input = pointwise.output;
    }
    let dense = ConvShape::pointwise(FeatureMap::new(1, 1, 1024), 1000);
    layers.push(Layer { name: "dense".into(), kind: Kind::Pointwise, shape: dense });
    layers
}

fn layers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("1.0-224");
    for layer in network() {
        let (shape, activation) = (&layer.shape, Activation::Relu6);
        let taps = shape.kernel * shape.kernel;
        let inputs = if layer.kind == Kind::Depthwise { 1 } else { shape.input.channels };
        let kernel = numbers(taps * inputs * shape.output.channels);
        let bias = numbers(shape.output.channels);
        let input = numbers(shape.input.len());
        let mut output = vec![0.0; shape.output.len()];
        let rows = 0..shape.output.height;
        group.throughput(Throughput::Elements((shape.output.pixels() * kernel.len()) as u64));
        match layer.kind {
            Kind::Stem => {
                let packed = window::pack(kernel.clone(), &bias);
                let mut gathered = vec![0.0; window::gathered_len(shape)];
                let mut run = |output: &mut [f32]| {
                    window::forward(shape, &packed, activation, rows.clone(), &input, &mut gathered, output);
                };
                run(&mut output);
                check(&layer, &input, &kernel, &bias, &output);
                group.bench_function(&layer.name, |bencher| bencher.iter(|| run(&mut output)));
            }
            Kind::Depthwise => {
                let packed = depthwise::pack(&kernel, &bias);
                let run = |output: &mut [f32]| {
                    depthwise::forward(shape, &packed, activation, rows.clone(), &input, output);
                };
                run(&mut output);
                check(&layer, &input, &kernel, &bias, &output);
                group.bench_function(&layer.name, |bencher| bencher.iter(|| run(&mut output)));
            }
            Kind::Pointwise => {
                let packed = pointwise::pack(kernel.clone(), &bias);
                let run = |output: &mut [f32]| pointwise::forward(&packed, activation, &input, output);
                run(&mut output);
                check(&layer, &input, &kernel, &bias, &output);
                group.bench_function(&layer.name, |bencher| bencher.iter(|| run(&mut output)));
            }
        }
    }
    group.finish();
}

/// The answer before the time: the first rows of what the reference gives, within roundings.
fn check(layer: &Layer, input: &[f32], kernel: &[f32], bias: &[f32], got: &[f32]) {
    let mut shape = layer.shape;
    shape.output.height = 1;
    let mut wanted = vec![0.0; shape.output.len()];
    match layer.kind {
        Kind::Depthwise => reference::depthwise(&shape, Activation::Relu6, input, kernel, bias, &mut wanted),
        _ => reference::convolution(&shape, Activation::Relu6, input, kernel, bias, &mut wanted),
    }
    let terms = kernel.len() as f32 / layer.shape.output.channels as f32;
    let tolerance = terms * terms.sqrt() * f32::EPSILON;
    for (got, wanted) in got.iter().zip(&wanted) {
        assert!((got - wanted).abs() <= tolerance, "{}: {got}, not {wanted}", layer.name);
    }
}

/// A minute for all of it; `cargo bench -- --measurement-time 5` takes longer and knows more.
fn brief() -> Criterion {
    let second = Duration::from_secs(1);
    Criterion::default().warm_up_time(second / 3).measurement_time(second).sample_size(20)
}

criterion_group!(name = benches; config = brief(); targets = peak, layers);
criterion_main!(benches);
