//! Bytes of a model file from wherever JavaScript has them, and the network from the bytes.
//!
//! Goes in: an address, a `Request`, `Response`, `Blob`, buffer or bytes, with progress, abort, integrity and cache.
//! Comes out: [`Weights`], or an `Error` that names the address and what went wrong. Next: `engine`.
//!
//! A body is read part by part straight into the wasm memory, and dropped as soon as the weights are read, so
//! the file and the network are never held three times.

#[cfg(not(feature = "readers"))]
use super::lent::Readers;
use super::options::NetworkOptions;
use super::value::{Fields, Outcome, check_abort, describe, message, refuse, set, tag};
#[cfg(not(feature = "readers"))]
use crate::formats::Format;
use crate::formats::{self, Source};
use crate::{Error, Weights};
use js_sys::{ArrayBuffer, Function, Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortSignal, ReadableStreamDefaultReader, Response};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch)]
    fn fetch(input: &JsValue, init: &JsValue) -> Outcome<Promise>;
    #[wasm_bindgen(catch)]
    fn atob(text: &str) -> Outcome<String>;
}

/// What accompanies a load.
struct Loader {
    signal: Option<AbortSignal>,
    progress: Option<Function>,
    integrity: Option<String>,
    cache: Option<String>,
    loaded: usize,
    /// As they were given, for the module of readers.
    #[cfg(not(feature = "readers"))]
    options: JsValue,
}

/// A file that has arrived, and the address that other files beside it are relative to.
struct Arrived {
    bytes: Vec<u8>,
    address: String,
}

impl Arrived {
    /// What is wrong with the file, with its address before it.
    fn refuse(&self, problem: &dyn std::fmt::Display) -> JsValue {
        let sentence = match self.address.as_str() {
            "" => format!("weights: {problem}"),
            address => format!("weights from {address}: {problem}"),
        };
        Error::Argument(sentence).into()
    }
}

/// Reads the network that `source` leads to.
pub async fn load(source: &JsValue, options: &NetworkOptions, fields: &Fields) -> Outcome<Weights> {
    let mut loader = Loader::new(fields)?;
    let cached = loader.cached(source).await?;
    if let Some(response) = cached {
        let address = address_of(source);
        // What was kept may be from another version or damaged: then it is fetched as if it had not been there.
        if let Ok(arrived) = loader.read(&response, &address).await
            && let Ok(weights) = loader.finish(arrived, options).await
        {
            return Ok(weights);
        }
        check_abort(loader.signal.as_ref())?;
        loader.loaded = 0;
    }
    let arrived = loader.take(source).await?;
    let keep = loader.copy_for_cache(source, &arrived.bytes);
    let weights = loader.finish(arrived, options).await?;
    if let Some(copy) = keep {
        // A full or forbidden cache is no reason to refuse a network that is there.
        let _ = loader.keep(source, &copy).await;
    }
    Ok(weights)
}

impl Loader {
    fn new(fields: &Fields) -> Outcome<Self> {
        let integrity = match fields.get("integrity")? {
            None => None,
            Some(value) => match value.as_string() {
                Some(text) => Some(text),
                None => return fields.wrong("integrity", "a string such as \"sha256-…\"", &value),
            },
        };
        let cache = match fields.get("cache")? {
            None => None,
            Some(value) => match (value.as_string(), value.as_bool()) {
                (Some(name), _) => Some(name),
                (None, Some(wanted)) => wanted.then(|| "mobilenet".into()),
                _ => return fields.wrong("cache", "true, false or a name", &value),
            },
        };
        let (signal, progress) = (fields.signal()?, fields.function("onProgress")?);
        Ok(Self {
            signal,
            progress,
            integrity,
            cache,
            loaded: 0,
            #[cfg(not(feature = "readers"))]
            options: fields.value(),
        })
    }

    /// Checks, reads, and has fetched what the file refers to.
    async fn finish(&mut self, arrived: Arrived, options: &NetworkOptions) -> Outcome<Weights> {
        if let Some(integrity) = &self.integrity {
            check_integrity(&arrived.bytes, integrity).await?;
        }
        self.read_file(arrived, options).await
    }

    #[cfg(feature = "readers")]
    async fn read_file(&mut self, file: Arrived, options: &NetworkOptions) -> Outcome<Weights> {
        let named = |error: Error| file.refuse(&error);
        let names = formats::beside(&file.bytes).map_err(named)?;
        let parts = self.parts(&names, &file.address).await?;
        let beside: Vec<(&str, &[u8])> =
            names.iter().map(String::as_str).zip(parts.iter().map(Vec::as_slice)).collect();
        let source = Source { bytes: &file.bytes, beside: &beside };
        let reading = formats::read_source(&source, &options.formats).map_err(named)?;
        Ok(reading.weights)
    }

    /// What is not of the native format is first turned into it, by a module that is fetched for that.
    #[cfg(not(feature = "readers"))]
    async fn read_file(&mut self, mut file: Arrived, options: &NetworkOptions) -> Outcome<Weights> {
        let format = Format::detect(&file.bytes).map_err(|error| file.refuse(&error))?;
        if matches!(format, Format::Tflite | Format::Tfjs)
            && let Some(readers) = Readers::get().await?
        {
            let bytes = Uint8Array::from(std::mem::take(&mut file.bytes).as_slice());
            let names = match format {
                Format::Tfjs => readers.beside(&bytes).map_err(|thrown| file.refuse(&message(&thrown)))?,
                _ => Vec::new(),
            };
            let parts = self.parts(&names, &file.address).await?;
            let native = readers.to_native(&bytes, names, parts, &self.options);
            file.bytes = copy_bytes(&native.map_err(|thrown| file.refuse(&message(&thrown)))?)?;
        }
        let reading = formats::read_source(&Source::alone(&file.bytes), &options.formats);
        Ok(reading.map_err(|error| file.refuse(&error))?.weights)
    }

    /// The files called `names` beside `address`.
    async fn parts(&mut self, names: &[String], address: &str) -> Outcome<Vec<Vec<u8>>> {
        let mut parts = Vec::with_capacity(names.len());
        for name in names {
            let Ok(url) = web_sys::Url::new_with_base(name, address) else {
                return refuse(format!(
                    "weights: the file refers to `{name}` beside it, so load it by its address, not by its bytes"
                ));
            };
            parts.push(self.fetch(&url.href().into()).await?.bytes);
        }
        Ok(parts)
    }

    /// The bytes of any kind of source.
    async fn take(&mut self, source: &JsValue) -> Outcome<Arrived> {
        let here = |bytes: Vec<u8>| Arrived { bytes, address: String::new() };
        if source.is_string() {
            return self.fetch(source).await;
        }
        match tag(source).as_str() {
            "URL" | "Request" => self.fetch(source).await,
            "Response" => {
                let response: &Response = source.unchecked_ref();
                self.read(response, &response.url()).await
            }
            "Blob" | "File" => {
                let promise: Promise = source.unchecked_ref::<web_sys::Blob>().array_buffer();
                let buffer = match JsFuture::from(promise).await {
                    Ok(buffer) => buffer,
                    Err(thrown) => {
                        return refuse(format!("weights: the file could not be read: {}", message(&thrown)));
                    }
                };
                self.copy(&Uint8Array::new(&buffer)).map(here)
            }
            _ => match bytes_of(source) {
                Some(bytes) => self.copy(&bytes).map(here),
                None => refuse(format!(
                    "weights must be an address, Request, Response, Blob, ArrayBuffer or Uint8Array, not {}",
                    describe(source)
                )),
            },
        }
    }

    fn copy(&mut self, bytes: &Uint8Array) -> Outcome<Vec<u8>> {
        let copied = copy_bytes(bytes)?;
        self.loaded += copied.len();
        self.report(self.loaded as u64)?;
        Ok(copied)
    }

    async fn fetch(&mut self, input: &JsValue) -> Outcome<Arrived> {
        let address = address_of(input);
        let init = Object::new();
        if let Some(signal) = &self.signal {
            set(&init, "signal", signal);
        }
        let response = async { JsFuture::from(fetch(input, &init)?).await };
        match response.await {
            Ok(response) => self.read(response.unchecked_ref(), &address).await,
            Err(thrown) => {
                check_abort(self.signal.as_ref())?;
                refuse(format!(
                    "weights: {address} could not be fetched ({}); check the address, the connection, and that the \
                     server allows this page to read it (CORS)",
                    message(&thrown)
                ))
            }
        }
    }

    /// The body of a response, part by part.
    async fn read(&mut self, response: &Response, address: &str) -> Outcome<Arrived> {
        let url = response.url();
        let address = if url.is_empty() { address.to_owned() } else { url };
        if !response.ok() {
            let status = format!("{} {}", response.status(), response.status_text());
            return refuse(format!("weights: {address} answered {}", status.trim_end()));
        }
        if response.body_used() {
            return refuse("weights: the body of this Response was read before; give a fresh one".into());
        }
        let Some(body) = response.body() else {
            return refuse(format!("weights: {address} answered without a body"));
        };
        let length = |name: &str| response.headers().get(name).ok().flatten();
        let total = match length("content-encoding") {
            Some(_) => 0, // the length is then of what travelled, not of what arrives
            None => length("content-length").and_then(|length| length.parse::<u64>().ok()).unwrap_or(0),
        };
        let reader: ReadableStreamDefaultReader = body.get_reader().unchecked_into();
        self.cancel_on_abort(&reader)?;
        let mut bytes = Vec::new();
        // An announced length is only a wish; memory is what the bytes that arrive ask for.
        reserve(&mut bytes, total.min(256 << 20) as usize)?;
        loop {
            let part = JsFuture::from(reader.read()).await;
            check_abort(self.signal.as_ref())?;
            let part = match part {
                Ok(part) => part,
                Err(thrown) => {
                    return refuse(format!(
                        "weights: {address} broke off after {} bytes ({}); try again",
                        bytes.len(),
                        message(&thrown)
                    ));
                }
            };
            if Reflect::get(&part, &"done".into())?.is_truthy() {
                break;
            }
            let part: Uint8Array = Reflect::get(&part, &"value".into())?.unchecked_into();
            append(&mut bytes, &part)?;
            self.loaded += part.length() as usize;
            let expected = (self.loaded - bytes.len()) as u64 + total;
            if let Err(thrown) = self.report(if total > 0 { expected.max(self.loaded as u64) } else { 0 }) {
                let _ = reader.cancel();
                return Err(thrown);
            }
        }
        if (bytes.len() as u64) < total {
            return refuse(format!(
                "weights: {address} broke off after {} of {total} bytes; try again",
                bytes.len()
            ));
        }
        Ok(Arrived { bytes, address })
    }

    /// A part that never comes must not keep an aborted load waiting.
    fn cancel_on_abort(&self, reader: &ReadableStreamDefaultReader) -> Outcome<()> {
        let Some(signal) = &self.signal else { return Ok(()) };
        let cancel: Function = Reflect::get(reader, &"cancel".into())?.unchecked_into();
        signal.add_event_listener_with_callback("abort", &cancel.bind0(reader))
    }

    fn report(&self, total: u64) -> Outcome<()> {
        let Some(progress) = &self.progress else { return Ok(()) };
        let report = Object::new();
        set(&report, "loaded", self.loaded as f64);
        set(&report, "total", total as f64);
        progress.call1(&JsValue::UNDEFINED, &report).map(drop)
    }

    /// The cache, where one is wanted, there is one, and the source is an address.
    async fn open_cache(&self, source: &JsValue) -> Outcome<Option<Object>> {
        let Some(name) = &self.cache else { return Ok(None) };
        if address_of(source).is_empty() || tag(source) == "Response" {
            return Ok(None);
        }
        let caches = Reflect::get(&js_sys::global(), &"caches".into())?;
        if caches.is_undefined() {
            return Ok(None);
        }
        call(&caches, "open", &[&name.into()]).await.map(|cache| Some(cache.unchecked_into()))
    }

    async fn cached(&self, source: &JsValue) -> Outcome<Option<Response>> {
        let found = async {
            let Some(cache) = self.open_cache(source).await? else { return Ok(None) };
            let found = call(&cache, "match", &[source]).await?;
            Ok::<_, JsValue>((!found.is_undefined()).then(|| found.unchecked_into()))
        };
        // Storage may be forbidden (private windows): that is no cache, not an error.
        Ok(found.await.unwrap_or_default())
    }

    /// The bytes once more, outside of the wasm memory, where they are to be kept.
    fn copy_for_cache(&self, source: &JsValue, bytes: &[u8]) -> Option<Uint8Array> {
        let wanted = self.cache.is_some() && !address_of(source).is_empty() && tag(source) != "Response";
        wanted.then(|| Uint8Array::from(bytes))
    }

    async fn keep(&self, source: &JsValue, bytes: &Uint8Array) -> Outcome<()> {
        let Some(cache) = self.open_cache(source).await? else { return Ok(()) };
        let response = Response::new_with_opt_js_u8_array(Some(bytes))?;
        call(&cache, "put", &[source, &response]).await.map(drop)
    }
}

/// Calls a method that gives a promise, and waits for it.
async fn call(object: &JsValue, method: &str, arguments: &[&JsValue]) -> Outcome<JsValue> {
    let function: Function = Reflect::get(object, &method.into())?.dyn_into()?;
    let arguments: js_sys::Array = arguments.iter().copied().collect();
    let promise: Promise = function.apply(object, &arguments)?.unchecked_into();
    JsFuture::from(promise).await
}

/// The address that a source leads to; empty for bytes.
fn address_of(source: &JsValue) -> String {
    if let Some(text) = source.as_string() {
        return text;
    }
    let field = match tag(source).as_str() {
        "URL" => "href",
        "Request" | "Response" => "url",
        _ => return String::new(),
    };
    Reflect::get(source, &field.into()).ok().and_then(|text| text.as_string()).unwrap_or_default()
}

/// The bytes of a buffer or of a view of one, without a copy.
pub fn bytes_of(source: &JsValue) -> Option<Uint8Array> {
    match tag(source).as_str() {
        "ArrayBuffer" | "SharedArrayBuffer" => Some(Uint8Array::new(source)),
        "Uint8Array" => Some(source.clone().unchecked_into()),
        _ if ArrayBuffer::is_view(source) => {
            let view: &Uint8Array = source.unchecked_ref();
            let (offset, length) = (view.byte_offset(), view.byte_length());
            Some(Uint8Array::new_with_byte_offset_and_length(&view.buffer(), offset, length))
        }
        _ => None,
    }
}

/// Bytes into the wasm memory.
pub fn copy_bytes(bytes: &Uint8Array) -> Outcome<Vec<u8>> {
    let mut copied = Vec::new();
    append(&mut copied, bytes)?;
    Ok(copied)
}

fn append(bytes: &mut Vec<u8>, part: &Uint8Array) -> Outcome<()> {
    let (start, length) = (bytes.len(), part.length() as usize);
    if start + length > bytes.capacity() {
        // Exactly as much for the first part, then by half, so that unannounced lengths do not copy each part.
        reserve(bytes, length.max(start / 2))?;
    }
    bytes.resize(start + length, 0);
    part.copy_to(&mut bytes[start..]);
    Ok(())
}

fn reserve(bytes: &mut Vec<u8>, more: usize) -> Outcome<()> {
    if bytes.try_reserve_exact(more).is_err() {
        return refuse(format!("weights: no memory is left for {} bytes", bytes.len() + more));
    }
    Ok(())
}

/// Whether one of the hashes of the strongest kind named is the bytes' own, as `<script integrity>` has it.
async fn check_integrity(bytes: &[u8], integrity: &str) -> Outcome<()> {
    let kinds = [("sha512-", "SHA-512"), ("sha384-", "SHA-384"), ("sha256-", "SHA-256")];
    let found = kinds.iter().find_map(|(prefix, name)| {
        let hashes: Vec<&str> =
            integrity.split_ascii_whitespace().filter_map(|item| item.strip_prefix(prefix)).collect();
        (!hashes.is_empty()).then_some((name, hashes))
    });
    let Some((name, hashes)) = found else {
        return refuse(format!(
            "integrity must be sha256-, sha384- or sha512- and a hash in base 64, not \"{integrity}\""
        ));
    };
    let crypto = Reflect::get(&js_sys::global(), &"crypto".into())?;
    let subtle = if crypto.is_undefined() { crypto } else { Reflect::get(&crypto, &"subtle".into())? };
    if subtle.is_undefined() {
        return refuse("integrity can only be checked on a page served over https or from localhost".into());
    }
    let digest = call(&subtle, "digest", &[&(*name).into(), &Uint8Array::from(bytes)]).await?;
    let digest = Uint8Array::new(&digest).to_vec();
    let same = |hash: &&str| {
        let hash = hash.split('?').next().unwrap_or_default();
        atob(hash).is_ok_and(|text| text.chars().map(u32::from).eq(digest.iter().copied().map(u32::from)))
    };
    if hashes.iter().any(same) {
        return Ok(());
    }
    let found: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    refuse(format!(
        "weights: the file is not the one that integrity names: its {name} begins with {found}; it was changed, or cut \
         off on its way"
    ))
}
