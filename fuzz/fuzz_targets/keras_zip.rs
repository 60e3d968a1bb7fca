//! Keras' zip from any bytes: a network or a sentence, never a panic.
#![no_main]

#[path = "../limit.rs"]
mod limit;

use libfuzzer_sys::fuzz_target;
use mobilenet_formats::{ModelOptions, ModelSource, keras};

fuzz_target!(|bytes: &[u8]| {
    let _ = limit::within("keras_zip", bytes.len(), || {
        keras::read_zip(&ModelSource::alone(bytes), &ModelOptions::default())
    });
});
