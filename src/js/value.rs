//! Between JavaScript's values and Rust's: reading the fields of an options object, naming what something is.
//!
//! Goes in: a value of unknown type. Comes out: what was asked for, or an `Error` whose sentence names the option, what
//! it was and what it may be. Nothing here calls into the caller's code without catching what it throws.

use crate::Error;
use crate::error::Decimal;
use js_sys::{Array, Object, Reflect};
use wasm_bindgen::{JsCast, JsValue};

/// What a method of the class gives: a value, or what JavaScript shall throw.
pub type Outcome<T> = Result<T, JsValue>;

impl From<Error> for JsValue {
    /// A JavaScript `Error` with the sentence.
    fn from(error: Error) -> Self {
        js_sys::Error::new(&error.to_string()).into()
    }
}

/// An argument that cannot be, as something to throw.
pub fn refuse<T>(sentence: String) -> Outcome<T> {
    Err(Error::Argument(sentence).into())
}

/// What was thrown, as text for the end of a sentence.
pub fn message(thrown: &JsValue) -> String {
    let text = Reflect::get(thrown, &"message".into()).ok().and_then(|message| message.as_string());
    text.or_else(|| thrown.as_string()).unwrap_or_else(|| "no reason given".into())
}

/// The name of a platform object's interface (`ImageData`, `URL`), whatever window it comes from; else nothing.
pub fn tag(value: &JsValue) -> String {
    if !value.is_object() {
        return String::new();
    }
    let tag = Reflect::get(value, &js_sys::Symbol::to_string_tag());
    tag.ok().and_then(|tag| tag.as_string()).unwrap_or_default()
}

/// What a value is, for a sentence: `a string`, `null`, `an HTMLDivElement`.
pub fn describe(value: &JsValue) -> String {
    if value.is_null() || value.is_undefined() {
        return if value.is_null() { "null".into() } else { "undefined".into() };
    }
    let tag = if Array::is_array(value) { "array".into() } else { tag(value) };
    let kind = if tag.is_empty() { value.js_typeof().as_string().unwrap_or_default() } else { tag };
    let vowel = kind.starts_with(['a', 'e', 'i', 'o', 'A', 'E', 'I', 'O', 'H', 'X']);
    format!("{} {kind}", if vowel { "an" } else { "a" })
}

/// An options object whose fields are asked for one by one. Absent, `undefined` and `null` are no options at all.
pub struct Fields {
    object: Option<Object>,
    method: &'static str,
}

impl Fields {
    /// Takes the options of `method`.
    ///
    /// # Errors
    /// If they are no object, or if it has a field that is not `known`: a misspelt option would be silently lost.
    pub fn new(method: &'static str, value: &JsValue, known: &[&[&str]]) -> Outcome<Self> {
        if value.is_undefined() || value.is_null() {
            return Ok(Self { object: None, method });
        }
        let Some(object) = value.dyn_ref::<Object>().filter(|object| !Array::is_array(object)) else {
            return refuse(format!("{method}: the options must be an object, not {}", describe(value)));
        };
        for key in Object::keys(object).iter().filter_map(|key| key.as_string()) {
            if !known.iter().any(|names| names.contains(&key.as_str())) {
                let names = known.concat().join(", ");
                return refuse(format!("{method}: there is no option `{key}`; there are {names}"));
            }
        }
        Ok(Self { object: Some(object.clone()), method })
    }

    /// The object itself, or `undefined`.
    #[cfg(not(feature = "readers"))]
    pub fn value(&self) -> JsValue {
        self.object.clone().map_or(JsValue::UNDEFINED, JsValue::from)
    }

    /// The field's value, unless it is `undefined` or `null`.
    pub fn get(&self, key: &str) -> Outcome<Option<JsValue>> {
        let Some(object) = &self.object else { return Ok(None) };
        let value = Reflect::get(object, &key.into())?;
        Ok((!value.is_undefined() && !value.is_null()).then_some(value))
    }

    /// Throws that the field is something else than `wanted`.
    pub fn wrong<T>(&self, key: &str, wanted: &str, found: &JsValue) -> Outcome<T> {
        let shown = match (found.as_f64(), found.as_string()) {
            (Some(number), _) => Decimal(number).to_string(),
            (_, Some(text)) => format!("\"{text}\""),
            _ => describe(found),
        };
        refuse(format!("{}: {key} must be {wanted}, not {shown}", self.method))
    }

    /// A finite number.
    pub fn number(&self, key: &str) -> Outcome<Option<f64>> {
        let Some(value) = self.get(key)? else { return Ok(None) };
        match value.as_f64().filter(|number| number.is_finite()) {
            Some(number) => Ok(Some(number)),
            None => self.wrong(key, "a finite number", &value),
        }
    }

    /// A whole number from 0 up.
    pub fn count(&self, key: &str) -> Outcome<Option<usize>> {
        let Some(value) = self.get(key)? else { return Ok(None) };
        match as_count(&value) {
            Some(count) => Ok(Some(count)),
            None => self.wrong(key, "a whole number", &value),
        }
    }

    /// `true` or `false`.
    pub fn boolean(&self, key: &str) -> Outcome<Option<bool>> {
        let Some(value) = self.get(key)? else { return Ok(None) };
        match value.as_bool() {
            Some(boolean) => Ok(Some(boolean)),
            None => self.wrong(key, "true or false", &value),
        }
    }

    /// One of a few words, each with what it stands for.
    pub fn word<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Outcome<Option<T>> {
        let Some(value) = self.get(key)? else { return Ok(None) };
        let text = value.as_string();
        match words.iter().find(|(word, _)| Some(*word) == text.as_deref()) {
            Some((_, meaning)) => Ok(Some(*meaning)),
            None => {
                let choice: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
                self.wrong(key, &choice.join(" or "), &value)
            }
        }
    }

    /// A function.
    pub fn function(&self, key: &str) -> Outcome<Option<js_sys::Function>> {
        let Some(value) = self.get(key)? else { return Ok(None) };
        match value.dyn_into::<js_sys::Function>() {
            Ok(function) => Ok(Some(function)),
            Err(value) => self.wrong(key, "a function", &value),
        }
    }

    /// An array's items.
    pub fn array(&self, key: &str) -> Outcome<Option<Vec<JsValue>>> {
        let Some(value) = self.get(key)? else { return Ok(None) };
        if !Array::is_array(&value) {
            return self.wrong(key, "an array", &value);
        }
        Ok(Some(value.unchecked_into::<Array>().to_vec()))
    }

    /// An `AbortSignal`. Throws its reason where it is aborted already.
    pub fn signal(&self) -> Outcome<Option<web_sys::AbortSignal>> {
        let Some(value) = self.get("signal")? else { return Ok(None) };
        if tag(&value) != "AbortSignal" {
            return self.wrong("signal", "an AbortSignal", &value);
        }
        let signal: web_sys::AbortSignal = value.unchecked_into();
        check_abort(Some(&signal))?;
        Ok(Some(signal))
    }

    /// The fields of an object within, called `key`; an absent one has none.
    pub fn within(&self, key: &str, known: &[&str]) -> Outcome<Option<Fields>> {
        let Some(value) = self.get(key)? else { return Ok(None) };
        if !value.is_object() {
            return self.wrong(key, "an object", &value);
        }
        Fields::new(self.method, &value, &[known]).map(Some)
    }
}

/// Throws the signal's reason where it is aborted.
pub fn check_abort(signal: Option<&web_sys::AbortSignal>) -> Outcome<()> {
    match signal.filter(|signal| signal.aborted()) {
        Some(signal) => Err(signal.reason()),
        None => Ok(()),
    }
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
