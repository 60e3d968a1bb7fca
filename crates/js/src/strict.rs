//! A serde deserializer of JavaScript values.
//!
//! It reads what the caller gives (options) and what `JSON.parse` returns. serde-wasm-bindgen's own deserializer would
//! ask an object only for the fields of the struct, so that `deny_unknown_fields` has no effect, and would let what a
//! getter or a proxy throws pass through the wasm module. This one refuses unknown options at every depth, names an option
//! by its path, and passes on what the caller's code throws.

use crate::error::{Error, ErrorCode, describe, is_array};
use js_sys::{Array, Reflect};
use serde::de::{self, DeserializeSeed, Expected, IntoDeserializer, Unexpected, Visitor};
use std::cell::{Cell, RefCell};
use std::fmt::{self, Display};
use std::rc::Rc;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// `Object.keys`; throws for a revoked proxy, which js-sys does not expect.
    #[wasm_bindgen(catch, js_namespace = Object, js_name = keys)]
    fn keys(object: &JsValue) -> Result<Array, JsValue>;
}

/// What is wrong with a value. The path is completed on the way out.
#[derive(Debug)]
pub enum Problem {
    /// The value breaks a rule.
    Rule(String),
    /// A value inside of it breaks one.
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
        match self {
            Self::Rule(rule) => out.write_str(rule),
            Self::Inside { path, message } => write!(out, "{path}: {message}"),
            Self::Thrown(thrown) => out.write_str(&crate::reason(thrown)),
        }
    }
}

impl std::error::Error for Problem {}

impl de::Error for Problem {
    fn custom<T: Display>(rule: T) -> Self {
        Self::Rule(rule.to_string())
    }

    // Without the value, which `at` adds. (And serde's own words would bring the exact printing of floats, 5 kB.)
    fn invalid_type(_: Unexpected, expected: &dyn Expected) -> Self {
        Self::Rule(format!("must be {expected}"))
    }

    fn invalid_value(_: Unexpected, expected: &dyn Expected) -> Self {
        Self::Rule(format!("must be {expected}"))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Inside { path: field.into(), message: "must be given".into() }
    }
}

impl From<JsValue> for Problem {
    fn from(thrown: JsValue) -> Self {
        Self::Thrown(thrown)
    }
}

fn rule<T>(rule: &str) -> Result<T, Problem> {
    Err(Problem::Rule(rule.into()))
}

/// How objects are read.
#[derive(Clone)]
enum Mode {
    /// As options: a key that the struct does not know is refused.
    Options,
    /// As options of which other structs know some; those that this struct knows are added to the list.
    Shared(Rc<RefCell<Vec<&'static str>>>),
    /// As data: the struct decides about unknown keys.
    Data,
}

/// A value that is to be read.
pub struct Strict {
    value: JsValue,
    mode: Mode,
}

impl Strict {
    /// Options of the caller's.
    pub fn options(value: JsValue) -> Self {
        Self { value, mode: Mode::Options }
    }

    /// Data, from `JSON.parse`.
    pub fn data(value: JsValue) -> Self {
        Self { value, mode: Mode::Data }
    }

    /// A value inside of this one.
    fn inside(mode: &Mode, value: JsValue) -> Self {
        let mode = if matches!(mode, Mode::Data) { Mode::Data } else { Mode::Options };
        Self { value, mode }
    }

    fn is_nullish(&self) -> bool {
        self.value.is_undefined() || self.value.is_null()
    }

    fn check_object(&self) -> Result<(), Problem> {
        match self.value.is_object() && !is_array(&self.value)? {
            true => Ok(()),
            false => rule("must be an object"),
        }
    }

    /// Refuses keys other than those known. Those that are not enumerable do not count: frameworks hang some on objects.
    fn check_keys(&self, known: &[&str]) -> Result<(), Problem> {
        for key in keys(&self.value)?.iter().filter_map(|key| key.as_string()) {
            if !known.contains(&key.as_str()) {
                let message = format!("unknown option; the options are {}", known.join(", "));
                return Err(Problem::Inside { path: key, message });
            }
        }
        Ok(())
    }

    /// A whole number from 0 to `max`.
    fn whole(&self, max: f64) -> Result<u64, Problem> {
        match self.value.as_f64().filter(|number| number.fract() == 0.0 && (0.0..=max).contains(number)) {
            Some(number) => Ok(number as u64),
            None => rule("must be a whole number"),
        }
    }

    fn items(&self) -> Result<Items, Problem> {
        if !is_array(&self.value)? {
            return rule("must be an array");
        }
        let length = Reflect::get(&self.value, &"length".into())?.as_f64().unwrap_or_default();
        Ok(Items { array: self.value.clone(), indices: 0..length as u32, mode: self.mode.clone() })
    }
}

/// Name of a newtype struct that holds any value; see [`take_preserved`].
pub const PRESERVED: &str = "mobilenet_js::Preserved";

thread_local! {
    static VALUE: Cell<Option<JsValue>> = const { Cell::new(None) };
}

/// The value of a newtype struct called [`PRESERVED`], for its visitor's `visit_unit`: serde has no type for it.
pub fn take_preserved() -> JsValue {
    VALUE.take().unwrap_or_default()
}

impl<'de> de::Deserializer<'de> for Strict {
    type Error = Problem;

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.value.as_bool() {
            Some(truth) => visitor.visit_bool(truth),
            None => rule("must be true or false"),
        }
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_u64(self.whole(u32::MAX.into())?)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_u64(self.whole(2_f64.powi(53))?)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.value.as_f64().filter(|number| number.is_finite()) {
            Some(number) => visitor.visit_f64(number),
            None => rule("must be a finite number"),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.value.as_string() {
            Some(text) => visitor.visit_string(text),
            None => rule("must be a string"),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_string(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        if self.is_nullish() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    /// A word: one of the variants.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        let word = self.value.as_string();
        match words.iter().position(|known| word.as_deref() == Some(known)) {
            // By its position, so that the derived code need not compare words once more.
            Some(index) => visitor.visit_enum((index as u32).into_deserializer()),
            None => rule(&format!("must be \"{}\"", words.join("\" or \""))),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        match &self.mode {
            Mode::Data => return self.deserialize_map(visitor),
            Mode::Shared(known) => known.borrow_mut().extend(fields),
            Mode::Options => {
                self.check_object()?;
                self.check_keys(fields)?;
            }
        }
        visitor.visit_map(Fields { object: self.value, fields, next: 0, value: JsValue::UNDEFINED })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.check_object()?;
        let keys = keys(&self.value)?;
        visitor.visit_map(Entries { object: self.value, keys, next: 0, mode: self.mode })
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_seq(self.items()?)
    }

    /// An array of so many items; or of an object, several structs that share it, as if all fields were in one.
    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Problem> {
        if matches!(self.mode, Mode::Data) {
            let items = self.items()?;
            if items.indices.len() != length {
                return rule(&format!("must be an array of {length}"));
            }
            return visitor.visit_seq(items);
        }
        self.check_object()?;
        let known = Rc::default();
        let structs = visitor.visit_seq(Structs { object: &self.value, known: &known })?;
        self.check_keys(&known.borrow())?;
        Ok(structs)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        if name == PRESERVED {
            VALUE.set(Some(self.value));
            return visitor.visit_unit();
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_unit()
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Problem> {
        rule("must be of a known type")
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u128 char bytes byte_buf unit unit_struct tuple_struct identifier
    }
}

/// The options that an object has. `undefined` and `null` are as good as absent.
struct Fields {
    object: JsValue,
    fields: &'static [&'static str],
    /// Index of the field after that of `value`.
    next: usize,
    value: JsValue,
}

impl<'de> de::MapAccess<'de> for Fields {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        while let Some(field) = self.fields.get(self.next) {
            self.value = Reflect::get(&self.object, &JsValue::from_str(field))?;
            self.next += 1;
            if !self.value.is_undefined() && !self.value.is_null() {
                // By its position, so that the derived code need not compare names.
                return seed.deserialize((self.next as u64 - 1).into_deserializer()).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        let field = self.fields.get(self.next - 1).unwrap_or(&"");
        let value = seed.deserialize(Strict::options(self.value.clone()));
        value.map_err(|problem| problem.at(field, &self.value))
    }
}

/// The entries of an object.
struct Entries {
    object: JsValue,
    keys: Array,
    next: u32,
    mode: Mode,
}

impl<'de> de::MapAccess<'de> for Entries {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        if self.next == self.keys.length() {
            return Ok(None);
        }
        self.next += 1;
        let key = self.keys.get(self.next - 1).as_string().unwrap_or_default();
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        let key = self.keys.get(self.next - 1);
        let value = Reflect::get(&self.object, &key)?;
        let read = seed.deserialize(Strict::inside(&self.mode, value.clone()));
        read.map_err(|problem| problem.at(&key.as_string().unwrap_or_default(), &value))
    }
}

/// The items of an array.
struct Items {
    array: JsValue,
    indices: std::ops::Range<u32>,
    mode: Mode,
}

impl<'de> de::SeqAccess<'de> for Items {
    type Error = Problem;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Problem> {
        let Some(index) = self.indices.next() else { return Ok(None) };
        let value = Reflect::get_u32(&self.array, index)?;
        let item = seed.deserialize(Strict::inside(&self.mode, value.clone())).map(Some);
        item.map_err(|problem| problem.at(&format!("[{index}]"), &value))
    }
}

/// The same object for each of several structs.
struct Structs<'a> {
    object: &'a JsValue,
    known: &'a Rc<RefCell<Vec<&'static str>>>,
}

impl<'de> de::SeqAccess<'de> for Structs<'_> {
    type Error = Problem;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Problem> {
        let mode = Mode::Shared(Rc::clone(self.known));
        seed.deserialize(Strict { value: self.object.clone(), mode }).map(Some)
    }
}
