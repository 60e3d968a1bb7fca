//! safetensors from any bytes: a network or a sentence, never a panic.
#![no_main]

#[path = "../limit.rs"]
mod limit;

use libfuzzer_sys::fuzz_target;
use mobilenet_formats::{ModelOptions, ModelSource, safetensors};

fuzz_target!(|bytes: &[u8]| {
    let _ = limit::within("safetensors", bytes.len(), || {
        safetensors::read(&ModelSource::alone(bytes), &ModelOptions::default())
    });
});
