//! TFLite from any bytes: a network or a sentence, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mobilenet_formats::{ModelOptions, ModelSource, tflite};
use mobilenet_testing::limit::{Measuring, within};

#[global_allocator]
static ALLOCATOR: Measuring = Measuring;

fuzz_target!(|bytes: &[u8]| {
    let _ =
        within("tflite", bytes.len(), || tflite::read(&ModelSource::alone(bytes), &ModelOptions::default()));
});
