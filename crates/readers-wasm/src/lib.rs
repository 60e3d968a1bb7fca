//! The readers of foreign model files, TFLite and TensorFlow.js, as a WebAssembly module of their own: the npm package
//! fetches it when such a file is loaded, so that other pages do not pay for it.
//!
//! It turns a foreign file into the bytes of a native one, which the class reads.

#![cfg(target_arch = "wasm32")]

use js_sys::Uint8Array;
use mobilenet_formats::safetensors::{Storage, write};
use mobilenet_formats::{ModelSource, read_source};
use mobilenet_js::options::parse;
use mobilenet_js::{NetworkOptions, Result};
use wasm_bindgen::prelude::*;

/// Shows panics with their message in the console.
#[wasm_bindgen(start)]
fn start() {
    console_error_panic_hook::set_once();
}

/// Names the files that `bytes` refers to: the shards of a `model.json`.
#[wasm_bindgen(js_name = companionFiles)]
pub fn companion_files(bytes: &[u8]) -> Result<Vec<String>> {
    Ok(mobilenet_formats::companion_files(bytes)?)
}

/// Converts a foreign file to a native one. `names` and `parts` are the files that it refers to, in the same order;
/// `options` are those of the class's constructor.
#[wasm_bindgen(js_name = toNative)]
pub fn to_native(
    bytes: &[u8],
    names: Vec<String>,
    parts: Vec<Uint8Array>,
    #[wasm_bindgen(unchecked_optional_param_type = "NetworkOptions")] options: &JsValue,
) -> Result<Vec<u8>> {
    let options = parse::<NetworkOptions>("load", options)?.model()?;
    let parts: Vec<Vec<u8>> = parts.iter().map(Uint8Array::to_vec).collect();
    let companions: Vec<(&str, &[u8])> =
        names.iter().map(String::as_str).zip(parts.iter().map(Vec::as_slice)).collect();
    let model = read_source(&ModelSource { bytes, companions: &companions }, &options)?;
    Ok(write(&model.weights, Storage::F32)?)
}
