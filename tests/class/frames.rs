//! Every kind of frame, and every answer.

use super::networks::LABELS;
use super::page::*;
use js_sys::{Array, Float32Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_test::wasm_bindgen_test;

const NONE: JsValue = JsValue::UNDEFINED;

#[wasm_bindgen_test]
async fn every_kind_of_frame_gives_the_same_answer() {
    let network = network();
    let expected = probabilities(&network, &pixels(32, 32), &NONE).await;
    assert!((expected.iter().sum::<f64>() - 1.0).abs() < 1e-5);
    assert!(
        expected.iter().any(|probability| *probability > 0.25),
        "the test network sees nothing: {expected:?}"
    );
    let plain = js("({ ...a, data: new Uint8Array(a.data) })", &pixels(32, 32), &NONE);
    let kinds = [
        ("ImageData", image_data(32, 32)),
        ("{ data: Uint8Array }", plain),
        ("HTMLCanvasElement", canvas(32, 32)),
        ("OffscreenCanvas", offscreen()),
        ("HTMLImageElement", wait(image()).await),
        ("ImageBitmap", wait(bitmap()).await),
        ("VideoFrame", video_frame()),
    ];
    for (kind, frame) in &kinds {
        assert_eq!(probabilities(&network, frame, &NONE).await, expected, "{kind}");
        assert!(!is_closed(frame), "{kind} was closed");
        // Twice, for what is kept from the first time.
        assert_eq!(probabilities(&network, frame, &NONE).await, expected, "{kind}, again");
    }
}

#[wasm_bindgen_test]
async fn a_video_is_seen_as_its_picture() {
    let network = network();
    let video = wait(video()).await;
    let expected = probabilities(&network, &pixels(320, 320), &NONE).await;
    let found = probabilities(&network, &video, &NONE).await;
    for (expected, found) in expected.iter().zip(&found) {
        assert!((expected - found).abs() < 0.05, "{expected} and {found}");
    }
}

#[wasm_bindgen_test]
async fn an_image_is_cut_in_the_size_that_it_tells() {
    let network = network();
    let dense = wait(dense_image(90, 47)).await;
    assert_eq!((get(&dense, "naturalWidth"), get(&dense, "naturalHeight")), (90.into(), 47.into()));
    for options in ["{}", "{ regionOfInterest: { left: 0.5, top: 0.5 } }"] {
        let options = literal(&format!("({options})"));
        let expected = probabilities(&network, &drawn(&dense, 90, 47), &options).await;
        let found = probabilities(&network, &dense, &options).await;
        for (expected, found) in expected.iter().zip(&found) {
            assert!((expected - found).abs() < 0.01, "{expected} and {found}, {options:?}");
        }
    }
}

#[wasm_bindgen_test]
async fn a_canvas_and_its_bytes_agree_under_every_option() {
    let network = network();
    for (width, height) in [(90, 47), (31, 64)] {
        let (canvas, bytes) = (canvas(width, height), pixels(width, height));
        let mut answers = Vec::new();
        for options in [
            "{}",
            "{ fit: 'contain' }",
            "{ fit: 'stretch' }",
            "{ rotationDegrees: 90 }",
            "{ rotationDegrees: -180 }",
            "{ flipped: true }",
            "{ regionOfInterest: { left: 0.1, top: 0.25, right: 0.8, bottom: 1 } }",
            "{ regionOfInterest: { left: 0.5 }, rotationDegrees: 270, flipped: true, fit: 'contain' }",
        ] {
            let options = literal(&format!("({options})"));
            let drawn = probabilities(&network, &canvas, &options).await;
            assert_eq!(drawn, probabilities(&network, &bytes, &options).await, "{options:?}");
            assert!(!answers.contains(&drawn), "{options:?} changes nothing");
            answers.push(drawn);
        }
    }
}

#[wasm_bindgen_test]
async fn a_transparent_frame_replaces_the_one_before() {
    let network = network();
    let clear = literal("Object.assign(document.createElement('canvas'), { width: 32, height: 32 })");
    let black = literal("({ data: new Uint8Array(32 * 32 * 4), width: 32, height: 32 })");
    probabilities(&network, &canvas(32, 32), &NONE).await;
    let expected = probabilities(&network, &black, &NONE).await;
    assert_eq!(probabilities(&network, &clear, &NONE).await, expected);
}

#[wasm_bindgen_test]
async fn predictions_are_sorted_named_and_chosen() {
    let network = network();
    let frame = canvas(40, 30);
    let all = probabilities(&network, &frame, &NONE).await;
    let mut order: Vec<usize> = (0..5).collect();
    order.sort_by(|&a, &b| all[b].total_cmp(&all[a]));
    let indices = async |options: &str| -> Vec<usize> {
        let options = literal(options);
        let found: Array = call(&network, "classify", &[&frame, &options]).await.unchecked_into();
        let index = |prediction: JsValue| {
            let index = get(&prediction, "index").as_f64().unwrap() as usize;
            assert_eq!(get(&prediction, "className").as_string().unwrap(), LABELS[index]);
            index
        };
        found.iter().map(index).collect()
    };
    assert_eq!(indices("undefined").await, order[..3]);
    assert_eq!(indices("null").await, order[..3]);
    assert_eq!(indices("1").await, order[..1]);
    assert_eq!(indices("5").await, order);
    assert_eq!(indices("({ topk: 2 })").await, order[..2]);
    let third = all[order[2]];
    assert_eq!(indices(&format!("({{ topk: 5, scoreThreshold: {third} }})")).await, order[..3]);
    assert_eq!(indices("({ topk: 5, allow: ['cat'] })").await, [2]);
    let rest: Vec<usize> = order.iter().copied().filter(|index| ![1, 4].contains(index)).collect();
    assert_eq!(indices("({ topk: 5, deny: ['boat', 4] })").await, rest);
}

#[wasm_bindgen_test]
async fn embedding_heat_map_profile_and_descriptions() {
    let network = network();
    let frame = canvas(64, 64);
    let embedding: Float32Array = call(&network, "embed", &[&frame]).await.unchecked_into();
    assert_eq!(embedding.length(), 256);

    let best = call(&network, "classify", &[&frame, &1.into()]).await;
    let best = get(&get(&best, "0"), "index");
    let heat = call(&network, "heatmap", &[&frame]).await;
    assert_eq!(get(&heat, "index"), best);
    assert_eq!((get(&heat, "width"), get(&heat, "height")), (1.into(), 1.into()));
    assert_eq!(get(&get(&heat, "values"), "length"), JsValue::from(1));
    let heat = call(&network, "heatmap", &[&frame, &3.into(), &literal("({ fit: 'stretch' })")]).await;
    assert_eq!(get(&heat, "className"), JsValue::from(LABELS[3]));

    let profile: Array = call(&network, "profile", &[&frame]).await.unchecked_into();
    let layers: Array = call(&network, "layers", &[]).await.unchecked_into();
    assert_eq!((profile.length(), layers.length()), (29, 29));
    for (timing, cost) in profile.iter().zip(layers.iter()) {
        for key in ["name", "kind", "multAdds"] {
            assert_eq!(get(&timing, key), get(&cost, key));
        }
        assert!(get(&timing, "milliseconds").as_f64().unwrap() >= 0.0);
    }
    assert_eq!(js("JSON.stringify(a[0].output)", &layers, &NONE), JsValue::from("[16,16,8]"));
    for part in ["grab", "resize", "network"] {
        assert!(get(&get(&network, "timings"), part).as_f64().unwrap() >= 0.0);
    }

    let architecture = get(&network, "architecture");
    let described = js(
        "[a.alpha, a.resolution, a.classes, a.padding, a.activation, a.normalization.mean[2], a.normalisation.mean[2], 'labels' in a].join()",
        &architecture,
        &NONE,
    );
    assert_eq!(described, JsValue::from("0.25,32,5,same,relu6,127.5,127.5,false"));
    assert_eq!(js("a.labels.join()", &network, &NONE), JsValue::from(LABELS.join(",")));
    assert_eq!(get(&network, "precision"), JsValue::from("f32"));
    assert!(["simd128", "relaxed", "threads"].map(JsValue::from).contains(&get(&network, "variant")));
    assert!(get(&network, "memoryBytes").as_f64().unwrap() > 200_000.0);
}
