//! Errors as JavaScript has them: an `Error` with `name` "MobileNetError", a stable `code` and a message.

use js_sys::{Number, Reflect, Symbol};
use mobilenet::error::Kind;
use serde::Serialize;
use std::fmt::Display;
use tsify::Tsify;
use wasm_bindgen::prelude::*;

/// What an error is about. The words are stable, messages are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Tsify)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// An option is unknown, of the wrong type or out of range.
    InvalidOption,
    /// A frame is of an unknown kind, empty, not ready or closed.
    InvalidFrame,
    /// A frame comes from another origin, and the page may not read its pixels.
    TaintedCanvas,
    /// Another argument is wrong.
    InvalidArgument,
    /// The file is a model, but not a MobileNet v1 that can be run.
    UnsupportedModel,
    /// The file is of a format that is not read here.
    UnsupportedFormat,
    /// The file is damaged or cut off.
    CorruptFile,
    /// A file could not be fetched.
    Network,
    /// A file is not the one that `integrity` names.
    Integrity,
    /// There is no memory left.
    OutOfMemory,
    /// The network was disposed.
    Disposed,
    /// The network is in the middle of another call.
    Busy,
    /// The engine lacks a feature of WebAssembly.
    UnsupportedEngine,
    /// Training cannot start or go on.
    Training,
    /// The Web Worker failed.
    Worker,
    /// WebAssembly stopped in the middle of a call. The networks of that module are gone; the next load works.
    Crashed,
}

/// Why a method of the class fails.
#[derive(Debug)]
pub enum Error {
    /// The library refuses something.
    Refused(ErrorCode, String),
    /// The caller's code threw this, or it is the reason of the caller's signal. It is passed on as it is.
    Thrown(JsValue),
}

/// Result of the class's methods.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error whose message has the form `<what>: <rule>, got <value>; <what to do>`.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::Refused(code, message.into())
    }

    /// The same error with `what` in front of its message.
    pub fn context(self, what: impl Display) -> Self {
        match self {
            Self::Refused(code, message) => Self::Refused(code, format!("{what}: {message}")),
            thrown => thrown,
        }
    }
}

impl From<JsValue> for Error {
    fn from(thrown: JsValue) -> Self {
        Self::Thrown(thrown)
    }
}

impl From<serde_wasm_bindgen::Error> for Error {
    fn from(error: serde_wasm_bindgen::Error) -> Self {
        Self::Thrown(error.into())
    }
}

impl From<mobilenet::Error> for Error {
    fn from(error: mobilenet::Error) -> Self {
        let code = match error.kind() {
            Kind::Format | Kind::NotFinite => ErrorCode::CorruptFile,
            Kind::UnsupportedFormat => ErrorCode::UnsupportedFormat,
            Kind::MissingTensor | Kind::Shape | Kind::Architecture | Kind::NotMobileNet => {
                ErrorCode::UnsupportedModel
            }
            Kind::Frame => ErrorCode::InvalidFrame,
            Kind::OutOfMemory => ErrorCode::OutOfMemory,
            Kind::Training => ErrorCode::Training,
            // The arguments of the library are options here.
            _ => ErrorCode::InvalidOption,
        };
        Self::Refused(code, error.to_string())
    }
}

impl From<Error> for JsValue {
    fn from(error: Error) -> Self {
        let (code, message) = match error {
            Error::Refused(code, message) => (code, message),
            Error::Thrown(value) => return value,
        };
        let error = js_sys::Error::new(&message);
        error.set_name("MobileNetError");
        if let Ok(code) = serde_wasm_bindgen::to_value(&code) {
            // An object made here takes any property.
            let _ = Reflect::set(&error, &"code".into(), &code);
        }
        error.into()
    }
}

#[wasm_bindgen]
extern "C" {
    /// `Array.isArray`; throws for a revoked proxy, which js-sys does not expect.
    #[wasm_bindgen(catch, js_namespace = Array, js_name = isArray)]
    pub fn is_array(value: &JsValue) -> Result<bool, JsValue>;
}

/// Describes a value in a message: `3`, `"3"`, `null`, `a function`, `an HTMLDivElement`.
pub fn describe(value: &JsValue) -> String {
    if let Some(text) = value.as_string() {
        return format!("\"{text}\"");
    }
    if value.as_f64().is_some() {
        let number = value.unchecked_ref::<Number>().to_string_with_radix(10);
        return number.map_or_else(|_| "a number".into(), String::from);
    }
    if let Some(truth) = value.as_bool() {
        return truth.to_string();
    }
    if value.is_null() || value.is_undefined() {
        return if value.is_null() { "null" } else { "undefined" }.into();
    }
    let mut kind = tag(value);
    if is_array(value).unwrap_or_default() {
        kind = "array".into();
    } else if kind.is_empty() {
        kind = value.js_typeof().as_string().unwrap_or_default();
    }
    // `an HTMLDivElement`, `an XMLDocument`.
    let vowel = kind.starts_with(['a', 'e', 'i', 'o', 'A', 'E', 'I', 'O', 'H', 'X']);
    format!("{} {kind}", if vowel { "an" } else { "a" })
}

/// Name of a platform object's interface (`ImageData`, `URL`), also of another window's; empty for other values.
///
/// `instanceof` knows the objects of this window only, and frames often come from an iframe.
pub fn tag(value: &JsValue) -> String {
    // Not of primitives: symbols have a tag too.
    let tag = if value.is_object() { Reflect::get(value, &Symbol::to_string_tag()).ok() } else { None };
    tag.and_then(|tag| tag.as_string()).unwrap_or_default()
}

/// The message of what was thrown, for the end of another message.
pub fn reason(thrown: &JsValue) -> String {
    let message = Reflect::get(thrown, &"message".into()).ok().and_then(|message| message.as_string());
    message.or_else(|| thrown.as_string()).unwrap_or_else(|| "no reason given".into())
}
