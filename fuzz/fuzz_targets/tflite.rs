//! TFLite from any bytes: a network or a sentence, never a panic.
#![no_main]

#[path = "../limit.rs"]
mod limit;

use libfuzzer_sys::fuzz_target;
use mobilenet_formats::{ModelOptions, ModelSource, tflite};

fuzz_target!(|bytes: &[u8]| {
    let _ = limit::within("tflite", bytes.len(), || tflite::read(&ModelSource::alone(bytes), &ModelOptions::default()));
});
