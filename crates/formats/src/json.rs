//! JSON text, read and written by a library that the caller chooses.

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;

/// Reads and writes JSON text: [`SerdeJson`], or in the browser's class the browser's own `JSON`, which saves a tenth of
/// the module.
pub trait Json {
    /// Parses `text`.
    ///
    /// # Errors
    /// A message if the text is no JSON, or not what `T` holds.
    fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String>;

    /// Writes `value` without spaces.
    ///
    /// # Errors
    /// A message if the value cannot be JSON.
    fn print<T: Serialize>(value: &T) -> Result<String, String>;
}

/// The crate serde_json.
#[derive(Clone, Copy, Debug)]
pub enum SerdeJson {}

impl Json for SerdeJson {
    fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    fn print<T: Serialize>(value: &T) -> Result<String, String> {
        serde_json::to_string(value).map_err(|error| error.to_string())
    }
}

/// The entries of a JSON object in their order, for `#[serde(with)]`.
pub mod entries {
    use super::*;

    /// Writes the entries as an object.
    pub fn serialize<S: Serializer, T: Serialize>(
        entries: &[(String, T)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(entries.iter().map(|(name, value)| (name, value)))
    }

    /// Reads an object.
    pub fn deserialize<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
        deserializer: D,
    ) -> Result<Vec<(String, T)>, D::Error> {
        struct Entries<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Vec<(String, T)>;

            fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(entries)
            }
        }

        deserializer.deserialize_map(Entries(PhantomData))
    }
}
