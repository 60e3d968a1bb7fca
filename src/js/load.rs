//! A network from wherever JavaScript has its file.
//!
//! Goes in: an address, a `Request`, `Response`, `Blob`, buffer or bytes; `browser.js` fetches it, with progress, abort,
//! integrity and cache, and puts its parts into an [`Arrival`]. Comes out: a [`MobileNet`], or an `Error` that names the
//! address and what went wrong. Next: `engine`.
//!
//! The parts are copied into the wasm memory once all are there, and dropped as soon as the weights are read.

use super::MobileNet;
use super::engine::Engine;
use super::options::{self, NetworkOptions};
use super::value::{Outcome, refuse};
use crate::Error;
use crate::formats::{self, Format};
use js_sys::{Promise, Uint8Array};
use wasm_bindgen::prelude::*;

#[wasm_bindgen(module = "/src/js/browser.js")]
extern "C" {
    /// The bytes of a buffer or of a view of one, without a copy.
    #[wasm_bindgen(js_name = bytesOf)]
    pub fn bytes_of(source: &JsValue) -> Option<Uint8Array>;
    #[wasm_bindgen(js_name = fetchNetwork)]
    fn fetch_network(source: JsValue, options: &JsValue, arrival: Arrival) -> Promise;
}

/// The network that `source` leads to, as a promise.
pub fn load(source: JsValue, given: &JsValue) -> Outcome<Promise> {
    let (options, fields) = options::source(given)?;
    let arrival = Arrival { bytes: Vec::new(), address: String::new(), options };
    Ok(fetch_network(source, fields.object(), arrival))
}

/// A file on its way in, and the address that it comes from; empty where it has none.
#[wasm_bindgen(skip_typescript)]
pub struct Arrival {
    bytes: Vec<u8>,
    address: String,
    options: NetworkOptions,
}

#[wasm_bindgen]
impl Arrival {
    /// Takes the file's bytes. Gives whether its format is one that the module of readers turns into the native one.
    #[wasm_bindgen(skip_typescript)]
    pub fn put(&mut self, parts: Vec<Uint8Array>, address: String) -> Outcome<bool> {
        self.address = address;
        self.bytes = Vec::new();
        let length = parts.iter().map(|part| part.length() as usize).sum();
        // Asked for in vain first: what follows knows no way to refuse.
        if Vec::<u8>::new().try_reserve_exact(length).is_err() {
            return refuse(format!("weights: no memory is left for {length} bytes"));
        }
        if let [whole] = parts.as_slice() {
            self.bytes = whole.to_vec();
        } else {
            self.bytes = vec![0; length];
            let mut rest = &mut self.bytes[..];
            for part in parts {
                let (place, after) = rest.split_at_mut(part.length() as usize);
                part.copy_to(place);
                rest = after;
            }
        }
        match Format::detect(&self.bytes) {
            Ok(format) => Ok(matches!(format, Format::Tflite | Format::Tfjs)),
            Err(error) => self.refuse(&error),
        }
    }

    /// The network.
    #[wasm_bindgen(skip_typescript)]
    pub fn finish(&mut self) -> Outcome<MobileNet> {
        let bytes = std::mem::take(&mut self.bytes);
        let weights = match formats::read(&bytes, &self.options.formats) {
            Ok(weights) => weights,
            Err(error) => return self.refuse(&error),
        };
        drop(bytes);
        MobileNet::hold(Engine::new(weights, self.options.precision)?)
    }

    /// What is wrong with the file, with its address before it.
    fn refuse<T>(&self, problem: &Error) -> Outcome<T> {
        let from = if self.address.is_empty() { "" } else { " from " };
        refuse(format!("weights{from}{}: {problem}", self.address))
    }
}

/// A bare `wasm-pack build` has no module of readers beside it: it is its own.
#[cfg(feature = "readers")]
#[wasm_bindgen]
impl Arrival {
    /// Names of the files that `bytes` refers to.
    #[wasm_bindgen(skip_typescript)]
    pub fn beside(&self, bytes: &[u8]) -> Outcome<Vec<String>> {
        Ok(formats::beside(bytes)?)
    }

    /// The native file of a foreign one; see `reader.rs`.
    #[wasm_bindgen(js_name = toNative, skip_typescript)]
    pub fn to_native(&self, bytes: &[u8], names: Vec<String>, parts: Vec<Uint8Array>) -> Outcome<Vec<u8>> {
        let parts: Vec<Vec<u8>> = parts.iter().map(Uint8Array::to_vec).collect();
        let beside: Vec<(&str, &[u8])> =
            names.iter().map(String::as_str).zip(parts.iter().map(Vec::as_slice)).collect();
        let source = formats::Source { bytes, beside: &beside };
        let reading = formats::read_source(&source, &self.options.formats)?;
        Ok(formats::safetensors::write(&reading.weights, formats::safetensors::Storage::F32)?)
    }
}
