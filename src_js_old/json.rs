//! JSON values between JavaScript and Rust, and in the package the browser's `JSON` as the grammar of `formats`.
//!
//! Goes in: a [`Value`], or a JavaScript value without functions or cycles. Comes out: the other.

use crate::formats::json::Value;
use js_sys::{Array, Object};
use wasm_bindgen::JsValue;

/// Lets `formats` read and write JSON as the browser does.
#[cfg(not(feature = "readers"))]
pub fn lend() {
    use super::value::message;
    use crate::formats::json::{Grammar, give};
    use js_sys::JSON;
    let parse =
        |text: &str| JSON::parse(text).map(|value| from_js(&value)).map_err(|thrown| message(&thrown));
    let print = |value: &Value| {
        JSON::stringify(&to_js(value)).ok().and_then(|text| text.as_string()).unwrap_or_default()
    };
    give(Grammar { parse, print });
}

/// A value as a plain JavaScript one.
pub fn to_js(value: &Value) -> JsValue {
    match value {
        Value::Null => JsValue::NULL,
        Value::Bool(value) => (*value).into(),
        Value::Number(value) => (*value).into(),
        Value::Text(text) => text.into(),
        Value::List(items) => items.iter().map(to_js).collect::<Array>().into(),
        Value::Object(fields) => {
            let field = |(key, value): &(String, Value)| Array::of2(&key.into(), &to_js(value));
            let entries: Array = fields.iter().map(field).collect();
            // Pairs of text and value are always entries.
            Object::from_entries(&entries).map_or(JsValue::NULL, Into::into)
        }
    }
}

#[cfg(not(feature = "readers"))]
fn from_js(value: &JsValue) -> Value {
    use wasm_bindgen::JsCast;
    if let Some(text) = value.as_string() {
        Value::Text(text)
    } else if let Some(number) = value.as_f64() {
        Value::Number(number)
    } else if let Some(truth) = value.as_bool() {
        Value::Bool(truth)
    } else if Array::is_array(value) {
        let mut items = Vec::new();
        for item in value.unchecked_ref::<Array>().iter() {
            items.push(from_js(&item));
        }
        Value::List(items)
    } else if let Some(object) = value.dyn_ref::<Object>() {
        let mut fields = Vec::new();
        for entry in Object::entries(object).iter() {
            let entry: Array = entry.unchecked_into();
            fields.push((entry.get(0).as_string().unwrap_or_default(), from_js(&entry.get(1))));
        }
        Value::Object(fields)
    } else {
        Value::Null
    }
}
