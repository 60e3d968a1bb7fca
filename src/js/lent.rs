//! The module of readers that the package's loader fetches where a file is of a foreign format.
//!
//! Goes in: a function that gives the module's promise, once. Next: `browser.js` keeps it and calls what `reader.rs`
//! exports.

use js_sys::Function;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(module = "/src/js/browser.js")]
extern "C" {
    #[wasm_bindgen(js_name = lendReaders)]
    fn lend(fetch: Function);
}

/// Takes the function that fetches and starts the module.
#[wasm_bindgen(js_name = lendReaders, skip_typescript)]
pub fn lend_readers(fetch: Function) {
    lend(fetch);
}
