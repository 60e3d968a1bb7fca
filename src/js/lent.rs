//! The module of readers that the package's loader fetches where a file is of a foreign format.
//!
//! Goes in: a function that gives the module's promise, once. Comes out: its functions (`reader.rs`). Next: `load`.

use super::value::Outcome;
use js_sys::{Array, Function, Promise, Reflect, Uint8Array};
use std::cell::RefCell;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

thread_local! {
    static FETCH: RefCell<Option<Function>> = const { RefCell::new(None) };
}

/// Takes the function that fetches and starts the module.
#[wasm_bindgen(js_name = lendReaders, skip_typescript)]
pub fn lend_readers(fetch: Function) {
    FETCH.set(Some(fetch));
}

/// The module.
pub struct Readers(JsValue);

impl Readers {
    /// The module, where there is one to fetch.
    pub async fn get() -> Outcome<Option<Self>> {
        let Some(fetch) = FETCH.with_borrow(Clone::clone) else { return Ok(None) };
        let promise: Promise = fetch.call0(&JsValue::UNDEFINED)?.unchecked_into();
        Ok(Some(Self(JsFuture::from(promise).await?)))
    }

    fn call(&self, name: &str, arguments: &Array) -> Outcome<JsValue> {
        let function: Function = Reflect::get(&self.0, &name.into())?.unchecked_into();
        function.apply(&JsValue::UNDEFINED, arguments)
    }

    /// `reader::beside`.
    pub fn beside(&self, bytes: &Uint8Array) -> Outcome<Vec<String>> {
        let names: Array = self.call("beside", &Array::of1(bytes))?.unchecked_into();
        Ok(names.iter().filter_map(|name| name.as_string()).collect())
    }

    /// `reader::to_native`.
    pub fn to_native(
        &self,
        bytes: &Uint8Array,
        names: Vec<String>,
        parts: Vec<Vec<u8>>,
        options: &JsValue,
    ) -> Outcome<Uint8Array> {
        let names: Array = names.into_iter().map(JsValue::from).collect();
        let parts: Array = parts.into_iter().map(|part| JsValue::from(Uint8Array::from(&part[..]))).collect();
        let arguments = Array::of4(bytes, &names, &parts, options);
        Ok(self.call("toNative", &arguments)?.unchecked_into())
    }
}
