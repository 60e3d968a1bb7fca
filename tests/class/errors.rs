//! Whatever a page may do wrong: a MobileNetError with a code and a message, and an object that works as before.

use super::page::*;
use wasm_bindgen::JsValue;
use wasm_bindgen_test::wasm_bindgen_test;

const NONE: JsValue = JsValue::UNDEFINED;

#[wasm_bindgen_test]
async fn frames_that_are_none() {
    let network = network();
    let cases = [
        (
            NONE,
            "must be a canvas, video, image, ImageBitmap, VideoFrame, ImageData or { data, width, height }, got undefined",
        ),
        (JsValue::NULL, "ImageData or { data, width, height }, got null"),
        (
            JsValue::from("cat.png"),
            "must be a canvas, video, image, ImageBitmap, VideoFrame, ImageData or { data, width, height }, got \"cat.png\"",
        ),
        (JsValue::from(7), "height }, got 7"),
        (literal("document.createElement('div')"), "height }, got an HTMLDivElement"),
        (literal("({})"), "height }, got an object"),
        (literal("() => 1"), "height }, got a function"),
        (canvas(0, 5), "0×5 pixels"),
        (literal("new OffscreenCanvas(5, 0)"), "5×0 pixels"),
        (empty_video(), "the video has no image yet; wait for its `loadeddata` event"),
        (unloaded_image(), "the image has not loaded"),
        (wait(closed_bitmap()).await, "the ImageBitmap was closed"),
        (closed_video_frame(), "the VideoFrame was closed"),
        (
            literal("({ data: [1, 2, 3, 4], width: 1, height: 1 })"),
            "data: must be a Uint8ClampedArray or Uint8Array of RGBA, got an array",
        ),
        (literal("({ data: new Float32Array(4), width: 1, height: 1 })"), "of RGBA, got a Float32Array"),
        (
            literal("({ data: new Uint8Array(4), width: 2, height: 1 })"),
            "data: must have width · height · 4 bytes of RGBA, got 4 bytes for 2×1 pixels",
        ),
        (
            literal("({ data: new Uint8Array(4), width: NaN, height: 1 })"),
            "width: must be a whole number of pixels, got NaN",
        ),
        (
            literal("({ data: new Uint8Array(4), width: 0.5, height: 2 })"),
            "width: must be a whole number of pixels, got 0.5",
        ),
        (
            literal("({ data: new Uint8Array(4), width: -1, height: -1 })"),
            "width: must be a whole number of pixels, got -1",
        ),
        (literal("({ data: new Uint8Array(4) })"), "width: must be a whole number of pixels, got undefined"),
        (literal("({ data: new Uint8Array(0), width: 0, height: 0 })"), "0×0 pixels"),
        (
            literal("({ data: new Uint8Array(4), width: 65536, height: 65536 })"),
            "got 4 bytes for 65536×65536 pixels",
        ),
        (
            literal("({ data: null, width: 1, height: 1 })"),
            "data: must be a Uint8ClampedArray or Uint8Array of RGBA, got null",
        ),
    ];
    for (frame, sentence) in &cases {
        for method in ["classify", "embed", "heatmap", "profile"] {
            let said = refusal(&network, method, &[frame]).await;
            assert!(said.is("invalid-frame", sentence), "{method}: {said:?}");
            assert!(said.message.starts_with("frame: "), "{method}: {said:?}");
        }
    }
    still_works(&network).await;
}

#[wasm_bindgen_test]
async fn a_tainted_picture_names_the_cure_and_does_not_taint_the_next() {
    let network = network();
    for tainted in [wait(tainted_image()).await, wait(tainted_canvas()).await] {
        if tainted.is_null() {
            wasm_bindgen_test::console_log!("skipped: this browser taints no canvas without a second origin");
            return;
        }
        let said = refusal(&network, "classify", &[&tainted]).await;
        assert!(said.is("tainted-canvas", "another origin"), "{said:?}");
        assert!(said.message.contains("set crossOrigin = \"anonymous\""), "{said:?}");
        let expected = probabilities(&network, &pixels(32, 32), &NONE).await;
        assert_eq!(probabilities(&network, &canvas(32, 32), &NONE).await, expected);
    }
}

#[wasm_bindgen_test]
async fn options_out_of_range() {
    let network = network();
    let cases = [
        ("0", "topk: must be from 1 to 5, got 0"),
        ("6", "topk: must be from 1 to 5, got 6"),
        ("-1", "topk: must be a whole number, got -1"),
        ("2.5", "topk: must be a whole number, got 2.5"),
        ("NaN", "topk: must be a whole number, got NaN"),
        ("Infinity", "topk: must be a whole number, got Infinity"),
        ("'three'", "options: must be an object, got \"three\""),
        ("[3]", "options: must be an object, got an array"),
        ("true", "options: must be an object, got true"),
        ("() => 1", "options: must be an object, got a function"),
        ("({ topk: 0 })", "topk: must be from 1 to 5, got 0"),
        ("({ topk: 9 })", "topk: must be from 1 to 5, got 9"),
        ("({ topk: 2 ** 32 })", "topk: must be a whole number, got 4294967296"),
        ("({ topk: NaN })", "topk: must be a whole number, got NaN"),
        ("({ topk: '3' })", "topk: must be a whole number, got \"3\""),
        ("({ topk: 3n })", "topk: must be a whole number, got a bigint"),
        (
            "({ topK: 3 })",
            "classify: topK: unknown option; the options are topk, scoreThreshold, allow, deny, regionOfInterest, rotationDegrees, flipped, fit, signal",
        ),
        ("({ scoreThreshold: 2 })", "scoreThreshold: must be from 0 to 1, got 2"),
        ("({ scoreThreshold: NaN })", "scoreThreshold: must be a finite number, got NaN"),
        ("({ allow: 'cat' })", "allow: must be an array, got \"cat\""),
        ("({ allow: ['dog'] })", "allow: must be classes of this network, got \"dog\"; see its labels"),
        ("({ allow: [5] })", "class: must be from 0 to 4, got 5"),
        ("({ deny: [0, {}] })", "deny[1]: must be a name or an index, got an object"),
        ("({ allow: [1], deny: [2] })", "allow: cannot be combined with deny; give one of them"),
        ("({ fit: 'zoom' })", "fit: must be \"cover\" or \"contain\" or \"stretch\", got \"zoom\""),
        ("({ rotationDegrees: 45 })", "rotation: must be a multiple of 90 degrees, got 45"),
        ("({ rotationDegrees: NaN })", "rotationDegrees: must be a finite number, got NaN"),
        ("({ flipped: 1 })", "flipped: must be true or false, got 1"),
        (
            "({ regionOfInterest: { left: 0.5, right: 0.5 } })",
            "region of interest: edges must be fractions of the frame from 0 to 1, left below right and top below bottom, got left 0.5, top 0, right 0.5, bottom 1",
        ),
        ("({ regionOfInterest: { left: -0.1 } })", "got left -0.1,"),
        (
            "({ regionOfInterest: { left: '0' } })",
            "regionOfInterest.left: must be a finite number, got \"0\"",
        ),
        (
            "({ regionOfInterest: { x: 1 } })",
            "regionOfInterest.x: unknown option; the options are left, top, right, bottom",
        ),
        ("({ regionOfInterest: 3 })", "regionOfInterest: must be an object, got 3"),
        ("({ signal: {} })", "signal: must be an AbortSignal, got an object"),
    ];
    let frame = pixels(32, 32);
    for (options, sentence) in cases {
        let said = refusal(&network, "classify", &[&frame, &literal(options)]).await;
        assert!(said.is("invalid-option", sentence), "{options}: {said:?}");
    }
    let said = refusal(&network, "embed", &[&frame, &literal("({ topk: 1 })")]).await;
    assert!(
        said.is("invalid-option", "embed: topk: unknown option; the options are regionOfInterest,"),
        "{said:?}"
    );
    for (index, got) in [("5", "5"), ("-1", "-1"), ("NaN", "NaN"), ("'cat'", "\"cat\"")] {
        let said = refusal(&network, "heatmap", &[&frame, &literal(index)]).await;
        let sentence = format!("heatmap: index: must be a class from 0 to 4, got {got}");
        assert!(said.is("invalid-argument", &sentence), "{index}: {said:?}");
    }
    still_works(&network).await;
}

#[wasm_bindgen_test]
async fn an_aborted_signal_stops_a_call_before_it_starts() {
    let network = network();
    let options = literal("({ signal: AbortSignal.abort(new Error('enough')) })");
    for method in ["classify", "embed", "profile"] {
        assert_eq!(refusal(&network, method, &[&pixels(32, 32), &options]).await.message, "enough");
    }
    let waiting = literal("({ signal: new AbortController().signal })");
    call(&network, "classify", &[&pixels(32, 32), &waiting]).await;
}

#[wasm_bindgen_test]
async fn after_dispose_every_call_says_so() {
    let network = network();
    assert_eq!(get(&network, "disposed"), JsValue::FALSE);
    call(&network, "dispose", &[]).await;
    call(&network, "dispose", &[]).await;
    assert_eq!(get(&network, "disposed"), JsValue::TRUE);
    let frame = pixels(32, 32);
    for method in ["classify", "embed", "heatmap", "profile", "layers", "train", "save"] {
        let said = refusal(&network, method, &[&frame]).await;
        assert!(said.is("disposed", "was disposed; load it again"), "{method}: {said:?}");
    }
    let getter = js("({ read(key) { return a[key] } })", &network, &NONE);
    for key in ["architecture", "labels", "precision", "timings", "memoryBytes", "numThreads", "examples"] {
        assert!(refusal(&getter, "read", &[&key.into()]).await.is("disposed", "was disposed"), "{key}");
    }
}
