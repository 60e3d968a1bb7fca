//! Natively, by criterion. Groups `f32` and `int8` time all layers of a kind together, `f32 layers` and `int8 layers`
//! each alone.

use crate::layers::{KINDS, Layer, Run, network, prepare_f32, prepare_int8};
use crate::peak;
use criterion::{Criterion, Throughput};
use std::time::Duration;

/// About 100 seconds for everything; `cargo bench -- --measurement-time 5` takes longer and is more precise.
pub fn main() {
    let second = Duration::from_secs(1);
    let criterion = Criterion::default().warm_up_time(second / 3).measurement_time(second).sample_size(20);
    let mut criterion = criterion.configure_from_args();
    peaks(&mut criterion);
    layers(&mut criterion, "f32", prepare_f32);
    layers(&mut criterion, "int8", prepare_int8);
    criterion.final_summary();
}

fn peaks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("peak");
    group.throughput(Throughput::Elements(peak::MULTIPLY_ADDS_F32));
    group.bench_function("f32", |bencher| bencher.iter(peak::f32));
    group.throughput(Throughput::Elements(peak::MULTIPLY_ADDS_INT8));
    group.bench_function("int8", |bencher| bencher.iter(peak::int8));
    group.finish();
}

fn layers(criterion: &mut Criterion, precision: &str, prepare: fn(&Layer) -> Run) {
    let ready = |layer: Layer| {
        let run = prepare(&layer);
        (layer, run)
    };
    let mut layers: Vec<(Layer, Run)> = network().into_iter().map(ready).collect();
    let mut group = criterion.benchmark_group(precision);
    for (name, kind) in KINDS {
        let of_kind = || layers.iter().filter(|(layer, _)| layer.kind == kind);
        group.throughput(Throughput::Elements(of_kind().map(|(layer, _)| layer.multiply_adds()).sum()));
        let of_kind = layers.iter_mut().filter(|(layer, _)| layer.kind == kind);
        let mut runs: Vec<&mut Run> = of_kind.map(|(_, run)| run).collect();
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
