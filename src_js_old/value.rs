//! Between JavaScript's values and Rust's: reading the fields of an options object, naming what something is.
//!
//! Goes in: a value of unknown type, and the schema of what it may be. Comes out: what was asked for, or an `Error` whose
//! sentence names the option, what it was and what it may be: `browser.js` looks, once, before anything is touched.

use crate::Error;
use js_sys::{Array, Object, Reflect};
use wasm_bindgen::prelude::*;

/// What a method of the class gives: a value, or what JavaScript shall throw.
pub type Outcome<T> = Result<T, JsValue>;

#[wasm_bindgen(module = "/src/js/browser.js")]
extern "C" {
    /// What a value is, for a sentence: `a string`, `null`, `an HTMLDivElement`.
    pub fn describe(value: &JsValue) -> String;
    /// What was thrown, as text for the end of a sentence.
    pub fn message(thrown: &JsValue) -> String;
    /// An object with these numbers under these names, which stand in one text.
    pub fn named(names: &str, values: &[f64]) -> Object;
    #[wasm_bindgen(js_name = numbersOf)]
    fn numbers_of(fields: &JsValue, paths: &str, room: &mut [f64]);
    #[wasm_bindgen(catch, js_name = readOptions)]
    fn read_options(method: &str, given: &JsValue, schema: &str) -> Outcome<JsValue>;
}

impl From<Error> for JsValue {
    /// A JavaScript `Error` with the sentence.
    fn from(error: Error) -> Self {
        js_sys::Error::new(&error.to_string()).into()
    }
}

/// An argument that cannot be, as something to throw.
pub fn refuse<T>(sentence: String) -> Outcome<T> {
    Err(Error::argument(sentence).into())
}

/// The fields of an options object, each already known to be what its schema says.
pub struct Fields(JsValue);

impl Fields {
    /// Reads the options of `method`: `name:kind` for each; the kinds stand in `browser.js`. No options at all are as good
    /// as an empty object.
    ///
    /// # Errors
    /// If they are no object, have a field that is not in the schema, or one of another kind.
    pub fn read(method: &str, value: &JsValue, schema: &str) -> Outcome<Self> {
        read_options(method, value, schema).map(Self)
    }

    /// What [`read`](Self::read) gave in another module.
    #[cfg(not(feature = "class"))]
    pub fn that_were_read(object: &JsValue) -> Self {
        Self(object.clone())
    }

    /// The field's value, or `undefined`.
    pub fn get(&self, key: &str) -> JsValue {
        Reflect::get(&self.0, &key.into()).unwrap_or_default()
    }

    /// Fills `room` with the fields that `paths` names (`fit normalisation.mean.0`): numbers, 0 or 1 for a `boolean`, the
    /// index of a word, NaN for what is absent.
    pub fn numbers(&self, paths: &str, room: &mut [f64]) {
        numbers_of(&self.0, paths, room);
    }

    /// An `array`'s items.
    pub fn array(&self, key: &str) -> Option<Vec<JsValue>> {
        let value = self.get(key);
        (!value.is_undefined()).then(|| value.unchecked_into::<Array>().to_vec())
    }

    /// All of them as one object.
    pub fn object(&self) -> &JsValue {
        &self.0
    }
}

/// A number that was given.
pub fn given(number: f64) -> Option<f64> {
    (!number.is_nan()).then_some(number)
}

/// A `count` that was given.
pub fn count(number: f64) -> Option<usize> {
    given(number).map(|number| number as usize)
}

/// One of a few words that was given, as what it stands for.
pub fn word<T: Copy>(number: f64, meanings: &[T]) -> Option<T> {
    meanings.get(count(number)?).copied()
}

/// A whole number from 0 to 2³², if the value is one.
pub fn as_count(value: &JsValue) -> Option<usize> {
    let number = value.as_f64()?;
    (number.fract() == 0.0 && (0.0..=4_294_967_295.0).contains(&number)).then_some(number as usize)
}

/// Sets a field of an object that was made here.
pub fn set(object: &Object, key: &str, value: impl Into<JsValue>) {
    // A fresh plain object takes any field, so there is nothing to report.
    let _ = Reflect::set(object, &key.into(), &value.into());
}
