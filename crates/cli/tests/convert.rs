//! `mobilenet convert`, `inspect` and `quantize` on files made here.

mod support;

use mobilenet::Kernel;
use mobilenet_kernels::shape::Padding;
use support::{COLOURS, Folder, bare, colors, file, prints, read, refuses};

#[test]
fn convert_prints_who_said_what() {
    let folder = Folder::new("convert-says");
    let (input, output) = (folder.write("bare.safetensors", bare()), folder.text("out.safetensors"));
    let printed =
        prints(&["convert", &input, &output, "--padding", "symmetric", "--normalization", "128,127"]);
    let line = |name: &str| {
        let found = printed.lines().find(|line| line.trim_start().starts_with(name));
        found.unwrap_or_else(|| panic!("no {name} in {printed}")).to_owned()
    };
    assert!(line("padding").contains("symmetric (as given)"), "{printed}");
    assert!(line("normalization").contains("(x - 128) / 127 (as given)"), "{printed}");
    assert!(line("activation").contains("relu6 (the format's default"), "{printed}");
    assert!(line("precision").contains("f32 (the format's default"), "{printed}");
    let weights = read(&folder.at("out.safetensors"));
    assert_eq!(weights.architecture.padding, Padding::Symmetric);
    assert_eq!(weights.layers, colors(4, false, &[]).layers);

    // The option's old name.
    let old =
        ["convert", &input, &folder.text("old"), "--padding", "symmetric", "--normalisation", "128,127"];
    prints(&old);
    assert_eq!(std::fs::read(&output).unwrap(), std::fs::read(folder.at("old")).unwrap());

    // What a native file says of itself counts more than the caller.
    let again = prints(&["convert", &output, &folder.text("again.safetensors"), "--padding", "same"]);
    assert!(again.contains("symmetric (from the file)"), "{again}");
    assert_eq!(std::fs::read(&output).unwrap(), std::fs::read(folder.at("again.safetensors")).unwrap());
}

#[test]
fn convert_writes_each_precision() {
    let folder = Folder::new("convert-precision");
    let input = folder.write("in.safetensors", file());
    for precision in ["f32", "f16", "int8"] {
        let output = folder.text(precision);
        let printed = prints(&["convert", &input, &output, "--precision", precision]);
        assert!(printed.contains(&format!("{precision} (as given)")), "{printed}");
        let weights = read(&folder.at(precision));
        assert_eq!(weights.is_int8(), precision == "int8");
        if precision != "int8" {
            // Zeros, ones and fours are exact in float16.
            assert_eq!(weights, colors(4, false, &support::LABELS));
        }
    }
    let int8 = folder.text("int8");
    let kept = prints(&["convert", &int8, &folder.text("kept")]);
    assert!(kept.contains("int8 (from the file)"), "{kept}");
    assert_eq!(std::fs::read(&int8).unwrap(), std::fs::read(folder.at("kept")).unwrap());
    let back = prints(&["convert", &int8, &folder.text("back"), "--precision", "f32"]);
    assert!(back.contains("f32 (as given)"), "{back}");
    let (bytes, floats) = (read(&folder.at("int8")), read(&folder.at("back")));
    for (bytes, floats) in bytes.layers.iter().zip(&floats.layers) {
        assert_eq!(Kernel::F32(bytes.kernel.to_f32().into_owned()), floats.kernel);
        assert_eq!((&bytes.bias, bytes.range), (&floats.bias, floats.range));
    }
}

#[test]
fn convert_refuses_in_sentences() {
    let folder = Folder::new("convert-refuses");
    let good = folder.write("good.safetensors", file());
    let out = folder.text("out.safetensors");
    let page = folder.write("page.safetensors", "<!doctype html>");
    let cut = folder.write("cut.safetensors", &file()[..1000]);
    let beside = r#"{"format": "layers-model", "modelTopology": {}, "weightsManifest": [{"paths": ["../secret"], "weights": []}]}"#;
    let outside = folder.write("model.json", beside);
    let absent = folder.text("absent.tflite");
    let nowhere = folder.text("no/such/folder/out.safetensors");
    for (arguments, sentence) in [
        (vec!["convert", &absent, &out], "absent.tflite"),
        (vec!["convert", &page, &out], "web page"),
        (vec!["convert", &cut, &out], "cut off"),
        (vec!["convert", &outside, &out], "outside its folder"),
        (vec!["convert", &good, &nowhere], "no/such/folder"),
        (vec!["convert", &good, &out, "--precision", "f64"], "f64"),
        (vec!["convert", &good, &out, "--normalization", "127.5"], "MEAN,DEVIATION"),
        (vec!["convert", &good, &out, "--labels", &absent], "absent.tflite"),
        (vec!["convert", &good, &out, "--resolution", "7"], "resolution"),
        (vec!["convert", &good], "OUTPUT"),
    ] {
        let printed = refuses(&arguments);
        assert!(printed.contains(sentence), "{arguments:?}: {printed}");
        assert!(!folder.at("out.safetensors").exists(), "{arguments:?} left a file");
    }
}

#[test]
fn inspect_shows_layers_and_totals() {
    let folder = Folder::new("inspect");
    let input = folder.write("in.safetensors", file());
    let table = prints(&["inspect", &input]);
    assert!(table.contains("padding        same (from the file)"), "{table}");
    assert!(table.lines().any(|line| line.starts_with("conv_dw_13 ") && line.contains("1x1x8")), "{table}");
    let printed = prints(&["inspect", &input, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let layers = json["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 29);
    let sum: u64 = layers.iter().map(|layer| layer["cost"]["mult_adds"].as_u64().unwrap()).sum();
    assert_eq!(json["total"]["mult_adds"].as_u64(), Some(sum));
    assert_eq!(json["architecture"]["classes"], 4);
    assert_eq!(layers[0]["weights"], serde_json::json!([0.0, 1.0]));
    assert!(layers[0]["range"].is_null());
    assert_eq!(layers[28]["output"], serde_json::json!([1, 1, 4]));
    assert!(refuses(&["inspect", &folder.text("absent")]).contains("absent"));
}

#[test]
fn quantize_measures_ranges_and_writes_bytes() {
    let folder = Folder::new("quantize");
    let input = folder.write("in.safetensors", file());
    for (name, color) in ["a/red.png", "b/green.png", "b/blue.png", "b/grey.png"].iter().zip(COLOURS) {
        folder.picture(&format!("pictures/{name}"), color);
    }
    folder.write("pictures/notes.txt", "no picture");
    let (pictures, output) = (folder.text("pictures"), folder.text("int8.safetensors"));
    let printed = prints(&["quantize", &input, &output, "--calibrate", &pictures]);
    assert!(printed.contains("ranges of 4 images"), "{printed}");
    assert!(printed.contains("same top-1 4 of 4"), "{printed}");
    let weights = read(&folder.at("int8.safetensors"));
    assert!(weights.is_int8());
    let (last, inner) = weights.layers.split_last().unwrap();
    assert!(last.range.is_none());
    // Every map holds 0 to 2, so that is what the ranges must say, a step more or less.
    assert!(inner.iter().all(|layer| layer.range.is_some_and(|range| (1.9..2.2).contains(&range))));
    // Bit for bit: what was read is what is written again.
    prints(&["convert", &output, &folder.text("again")]);
    assert_eq!(std::fs::read(&output).unwrap(), std::fs::read(folder.at("again")).unwrap());
    let json: serde_json::Value = serde_json::from_str(&prints(&["inspect", &output, "--json"])).unwrap();
    assert_eq!(json["layers"][1]["precision"], "int8");
    assert!(json["layers"][1]["range"].as_f64().unwrap() > 1.9);
    let one = prints(&["quantize", &input, &output, "--calibrate", &pictures, "--pictures", "2"]);
    assert!(one.contains("ranges of 2 images"), "{one}");
}

#[test]
fn quantize_refuses_in_sentences() {
    let folder = Folder::new("quantize-refuses");
    let good = folder.write("good.safetensors", file());
    let (out, int8) = (folder.text("out.safetensors"), folder.text("int8.safetensors"));
    prints(&["convert", &good, &int8, "--precision", "int8"]);
    std::fs::create_dir(folder.at("empty")).unwrap();
    let empty = folder.text("empty");
    folder.write("broken/one.png", "no picture at all");
    let broken = folder.text("broken");
    let text = folder.write("list.txt", "one.png");
    let absent = folder.text("absent");
    folder.picture("pictures/a.png", COLOURS[0]);
    let pictures = folder.text("pictures");
    for (arguments, sentence) in [
        (vec!["quantize", &good, &out, "--calibrate", &empty], "must hold images"),
        (vec!["quantize", &good, &out, "--calibrate", &broken], "one.png"),
        (vec!["quantize", &good, &out, "--calibrate", &text], "must be a folder or a tar"),
        (vec!["quantize", &good, &out, "--calibrate", &absent], "absent"),
        (vec!["quantize", &good, &out], "--calibrate"),
        (vec!["quantize", &int8, &out, "--calibrate", &pictures], "int8 already"),
        (vec!["quantize", &good, &out, "--calibrate", &pictures, "--max-images", "0"], "--max-images"),
    ] {
        let printed = refuses(&arguments);
        assert!(printed.contains(sentence), "{arguments:?}: {printed}");
        assert!(!folder.at("out.safetensors").exists(), "{arguments:?} left a file");
    }
}

/// As in `mobilenet inspect FILE | head -1`.
#[cfg(unix)]
#[test]
fn printing_ends_quietly_where_nobody_reads_on() {
    use std::process::{Command, Stdio};
    let folder = Folder::new("convert-pipe");
    let input = folder.write("in.safetensors", file());
    let mut run = Command::new(support::program())
        .args(["inspect", &input])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(run.stdout.take());
    assert_eq!(String::from_utf8(run.wait_with_output().unwrap().stderr).unwrap(), "");
}
