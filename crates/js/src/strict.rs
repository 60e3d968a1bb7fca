//! A serde deserializer of options objects.
//!
//! serde-wasm-bindgen reads the values. Around it, [`Strict`] adds what a page needs and it does not have: unknown keys
//! are refused at every depth (serde-wasm-bindgen asks an object only for the fields of the struct, so
//! `deny_unknown_fields` has no effect), an error names the option by its path, and what a getter or a proxy of the
//! caller's throws is passed on as it is.

use crate::error::{Error, ErrorCode, describe, is_array};
use js_sys::{Array, Reflect};
use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};
use serde_wasm_bindgen::Deserializer;
use std::cell::RefCell;
use std::fmt::{self, Display};
use std::rc::Rc;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// `Object.keys`; throws for a revoked proxy, which js-sys does not expect.
    #[wasm_bindgen(catch, js_namespace = Object, js_name = keys)]
    fn keys(object: &JsValue) -> Result<Array, JsValue>;
}

/// What is wrong with an option. The path is completed on the way out.
#[derive(Debug)]
pub enum Problem {
    /// The value breaks a rule.
    Rule(String),
    /// An option inside of the value breaks one.
    Inside { path: String, message: String },
    /// The caller's code threw.
    Thrown(JsValue),
}

impl Problem {
    /// The problem as seen from the object or array that holds `value` as `key`.
    fn at(self, key: &str, value: &JsValue) -> Self {
        match self {
            Self::Rule(rule) => {
                Self::Inside { path: key.into(), message: format!("{rule}, got {}", describe(value)) }
            }
            Self::Inside { path, message } => {
                let dot = if path.starts_with('[') { "" } else { "." };
                Self::Inside { path: format!("{key}{dot}{path}"), message }
            }
            thrown => thrown,
        }
    }

    /// The problem with `value` as an argument of `method`.
    pub fn of_argument(self, method: &str, name: &str, value: &JsValue) -> Error {
        match self.at(name, value) {
            Self::Inside { path, message } => {
                let path = path.strip_prefix("options.").unwrap_or(&path);
                Error::new(ErrorCode::InvalidOption, format!("{method}: {path}: {message}"))
            }
            Self::Thrown(thrown) => Error::Thrown(thrown),
            Self::Rule(rule) => Error::new(ErrorCode::InvalidOption, rule),
        }
    }
}

impl Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Rule(text) | Self::Inside { message: text, .. }) = self else { return Ok(()) };
        out.write_str(text)
    }
}

impl std::error::Error for Problem {}

impl de::Error for Problem {
    fn custom<T: Display>(rule: T) -> Self {
        Self::Rule(rule.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Inside { path: field.into(), message: "must be given".into() }
    }
}

impl From<serde_wasm_bindgen::Error> for Problem {
    fn from(error: serde_wasm_bindgen::Error) -> Self {
        Self::Thrown(error.into())
    }
}

impl From<JsValue> for Problem {
    fn from(thrown: JsValue) -> Self {
        Self::Thrown(thrown)
    }
}

/// Keys of an object that several structs are read from.
type Known = Rc<RefCell<Vec<&'static str>>>;

/// A value that is read strictly.
pub struct Strict {
    value: JsValue,
    /// Set if other structs are read from the same object.
    known: Option<Known>,
}

impl From<JsValue> for Strict {
    fn from(value: JsValue) -> Self {
        Self { value, known: None }
    }
}

impl Strict {
    fn check_object(&self) -> Result<(), Problem> {
        match self.value.is_object() && !is_array(&self.value)? {
            true => Ok(()),
            false => Err(Problem::Rule("must be an object".into())),
        }
    }

    fn check_keys(&self, known: &[&str]) -> Result<(), Problem> {
        // Enumerable keys of its own: frameworks hang others on objects.
        for key in keys(&self.value)?.iter().filter_map(|key| key.as_string()) {
            if !known.contains(&key.as_str()) {
                let message = format!("unknown option; the options are {}", known.join(", "));
                return Err(Problem::Inside { path: key, message });
            }
        }
        Ok(())
    }
}

/// What serde-wasm-bindgen reads as it is, with our words for what it refuses.
macro_rules! plain {
    ($($method:ident: $rule:literal,)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
            Deserializer::from(self.value).$method(visitor).map_err(|_| Problem::Rule($rule.into()))
        })*
    };
}

impl<'de> de::Deserializer<'de> for Strict {
    type Error = Problem;

    plain! {
        deserialize_bool: "must be true or false",
        deserialize_u32: "must be a whole number",
        deserialize_string: "must be a string",
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.value.as_f64().filter(|number| number.is_finite()) {
            Some(number) => visitor.visit_f64(number),
            None => Err(Problem::Rule("must be a finite number".into())),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_some(self) // `Fields` leaves absent options out
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        match self.value.as_string().filter(|word| words.contains(&word.as_str())) {
            Some(word) => visitor.visit_enum(word.into_deserializer()),
            None => {
                let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                Err(Problem::Rule(format!("must be {}", words.join(" or "))))
            }
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        self.check_object()?;
        match &self.known {
            Some(known) => known.borrow_mut().extend(fields),
            None => self.check_keys(fields)?,
        }
        visitor.visit_map(Fields {
            object: self.value,
            fields: fields.iter(),
            next: ("", JsValue::UNDEFINED),
        })
    }

    /// Several structs from the same object, as if the fields of all of them were in one.
    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Problem> {
        self.check_object()?;
        let known = Known::default();
        let value = visitor.visit_seq(Structs { object: &self.value, known: &known })?;
        self.check_keys(&known.borrow())?;
        Ok(value)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        if !is_array(&self.value)? {
            return Err(Problem::Rule("must be an array".into()));
        }
        let length = Reflect::get(&self.value, &"length".into())?.as_f64().unwrap_or_default();
        visitor.visit_seq(Items { array: self.value, indices: 0..length as u32 })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        visitor.visit_newtype_struct(self)
    }

    /// `serde_wasm_bindgen::preserve`.
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        Ok(Deserializer::from(self.value).deserialize_tuple_struct(name, length, visitor)?)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        Ok(Deserializer::from(self.value).deserialize_any(visitor)?)
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u64 u128 char str bytes byte_buf unit unit_struct map identifier ignored_any
    }
}

/// The options that an object has. `undefined` and `null` are as good as absent.
struct Fields {
    object: JsValue,
    fields: std::slice::Iter<'static, &'static str>,
    next: (&'static str, JsValue),
}

impl<'de> de::MapAccess<'de> for Fields {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        for field in self.fields.by_ref() {
            let value = Reflect::get(&self.object, &JsValue::from_str(field))?;
            if !value.is_undefined() && !value.is_null() {
                self.next = (field, value);
                return seed.deserialize((*field).into_deserializer()).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        let (field, value) = &self.next;
        seed.deserialize(Strict::from(value.clone())).map_err(|problem| problem.at(field, value))
    }
}

/// The items of an array.
struct Items {
    array: JsValue,
    indices: std::ops::Range<u32>,
}

impl<'de> de::SeqAccess<'de> for Items {
    type Error = Problem;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Problem> {
        let Some(index) = self.indices.next() else { return Ok(None) };
        let value = Reflect::get_u32(&self.array, index)?;
        let item = seed.deserialize(Strict::from(value.clone())).map(Some);
        item.map_err(|problem| problem.at(&format!("[{index}]"), &value))
    }
}

/// The same object for each of several structs.
struct Structs<'a> {
    object: &'a JsValue,
    known: &'a Known,
}

impl<'de> de::SeqAccess<'de> for Structs<'_> {
    type Error = Problem;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Problem> {
        seed.deserialize(Strict { value: self.object.clone(), known: Some(self.known.clone()) }).map(Some)
    }
}
