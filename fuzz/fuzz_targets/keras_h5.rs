//! Keras' HDF5 from any bytes: a network or a sentence, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mobilenet_formats::{ModelOptions, ModelSource, keras};
use mobilenet_testing::limit::{Measuring, within};

#[global_allocator]
static ALLOCATOR: Measuring = Measuring;

fuzz_target!(|bytes: &[u8]| {
    let _ = within("keras_h5", bytes.len(), || {
        keras::read_h5(&ModelSource::alone(bytes), &ModelOptions::default())
    });
});
