//! A network from wherever JavaScript has its file.
//!
//! Goes in: an address, a `Request`, `Response`, `Blob`, buffer or bytes; `browser.js` fetches it, with progress, abort,
//! integrity and cache, and shows it to an [`Arrival`]. Comes out: a [`MobileNet`], or an `Error` that names the
//! address and what went wrong. Next: `engine`.
//!
//! A file stays outside of the wasm memory, which never shrinks: a network is read from it tensor by tensor. What outlives
//! a disposed network (its object, until the engine collects it) is allocated before it: between two networks it would
//! be in the next one's way.

use super::engine::Engine;
use super::options::{self, NetworkOptions};
use super::value::{Outcome, refuse};
use super::{Held, MobileNet};
use crate::formats::{self, File, Format};
use crate::infer::{Precision, warm};
use crate::{Error, Result, Weights};
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
    let arrival =
        Arrival { file: Uint8Array::default(), address: String::new(), options, network: Held::default() };
    Ok(fetch_network(source, fields.object(), arrival))
}

/// A file on its way in, and the address that it comes from; empty where it has none.
#[wasm_bindgen(skip_typescript)]
pub struct Arrival {
    file: Uint8Array,
    address: String,
    options: NetworkOptions,
    network: Held,
}

#[wasm_bindgen]
impl Arrival {
    /// Runs the kernels that a file will want, once, when its first part is there: while the rest arrives, is read and
    /// packed, the engine optimises them on another thread.
    #[wasm_bindgen(skip_typescript)]
    pub fn expect(&self, beginning: &Uint8Array) {
        self.warm_up(&first_bytes(beginning));
    }

    /// Takes the file. Gives whether its format is one that the module of readers turns into the native one.
    #[wasm_bindgen(skip_typescript)]
    pub fn put(&mut self, file: Uint8Array, address: String) -> Outcome<bool> {
        let beginning = first_bytes(&file);
        self.warm_up(&beginning);
        (self.file, self.address) = (file, address);
        match Format::detect(&beginning) {
            Ok(format) => Ok(matches!(format, Format::Tflite | Format::Tfjs)),
            Err(error) => self.refuse(&error),
        }
    }

    /// The object that [`finish`](Self::finish) puts the network into; disposed until then.
    #[wasm_bindgen(skip_typescript)]
    pub fn network(&self) -> MobileNet {
        MobileNet { engine: self.network.clone() }
    }

    /// Reads and packs the network.
    #[wasm_bindgen(skip_typescript)]
    pub fn finish(&mut self) -> Outcome<()> {
        let file = std::mem::take(&mut self.file);
        let weights = match read_bytes(&file, &self.options) {
            Ok(weights) => weights,
            Err(error) => return self.refuse(&error),
        };
        let engine = Engine::new(weights, self.options.precision, self.options.threads)?;
        self.network.replace(Some(Box::new(engine)));
        Ok(())
    }

    fn warm_up(&self, beginning: &[u8]) {
        thread_local! {
            static DONE: Cell<[bool; 2]> = const { Cell::new([false; 2]) };
        }
        let precision = self.options.precision.unwrap_or_else(|| stored(beginning));
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

/// A file outside of the wasm memory.
struct Outside<'a>(&'a Uint8Array);

impl File for Outside<'_> {
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

/// As many bytes as tell the format.
fn first_bytes(bytes: &Uint8Array) -> Vec<u8> {
    bytes.subarray(0, 1 << 16).to_vec()
}

/// What the header of a native file says of its kernels, wherever it says it.
fn stored(beginning: &[u8]) -> Precision {
    if beginning.windows(4).any(|four| four == b"\"I8\"") { Precision::Int8 } else { Precision::F32 }
}

/// The network of a file that stands alone.
pub fn read_bytes(file: &Uint8Array, options: &NetworkOptions) -> Result<Weights> {
    if Format::detect(&first_bytes(file))? == Format::Safetensors {
        return Ok(formats::safetensors::read_from(&Outside(file), &options.formats)?.weights);
    }
    // Asked for once in vain: `to_vec` knows no way to refuse.
    let length = file.length() as usize;
    if Vec::<u8>::new().try_reserve_exact(length).is_err() {
        return Err(Error::argument(format!("no memory is left for {length} bytes")));
    }
    formats::read(&file.to_vec(), &options.formats)
}
