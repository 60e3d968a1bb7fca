//! The JavaScript class `MobileNet`: arguments are read and copied, the library is called, results become plain values.
//!
//! `options` and `results` are the serde structs of what the methods take and return, `frame` takes pixels out of a page's
//! frames, `engine` is what an object holds, `teach` trains it on a page's own classes, `load` fetches a file for pages
//! that use the module without the npm package, `threads` starts the pool of the build with threads.
//!
//! Code of the caller's (getters, proxies, callbacks) may throw, call other methods or dispose the object. So a method
//! first reads all its arguments, through imports that catch, and only then takes the network; callbacks are called
//! while nothing is taken.

#![cfg(target_arch = "wasm32")]

mod engine;
mod frame;
mod load;
mod options;
mod results;
mod teach;
#[cfg(feature = "threads")]
pub mod threads;

use engine::Slot;
use frame::Frame;
use js_sys::{Array, Float32Array, Object, Promise, Reflect, Uint8Array};
use mobilenet::{cost, predictions};
use mobilenet_js::options::{parse, read, whole};
use mobilenet_js::{Error, ErrorCode, NetworkOptions, Result, describe};
use options::{FrameOptions, SelectionOptions, TrainOptions};
use serde::Serialize;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

/// Shows panics with their message in the console.
#[wasm_bindgen(start)]
fn start() {
    console_error_panic_hook::set_once();
}

/// MobileNet v1, ready to look at frames.
///
/// Its memory is freed by `dispose()` (or `using`); otherwise some time after the last reference is gone.
///
/// Methods throw, and promises reject with, an `Error` whose `name` is "MobileNetError" and whose `code` is an
/// [`ErrorCode`].
#[wasm_bindgen]
pub struct MobileNet {
    slot: Rc<Slot>,
}

#[wasm_bindgen]
impl MobileNet {
    /// Makes a network from the bytes of a native model file.
    #[wasm_bindgen(constructor)]
    pub fn new(
        #[wasm_bindgen(unchecked_param_type = "ArrayBuffer | Uint8Array")] bytes: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "NetworkOptions")] options: &JsValue,
    ) -> Result<MobileNet> {
        let options: NetworkOptions = parse("new MobileNet", options)?;
        let Some(file) = load::bytes(bytes)? else {
            let message = format!(
                "new MobileNet: bytes: must be an ArrayBuffer or Uint8Array, got {}; MobileNet.load takes addresses",
                describe(bytes)
            );
            return Err(Error::new(ErrorCode::InvalidArgument, message));
        };
        let slot = Rc::new(Slot::default());
        slot.fill(load::network(&file, &options)?);
        Ok(Self { slot })
    }

    /// Loads a network from an address, a `Request`, `Response`, `Blob`, `ArrayBuffer` or `Uint8Array`.
    ///
    /// The promise rejects with a MobileNetError, or with the signal's reason.
    #[wasm_bindgen(unchecked_return_type = "Promise<MobileNet>")]
    pub fn load(
        #[wasm_bindgen(unchecked_param_type = "Source")] source: JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "SourceOptions")] options: &JsValue,
    ) -> Promise {
        // Read now: an `async fn` would read them after the caller's next lines.
        let options = parse("load", options);
        future_to_promise(async move { Ok(load::load(source, options?).await?) })
    }

    /// Names the most probable classes of a frame.
    ///
    /// The second argument is how many (3 by default), or options.
    #[wasm_bindgen(unchecked_return_type = "Prediction[]")]
    pub fn classify(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Frame")] frame: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "number | ClassifyOptions")] options: &JsValue,
    ) -> Result<JsValue> {
        self.slot.check()?;
        let (selection, image) = SelectionOptions::read(options)?;
        let frame = Frame::read(frame)?;
        self.slot.with(|engine| {
            let selection = selection.selection(engine.architecture())?;
            engine.run(&frame, &image)?;
            let architecture = engine.architecture();
            let found = selection.pick(engine.probabilities())?;
            let prediction = |found: &mobilenet::Prediction| results::Prediction {
                class_name: predictions::class_name(architecture, found.index),
                probability: found.probability,
                index: found.index as u32,
            };
            to_js(&found.iter().map(prediction).collect::<Vec<_>>())
        })
    }

    /// Computes a frame's embedding: the pooled features, 1024·alpha numbers that are similar for similar images.
    pub fn embed(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Frame")] frame: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "FrameOptions")] options: &JsValue,
    ) -> Result<Float32Array> {
        self.slot.check()?;
        let image = FrameOptions::read("embed", options)?;
        let frame = Frame::read(frame)?;
        self.slot.with(|engine| {
            engine.run(&frame, &image)?;
            Ok(Float32Array::from(engine.network().embedding()))
        })
    }

    /// Locates a class in a frame; by default the most probable class.
    #[wasm_bindgen(unchecked_return_type = "Heatmap")]
    pub fn heatmap(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Frame")] frame: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "number")] index: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "FrameOptions")] options: &JsValue,
    ) -> Result<JsValue> {
        let classes = self.slot.with(|engine| Ok(engine.architecture().classes))?;
        let class = class_index("heatmap", index, classes)?;
        let image = FrameOptions::read("heatmap", options)?;
        let frame = Frame::read(frame)?;
        self.slot.with(|engine| {
            engine.run(&frame, &image)?;
            to_js(&engine.heatmap(class)?)
        })
    }

    /// Runs layer by layer and measures the time of each. Slower than `classify`, which fuses layers.
    #[wasm_bindgen(unchecked_return_type = "LayerTiming[]")]
    pub fn profile(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Frame")] frame: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "FrameOptions")] options: &JsValue,
    ) -> Result<JsValue> {
        self.slot.check()?;
        let image = FrameOptions::read("profile", options)?;
        let frame = Frame::read(frame)?;
        self.slot.with(|engine| {
            let layers = engine.profile(&frame, &image)?;
            to_js(&layers.into_iter().map(results::LayerTiming::from).collect::<Vec<_>>())
        })
    }

    /// Lists what each layer costs, in the order the data flows.
    #[wasm_bindgen(unchecked_return_type = "LayerCost[]")]
    pub fn layers(&self) -> Result<JsValue> {
        self.slot.with(|engine| {
            let layers = cost::of_layers(engine.architecture());
            to_js(&layers.into_iter().map(results::LayerCost::from).collect::<Vec<_>>())
        })
    }

    /// What the network is. Its labels are in `labels`.
    #[wasm_bindgen(getter, unchecked_return_type = "Architecture")]
    pub fn architecture(&self) -> Result<JsValue> {
        self.slot.with(|engine| to_js(&results::Architecture::from(engine.architecture())))
    }

    /// Names of the classes in order; empty if the file has none.
    #[wasm_bindgen(getter, unchecked_return_type = "string[]")]
    pub fn labels(&self) -> Result<JsValue> {
        self.slot.with(|engine| to_js(&engine.architecture().labels))
    }

    /// In which numbers it computes.
    #[wasm_bindgen(getter, unchecked_return_type = "Precision")]
    pub fn precision(&self) -> Result<JsValue> {
        self.slot.with(|engine| to_js(&engine.network().precision()))
    }

    /// Which build of the package this is.
    #[wasm_bindgen(getter, unchecked_return_type = "\"simd128\" | \"relaxed\" | \"threads\"")]
    pub fn variant(&self) -> String {
        let relaxed = if mobilenet_kernels::simd::HAS_RELAXED_DOT_I8 { "relaxed" } else { "simd128" };
        if cfg!(feature = "threads") { "threads" } else { relaxed }.into()
    }

    /// Threads that share the work; 1 in the builds without them.
    #[wasm_bindgen(getter, js_name = numThreads)]
    pub fn num_threads(&self) -> Result<usize> {
        self.slot.with(|engine| Ok(engine.network().threads()))
    }

    /// Bytes that the network holds.
    #[wasm_bindgen(getter, js_name = memoryBytes)]
    pub fn memory_bytes(&self) -> Result<f64> {
        self.slot.with(|engine| Ok(engine.network().bytes() as f64))
    }

    /// Milliseconds of the last call that took a frame.
    #[wasm_bindgen(getter, unchecked_return_type = "Timings")]
    pub fn timings(&self) -> Result<JsValue> {
        self.slot.with(|engine| to_js(&engine.timings))
    }

    /// Whether `dispose` was called.
    #[wasm_bindgen(getter)]
    pub fn disposed(&self) -> bool {
        self.slot.disposed()
    }

    /// Frees the network. Every later call but this one throws.
    pub fn dispose(&self) {
        self.slot.dispose();
    }

    /// Adds what the frame shows as an example of a label. Returns how many examples the label has now.
    #[wasm_bindgen(js_name = addExample)]
    pub fn add_example(
        &self,
        #[wasm_bindgen(unchecked_param_type = "string")] label: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "Frame")] frame: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "FrameOptions")] options: &JsValue,
    ) -> Result<usize> {
        self.slot.check()?;
        let label = teach::label("addExample", label)?;
        let image = FrameOptions::read("addExample", options)?;
        let frame = Frame::read(frame)?;
        self.slot.with(|engine| {
            engine.run(&frame, &image)?;
            engine.add_example(label)
        })
    }

    /// Removes the examples of a label. Returns how many there were; the classes stay as they are until the next `train`.
    #[wasm_bindgen(js_name = removeExamples)]
    pub fn remove_examples(
        &self,
        #[wasm_bindgen(unchecked_param_type = "string")] label: &JsValue,
    ) -> Result<usize> {
        self.slot.check()?;
        let label = teach::label("removeExamples", label)?;
        self.slot.with(|engine| {
            let features = engine.network().embedding().len();
            Ok(engine.examples.remove(&label, features))
        })
    }

    /// How many examples each label has.
    #[wasm_bindgen(getter, unchecked_return_type = "Record<string, number>")]
    pub fn examples(&self) -> Result<Object> {
        self.slot.with(|engine| {
            let features = engine.network().embedding().len();
            let entry = |(label, count): (&str, usize)| Array::of2(&label.into(), &(count as u32).into());
            let entries: Array = engine.examples.counts(features).map(entry).collect();
            Ok(Object::from_entries(&entries)?)
        })
    }

    /// Trains a new last layer on the examples: from then on `classify` answers with their labels.
    ///
    /// The promise rejects if there are too few, or with the signal's reason; the answers are then as before.
    #[wasm_bindgen(unchecked_return_type = "Promise<TrainingReport>")]
    pub fn train(
        &self,
        #[wasm_bindgen(unchecked_optional_param_type = "TrainOptions")] options: &JsValue,
    ) -> Promise {
        // Options and examples are taken now: an `async fn` would read them after the caller's next lines.
        let training = self.training(options);
        let slot = Rc::clone(&self.slot);
        future_to_promise(async move { Ok(to_js(&training?.run(&slot).await?)?) })
    }

    /// Writes the network, with what it was taught, as a native model file.
    pub fn save(&self) -> Result<Vec<u8>> {
        self.slot.with(|engine| teach::save(engine))
    }
}

impl MobileNet {
    fn training(&self, options: &JsValue) -> Result<teach::Training> {
        self.slot.check()?;
        let options: TrainOptions = parse("train", options)?;
        if let Some(signal) = &options.signal {
            signal.check()?;
        }
        self.slot.with(|engine| teach::Training::new(engine, options))
    }
}

/// A result as a plain value.
fn to_js<T: Serialize + ?Sized>(result: &T) -> Result<JsValue> {
    Ok(serde_wasm_bindgen::to_value(result)?)
}

/// One class by index; `None` if the caller gave none.
fn class_index(method: &str, value: &JsValue, classes: usize) -> Result<Option<usize>> {
    if value.is_undefined() || value.is_null() {
        return Ok(None);
    }
    match whole(value).filter(|&index| index < classes) {
        Some(index) => Ok(Some(index)),
        None => {
            let message = format!(
                "{method}: index: must be a class from 0 to {}, got {}",
                classes - 1,
                describe(value)
            );
            Err(Error::new(ErrorCode::InvalidArgument, message))
        }
    }
}

/// Throws what the constructor would throw for these options, so that the package's `load` can refuse them before it
/// fetches a file.
#[wasm_bindgen(js_name = checkOptions)]
pub fn check_options(
    #[wasm_bindgen(unchecked_optional_param_type = "NetworkOptions")] options: &JsValue,
) -> Result<()> {
    parse::<NetworkOptions>("load", options)?.model()?;
    Ok(())
}

/// Runs a small network of zeros, once per precision, so that the engine optimizes the kernels while a file arrives.
#[wasm_bindgen(js_name = warmUp)]
pub fn warm_up(#[wasm_bindgen(unchecked_param_type = "Precision")] precision: &JsValue) -> Result<()> {
    load::warm_up(read("warmUp", "precision", precision)?);
    Ok(())
}

/// Bytes of the wasm memory, all networks together. It grows and never shrinks; freed parts are used again.
#[wasm_bindgen(js_name = memoryUsed)]
pub fn memory_used() -> f64 {
    let buffer = Reflect::get(&wasm_bindgen::memory(), &"buffer".into());
    buffer.map_or(0.0, |buffer| f64::from(Uint8Array::new(&buffer).byte_length()))
}
