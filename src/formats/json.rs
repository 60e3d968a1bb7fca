//! JSON as a value. The grammar is a library's: serde_json's, or in the package the browser's own `JSON`, which costs
//! nothing to ship.
//!
//! Goes in: text. Comes out: a [`Value`], and back. Next: `safetensors` reads its header from one, `js` shows an
//! architecture as one.

/// Any JSON value. The fields of an object keep the order in which they were given.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names are JSON's")]
pub enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Value>),
    Object(Vec<(String, Value)>),
}

/// What reads and writes JSON text.
#[derive(Clone, Copy, Debug)]
pub struct Grammar {
    /// The value of a text, or what is wrong with it.
    pub parse: fn(&str) -> Result<Value, String>,
    /// The text of a value, without spaces.
    pub print: fn(&Value) -> String,
}

#[cfg(not(feature = "readers"))]
pub use given::{give, grammar};
#[cfg(feature = "readers")]
pub use library::grammar;

#[cfg(feature = "readers")]
mod library {
    use super::{Grammar, Value};
    use serde_json::{Number, Value as Theirs};

    /// serde_json.
    pub fn grammar() -> Grammar {
        let parse = |text: &str| match serde_json::from_str(text) {
            Ok(value) => Ok(ours(value)),
            Err(error) => Err(error.to_string()),
        };
        Grammar { parse, print: |value| theirs(value).to_string() }
    }

    fn ours(value: Theirs) -> Value {
        match value {
            Theirs::Null => Value::Null,
            Theirs::Bool(value) => Value::Bool(value),
            Theirs::Number(value) => value.as_f64().map_or(Value::Null, Value::Number),
            Theirs::String(text) => Value::Text(text),
            Theirs::Array(items) => Value::List(items.into_iter().map(ours).collect()),
            Theirs::Object(fields) => {
                Value::Object(fields.into_iter().map(|(key, value)| (key, ours(value))).collect())
            }
        }
    }

    fn theirs(value: &Value) -> Theirs {
        match value {
            Value::Null => Theirs::Null,
            Value::Bool(value) => Theirs::Bool(*value),
            // As browsers print them: whole numbers without a point.
            Value::Number(value) if value.fract() == 0.0 && value.abs() < 9e15 => (*value as i64).into(),
            Value::Number(value) => Number::from_f64(*value).map_or(Theirs::Null, Theirs::Number),
            Value::Text(text) => Theirs::String(text.clone()),
            Value::List(items) => Theirs::Array(items.iter().map(theirs).collect()),
            Value::Object(fields) => {
                Theirs::Object(fields.iter().map(|(key, value)| (key.clone(), theirs(value))).collect())
            }
        }
    }
}

#[cfg(not(feature = "readers"))]
mod given {
    use super::Grammar;
    use std::sync::OnceLock;

    static GRAMMAR: OnceLock<Grammar> = OnceLock::new();

    /// The grammar to use, before the first file is read; a second one is ignored.
    pub fn give(grammar: Grammar) {
        let _ = GRAMMAR.set(grammar);
    }

    /// The grammar that was given.
    pub fn grammar() -> Grammar {
        let none = Grammar { parse: |_| Err("there is no JSON here".into()), print: |_| String::new() };
        GRAMMAR.get().copied().unwrap_or(none)
    }
}

impl Value {
    /// The value of a text.
    ///
    /// # Errors
    /// What is wrong with it, in the grammar's words.
    pub fn parse(text: &str) -> Result<Self, String> {
        (grammar().parse)(text)
    }

    /// The text, without spaces.
    pub fn print(&self) -> String {
        (grammar().print)(self)
    }

    /// The number nearest to `value` with the fewest decimals: `0.1`, not `0.10000000149011612`.
    pub fn short(value: f32) -> Self {
        let exact = f64::from(value);
        let rounded = (0..12).map(|digits| {
            let scale = f64::from(10u32.saturating_pow(digits.min(9))) * if digits > 9 { 1e2 } else { 1.0 };
            (exact * scale).round() / scale
        });
        Value::Number(rounded.into_iter().find(|short| *short as f32 == value).unwrap_or(exact))
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        if let Value::Text(text) = self { Some(text) } else { None }
    }

    /// The number, if it is one.
    pub fn number(&self) -> Option<f64> {
        if let Value::Number(number) = self { Some(*number) } else { None }
    }

    /// The number, if it is whole and not below zero.
    pub fn count(&self) -> Option<usize> {
        let number = self.number()?;
        let count = number as usize;
        (count as f64 == number).then_some(count)
    }

    /// A field that is a list of whole numbers.
    pub fn counts(&self, key: &str) -> Option<Vec<usize>> {
        let items = self.get(key)?.list()?;
        let mut counts = Vec::with_capacity(items.len());
        for item in items {
            counts.push(item.count()?);
        }
        Some(counts)
    }

    /// A list of whole numbers.
    pub fn numbers(counts: &[usize]) -> Self {
        Value::List(counts.iter().map(|&count| Value::Number(count as f64)).collect())
    }

    /// The items, if it is a list.
    pub fn list(&self) -> Option<&[Value]> {
        if let Value::List(items) = self { Some(items) } else { None }
    }

    /// The fields, if it is an object.
    pub fn object(&self) -> Option<&[(String, Value)]> {
        if let Value::Object(fields) = self { Some(fields) } else { None }
    }

    /// A field, if it is an object that has one called `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.object()?.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }
}
