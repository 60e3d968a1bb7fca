//! The browser's `JSON`.

use crate::reason;
use crate::strict::read_data;
use js_sys::JSON;
use mobilenet_formats::json::Json;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_wasm_bindgen::Serializer;

/// JSON as the browser reads and writes it, so that the module needs no code for it.
#[derive(Clone, Copy, Debug)]
pub enum BrowserJson {}

impl Json for BrowserJson {
    fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
        read_data(JSON::parse(text).map_err(|thrown| reason(&thrown))?)
    }

    fn print<T: Serialize>(value: &T) -> Result<String, String> {
        let serializer = Serializer::new().serialize_maps_as_objects(true);
        let value = value.serialize(&serializer).map_err(|error| error.to_string())?;
        let text = JSON::stringify(&value).map_err(|thrown| reason(&thrown))?;
        Ok(text.into())
    }
}
