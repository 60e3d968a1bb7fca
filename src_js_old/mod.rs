//! The `MobileNet` class: convert, call, convert back. The only room that knows JavaScript.
//!
//! Goes in: a model file and frames as a page has them. Comes out: plain JavaScript values and `Error`s that are
//! sentences. `value` and `options` read arguments, `load` fetches files, `frame` takes pixels, `engine` is what an
//! object holds; what is shorter to say in JavaScript stands in `browser.js`. The types that TypeScript sees stand in `types.d.ts`. Next: the package's loader in `pkg/`.
//!
//! No method lets go of the object in a state that the next call could not work with: arguments are checked before
//! anything is touched, and an object that was disposed says so.

mod engine;
mod frame;
mod json;
#[cfg(not(feature = "readers"))]
pub mod lent;
mod load;
mod options;
#[cfg(feature = "teach")]
mod teach;
#[cfg(not(feature = "teach"))]
#[path = "no_teach.rs"]
mod teach;
#[cfg(feature = "threads")]
pub mod threads;
mod value;

use crate::formats::{header::describe, json::Value};
use crate::infer::heatmap::class_activation;
use crate::infer::{Precision, predictions};
use crate::model::cost;
use engine::{Engine, LayerTiming, Timings};
use js_sys::{Array, Float32Array, Object, Promise, Reflect, Uint8Array, Uint32Array};
use std::cell::{Ref, RefCell, RefMut};
use std::rc::Rc;
use value::{Outcome, named, refuse, set};
use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = include_str!("types.d.ts");

/// MobileNet v1, ready to look at frames.
///
/// Its memory is freed by `dispose()` (or `using`); where nobody calls it, some time after the last reference is gone.
#[wasm_bindgen]
pub struct MobileNet {
    engine: Held,
}

/// A network, nothing once it is disposed of.
type Held = Rc<RefCell<Option<Box<Engine>>>>;

/// What has to be done once, before anything else: panics get their sentences where they have any, `formats` its JSON.
fn prepare() {
    #[cfg(feature = "readers")]
    console_error_panic_hook::set_once();
    #[cfg(not(feature = "readers"))]
    json::lend();
}

#[wasm_bindgen]
impl MobileNet {
    /// A network from the bytes of a model file that stands alone.
    ///
    /// Throws an `Error` that names what is wrong with the file.
    #[wasm_bindgen(constructor)]
    pub fn new(
        #[wasm_bindgen(unchecked_param_type = "ArrayBuffer | Uint8Array")] bytes: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "NetworkOptions")] options: &JsValue,
    ) -> Outcome<MobileNet> {
        prepare();
        let wanted = options::network("new MobileNet", options)?;
        let Some(view) = load::bytes_of(bytes) else {
            return refuse(format!(
                "new MobileNet: the weights must be an ArrayBuffer or Uint8Array, not {}; MobileNet.load takes \
                 addresses",
                value::describe(bytes)
            ));
        };
        let weights = load::read_bytes(&view, &wanted)?;
        let engine = Engine::new(weights, wanted.precision, wanted.threads)?;
        Ok(Self { engine: Rc::new(RefCell::new(Some(Box::new(engine)))) })
    }

    /// A network from an address, a `Request`, `Response`, `Blob`, `ArrayBuffer` or `Uint8Array`.
    ///
    /// The promise is refused with an `Error` that names the address and what went wrong, or with the signal's reason.
    #[wasm_bindgen(unchecked_return_type = "Promise<MobileNet>")]
    pub fn load(
        #[wasm_bindgen(unchecked_param_type = "Source")] source: JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "SourceOptions")] options: &JsValue,
    ) -> Promise {
        prepare();
        load::load(source, options).unwrap_or_else(|refusal| Promise::reject(&refusal))
    }

    /// The most probable classes of what the frame shows.
    ///
    /// The second argument is how many (3 by default), or options.
    #[wasm_bindgen(unchecked_return_type = "Prediction[]")]
    pub fn classify(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Frame")] frame: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "number | ClassifyOptions")] options: &JsValue,
    ) -> Outcome<Array> {
        let mut engine = self.engine()?;
        let (seen, selection) = options::classify(options, engine.architecture())?;
        engine.look(frame, &seen)?;
        let architecture = engine.architecture();
        let found = selection.pick(engine.probabilities())?;
        let object = |prediction: &predictions::Prediction| {
            let numbers = [prediction.probability.into(), prediction.index as f64];
            let object = named("probability index", &numbers);
            set(&object, "className", predictions::class_name(architecture, prediction.index));
            object
        };
        Ok(found.iter().map(object).collect())
    }

    /// The pooled features, 1024·alpha numbers: similar pictures have similar ones.
    pub fn embed(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Frame")] frame: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "FrameOptions")] options: &JsValue,
    ) -> Outcome<Float32Array> {
        let mut engine = self.engine()?;
        let seen = options::frame("embed", options)?;
        engine.look(frame, &seen)?;
        Ok(Float32Array::from(engine.network.embedding()))
    }

    /// Where in the picture a class is seen; by default the most probable class.
    #[wasm_bindgen(unchecked_return_type = "Heatmap")]
    pub fn heatmap(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Frame")] frame: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "number")] index: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "FrameOptions")] options: &JsValue,
    ) -> Outcome<Object> {
        let mut engine = self.engine()?;
        let classes = engine.architecture().classes;
        let wanted = options::class_index("heatmap", index, classes)?;
        let seen = options::frame("heatmap", options)?;
        engine.look(frame, &seen)?;
        let class = match wanted {
            Some(class) => class,
            None => {
                let best = predictions::Selection::top(1).pick(engine.probabilities())?;
                best.first().map_or(0, |best| best.index)
            }
        };
        let (map, features) = engine.network.features();
        let heat = class_activation(&features, map, &engine.classifier(class)?)?;
        let (low, high) = (heat.minimum.into(), heat.maximum.into());
        let numbers = [heat.width as f64, heat.height as f64, low, high, class as f64];
        let object = named("width height minimum maximum index", &numbers);
        set(&object, "values", Float32Array::from(heat.values.as_slice()));
        set(&object, "className", predictions::class_name(engine.architecture(), class));
        Ok(object)
    }

    /// Runs layer by layer and tells each one's time. Slower than `classify`, which runs layers together.
    #[wasm_bindgen(unchecked_return_type = "LayerTiming[]")]
    pub fn profile(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Frame")] frame: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "FrameOptions")] options: &JsValue,
    ) -> Outcome<Array> {
        let mut engine = self.engine()?;
        let seen = options::frame("profile", options)?;
        let describe = |layer: &LayerTiming| {
            let object = named("milliseconds multAdds", &[layer.milliseconds, layer.mult_adds as f64]);
            set(&object, "name", &layer.name);
            set(&object, "kind", layer.kind.name());
            object
        };
        Ok(engine.profile(frame, &seen)?.iter().map(describe).collect())
    }

    /// What each layer costs, in the order the data flows.
    #[wasm_bindgen(unchecked_return_type = "LayerCost[]")]
    pub fn layers(&self) -> Outcome<Array> {
        let engine = self.engine()?;
        let sizes = |map: crate::shape::Map| {
            Uint32Array::from(&[map.height as u32, map.width as u32, map.channels as u32][..])
        };
        let describe = |cost::LayerCost { layer, cost, .. }: &cost::LayerCost| {
            let object = named("multAdds parameters", &[cost.mult_adds as f64, cost.folded as f64]);
            set(&object, "name", &layer.name);
            set(&object, "kind", layer.kind.name());
            set(&object, "input", Array::from(&sizes(layer.shape.input)));
            set(&object, "output", Array::from(&sizes(layer.shape.output)));
            object
        };
        Ok(cost::of_layers(engine.architecture()).iter().map(describe).collect())
    }

    /// What the network is; its labels stand in `labels`.
    #[wasm_bindgen(getter, unchecked_return_type = "Architecture")]
    pub fn architecture(&self) -> Outcome<JsValue> {
        let engine = self.read()?;
        Ok(json::to_js(&Value::Object(describe(engine.architecture()))))
    }

    /// Names of the classes in order; empty where the file has none.
    #[wasm_bindgen(getter, unchecked_return_type = "string[]")]
    pub fn labels(&self) -> Outcome<Array> {
        let engine = self.read()?;
        Ok(engine.architecture().labels.iter().map(JsValue::from).collect())
    }

    /// In which numbers it computes.
    #[wasm_bindgen(getter, unchecked_return_type = "\"f32\" | \"int8\"")]
    pub fn precision(&self) -> Outcome<String> {
        let precision = self.read()?.network.precision();
        Ok(if precision == Precision::Int8 { "int8" } else { "f32" }.into())
    }

    /// Which build of the package this is.
    #[wasm_bindgen(getter, unchecked_return_type = "\"simd128\" | \"relaxed\" | \"threads\"")]
    pub fn variant(&self) -> String {
        let relaxed = if crate::kernels::simd::DOT_I8 { "relaxed" } else { "simd128" };
        if cfg!(feature = "threads") { "threads" } else { relaxed }.into()
    }

    /// Threads that share the work; 1 in the builds without them.
    #[wasm_bindgen(getter, js_name = numThreads)]
    pub fn num_threads(&self) -> Outcome<usize> {
        Ok(self.read()?.network.threads())
    }

    /// Bytes that the network holds.
    #[wasm_bindgen(getter, js_name = memoryBytes)]
    pub fn memory_bytes(&self) -> Outcome<f64> {
        Ok(self.read()?.network.bytes() as f64)
    }

    /// Milliseconds of the last call that took a frame: `grab`, `resize`, `network`.
    #[wasm_bindgen(getter, unchecked_return_type = "Timings")]
    pub fn timings(&self) -> Outcome<Object> {
        let Timings { grab, resize, network } = self.read()?.timings;
        Ok(named("grab resize network", &[grab, resize, network]))
    }

    /// Whether `dispose` was called.
    #[wasm_bindgen(getter)]
    pub fn disposed(&self) -> bool {
        self.engine.try_borrow().is_ok_and(|engine| engine.is_none())
    }

    /// Frees the network. Every later call but this one throws.
    pub fn dispose(&self) -> Outcome<()> {
        match self.engine.try_borrow_mut() {
            Ok(mut engine) => {
                *engine = None;
                Ok(())
            }
            Err(_) => busy(),
        }
    }

    /// Cosine of the angle between two embeddings: 1 alike, 0 unrelated, −1 opposite.
    #[wasm_bindgen(js_name = cosineSimilarity)]
    pub fn cosine_similarity(
        #[wasm_bindgen(unchecked_param_type = "ArrayLike<number>")] a: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "ArrayLike<number>")] b: &JsValue,
    ) -> Outcome<f64> {
        let numbers = |value: &JsValue| match value.is_object() {
            true => Ok(Float32Array::new(value).to_vec()),
            false => refuse(format!(
                "cosineSimilarity: an embedding is an array of numbers, not {}",
                value::describe(value)
            )),
        };
        Ok(predictions::cosine_similarity(&numbers(a)?, &numbers(b)?)?)
    }
}

impl MobileNet {
    fn engine(&self) -> Outcome<RefMut<'_, Engine>> {
        let Ok(engine) = self.engine.try_borrow_mut() else { return busy() };
        match RefMut::filter_map(engine, |engine| engine.as_deref_mut()) {
            Ok(engine) => Ok(engine),
            Err(_) => gone(),
        }
    }

    fn read(&self) -> Outcome<Ref<'_, Engine>> {
        let Ok(engine) = self.engine.try_borrow() else { return busy() };
        match Ref::filter_map(engine, |engine| engine.as_deref()) {
            Ok(engine) => Ok(engine),
            Err(_) => gone(),
        }
    }
}

/// A getter of the caller's object called the network that is just reading it.
fn busy<T>() -> Outcome<T> {
    refuse("this MobileNet is at work; call it again when the call before has returned".into())
}

fn gone<T>() -> Outcome<T> {
    refuse("this MobileNet was disposed; load it again".into())
}

/// Bytes of the wasm memory, all networks together. It grows and never shrinks; freed parts are used again.
#[wasm_bindgen(js_name = memoryUsed)]
pub fn memory_used() -> f64 {
    let buffer = Reflect::get(&wasm_bindgen::memory(), &"buffer".into());
    buffer.map_or(0.0, |buffer| f64::from(Uint8Array::new(&buffer).byte_length()))
}
