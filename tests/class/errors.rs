//! Whatever a page may do wrong: an `Error` with a sentence, and an object that works as before.

use super::page::*;
use wasm_bindgen::JsValue;
use wasm_bindgen_test::wasm_bindgen_test;

const NONE: JsValue = JsValue::UNDEFINED;

#[wasm_bindgen_test]
async fn frames_that_are_none() {
    let network = network();
    let cases = [
        (NONE, "undefined is no picture"),
        (JsValue::NULL, "null is no picture"),
        (JsValue::from("cat.png"), "a string is no picture"),
        (JsValue::from(7), "a number is no picture"),
        (literal("document.createElement('div')"), "an HTMLDivElement is no picture"),
        (literal("({})"), "an object is no picture"),
        (literal("() => 1"), "a function is no picture"),
        (canvas(0, 5), "0×5 pixels"),
        (empty_video(), "the video has no picture yet"),
        (unloaded_image(), "the image has not loaded"),
        (wait(closed_bitmap()).await, "the ImageBitmap was closed"),
        (closed_video_frame(), "the VideoFrame was closed"),
        (literal("({ data: [1, 2, 3, 4], width: 1, height: 1 })"), "data must be a Uint8ClampedArray"),
        (literal("({ data: new Float32Array(4), width: 1, height: 1 })"), "not a Float32Array"),
        (literal("({ data: new Uint8Array(4), width: 2, height: 1 })"), "4 bytes were given for 2×1"),
        (
            literal("({ data: new Uint8Array(4), width: NaN, height: 1 })"),
            "width must be a whole number of pixels, not NaN",
        ),
        (literal("({ data: new Uint8Array(4), width: 0.5, height: 2 })"), "not 0.5"),
        (literal("({ data: new Uint8Array(4), width: -1, height: -1 })"), "not -1"),
        (literal("({ data: new Uint8Array(4) })"), "width must be a whole number of pixels, not undefined"),
        (literal("({ data: new Uint8Array(0), width: 0, height: 0 })"), "0×0 pixels"),
        (literal("({ data: new Uint8Array(4), width: 65536, height: 65536 })"), "4 bytes were given"),
        (literal("({ data: null, width: 1, height: 1 })"), "not null"),
    ];
    for (frame, sentence) in &cases {
        for method in ["classify", "embed", "heatmap", "profile"] {
            let said = refusal(&network, method, &[frame]).await;
            assert!(said.starts_with("frame: ") && said.contains(sentence), "{method}: {said}");
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
        assert!(said.contains("another origin") && said.contains("crossOrigin"), "{said}");
        let expected = probabilities(&network, &pixels(32, 32), &NONE).await;
        assert_eq!(probabilities(&network, &canvas(32, 32), &NONE).await, expected);
    }
}

#[wasm_bindgen_test]
async fn options_out_of_range() {
    let network = network();
    let cases = [
        ("0", "topk is 0, and this network has 1 to 5"),
        ("6", "topk is 6"),
        ("-1", "not -1"),
        ("2.5", "not 2.5"),
        ("NaN", "not NaN"),
        ("Infinity", "not inf"),
        ("'three'", "the options must be an object, not a string"),
        ("[3]", "must be an object, not an array"),
        ("({ topk: 0 })", "topk is 0"),
        ("({ topk: 9 })", "topk is 9"),
        ("({ topk: NaN })", "topk must be a whole number, not NaN"),
        ("({ topk: '3' })", "topk must be a whole number, not \"3\""),
        ("({ topK: 3 })", "there is no option `topK`; there are topk,"),
        ("({ scoreThreshold: 2 })", "scoreThreshold is 2"),
        ("({ scoreThreshold: NaN })", "scoreThreshold must be a finite number"),
        ("({ allow: 'cat' })", "allow must be an array, not \"cat\""),
        ("({ allow: ['dog'] })", "no class of this network is called \"dog\""),
        ("({ allow: [5] })", "class 5 does not exist; this network has 0 to 4"),
        ("({ deny: [{}] })", "deny takes names and indices"),
        ("({ allow: [1], deny: [2] })", "give allow or deny, not both"),
        ("({ fit: 'zoom' })", "fit must be \"cover\" or \"contain\" or \"stretch\", not \"zoom\""),
        ("({ rotationDegrees: 45 })", "rotation by 45 degrees"),
        ("({ rotationDegrees: NaN })", "rotationDegrees must be a finite number"),
        ("({ flipped: 1 })", "flipped must be true or false, not 1"),
        ("({ regionOfInterest: { left: 0.5, right: 0.5 } })", "region of interest: left 0.5"),
        ("({ regionOfInterest: { left: -0.1 } })", "region of interest: left -0.1"),
        ("({ regionOfInterest: { x: 1 } })", "there is no option `x`"),
        ("({ regionOfInterest: 3 })", "regionOfInterest must be an object, not 3"),
        ("({ signal: {} })", "signal must be an AbortSignal"),
    ];
    let frame = pixels(32, 32);
    for (options, sentence) in cases {
        let said = refusal(&network, "classify", &[&frame, &literal(options)]).await;
        assert!(said.contains(sentence), "{options}: {said}");
    }
    assert!(
        refusal(&network, "embed", &[&frame, &literal("({ topk: 1 })")]).await.contains("no option `topk`")
    );
    for (index, sentence) in
        [("5", "from 0 to 4, not 5"), ("-1", "not -1"), ("NaN", "not NaN"), ("'cat'", "not a string")]
    {
        let said = refusal(&network, "heatmap", &[&frame, &literal(index)]).await;
        assert!(said.contains(sentence), "{index}: {said}");
    }
    still_works(&network).await;
}

#[wasm_bindgen_test]
async fn an_aborted_signal_stops_a_call_before_it_starts() {
    let network = network();
    let options = literal("({ signal: AbortSignal.abort(new Error('enough')) })");
    for method in ["classify", "embed", "profile"] {
        assert_eq!(refusal(&network, method, &[&pixels(32, 32), &options]).await, "enough");
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
    for method in ["classify", "embed", "heatmap", "profile", "layers"] {
        assert!(
            refusal(&network, method, &[&frame]).await.contains("was disposed; load it again"),
            "{method}"
        );
    }
    let getter = js("({ read(key) { return a[key] } })", &network, &NONE);
    for key in ["architecture", "labels", "precision", "timings", "memoryBytes"] {
        assert!(refusal(&getter, "read", &[&key.into()]).await.contains("was disposed"), "{key}");
    }
}

#[wasm_bindgen_test]
async fn embeddings_that_cannot_be_compared() {
    let class = class();
    let said =
        async |a: &str, b: &str| refusal(&class, "cosineSimilarity", &[&literal(a), &literal(b)]).await;
    assert!(said("[1, 2]", "[1]").await.contains("2 and 1 values"));
    assert!(said("[NaN]", "[1]").await.contains("not a finite number"));
    assert!(said("undefined", "[1]").await.contains("not undefined"));
    assert!(said("3", "[1]").await.contains("not a number"));
}
