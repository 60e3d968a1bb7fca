//! The invariants of ARCHITECTURE.md, 1 to 7, checked on the source text. (The eighth is `kernels_allocation.rs`.)

use std::fs;
use std::path::{Path, PathBuf};

/// Every Rust file below `folder` (relative to the repository's root), comments and tests left out, with its path.
fn sources(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join(folder), &mut files);
    assert!(!files.is_empty(), "{folder} holds no Rust file");
    let read = |file: PathBuf| {
        let name = file.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
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

/// Asserts that no file below `folder`, those that `allowed` starts aside, contains any of `words`.
fn nobody_says(folder: &str, allowed: &[&str], words: &[&str]) {
    for (name, code) in sources(folder) {
        if allowed.iter().any(|allowed| name.starts_with(allowed)) {
            continue;
        }
        for word in words {
            assert!(!code.contains(word), "{name} contains `{word}`");
        }
    }
}

#[test]
fn the_reader_of_sources_sees_code_and_nothing_else() {
    let text = "use a; // unsafe\n/// unsafe\nfn f() {}\n#[cfg(test)]\nmod tests {\nunsafe\n}\n";
    assert_eq!(code(text), "use a; \n\nfn f() {}\n");
    let simd = sources("src/kernels/simd");
    assert!(simd.iter().any(|(name, code)| name.ends_with("v128.rs") && code.contains("unsafe {")));
}

#[test]
fn kernels_know_shapes_and_slices() {
    let rooms =
        ["crate::model", "crate::formats", "crate::image", "crate::infer", "crate::train", "crate::js"];
    nobody_says("src/kernels", &[], &rooms);
    nobody_says("src/kernels", &[], &["MobileNet", "Architecture", "Weights"]);
}

#[test]
fn model_does_no_arithmetic_on_activations_and_reads_no_bytes() {
    nobody_says(
        "src/model",
        &[],
        &["crate::kernels", "crate::infer", "crate::train", "crate::image", "from_le_bytes"],
    );
    nobody_says("src/model", &[], &["crate::formats", "crate::js"]);
}

#[test]
fn formats_import_only_what_lies_below() {
    nobody_says(
        "src/formats",
        &[],
        &["crate::kernels", "crate::infer", "crate::train", "crate::image", "crate::js"],
    );
}

#[test]
fn infer_and_train_meet_only_in_weights() {
    nobody_says("src/infer", &[], &["crate::train", "crate::formats", "crate::js"]);
    nobody_says("src/train", &[], &["crate::infer", "crate::formats", "crate::js"]);
}

#[test]
fn the_library_does_no_input_or_output() {
    let doors = ["std::fs", "std::net", "std::env", "std::process", "File::open", "println!", "eprintln!"];
    nobody_says("src", &["src/js/"], &doors);
}

#[test]
fn only_js_names_the_browser() {
    nobody_says("src", &["src/js/"], &["wasm_bindgen::", "[wasm_bindgen", "web_sys", "js_sys"]);
}

#[test]
fn only_v128_is_unsafe_and_only_simd_knows_instruction_sets() {
    let allowed = ["src/kernels/simd/v128.rs"];
    nobody_says("src", &allowed, &["unsafe {", "unsafe fn", "unsafe impl", "allow(unsafe_code)"]);
    nobody_says("src", &["src/kernels/simd/"], &["target_feature", "core::arch", "std::arch"]);
}
