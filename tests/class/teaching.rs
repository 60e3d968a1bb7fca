//! Teaching the class two and three things of its own, saving the network, and loading it again.

use super::page::*;
use js_sys::{Array, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_test::wasm_bindgen_test;

const NONE: JsValue = JsValue::UNDEFINED;

/// A picture of one colour with noise from `seed`.
fn picture(colour: u32, seed: u32) -> JsValue {
    js(
        "((colour, seed) => { const data = new Uint8ClampedArray(32 * 32 * 4); let state = seed * 7919 + 1; \
         for (let i = 0; i < data.length; i++) { state = (state * 1664525 + 1013904223) >>> 0; \
         data[i] = (state >>> 26) + (i % 4 === colour ? 190 : 0); } return { data, width: 32, height: 32 }; })(a, b)",
        &colour.into(),
        &seed.into(),
    )
}

async fn teach(network: &JsValue, labels: &[&str]) {
    for example in 1..9 {
        for (colour, label) in labels.iter().enumerate() {
            let frame = picture(colour as u32, example);
            let count = call(network, "addExample", &[&JsValue::from(*label), &frame]).await;
            assert_eq!(count, f64::from(example));
        }
    }
}

async fn best(network: &JsValue, frame: &JsValue) -> (String, f64) {
    let found = call(network, "classify", &[frame, &1.into()]).await;
    let first = Array::from(&found).get(0);
    (get(&first, "className").as_string().unwrap(), get(&first, "probability").as_f64().unwrap())
}

#[wasm_bindgen_test]
async fn learns_things_of_its_own_and_keeps_them_in_a_file() {
    for precision in ["f32", "int8"] {
        let options = js("({ precision: a })", &precision.into(), &NONE);
        let network = load(&file(), &options).await;
        let labels = ["fox", "fern", "sky"];
        teach(&network, &labels).await;
        assert_eq!(js("JSON.stringify(a.examples)", &network, &NONE), "{\"fox\":8,\"fern\":8,\"sky\":8}");
        let heard = Array::new();
        let options = js("({ seed: 3, onEpoch: (epoch, logs) => a.push([epoch, logs]) })", &heard, &NONE);
        let report = call(&network, "train", &[&options]).await;
        assert_eq!(heard.length(), 50);
        assert!(
            js("a.every(([epoch, logs], at) => epoch === at && logs.loss >= 0)", &heard, &NONE).is_truthy()
        );
        let number = |key: &str| get(&report, key).as_f64().unwrap();
        assert!(number("accuracy") > 0.95 && number("validationAccuracy") > 0.95, "{report:?}");
        assert_eq!((number("epochs"), number("examples")), (50.0, 24.0));
        assert!(number("milliseconds") > 0.0);
        assert_eq!(js("a.labels.join()", &report, &NONE), "fox,fern,sky");
        assert_eq!(js("a.labels.join() + a.architecture.classes", &network, &NONE), "fox,fern,sky3");
        let heat = call(&network, "heatmap", &[&picture(1, 99)]).await;
        assert_eq!(get(&heat, "className"), "fern");

        let saved = call(&network, "save", &[]).await;
        assert!(saved.is_instance_of::<Uint8Array>());
        let again = load(&saved, &NONE).await;
        assert_eq!(get(&again, "precision"), precision);
        for (colour, label) in labels.iter().enumerate() {
            let frame = picture(colour as u32, 77);
            let (ours, theirs) = (best(&network, &frame).await, best(&again, &frame).await);
            assert_eq!((ours.0.as_str(), theirs.0.as_str()), (*label, *label));
            let near = if precision == "f32" { 1e-5 } else { 0.05 };
            assert!((ours.1 - theirs.1).abs() < near, "{precision}: {ours:?} {theirs:?}");
        }
        call(&network, "dispose", &[]).await;
        call(&again, "dispose", &[]).await;
    }
}

#[wasm_bindgen_test]
async fn the_same_seed_learns_the_same_and_forgotten_examples_are_gone() {
    let mut answers = Vec::new();
    for _ in 0..2 {
        let network = network();
        teach(&network, &["a", "b", "c"]).await;
        assert_eq!(call(&network, "removeExamples", &[&"b".into()]).await, 8);
        assert_eq!(call(&network, "removeExamples", &[&"b".into()]).await, 0);
        call(&network, "train", &[&js("({ epochs: 10, validationSplit: 0 })", &NONE, &NONE)]).await;
        assert_eq!(js("a.labels.join()", &network, &NONE), "a,c");
        answers.push(best(&network, &picture(2, 50)).await);
        call(&network, "dispose", &[]).await;
    }
    assert_eq!(answers[0].0, "c");
    assert_eq!(answers[0], answers[1]);
}

#[wasm_bindgen_test]
async fn what_cannot_be_learnt_is_refused_and_the_answers_stay() {
    let network = network();
    let before = best(&network, &picture(0, 5)).await;
    let said = refusal(&network, "train", &[]).await;
    let sentence = "train: examples: must be of two labels or more, got 0; show some with addExample";
    assert!(said.is("training", sentence), "{said:?}");
    let frame = picture(0, 1);
    for label in [NONE, JsValue::from(""), JsValue::from("  "), JsValue::from(7)] {
        for (method, args) in [("addExample", vec![&label, &frame]), ("removeExamples", vec![&label])] {
            let said = refusal(&network, method, &args).await;
            let sentence = format!("{method}: label: must be text that is not empty, got");
            assert!(said.is("invalid-argument", &sentence), "{said:?}");
        }
    }
    let said = refusal(&network, "addExample", &[&"a".into(), &NONE]).await;
    assert!(said.is("invalid-frame", "got undefined"), "{said:?}");
    assert_eq!(js("Object.keys(a.examples).length", &network, &NONE), 0);
    teach(&network, &["a", "b"]).await;
    for (options, sentence) in [
        ("({ validationSplit: 1 })", "validationSplit: must be from 0 to below 1, got 1"),
        ("({ epochs: 0 })", "train: epochs: must be at least 1, got 0"),
        ("({ batchSize: 0 })", "train: batch size: must be at least 1, got 0"),
        ("({ learningRate: -1 })", "train: learning rate: must be finite and above 0, got -1"),
        ("({ rate: 1 })", "rate: unknown option; the options are epochs,"),
        ("({ onEpoch: 1 })", "onEpoch: must be a function, got 1"),
        ("({ signal: 'now' })", "signal: must be an AbortSignal, got \"now\""),
    ] {
        let said = refusal(&network, "train", &[&literal(options)]).await;
        assert!(said.is("invalid-option", sentence), "{options}: {said:?}");
    }
    let options = literal(
        "(() => { const c = new AbortController(); \
         return { signal: c.signal, onEpoch: (epoch) => epoch === 3 && c.abort(new Error('enough')) }; })()",
    );
    assert_eq!(refusal(&network, "train", &[&options]).await.message, "enough");
    assert_eq!(best(&network, &picture(0, 5)).await, before);
    let keys = Reflect::own_keys(&get(&network, "architecture")).unwrap();
    assert!(keys.length() > 5);
    call(&network, "dispose", &[]).await;
}
