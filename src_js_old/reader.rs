//! The readers of foreign files as a module of their own: the package fetches it when the first such file is loaded, so
//! that nobody else pays for it.
//!
//! Goes in: a TFLite file or a TF.js `model.json` with its shards. Comes out: the bytes of a native file, which the
//! class of the other builds takes. Next: `load`.

#![allow(dead_code, reason = "value and options are the class's; here only what a reader needs")]

#[path = "options.rs"]
mod options;
#[path = "value.rs"]
mod value;

use crate::formats::safetensors::{Storage, write};
use crate::formats::{self, Source};
use js_sys::Uint8Array;
use value::Outcome;
use wasm_bindgen::prelude::*;

/// Names of the files that `bytes` refers to.
#[wasm_bindgen]
pub fn beside(bytes: &[u8]) -> Outcome<Vec<String>> {
    Ok(formats::beside(bytes)?)
}

/// The native file of a foreign one. `names` and `parts` are the files that it refers to; `options` those of
/// `MobileNet.load`, as the class has read them.
#[wasm_bindgen(js_name = toNative)]
pub fn to_native(
    bytes: &[u8],
    names: Vec<String>,
    parts: Vec<Uint8Array>,
    options: &JsValue,
) -> Outcome<Vec<u8>> {
    let options = options::source_that_was_read(options);
    let parts: Vec<Vec<u8>> = parts.iter().map(Uint8Array::to_vec).collect();
    let beside: Vec<(&str, &[u8])> =
        names.iter().map(String::as_str).zip(parts.iter().map(Vec::as_slice)).collect();
    let reading = formats::read_source(&Source { bytes, beside: &beside }, &options.formats)?;
    Ok(write(&reading.weights, Storage::F32)?)
}
