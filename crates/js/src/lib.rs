//! The edge to JavaScript that the class and the module of readers share: errors with codes, and
//! options that are read strictly.

#![cfg(target_arch = "wasm32")]

mod error;
mod json;
mod network_options;
pub mod options;
mod strict;

pub use error::{Error, ErrorCode, Result, describe, reason, tag};
pub use json::BrowserJson;
pub use network_options::{InputNormalization, MAX_LABEL_BYTES, NetworkOptions};
