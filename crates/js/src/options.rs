//! Options objects become serde structs.

use crate::error::{Error, Result, describe, is_array, tag};
use crate::strict::{PRESERVED, read_options, take_preserved};
use js_sys::{Function, Reflect};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use std::fmt;
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
    read_options(method, name, value)
}

/// A whole number from 0 to 2³² − 1, if the value is one.
pub fn whole(value: &JsValue) -> Option<usize> {
    let number = value.as_f64()?;
    (number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number)).then_some(number as usize)
}

/// Reads any value as it is, then as what it stands for.
fn preserved<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    read: impl FnOnce(JsValue) -> Option<T>,
    rule: &'static str,
) -> Result<T, D::Error> {
    struct Preserved;

    impl Visitor<'_> for Preserved {
        type Value = JsValue;

        fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
            out.write_str("a value")
        }

        fn visit_unit<E>(self) -> Result<JsValue, E> {
            Ok(take_preserved())
        }
    }

    let value = deserializer.deserialize_newtype_struct(PRESERVED, Preserved)?;
    read(value.clone()).ok_or_else(|| D::Error::custom(format_args!("{rule}, got {}", describe(&value))))
}

/// A type of options that serde has none for: the rule, and `Some` of what a value stands for.
macro_rules! option_type {
    ($(#[$doc:meta])* $name:ident($inner:ty): $rule:literal, |$value:ident| $read:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name(pub $inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                preserved(deserializer, |$value| $read, $rule).map(Self)
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
