//! The metadata entry `mobilenet` of a native file, as JSON.

use crate::json::{Json, entries};
use mobilenet::weights::{InputGrid, Provenance};
use mobilenet::{Architecture, Error, Result};
use serde::{Deserialize, Serialize};

/// Version of the native file that this crate writes; it reads this one and those before.
///
/// Version 2 calls `normalization` what version 1 calls `normalization`.
pub const VERSION: u32 = 2;

/// What a native file says about its tensors.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Header {
    /// Version of the format, see [`VERSION`].
    pub version: u32,
    /// The network, its labels included.
    pub architecture: Architecture,
    /// Range of a layer's activations by the layer's name, where they were calibrated.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "entries")]
    pub ranges: Vec<(String, f32)>,
    /// Step of every layer's output where another program quantized it, see
    /// [`Weights::steps`](mobilenet::Weights::steps).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<f32>,
    /// What the input is rounded to where another program quantized it, see
    /// [`Weights::input_grid`](mobilenet::Weights::input_grid).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_grid: Option<InputGrid>,
    /// Who made the network, and its license.
    #[serde(default)]
    pub provenance: Provenance,
}

impl Header {
    /// Parses the entry.
    ///
    /// # Errors
    /// If the JSON is damaged, a field is missing, unknown or of another type, or the version is newer than [`VERSION`].
    pub fn parse<J: Json>(json: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        // Read first: a newer file may have fields that this version does not know.
        let Version { version } = J::parse(json).map_err(Error::argument)?;
        if version > VERSION {
            return Err(Error::argument(format!(
                "version: must be at most {VERSION}, got {version}; update this program"
            )));
        }
        if version == 0 {
            return Err(Error::argument("version: must be at least 1, got 0"));
        }
        J::parse(json).map_err(Error::argument)
    }

    /// The entry as JSON, without spaces.
    ///
    /// # Errors
    /// If a number is not finite.
    pub fn to_json<J: Json>(&self) -> Result<String> {
        J::print(self).map_err(Error::argument)
    }
}
