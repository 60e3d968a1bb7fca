//! `MobileNet.load`: fetches a file for pages that use the wasm-pack build by itself. It is as short as the browser's `fetch`
//! allows: abort and integrity are the browser's own, progress is told once. The npm package fetches in TypeScript, with
//! progress part by part and a cache, reads foreign formats, and calls the constructor.
//!
//! A file stays outside of the wasm memory, which never shrinks: its tensors are copied one by one.

use crate::MobileNet;
use crate::engine::{Engine, Slot};
use crate::frame::view;
use crate::options::FetchOptions;
use crate::results::Progress;
use js_sys::{ArrayBuffer, Promise, Reflect, Uint8Array};
use mobilenet::Precision;
use mobilenet::error::Kind;
use mobilenet_formats::{Format, ReadAt, safetensors};
use mobilenet_js::options::Callback;
use mobilenet_js::{BrowserJson, Error, ErrorCode, NetworkOptions, Result, describe, reason, tag};
use std::cell::Cell;
use std::rc::Rc;
use wasm_bindgen::convert::TryFromJsValue;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::RequestInit;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = "
/** Bytes of a model file, or where to find them. */
export type Source = string | URL | Request | Response | Blob | ArrayBuffer | Uint8Array;
";

/// A file outside of the wasm memory.
struct Outside<'a>(&'a Uint8Array);

impl ReadAt for Outside<'_> {
    fn len(&self) -> usize {
        self.0.length() as usize
    }

    fn read(&self, start: usize, room: &mut [u8]) -> bool {
        // A buffer that was transferred has no bytes any more.
        let there = start + room.len() <= self.len();
        if there {
            self.0.subarray(start as u32, (start + room.len()) as u32).copy_to(room);
        }
        there
    }
}

/// The bytes of a buffer or a view of one, without a copy; `None` for other values.
///
/// # Errors
/// If the buffer was transferred, or what the caller's getters throw.
pub fn bytes(value: &JsValue) -> Result<Option<Uint8Array>> {
    if !ArrayBuffer::is_view(value) && !matches!(tag(value).as_str(), "ArrayBuffer" | "SharedArrayBuffer") {
        return Ok(None);
    }
    match view(value)? {
        None => {
            let message = "bytes: must be there, got a buffer that was transferred; give a copy of it";
            Err(Error::new(ErrorCode::InvalidArgument, message))
        }
        bytes => Ok(bytes),
    }
}

/// Reads and packs the network of a native file.
///
/// # Errors
/// If the file is of another format, damaged, or no MobileNet v1.
pub fn network(file: &Uint8Array, options: &NetworkOptions) -> Result<Engine> {
    match Format::detect(&beginning(file))? {
        Format::Safetensors => {
            let read = safetensors::read_with::<BrowserJson>(&Outside(file), &options.model()?);
            let weights = read.map_err(|error| match error.kind() {
                // The file's own labels are as many as its classes.
                Kind::Architecture if options.labels.is_some() => {
                    Error::new(ErrorCode::InvalidOption, error.to_string())
                }
                _ => error.into(),
            })?;
            Engine::new(weights.weights, options.precision, options.num_threads)
        }
        other => {
            let message =
                format!("{}: is not read by this class; convert it with `mobilenet convert`", other.name());
            Err(Error::new(ErrorCode::UnsupportedFormat, message))
        }
    }
}

/// As many bytes as tell the format.
fn beginning(file: &Uint8Array) -> Vec<u8> {
    file.subarray(0, 1 << 16).to_vec()
}

/// Runs a small network of zeros, the first time for each precision.
pub fn warm_up(precision: Precision) {
    thread_local! {
        static DONE: Cell<[bool; 2]> = const { Cell::new([false; 2]) };
    }
    let mut done = DONE.get();
    if !std::mem::replace(&mut done[precision as usize], true) {
        DONE.set(done);
        // Short of memory, there is nothing to warm up for.
        let _ = mobilenet::warm_up(precision);
    }
}

/// Loads the network that `source` leads to, as an object of the class.
///
/// # Errors
/// If the file cannot be fetched or read, with the signal's reason, or with what the caller's code throws.
pub async fn load(source: JsValue, (options, fetch): (NetworkOptions, FetchOptions)) -> Result<JsValue> {
    // The handle is allocated before the weights, so that a handle awaiting garbage collection cannot fragment the heap
    // between two loads.
    let slot = Rc::new(Slot::default());
    let object = JsValue::from(MobileNet { slot: Rc::clone(&slot) });
    match fill(&slot, &source, &options, &fetch).await {
        Ok(()) => Ok(object),
        Err(error) => {
            drop(MobileNet::try_from_js_value(object));
            Err(error)
        }
    }
}

async fn fill(slot: &Slot, source: &JsValue, options: &NetworkOptions, fetch: &FetchOptions) -> Result<()> {
    let check = || fetch.signal.as_ref().map_or(Ok(()), |signal| signal.check());
    check()?;
    let (file, from) = file(source, fetch, &check).await?;
    check()?;
    if let Some(Callback(on_progress)) = &fetch.on_progress {
        let loaded = f64::from(file.length());
        let progress = serde_wasm_bindgen::to_value(&Progress { loaded, total: loaded })?;
        on_progress.call1(&JsValue::UNDEFINED, &progress)?;
    }
    let engine = network(&file, options).map_err(|error| error.context(format!("weights{from}")))?;
    slot.fill(engine);
    Ok(())
}

#[wasm_bindgen]
extern "C" {
    /// Of the page or worker.
    #[wasm_bindgen(catch, js_name = fetch)]
    fn fetch_from(input: &JsValue, init: &RequestInit) -> Result<Promise, JsValue>;

    /// A `Blob` or `Response`.
    type Body;
    #[wasm_bindgen(catch, method, js_name = arrayBuffer)]
    fn array_buffer(this: &Body) -> Result<Promise, JsValue>;
}

fn get(object: &JsValue, key: &str) -> Result<JsValue, JsValue> {
    Reflect::get(object, &key.into())
}

fn failed<T>(message: String) -> Result<T> {
    Err(Error::new(ErrorCode::Network, format!("weights: {message}")))
}

/// The file's bytes, and for a message ` from ADDRESS` if it has an address.
async fn file(
    source: &JsValue,
    options: &FetchOptions,
    check: &dyn Fn() -> Result<()>,
) -> Result<(Uint8Array, String)> {
    let tag = tag(source);
    let address = matches!(tag.as_str(), "URL" | "Request") || source.is_string();
    if options.integrity.is_some() && !address {
        let message = format!("load: integrity: must come with an address, got {}", describe(source));
        return Err(Error::new(ErrorCode::InvalidOption, message));
    }
    if let Some(file) = bytes(source)? {
        return Ok((file, String::new()));
    }
    let body = if matches!(tag.as_str(), "Blob" | "File" | "Response") {
        source.clone()
    } else if address {
        response(source, options, check).await?
    } else {
        let message = format!(
            "weights: must be an address, Request, Response, Blob, ArrayBuffer or Uint8Array, got {}",
            describe(source)
        );
        return Err(Error::new(ErrorCode::InvalidArgument, message));
    };
    let address = get(&body, "url")?.as_string().unwrap_or_default();
    if get(&body, "ok")? == JsValue::FALSE {
        let status = get(&body, "status")?.as_f64().unwrap_or_default();
        return failed(format!("{address} answered {status}; check the address"));
    }
    let read = match body.unchecked_ref::<Body>().array_buffer() {
        Ok(promise) => JsFuture::from(promise).await,
        Err(thrown) => Err(thrown),
    };
    let buffer = match read {
        Ok(buffer) => bytes(&buffer)?.unwrap_or_default(),
        Err(thrown) => {
            check()?;
            return failed(format!("the file could not be read ({}); try again", reason(&thrown)));
        }
    };
    let from = if address.is_empty() { address } else { format!(" from {address}") };
    Ok((buffer, from))
}

/// What `fetch` answers.
async fn response(
    source: &JsValue,
    options: &FetchOptions,
    check: &dyn Fn() -> Result<()>,
) -> Result<JsValue> {
    let init = RequestInit::new();
    init.set_signal(options.signal.as_ref().map(|signal| signal.0.unchecked_ref()));
    if let Some(integrity) = &options.integrity {
        init.set_integrity(integrity);
    }
    let fetched = match fetch_from(source, &init) {
        Ok(promise) => JsFuture::from(promise).await,
        Err(thrown) => Err(thrown),
    };
    fetched.or_else(|thrown| {
        check()?;
        let address = source.as_string().unwrap_or_else(|| describe(source));
        failed(format!(
            "{address} could not be fetched ({}); check the address, the connection, the integrity, and that the server \
             allows this page to read it (CORS)",
            reason(&thrown)
        ))
    })
}
