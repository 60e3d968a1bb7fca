//! A network from wherever JavaScript has its file.
//!
//! Goes in: an address, a `Request`, `Response`, `Blob`, buffer or bytes; `browser.js` fetches it, with progress, abort,
//! integrity and cache, and puts its parts into an [`Arrival`]. Comes out: a [`MobileNet`], or an `Error` that names the
//! address and what went wrong. Next: `engine`.
//!
//! A safetensors file that came in one piece stays outside of the wasm memory, which never shrinks, and is read tensor by
//! tensor. The parts of others are copied in once all are there, and dropped as soon as the weights are read.

use super::MobileNet;
use super::engine::Engine;
use super::options::{self, NetworkOptions};
use super::value::{Outcome, refuse};
use crate::Error;
use crate::formats::{self, File, Format};
use crate::infer::{Precision, warm};
use js_sys::{Promise, Uint8Array};
use std::cell::Cell;
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
    let arrival = Arrival { outside: None, bytes: Vec::new(), address: String::new(), options };
    Ok(fetch_network(source, fields.object(), arrival))
}

/// A file on its way in, and the address that it comes from; empty where it has none.
#[wasm_bindgen(skip_typescript)]
pub struct Arrival {
    outside: Option<Uint8Array>,
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
        (self.outside, self.bytes) = (None, Vec::new());
        if let Some(first) = parts.first() {
            let start = first.subarray(0, 1 << 16).to_vec();
            self.warm_up(&start);
            if parts.len() == 1 && matches!(Format::detect(&start), Ok(Format::Safetensors)) {
                self.outside = Some(first.clone());
                return Ok(false);
            }
        }
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
        let (bytes, options) = (std::mem::take(&mut self.bytes), &self.options.formats);
        let read = match self.outside.take() {
            Some(file) => {
                formats::safetensors::read_from(&Outside(file), options).map(|reading| reading.weights)
            }
            None => formats::read(&bytes, options),
        };
        let weights = match read {
            Ok(weights) => weights,
            Err(error) => return self.refuse(&error),
        };
        drop(bytes);
        MobileNet::hold(Engine::new(weights, self.options.precision)?)
    }

    /// Runs the kernels that the file will want, once: while its weights are read and packed, the engine optimises
    /// them on another thread.
    fn warm_up(&self, start: &[u8]) {
        thread_local! {
            static DONE: Cell<[bool; 2]> = const { Cell::new([false; 2]) };
        }
        // What the header of a native file says of its kernels, wherever it says it.
        let in_bytes = start.windows(4).any(|four| four == b"\"I8\"");
        let stored = if in_bytes { Precision::Int8 } else { Precision::F32 };
        let precision = self.options.precision.unwrap_or(stored);
        let mut done = DONE.get();
        if !std::mem::replace(&mut done[precision as usize], true) {
            DONE.set(done);
            let _ = warm::up(precision);
        }
    }

    /// What is wrong with the file, with its address before it.
    fn refuse<T>(&self, problem: &Error) -> Outcome<T> {
        let from = if self.address.is_empty() { "" } else { " from " };
        refuse(format!("weights{from}{}: {problem}", self.address))
    }
}

/// A file outside of the wasm memory.
#[derive(Debug)]
struct Outside(Uint8Array);

impl File for Outside {
    fn len(&self) -> usize {
        self.0.length() as usize
    }

    fn read(&self, start: usize, room: &mut [u8]) -> bool {
        // A buffer that was transferred to elsewhere has no bytes any more.
        let there = start + room.len() <= self.len();
        if there {
            self.0.subarray(start as u32, (start + room.len()) as u32).copy_to(room);
        }
        there
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
