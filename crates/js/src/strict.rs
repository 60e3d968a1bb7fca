//! A serde deserializer of JavaScript values.
//!
//! It reads what the caller gives (options) and what `JSON.parse` returns (data). serde-wasm-bindgen's own deserializer
//! asks an object only for the fields of the struct, so that `deny_unknown_fields` has no effect, and lets what a getter
//! or a proxy throws pass through the wasm module. This one refuses unknown options at every depth, names an option by its
//! path, and passes on what the caller's code throws.

use crate::error::{Error, ErrorCode, Result, describe, is_array, reason};
use js_sys::{Array, Reflect};
use serde::de::{self, DeserializeOwned, DeserializeSeed, Expected, IntoDeserializer, Unexpected, Visitor};
use std::cell::{Cell, RefCell};
use std::fmt::{self, Display};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// `Object.keys`; throws for a revoked proxy, which js-sys does not expect.
    #[wasm_bindgen(catch, js_namespace = Object, js_name = keys)]
    fn keys(object: &JsValue) -> Result<Array, JsValue>;
}

/// Reads one argument of `method`. Keys that no struct knows are refused.
///
/// # Errors
/// The option by its path, the rule it breaks and its value; or whatever the caller's code threw.
pub fn read_options<T: DeserializeOwned>(method: &str, name: &str, value: &JsValue) -> Result<T> {
    let place = Place::default();
    let read = T::deserialize(Strict::<false>::new(value.clone(), &place));
    read.map_err(|problem| problem.of_option(method, name, &place))
}

/// Reads what `JSON.parse` returned. The types decide about unknown keys.
///
/// # Errors
/// A message with the path of the value.
pub fn read_data<T: DeserializeOwned>(value: JsValue) -> Result<T, String> {
    let place = Place::default();
    T::deserialize(Strict::<true>::new(value, &place)).map_err(|problem| problem.of_data(&place))
}

/// Where the reader is: steps from the outermost value. They stay as they are when a value is refused.
#[derive(Default)]
struct Place {
    steps: RefCell<Vec<Step>>,
    /// Fields of the structs that share an object; see `deserialize_tuple`.
    shared: RefCell<Vec<&'static str>>,
}

enum Step {
    Key(String),
    Item(u32),
}

impl Place {
    #[inline(never)]
    fn enter(&self, step: Step) {
        self.steps.borrow_mut().push(step);
    }

    #[inline(never)]
    fn leave(&self) {
        self.steps.borrow_mut().pop();
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for step in self.steps.borrow().iter() {
            match step {
                Step::Item(index) => path += &format!("[{index}]"),
                Step::Key(key) => {
                    path += if path.is_empty() { "" } else { "." };
                    path += key;
                }
            }
        }
        path
    }
}

/// Why a value is refused. One pointer, because every `?` of the derived code moves it.
#[derive(Debug)]
struct Problem(Box<Kind>);

impl Problem {
    #[cold]
    #[inline(never)]
    fn of_option(self, method: &str, name: &str, place: &Place) -> Error {
        let path = place.path();
        let path = if path.is_empty() { name } else { &path };
        match *self.0 {
            Kind::Thrown(thrown) => Error::Thrown(thrown),
            kind => Error::new(ErrorCode::InvalidOption, format!("{method}: {path}: {kind}")),
        }
    }

    #[cold]
    #[inline(never)]
    fn of_data(self, place: &Place) -> String {
        let path = place.path();
        if path.is_empty() { self.to_string() } else { format!("{path}: {self}") }
    }
}

#[derive(Debug)]
enum Kind {
    /// The rule, and what the value is.
    Message(String),
    /// The caller's code threw.
    Thrown(JsValue),
}

impl Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(message) => out.write_str(message),
            Self::Thrown(thrown) => out.write_str(&reason(thrown)),
        }
    }
}

impl Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl std::error::Error for Problem {}

impl de::Error for Problem {
    fn custom<T: Display>(message: T) -> Self {
        Self(Box::new(Kind::Message(message.to_string())))
    }

    // serde's own words would bring the exact printing of floats, 5 kB.
    fn invalid_type(_: Unexpected, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("must be {expected}"))
    }

    fn invalid_value(_: Unexpected, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("must be {expected}"))
    }

    fn unknown_field(field: &str, _: &'static [&'static str]) -> Self {
        Self::custom(format_args!("unknown field `{field}`; this program may be too old for it"))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::custom(format_args!("{field} must be given"))
    }
}

impl From<JsValue> for Problem {
    fn from(thrown: JsValue) -> Self {
        Self(Box::new(Kind::Thrown(thrown)))
    }
}

/// A value that is to be read; `DATA` if it comes from `JSON.parse`.
struct Strict<'a, const DATA: bool> {
    value: JsValue,
    /// Whether other structs are read from the same object.
    shared: bool,
    place: &'a Place,
}

impl<'a, const DATA: bool> Strict<'a, DATA> {
    fn new(value: JsValue, place: &'a Place) -> Self {
        Self { value, shared: false, place }
    }

    // What does not depend on the type that is read is compiled once.

    #[inline(never)]
    fn fields(self, fields: &'static [&'static str]) -> Result<Fields<'a>, Problem> {
        if self.shared {
            self.place.shared.borrow_mut().extend(fields);
        } else {
            check_object(&self.value)?;
            check_keys(&self.value, fields, self.place)?;
        }
        let value = JsValue::UNDEFINED;
        Ok(Fields { object: self.value, fields: fields.iter(), value, place: self.place })
    }

    #[inline(never)]
    fn entries(self) -> Result<Entries<'a, DATA>, Problem> {
        check_object(&self.value)?;
        let keys = keys(&self.value)?;
        Ok(Entries { object: self.value, keys, next: 0, place: self.place })
    }

    #[inline(never)]
    fn items(self) -> Result<Items<'a, DATA>, Problem> {
        let length = length(&self.value)?;
        if !DATA && length > MAX_ITEMS {
            let message = format_args!("must have at most {MAX_ITEMS} items, got {length}");
            return Err(de::Error::custom(message));
        }
        let indices = 0..length;
        Ok(Items { array: self.value, indices, place: self.place })
    }
}

/// Refuses a value.
#[cold]
fn refuse<T>(value: &JsValue, rule: &str) -> Result<T, Problem> {
    Err(de::Error::custom(format_args!("{rule}, got {}", describe(value))))
}

fn check_object(value: &JsValue) -> Result<(), Problem> {
    match value.is_object() && !is_array(value)? {
        true => Ok(()),
        false => refuse(value, "must be an object"),
    }
}

/// Refuses keys other than those known. Those that are not enumerable do not count: frameworks hang some on objects.
fn check_keys(object: &JsValue, known: &[&str], place: &Place) -> Result<(), Problem> {
    for key in keys(object)?.iter().filter_map(|key| key.as_string()) {
        if !known.contains(&key.as_str()) {
            place.enter(Step::Key(key));
            return Err(de::Error::custom(format_args!(
                "unknown option; the options are {}",
                known.join(", ")
            )));
        }
    }
    Ok(())
}

/// One of the words.
#[inline(never)]
fn word(value: &JsValue, words: &[&str]) -> Result<String, Problem> {
    match value.as_string().filter(|word| words.contains(&word.as_str())) {
        Some(word) => Ok(word),
        None => refuse(value, &format!("must be \"{}\"", words.join("\" or \""))),
    }
}

/// A whole number from 0 to `max`.
fn whole(value: &JsValue, max: f64) -> Result<u64, Problem> {
    match value.as_f64().filter(|number| number.fract() == 0.0 && (0.0..=max).contains(number)) {
        Some(number) => Ok(number as u64),
        None => refuse(value, "must be a whole number"),
    }
}

/// Items that a list of options may have. A proxy can name any length.
const MAX_ITEMS: u32 = 1 << 20;

fn length(array: &JsValue) -> Result<u32, Problem> {
    if !is_array(array)? {
        return refuse(array, "must be an array");
    }
    Ok(Reflect::get(array, &"length".into())?.as_f64().unwrap_or_default() as u32)
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

impl<'de, const DATA: bool> de::Deserializer<'de> for Strict<'_, DATA> {
    type Error = Problem;

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.value.as_bool() {
            Some(truth) => visitor.visit_bool(truth),
            None => refuse(&self.value, "must be true or false"),
        }
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_u64(whole(&self.value, u32::MAX.into())?)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_u64(whole(&self.value, 9_007_199_254_740_991.0)?)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.value.as_f64().filter(|number| number.is_finite()) {
            Some(number) => visitor.visit_f64(number),
            None => refuse(&self.value, "must be a finite number"),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.value.as_string() {
            Some(text) => visitor.visit_string(text),
            None => refuse(&self.value, "must be a string"),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_string(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.value.is_undefined() || self.value.is_null() {
            true => visitor.visit_none(),
            false => visitor.visit_some(self),
        }
    }

    /// A word: one of the variants.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        visitor.visit_enum(word(&self.value, words)?.into_deserializer())
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        if DATA {
            return self.deserialize_map(visitor);
        }
        visitor.visit_map(self.fields(fields)?)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_map(self.entries()?)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_seq(self.items()?)
    }

    /// Data: an array of so many items. Options: several structs that share an object, as if all fields were in one.
    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Problem> {
        if DATA {
            let items = self.items()?;
            if items.indices.len() != length {
                return refuse(&items.array, &format!("must be an array of {length}"));
            }
            return visitor.visit_seq(items);
        }
        check_object(&self.value)?;
        let structs = visitor.visit_seq(Structs { object: &self.value, place: self.place })?;
        check_keys(&self.value, &self.place.shared.take(), self.place)?;
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
        refuse(&self.value, "must be of a known type")
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u128 char bytes byte_buf unit unit_struct tuple_struct identifier
    }
}

/// The options that an object has. `undefined` and `null` are as good as absent.
struct Fields<'a> {
    object: JsValue,
    fields: std::slice::Iter<'static, &'static str>,
    value: JsValue,
    place: &'a Place,
}

impl Fields<'_> {
    /// Goes on to the next field that there is.
    #[inline(never)]
    fn next(&mut self) -> Result<Option<&'static str>, Problem> {
        for field in self.fields.by_ref() {
            self.value = Reflect::get(&self.object, &JsValue::from_str(field))?;
            if !self.value.is_undefined() && !self.value.is_null() {
                self.place.enter(Step::Key((*field).into()));
                return Ok(Some(field));
            }
        }
        Ok(None)
    }
}

impl<'de> de::MapAccess<'de> for Fields<'_> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        match self.next()? {
            Some(field) => seed.deserialize(field.into_deserializer()).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        let value = std::mem::take(&mut self.value);
        let value = seed.deserialize(Strict::<false>::new(value, self.place))?;
        self.place.leave();
        Ok(value)
    }
}

/// The entries of an object.
struct Entries<'a, const DATA: bool> {
    object: JsValue,
    keys: Array,
    next: u32,
    place: &'a Place,
}

impl<const DATA: bool> Entries<'_, DATA> {
    #[inline(never)]
    fn next_key(&mut self) -> Option<String> {
        let key = (self.next < self.keys.length()).then(|| self.keys.get(self.next))?;
        self.next += 1;
        let key = key.as_string().unwrap_or_default();
        self.place.enter(Step::Key(key.clone()));
        Some(key)
    }
}

impl<'a, const DATA: bool> Entries<'a, DATA> {
    #[inline(never)]
    fn value(&self) -> Result<Strict<'a, DATA>, Problem> {
        let value = Reflect::get(&self.object, &self.keys.get(self.next - 1))?;
        Ok(Strict::new(value, self.place))
    }
}

impl<'de, const DATA: bool> de::MapAccess<'de> for Entries<'_, DATA> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        match self.next_key() {
            Some(key) => seed.deserialize(key.into_deserializer()).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        let value = seed.deserialize(self.value()?)?;
        self.place.leave();
        Ok(value)
    }
}

/// The items of an array.
struct Items<'a, const DATA: bool> {
    array: JsValue,
    indices: std::ops::Range<u32>,
    place: &'a Place,
}

impl<'a, const DATA: bool> Items<'a, DATA> {
    #[inline(never)]
    fn next(&mut self) -> Result<Option<Strict<'a, DATA>>, Problem> {
        let Some(index) = self.indices.next() else { return Ok(None) };
        self.place.enter(Step::Item(index));
        Ok(Some(Strict::new(Reflect::get_u32(&self.array, index)?, self.place)))
    }
}

impl<'de, const DATA: bool> de::SeqAccess<'de> for Items<'_, DATA> {
    type Error = Problem;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Problem> {
        let Some(item) = self.next()? else { return Ok(None) };
        let item = seed.deserialize(item)?;
        self.place.leave();
        Ok(Some(item))
    }
}

/// The same object for each of several structs.
struct Structs<'a> {
    object: &'a JsValue,
    place: &'a Place,
}

impl<'de> de::SeqAccess<'de> for Structs<'_> {
    type Error = Problem;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Problem> {
        seed.deserialize(Strict::<false> { value: self.object.clone(), shared: true, place: self.place })
            .map(Some)
    }
}
