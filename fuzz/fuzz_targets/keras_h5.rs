//! Keras' HDF5 from any bytes: a network or a sentence, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mobilenet::formats::{keras, Options, Source};

fuzz_target!(|bytes: &[u8]| {
    let _ = keras::read_h5(&Source::alone(bytes), &Options::default());
});
