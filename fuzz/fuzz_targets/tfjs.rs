//! TF.js from any bytes: the first two say how long `model.json` is, the rest is every shard that it names.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mobilenet_formats::{ModelOptions, ModelSource, tfjs};
use mobilenet_testing::limit::{Measuring, within};

#[global_allocator]
static ALLOCATOR: Measuring = Measuring;

fuzz_target!(|bytes: &[u8]| {
    let Some((length, rest)) = bytes.split_first_chunk() else { return };
    let Some((json, shard)) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length))) else { return };
    let names = tfjs::companion_files(json).unwrap_or_default();
    let beside: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), shard)).collect();
    let source = ModelSource { bytes: json, companions: &beside };
    // Every shard counts, as it would in files of their own.
    let input = json.len() + beside.len() * shard.len();
    let _ = within("tfjs", input, || tfjs::read(&source, &ModelOptions::default()));
});
