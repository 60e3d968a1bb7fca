//! Rules of ARCHITECTURE.md that no manifest states, checked on the source text. Which crate may use which is enforced by
//! the `Cargo.toml` files, `unsafe` by `forbid(unsafe_code)` in every library crate but the kernels.

use std::fs;
use std::path::{Path, PathBuf};

/// Every Rust file below `folder` (relative to the repository's root), comments and tests left out, with its path.
fn sources(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let mut files = Vec::new();
    collect(&root.join(folder), &mut files);
    assert!(!files.is_empty(), "{folder} holds no Rust file");
    let read = |file: PathBuf| {
        let name = file.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
        (name, code(&fs::read_to_string(&file).unwrap()))
    };
    files.into_iter().map(read).collect()
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| collect(&entry.unwrap().path(), files));
    } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
        files.push(path.into());
    }
}

/// The text without comments, and up to its tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let before_comment = |line: &str| line.split("//").next().unwrap_or_default().to_owned() + "\n";
    text.lines().map(before_comment).collect()
}

/// Asserts that no file below `folder`, except those whose path starts with one of `allowed`, contains any of `words`.
fn no_file_contains(folder: &str, allowed: &[&str], words: &[&str]) {
    for (name, code) in sources(folder) {
        if allowed.iter().any(|allowed| name.starts_with(allowed)) {
            continue;
        }
        for word in words {
            assert!(!code.contains(word), "{name} contains `{word}`");
        }
    }
}

/// The crates that make up the library; the class, the readers' module and the program are around them.
const LIBRARY: [&str; 4] = ["crates/kernels", "crates/mobilenet", "crates/formats", "crates/train"];

fn library_sources() -> impl Iterator<Item = String> {
    LIBRARY.iter().map(|folder| format!("{folder}/src"))
}

#[test]
fn the_reader_of_sources_sees_code_and_nothing_else() {
    let text = "use a; // unsafe\n/// unsafe\nfn f() {}\n#[cfg(test)]\nmod tests {\nunsafe\n}\n";
    assert_eq!(code(text), "use a; \n\nfn f() {}\n");
    let simd = sources("crates/kernels/src/simd");
    assert!(simd.iter().any(|(name, code)| name.ends_with("v128.rs") && code.contains("unsafe {")));
}

#[test]
fn kernels_know_shapes_and_slices() {
    no_file_contains("crates/kernels/src", &[], &["MobileNet", "Architecture", "Weights"]);
}

#[test]
fn architecture_and_weights_do_no_arithmetic_on_activations_and_read_no_bytes() {
    for file in ["architecture.rs", "cost.rs", "width.rs", "weights.rs"] {
        let words = [
            "kernels::f32",
            "kernels::int8",
            "crate::network",
            "crate::image",
            "crate::quantize",
            "from_le_bytes",
        ];
        no_file_contains(&format!("crates/mobilenet/src/{file}"), &[], &words);
    }
}

#[test]
fn formats_compute_nothing() {
    no_file_contains(
        "crates/formats/src",
        &[],
        &["kernels::f32", "kernels::int8", "mobilenet::image", "mobilenet::Network"],
    );
}

#[test]
fn inference_and_training_meet_only_in_weights() {
    no_file_contains(
        "crates/train/src",
        &[],
        &["mobilenet::Network", "mobilenet::network", "mobilenet_formats"],
    );
    no_file_contains("crates/mobilenet/src", &[], &["mobilenet_train", "mobilenet_formats"]);
}

#[test]
fn the_library_does_no_input_or_output() {
    let words = ["std::fs", "std::net", "std::env", "std::process", "File::open", "println!", "eprintln!"];
    library_sources().for_each(|folder| no_file_contains(&folder, &[], &words));
}

#[test]
fn only_the_class_and_the_readers_module_call_the_browser() {
    let words = ["wasm_bindgen::", "[wasm_bindgen", "web_sys", "js_sys"];
    library_sources().for_each(|folder| no_file_contains(&folder, &[], &words));
}

#[test]
fn only_v128_is_unsafe_and_only_simd_knows_instruction_sets() {
    let words = ["unsafe {", "unsafe fn", "unsafe impl", "allow(unsafe_code)"];
    let unsafe_file = ["crates/kernels/src/simd/v128.rs"];
    library_sources().for_each(|folder| no_file_contains(&folder, &unsafe_file, &words));
    no_file_contains("src", &[], &words);
    let words = ["target_feature", "core::arch", "std::arch"];
    library_sources().for_each(|folder| no_file_contains(&folder, &["crates/kernels/src/simd/"], &words));
}
