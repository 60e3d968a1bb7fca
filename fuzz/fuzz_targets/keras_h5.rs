//! Keras' HDF5 from any bytes: a network or a sentence, never a panic.
#![no_main]

#[path = "../limit.rs"]
mod limit;

use libfuzzer_sys::fuzz_target;
use mobilenet::formats::{keras, Options, Source};

fuzz_target!(|bytes: &[u8]| {
    limit::within(bytes.len(), || keras::read_h5(&Source::alone(bytes), &Options::default()));
});
