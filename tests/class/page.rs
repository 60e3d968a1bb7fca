//! The page's side of the tests: `page.js`, and the class reached as JavaScript reaches it.

use super::networks;
use js_sys::{Array, Function, Object, Promise, Reflect, Uint8Array};
use mobilenet_wasm::MobileNet;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

#[wasm_bindgen(module = "/tests/class/page.js")]
extern "C" {
    pub fn pixels(width: u32, height: u32) -> JsValue;
    #[wasm_bindgen(js_name = imageData)]
    pub fn image_data(width: u32, height: u32) -> JsValue;
    pub fn canvas(width: u32, height: u32) -> JsValue;
    pub fn attempt(target: &JsValue, method: &str, args: &Array) -> Promise;
    fn construct(class: &JsValue, args: &Array) -> Promise;
    pub fn evaluate(code: &str, a: &JsValue, b: &JsValue, page: &JsValue) -> JsValue;
    #[wasm_bindgen(js_name = slowResponse)]
    pub fn slow_response(bytes: &Uint8Array, options: &JsValue) -> JsValue;
    pub fn address(bytes: &Uint8Array) -> String;
    #[wasm_bindgen(js_name = integrityOf)]
    pub fn integrity_of(bytes: &Uint8Array) -> Promise;
    pub fn offscreen() -> JsValue;
    pub fn image() -> Promise;
    #[wasm_bindgen(js_name = denseImage)]
    pub fn dense_image(width: u32, height: u32) -> Promise;
    pub fn drawn(frame: &JsValue, width: u32, height: u32) -> JsValue;
    pub fn bitmap() -> Promise;
    pub fn video() -> Promise;
    #[wasm_bindgen(js_name = videoFrame)]
    pub fn video_frame() -> JsValue;
    #[wasm_bindgen(js_name = unloadedImage)]
    pub fn unloaded_image() -> JsValue;
    #[wasm_bindgen(js_name = emptyVideo)]
    pub fn empty_video() -> JsValue;
    #[wasm_bindgen(js_name = closedBitmap)]
    pub fn closed_bitmap() -> Promise;
    #[wasm_bindgen(js_name = closedVideoFrame)]
    pub fn closed_video_frame() -> JsValue;
    #[wasm_bindgen(js_name = taintedImage)]
    pub fn tainted_image() -> Promise;
    #[wasm_bindgen(js_name = taintedCanvas)]
    pub fn tainted_canvas() -> Promise;
    #[wasm_bindgen(js_name = isClosed)]
    pub fn is_closed(frame: &JsValue) -> bool;
}

/// A JavaScript expression of `a` and `b`.
pub fn js(code: &str, a: &JsValue, b: &JsValue) -> JsValue {
    evaluate(code, a, b, &JsValue::UNDEFINED)
}

/// A JavaScript expression of nothing.
pub fn literal(code: &str) -> JsValue {
    js(code, &JsValue::UNDEFINED, &JsValue::UNDEFINED)
}

pub async fn wait(promise: Promise) -> JsValue {
    JsFuture::from(promise).await.expect("a promise of the test itself")
}

pub fn get(object: &JsValue, key: &str) -> JsValue {
    Reflect::get(object, &key.into()).unwrap()
}

/// The bytes of the small network's file.
pub fn file() -> Uint8Array {
    Uint8Array::from(networks::file().as_slice())
}

/// The small network as an object of the class.
pub fn network() -> JsValue {
    MobileNet::new(&file(), &JsValue::UNDEFINED).unwrap().into()
}

/// The class itself.
pub fn class() -> JsValue {
    js("(a.dispose(), a.constructor)", &network(), &JsValue::UNDEFINED)
}

/// Calls a method of an object.
pub async fn call(target: &JsValue, method: &str, args: &[&JsValue]) -> JsValue {
    let result = wait(attempt(target, method, &args.iter().copied().collect())).await;
    let thrown = get(&result, "message").as_string();
    assert!(thrown.is_none(), "{method}: {}", thrown.unwrap_or_default());
    get(&result, "value")
}

/// An `Error` that was thrown.
#[derive(Debug)]
pub struct Refusal {
    pub name: String,
    /// Empty for what is not ours.
    pub code: String,
    pub message: String,
}

impl Refusal {
    /// Whether it is ours, has this code, and its message contains the text.
    pub fn is(&self, code: &str, text: &str) -> bool {
        self.name == "MobileNetError" && self.code == code && self.message.contains(text)
    }
}

/// Calls a method that must throw an `Error`.
pub async fn refusal(target: &JsValue, method: &str, args: &[&JsValue]) -> Refusal {
    thrown(wait(attempt(target, method, &args.iter().copied().collect())).await, method)
}

/// The same with an array of arguments.
pub async fn thrown_by(target: &JsValue, method: &str, args: &Array) -> Refusal {
    thrown(wait(attempt(target, method, args)).await, method)
}

/// Calls the constructor, which must throw an `Error`.
pub async fn construction_refusal(args: &[&JsValue]) -> Refusal {
    thrown(wait(construct(&class(), &args.iter().copied().collect())).await, "new MobileNet")
}

fn thrown(result: JsValue, method: &str) -> Refusal {
    let value = get(&result, "value");
    assert!(get(&result, "error").is_truthy(), "{method} threw no Error but returned {value:?}");
    let text = |key| get(&result, key).as_string().unwrap_or_default();
    Refusal { name: text("name"), code: text("code"), message: text("message") }
}

/// Calls `MobileNet.load`, whose promise must reject with an `Error`.
pub async fn load_refusal(source: &JsValue, options: &JsValue) -> Refusal {
    thrown(wait(attempt(&class(), "load", &Array::of2(source, options))).await, "load")
}

/// Calls `MobileNet.load`.
pub async fn load(source: &JsValue, options: &JsValue) -> JsValue {
    call(&class(), "load", &[source, options]).await
}

/// All probabilities in the order of the classes.
pub async fn probabilities(network: &JsValue, frame: &JsValue, options: &JsValue) -> Vec<f64> {
    let options = js("({ topk: 5, ...b })", &JsValue::UNDEFINED, options);
    let found: Array = call(network, "classify", &[frame, &options]).await.unchecked_into();
    let mut all = vec![f64::NAN; 5];
    for prediction in found.iter() {
        let index = get(&prediction, "index").as_f64().unwrap() as usize;
        all[index] = get(&prediction, "probability").as_f64().unwrap();
    }
    all
}

/// The object still gives what it gave before.
pub async fn still_works(network: &JsValue) {
    let frame = pixels(32, 32);
    let fresh = self::network();
    let expected = probabilities(&fresh, &frame, &JsValue::UNDEFINED).await;
    call(&fresh, "dispose", &[]).await;
    assert_eq!(probabilities(network, &frame, &JsValue::UNDEFINED).await, expected);
}

/// An abort controller.
pub fn controller() -> JsValue {
    literal("new AbortController()")
}

/// A function that counts its calls into `counts` of the given object.
pub fn counter(into: &Object) -> Function {
    js("(progress) => { (a.calls ??= []).push(progress); }", into, &JsValue::UNDEFINED).unchecked_into()
}
