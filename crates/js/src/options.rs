//! Options objects become serde structs.

use crate::error::{Error, Result, is_array, tag};
use crate::strict::Strict;
use js_sys::{Function, Reflect};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::*;

/// Reads the options of `method` into a struct, or into a tuple of structs that share the object. `undefined` and `null`
/// are as good as an empty object.
///
/// # Errors
/// The option by its path, the rule it breaks and its value; or whatever the caller's code threw.
pub fn parse<T: DeserializeOwned + Default>(method: &str, value: &JsValue) -> Result<T> {
    if value.is_undefined() || value.is_null() {
        return Ok(T::default());
    }
    read(method, "options", value)
}

/// Reads one argument of `method`.
///
/// # Errors
/// Like [`parse`].
pub fn read<T: DeserializeOwned>(method: &str, name: &str, value: &JsValue) -> Result<T> {
    T::deserialize(Strict::from(value.clone())).map_err(|problem| problem.of_argument(method, name, value))
}

/// A whole number from 0 to 2³² − 1, if the value is one.
pub fn whole(value: &JsValue) -> Option<usize> {
    let number = value.as_f64()?;
    (number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number)).then_some(number as usize)
}

/// Any value, kept as it is.
#[derive(Deserialize)]
struct Preserved(#[serde(with = "serde_wasm_bindgen::preserve")] JsValue);

/// A type of options that serde has none for: `Some` of what a value stands for, or the rule that it breaks.
macro_rules! option_type {
    ($(#[$doc:meta])* $name:ident($inner:ty): $rule:literal, |$value:ident| $read:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize)]
        #[serde(try_from = "Preserved")]
        pub struct $name(pub $inner);

        impl TryFrom<Preserved> for $name {
            type Error = &'static str;

            fn try_from(Preserved($value): Preserved) -> Result<Self, Self::Error> {
                let read: Option<$inner> = $read;
                read.map(Self).ok_or($rule)
            }
        }
    };
}

option_type! {
    /// A function of the caller's.
    Callback(Function): "must be a function", |value| value.dyn_into().ok()
}

option_type! {
    /// An `AbortSignal`, of any window.
    Signal(JsValue): "must be an AbortSignal", |value| (tag(&value) == "AbortSignal").then_some(value)
}

option_type! {
    /// A number for each color; one number stands for all three.
    PerChannel([f32; 3]): "must be a number or an array of three numbers", |value| per_channel(&value)
}

option_type! {
    /// A class by name or by index.
    ClassRef(Class): "must be a name or an index", |value| {
        whole(&value).map(Class::Index).or_else(|| value.as_string().map(Class::Name))
    }
}

option_type! {
    /// Name of a cache, where one is wanted; `true` stands for `mobilenet`.
    CacheName(Option<String>): "must be true, false or a name", |value| match value.as_bool() {
        Some(wanted) => Some(wanted.then(|| "mobilenet".into())),
        None => value.as_string().map(Some),
    }
}

/// See [`ClassRef`].
#[derive(Clone, Debug)]
pub enum Class {
    /// By label.
    Name(String),
    /// By position.
    Index(usize),
}

fn per_channel(value: &JsValue) -> Option<[f32; 3]> {
    let finite =
        |value: &JsValue| value.as_f64().filter(|number| number.is_finite()).map(|number| number as f32);
    if let Some(number) = finite(value) {
        return Some([number; 3]);
    }
    let item = |index| finite(&Reflect::get_u32(value, index).ok()?);
    let three = is_array(value).ok()? && Reflect::get(value, &"length".into()).ok()? == 3.0;
    if three { Some([item(0)?, item(1)?, item(2)?]) } else { None }
}

impl Signal {
    /// Fails with the signal's reason if it is aborted.
    ///
    /// # Errors
    /// The reason.
    pub fn check(&self) -> Result<()> {
        match Reflect::get(&self.0, &"aborted".into())?.is_truthy() {
            true => Err(Error::Thrown(Reflect::get(&self.0, &"reason".into())?)),
            false => Ok(()),
        }
    }
}
