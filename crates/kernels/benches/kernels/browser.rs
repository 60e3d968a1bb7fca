//! In a browser: prints a table of the kinds of layers, each beside the peak loop.
//!
//! Of many short samples the fastest counts, of the peak loop as of every layer: that is what other programs' load
//! disturbs least.

use crate::layers::{KINDS, Kind, Layer, Run, network, prepare_f32, prepare_int8};
use crate::peak;
use std::time::Duration;
use wasm_bindgen_test::{Criterion, Instant, console_log, wasm_bindgen_bench, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

/// V8 compiles a function with optimizations some time after it became hot.
const WARM_UP: Duration = Duration::from_millis(500);
/// Short enough not to be interrupted, long enough for a browser's clock, which has steps of up to 0.1 ms.
const SAMPLE: Duration = Duration::from_millis(4);
const SAMPLES: usize = 60;

/// Calls `run` for at least `duration`, and returns the seconds per call.
fn seconds(run: &mut dyn FnMut(), duration: Duration) -> f64 {
    let (start, mut calls) = (Instant::now(), 0);
    loop {
        run();
        calls += 1;
        let elapsed = start.elapsed();
        if elapsed >= duration {
            return elapsed.as_secs_f64() / f64::from(calls);
        }
    }
}

/// A layer, or the peak loop, and its fastest sample.
struct Entry {
    kind: Option<Kind>,
    multiply_adds: u64,
    run: Run,
    seconds: f64,
}

fn measure(precision: &str, prepare: fn(&Layer) -> Run, peak: fn(), peak_multiply_adds: u64) {
    let entry = |kind, multiply_adds, run| Entry { kind, multiply_adds, run, seconds: f64::INFINITY };
    let mut entries = vec![entry(None, peak_multiply_adds, Box::new(peak))];
    let layers = network();
    entries.extend(layers.iter().map(|layer| entry(Some(layer.kind), layer.multiply_adds(), prepare(layer))));
    for entry in &mut entries {
        seconds(&mut entry.run, WARM_UP);
    }
    for _ in 0..SAMPLES {
        for entry in &mut entries {
            entry.seconds = entry.seconds.min(seconds(&mut entry.run, SAMPLE));
        }
    }
    let throughput = |kind: Option<Kind>| {
        let of_kind = || entries.iter().filter(|entry| entry.kind == kind);
        let multiply_adds: u64 = of_kind().map(|entry| entry.multiply_adds).sum();
        multiply_adds as f64 / of_kind().map(|entry| entry.seconds).sum::<f64>() / 1e9
    };
    let peak = throughput(None);
    console_log!("{precision} peak: {peak:.1} GMAC/s");
    for (name, kind) in KINDS {
        let kernel = throughput(Some(kind));
        console_log!("{precision} {name}: {kernel:.1} GMAC/s, {:.0} %", kernel / peak * 100.0);
    }
}

#[wasm_bindgen_bench]
fn kernels(_: &mut Criterion) {
    measure("f32", prepare_f32, peak::f32, peak::MULTIPLY_ADDS_F32);
    measure("int8", prepare_int8, peak::int8, peak::MULTIPLY_ADDS_INT8);
}
