//! In a browser: prints a table of the kinds of layers. The peak loop is timed before and after each kind, because clock
//! rates and other programs' load change within seconds.

use crate::layers::{KINDS, Layer, Run, network, prepare_f32, prepare_int8};
use crate::peak;
use std::time::Duration;
use wasm_bindgen_test::{Criterion, Instant, console_log, wasm_bindgen_bench, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

/// V8 compiles a function with optimizations some time after it became hot.
const WARM_UP: Duration = Duration::from_millis(500);
/// Duration of one sample; a browser's clock has steps of up to 0.1 ms.
const SAMPLE: Duration = Duration::from_millis(40);
const SAMPLES: usize = 15;

/// Calls `run` for at least `duration`, and returns the calls per second.
fn rate(run: &mut dyn FnMut(), duration: Duration) -> f64 {
    let (start, mut calls) = (Instant::now(), 0);
    loop {
        run();
        calls += 1;
        let elapsed = start.elapsed();
        if elapsed >= duration {
            return f64::from(calls) / elapsed.as_secs_f64();
        }
    }
}

fn measure(precision: &str, prepare: fn(&Layer) -> Run, peak: fn(), peak_multiply_adds: u64) {
    let peak = &mut || peak();
    rate(peak, WARM_UP);
    for (name, kind) in KINDS {
        let layers: Vec<Layer> = network().into_iter().filter(|layer| layer.kind == kind).collect();
        let multiply_adds: u64 = layers.iter().map(Layer::multiply_adds).sum();
        let mut runs: Vec<Run> = layers.iter().map(prepare).collect();
        let run = &mut || runs.iter_mut().for_each(|run| run());
        rate(run, WARM_UP);
        let giga = |multiply_adds: u64, rate: f64| multiply_adds as f64 * rate / 1e9;
        let mut samples: Vec<[f64; 3]> = (0..SAMPLES)
            .map(|_| {
                let before = rate(peak, SAMPLE / 4);
                let kernel = giga(multiply_adds, rate(run, SAMPLE));
                let peak = giga(peak_multiply_adds, (before + rate(peak, SAMPLE / 4)) / 2.0);
                [kernel / peak, kernel, peak]
            })
            .collect();
        samples.sort_by(|a, b| a[0].total_cmp(&b[0]));
        let [share, kernel, peak] = samples[SAMPLES / 2];
        let share = share * 100.0;
        console_log!("{precision} {name}: {kernel:.1} GMAC/s, {share:.0} % of {peak:.1}");
    }
}

#[wasm_bindgen_bench]
fn kernels(_: &mut Criterion) {
    measure("f32", prepare_f32, peak::f32, peak::MULTIPLY_ADDS_F32);
    measure("int8", prepare_int8, peak::int8, peak::MULTIPLY_ADDS_INT8);
}
