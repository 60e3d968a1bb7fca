//! `MobileNet.load`: the file from wherever JavaScript has it, for pages that use the wasm-pack build by itself. The npm
//! package fetches in TypeScript, where it reads foreign formats too, and calls the constructor.
//!
//! A file stays outside of the wasm memory, which never shrinks: its tensors are copied one by one.

use crate::MobileNet;
use crate::engine::{Engine, Slot};
use crate::frame::view;
use crate::options::FetchOptions;
use crate::results::Progress;
use js_sys::{ArrayBuffer, Promise, Reflect, Uint8Array, global};
use mobilenet::Precision;
use mobilenet::error::Kind;
use mobilenet_formats::{Format, ReadAt, safetensors};
use mobilenet_js::options::{CacheName, Callback};
use mobilenet_js::{BrowserJson, Error, ErrorCode, NetworkOptions, Result, describe, reason, tag};
use std::cell::Cell;
use std::rc::Rc;
use wasm_bindgen::convert::TryFromJsValue;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    Cache, CacheStorage, Crypto, Headers, ReadableStreamDefaultReader, RequestInit, Response,
    StreamPipeOptions, TransformStream,
};

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
pub async fn load(source: JsValue, (network, fetch): (NetworkOptions, FetchOptions)) -> Result<JsValue> {
    // The handle is allocated before the weights, so that a handle awaiting garbage collection cannot fragment the heap
    // between two loads.
    let slot = Rc::new(Slot::default());
    let object = JsValue::from(MobileNet { slot: Rc::clone(&slot) });
    match (Load { network, fetch, loaded: Cell::new(0) }).run(&source, &slot).await {
        Ok(()) => Ok(object),
        Err(error) => {
            drop(MobileNet::try_from_js_value(object));
            Err(error)
        }
    }
}

#[wasm_bindgen]
extern "C" {
    /// Of the page or worker.
    #[wasm_bindgen(catch)]
    fn fetch(input: &JsValue, init: &RequestInit) -> Result<Promise, JsValue>;
    #[wasm_bindgen(catch)]
    fn btoa(bytes: &str) -> Result<String, JsValue>;

    /// A response's body, which may be locked or no stream at all.
    type Body;
    #[wasm_bindgen(catch, method, js_name = pipeThrough)]
    fn pipe_through(
        this: &Body,
        through: &TransformStream,
        options: &StreamPipeOptions,
    ) -> Result<Body, JsValue>;
    #[wasm_bindgen(catch, method, js_name = getReader)]
    fn get_reader(this: &Body) -> Result<ReadableStreamDefaultReader, JsValue>;

    /// A caller's Blob.
    type Given;
    #[wasm_bindgen(catch, method, js_name = arrayBuffer)]
    fn array_buffer(this: &Given) -> Result<Promise, JsValue>;
}

fn get(object: &JsValue, key: &str) -> Result<JsValue, JsValue> {
    Reflect::get(object, &key.into())
}

fn failed<T>(message: String) -> Result<T> {
    Err(Error::new(ErrorCode::Network, format!("weights: {message}")))
}

/// A load that is under way.
struct Load {
    network: NetworkOptions,
    fetch: FetchOptions,
    /// Bytes so far.
    loaded: Cell<u64>,
}

impl Load {
    async fn run(&self, source: &JsValue, slot: &Slot) -> Result<()> {
        self.check()?;
        let address = match tag(source).as_str() {
            "URL" => get(source, "href")?.as_string(),
            "Request" => get(source, "url")?.as_string(),
            _ => source.as_string(),
        };
        let Some(address) = address else {
            let (file, from) = self.given(source).await?;
            return self.finish(&file, &from, slot).await;
        };
        let cache = self.open_cache().await;
        if let Some(cache) = &cache
            && let Ok(kept) = JsFuture::from(cache.match_with_request(source.unchecked_ref())).await
            && !kept.is_undefined()
        {
            let read = async {
                let (file, from) = self.read(&kept, &address).await?;
                self.finish(&file, &from, slot).await
            };
            if read.await.is_ok() {
                return Ok(());
            }
            // What was kept may be damaged or of another version: then it is fetched as if it had not been there.
            self.check()?;
            self.loaded.set(0);
        }
        let init = RequestInit::new();
        init.set_signal(self.fetch.signal.as_ref().map(|signal| signal.0.unchecked_ref()));
        let response = match fetch(source, &init) {
            Ok(promise) => JsFuture::from(promise).await,
            Err(thrown) => Err(thrown),
        };
        let response = response.or_else(|thrown| {
            self.check()?;
            failed(format!(
                "{address} could not be fetched ({}); check the address, the connection, and that the server allows \
                 this page to read it (CORS)",
                reason(&thrown)
            ))
        })?;
        let (file, from) = self.read(&response, &address).await?;
        self.finish(&file, &from, slot).await?;
        // A full or forbidden cache is no reason to refuse a network that is there.
        if let Some(cache) = cache
            && let Ok(copy) = Response::new_with_opt_js_u8_array(Some(&file))
        {
            let _ = JsFuture::from(cache.put_with_request(source.unchecked_ref(), &copy)).await;
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        self.fetch.signal.as_ref().map_or(Ok(()), |signal| signal.check())
    }

    /// The cache, if one is wanted. Storage may be forbidden: then there is none.
    async fn open_cache(&self) -> Option<Cache> {
        let CacheName(Some(name)) = self.fetch.cache.as_ref()? else { return None };
        let caches = get(&global(), "caches").ok().filter(JsValue::is_object)?;
        let opened = caches.unchecked_into::<CacheStorage>().open(name);
        Some(JsFuture::from(opened).await.ok()?.unchecked_into())
    }

    /// The file that the caller has, and its address if it has one.
    async fn given(&self, source: &JsValue) -> Result<(Uint8Array, String)> {
        let tag = tag(source);
        if tag == "Response" {
            return self.read(source, "").await;
        }
        let file = if tag == "Blob" || tag == "File" {
            let buffer = JsFuture::from(source.unchecked_ref::<Given>().array_buffer()?).await;
            bytes(
                &buffer
                    .or_else(|thrown| failed(format!("the file could not be read ({})", reason(&thrown))))?,
            )?
        } else {
            bytes(source)?
        };
        let Some(file) = file else {
            let message = format!(
                "weights: must be an address, Request, Response, Blob, ArrayBuffer or Uint8Array, got {}",
                describe(source)
            );
            return Err(Error::new(ErrorCode::InvalidArgument, message));
        };
        self.progress(&file, file.length().into())?;
        Ok((file, String::new()))
    }

    fn progress(&self, part: &Uint8Array, total: u64) -> Result<()> {
        let loaded = self.loaded.get() + u64::from(part.length());
        self.loaded.set(loaded);
        if let Some(Callback(on_progress)) = &self.fetch.on_progress {
            on_progress.call1(
                &JsValue::UNDEFINED,
                &serde_wasm_bindgen::to_value(&Progress { loaded: loaded as f64, total: total as f64 })?,
            )?;
        }
        Ok(())
    }

    /// Reads a response's body part by part. Returns it and where it came from.
    async fn read(&self, response: &JsValue, address: &str) -> Result<(Uint8Array, String)> {
        let url = get(response, "url")?.as_string().filter(|url| !url.is_empty());
        let address = url.unwrap_or_else(|| address.into());
        if !get(response, "ok")?.is_truthy() {
            let text =
                |key| get(response, key).map(|value| value.as_string().unwrap_or_else(|| describe(&value)));
            let answer = format!("{address} answered {} {}", text("status")?, text("statusText")?);
            return failed(format!("{}; check the address", answer.trim_end()));
        }
        if get(response, "bodyUsed")?.is_truthy() {
            return failed("the body of this Response was read before; give a fresh one".into());
        }
        let body = get(response, "body")?;
        if !body.is_object() {
            return failed(format!("{address} answered without a body"));
        }
        let headers: Headers = get(response, "headers")?.unchecked_into();
        // With an encoding the length is of what travelled, not of what arrives.
        let length = match headers.get("content-encoding")? {
            Some(_) => None,
            None => headers.get("content-length")?,
        };
        let total = length.and_then(|length| length.parse::<u64>().ok()).unwrap_or(0);
        let reader = self.reader(body.unchecked_into())?;
        let parts = self.parts(&reader, &address, total).await;
        if parts.is_err() {
            // Nobody waits for it, and it may fail.
            spawn_local(async move { drop(JsFuture::from(reader.cancel()).await) });
        }
        Ok((join(&parts?)?, address))
    }

    /// A reader that fails once the signal is aborted, even if the next part never comes.
    fn reader(&self, body: Body) -> Result<ReadableStreamDefaultReader> {
        let made = match &self.fetch.signal {
            None => body.get_reader(),
            Some(signal) => {
                let options = StreamPipeOptions::new();
                options.set_signal(signal.0.unchecked_ref());
                let piped = TransformStream::new().and_then(|through| body.pipe_through(&through, &options));
                piped.and_then(|piped| piped.get_reader())
            }
        };
        made.or_else(|thrown| {
            failed(format!("the body cannot be read ({}); give a fresh Response", reason(&thrown)))
        })
    }

    async fn parts(
        &self,
        reader: &ReadableStreamDefaultReader,
        address: &str,
        total: u64,
    ) -> Result<Vec<Uint8Array>> {
        let (mut parts, mut length) = (Vec::new(), 0);
        loop {
            let next = JsFuture::from(reader.read()).await;
            self.check()?;
            let next = next.or_else(|thrown| {
                failed(format!("{address} broke off after {length} bytes ({}); try again", reason(&thrown)))
            })?;
            if get(&next, "done")?.is_truthy() {
                break;
            }
            let Some(part) = view(&get(&next, "value")?)? else {
                return failed(format!("{address}: the parts of the body must be bytes"));
            };
            if parts.is_empty() {
                self.expect(&part);
            }
            length += u64::from(part.length());
            self.progress(&part, if total > 0 { total.max(length) } else { 0 })?;
            parts.push(part);
        }
        if length < total {
            return failed(format!("{address} broke off after {length} of {total} bytes; try again"));
        }
        Ok(parts)
    }

    /// Runs the kernels that the file will want: while the rest arrives, is read and packed, the engine optimizes them.
    fn expect(&self, file: &Uint8Array) {
        let stored = if beginning(file).windows(4).any(|four| four == b"\"I8\"") {
            Precision::Int8
        } else {
            Precision::F32
        };
        warm_up(self.network.precision.unwrap_or(stored));
    }

    /// Checks the file and fills the slot with its network.
    async fn finish(&self, file: &Uint8Array, address: &str, slot: &Slot) -> Result<()> {
        self.check()?;
        if let Some(integrity) = &self.fetch.integrity {
            verify(file, integrity).await?;
            self.check()?;
        }
        self.expect(file);
        let from = if address.is_empty() { "" } else { " from " };
        let engine =
            network(file, &self.network).map_err(|error| error.context(format!("weights{from}{address}")))?;
        slot.fill(engine);
        Ok(())
    }
}

/// The parts as one.
fn join(parts: &[Uint8Array]) -> Result<Uint8Array> {
    if let [whole] = parts {
        return Ok(whole.clone());
    }
    let length = parts.iter().map(|part| u64::from(part.length())).sum::<u64>();
    let Some(file) = view(&(length as f64).into())? else {
        let message = format!("weights: no memory is left for {length} bytes");
        return Err(Error::new(ErrorCode::OutOfMemory, message));
    };
    let mut start = 0;
    for part in parts {
        file.set(part, start);
        start += part.length();
    }
    Ok(file)
}

/// Checks that one of the hashes of the strongest kind named is the file's own, as `<script integrity>` has it.
async fn verify(file: &Uint8Array, integrity: &str) -> Result<()> {
    let hashes = || integrity.split_ascii_whitespace().filter_map(|item| item.split_once('-'));
    let strongest = [("sha512", "SHA-512"), ("sha384", "SHA-384"), ("sha256", "SHA-256")];
    let known = strongest.into_iter().find(|(kind, _)| hashes().any(|(other, _)| other == *kind));
    let Some((kind, algorithm)) = known else {
        let message =
            format!("load: integrity: must be sha256-, sha384- or sha512- and a hash, got \"{integrity}\"");
        return Err(Error::new(ErrorCode::InvalidOption, message));
    };
    let crypto = get(&global(), "crypto")?;
    let subtle =
        if crypto.is_object() { crypto.unchecked_into::<Crypto>().subtle().into() } else { JsValue::NULL };
    if !subtle.is_object() {
        let message = "integrity: can only be checked on a page served over https or from localhost";
        return Err(Error::new(ErrorCode::Integrity, message));
    }
    let subtle: web_sys::SubtleCrypto = subtle.unchecked_into();
    let digest = JsFuture::from(subtle.digest_with_str_and_buffer_source(algorithm, file)?).await?;
    let digest: String = Uint8Array::new(&digest).to_vec().into_iter().map(char::from).collect();
    let digest = btoa(&digest)?;
    let plain = |hash: &'_ str| hash.split('?').next().unwrap_or_default().trim_end_matches('=').to_owned();
    if hashes().any(|(other, hash)| other == kind && plain(hash) == plain(&digest)) {
        return Ok(());
    }
    let message = format!(
        "weights: the file is not the one that integrity names, got {kind}-{digest}; it was changed, or cut off"
    );
    Err(Error::new(ErrorCode::Integrity, message))
}
