//! Not a test: `npm run fuzz` has it write what the fuzzers start from, `fuzz/corpus/TARGET/…`, small generated files and
//! the heads of real ones where they lie beside the repository.

#![cfg(not(target_arch = "wasm32"))] // writes files

use std::path::{Path, PathBuf};

/// The fuzzers take no longer inputs.
const LONGEST: usize = 1 << 16;

fn target(name: &str) -> &'static str {
    let known = ["tflite", "tfjs", "onnx", "keras zip", "keras", "native"];
    match known.into_iter().find(|front| name.starts_with(front)).unwrap() {
        "keras zip" => "keras_zip",
        "keras" => "keras_h5",
        "native" => "safetensors",
        other => other,
    }
}

fn put(target: &str, name: &str, bytes: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), &bytes[..bytes.len().min(LONGEST)]).unwrap();
}

/// As the target of TF.js takes its input: the length of the JSON, the JSON, the shards.
fn joined(json: &[u8], shards: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let length = u16::try_from(json.len()).unwrap_or(u16::MAX).to_le_bytes();
    let shards: Vec<u8> = shards.into_iter().flatten().collect();
    [&length, json, &shards].concat()
}

#[test]
#[ignore = "writes the seeds of the fuzzers"]
fn seeds() {
    for (name, (bytes, beside)) in mobilenet_testing::foreign::files() {
        let bytes = match target(name) {
            "tfjs" => joined(&bytes, beside.into_iter().map(|(_, shard)| shard)),
            _ => bytes,
        };
        put(target(name), &name.replace(' ', "-"), &bytes);
    }
    let Some(root) = mobilenet_testing::shared_path("weights") else { return };
    let files = |folder: &str| -> Vec<PathBuf> {
        std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    for folder in ["timm", "keras", "tflite", "onnx"] {
        for path in files(folder) {
            let target = match path.extension().and_then(|ending| ending.to_str()) {
                Some("safetensors") => "safetensors",
                Some("h5") => "keras_h5",
                Some("keras") => "keras_zip",
                Some("tflite") => "tflite",
                _ => "onnx",
            };
            let name = format!("head-of-{}", path.file_name().unwrap().to_string_lossy());
            put(target, &name, &std::fs::read(&path).unwrap());
        }
    }
    for path in files("tfjs") {
        let json = std::fs::read(path.join("model.json")).unwrap();
        let name = format!("head-of-{}", path.file_name().unwrap().to_string_lossy());
        put("tfjs", &name, &joined(&json, [vec![0; 1024]]));
    }
}
