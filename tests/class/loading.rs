//! Loading, from everywhere that bytes may come from, and everything that may go wrong on the way.

use super::networks;
use super::page::*;
use js_sys::{Array, Object, Uint8Array};
use mobilenet::Kernel;
use mobilenet_formats::safetensors::{self, Storage};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_test::wasm_bindgen_test;

const NONE: JsValue = JsValue::UNDEFINED;

#[wasm_bindgen_test]
async fn from_every_kind_of_source() {
    let file = file();
    let address = JsValue::from(address(&file));
    let sources = [
        ("Uint8Array", file.clone().into()),
        ("ArrayBuffer", file.buffer().into()),
        (
            "a view in the midst of a buffer",
            js(
                "((whole) => (whole.set(a, 4), whole.subarray(4, 4 + a.length)))(new Uint8Array(a.length + 9))",
                &file,
                &NONE,
            ),
        ),
        ("DataView", js("new DataView(a.buffer)", &file, &NONE)),
        ("Blob", js("new Blob([a])", &file, &NONE)),
        ("File", js("new File([a], 'net.safetensors')", &file, &NONE)),
        ("address", address.clone()),
        ("URL", js("new URL(a)", &address, &NONE)),
        ("Request", js("new Request(a)", &address, &NONE)),
        ("Response", js("new Response(a)", &file, &NONE)),
        ("Response in parts", slow_response(&file, &literal("({ parts: 7 })"))),
    ];
    for (kind, source) in &sources {
        let network = load(source, &NONE).await;
        still_works(&network).await;
        assert_eq!(js("a.labels.length", &network, &NONE), JsValue::from(5), "{kind}");
    }
    assert_eq!(file.length() as usize, networks::file().len(), "the caller's bytes were taken away");
}

#[wasm_bindgen_test]
async fn options_fill_what_a_file_leaves_open() {
    let labels = literal("({ labels: ['a', 'b', 'c', 'd', 'e'], resolution: 48 })");
    let network = load(&file(), &labels).await;
    assert_eq!(
        js("a.labels.join() + a.architecture.resolution", &network, &NONE),
        JsValue::from("a,b,c,d,e48")
    );
    for (options, sentence) in [
        ("({ labels: ['a'] })", "labels: must be 5, one per class, got 1"),
        ("({ labels: [1, 2, 3, 4, 5] })", "labels[0]: must be a string, got 1"),
        ("({ labels: 'a' })", "labels: must be an array, got \"a\""),
        ("({ resolution: 8 })", "resolution: must be from 32 to 4096, got 8"),
        ("({ resolution: 64.5 })", "resolution: must be a whole number, got 64.5"),
        ("({ precision: 'f64' })", "precision: must be \"f32\" or \"int8\", got \"f64\""),
        ("({ padding: 'valid' })", "padding: must be \"same\" or \"symmetric\" or \"keras\", got \"valid\""),
        ("({ activation: 'none' })", "activation: must be \"relu\" or \"relu6\", got \"none\""),
        ("({ epsilon: -1 })", "epsilon: must be finite and non-negative, got -1"),
        (
            "({ normalization: { mean: [1, 2], deviation: 1 } })",
            "normalization.mean: must be a number or an array of three numbers, got an array",
        ),
        ("({ normalization: {} })", "normalization: mean must be given"),
        ("({ normalisation: {} })", "normalisation: mean must be given"),
        (
            "({ normalization: { mean: 1, deviation: 0 } })",
            "normalization: must be finite, without a deviation of 0",
        ),
        (
            "({ normalization: { mean: 1, deviation: 1, order: 'gbr' } })",
            "normalization.order: must be \"rgb\" or \"bgr\"",
        ),
        ("({ weight: 3 })", "weight: unknown option; the options are precision, numThreads, labels,"),
    ] {
        let (loaded, made) = (
            load_refusal(&file(), &literal(options)).await,
            construction_refusal(&[&file(), &literal(options)]).await,
        );
        assert!(loaded.is("invalid-option", sentence), "{options}: {loaded:?}");
        assert!(made.is("invalid-option", sentence), "{options}: {made:?}");
    }
    for (options, sentence) in [
        ("({ onProgress: 3 })", "load: onProgress: must be a function, got 3"),
        ("({ integrity: 3 })", "load: integrity: must be a string, got 3"),
        ("({ signal: 'now' })", "load: signal: must be an AbortSignal, got \"now\""),
    ] {
        let said = load_refusal(&file(), &literal(options)).await;
        assert!(said.is("invalid-option", sentence), "{options}: {said:?}");
        let said = construction_refusal(&[&file(), &literal(options)]).await;
        assert!(said.is("invalid-option", "unknown option"), "{options}: {said:?}");
    }
}

#[wasm_bindgen_test]
async fn progress_is_told_when_all_is_there() {
    let file = file();
    let length = f64::from(file.length());
    for source in [file.clone().into(), JsValue::from(address(&file)), js("new Response(a)", &file, &NONE)] {
        let seen = Object::new();
        let options = js("({ onProgress: a })", &counter(&seen), &NONE);
        load(&source, &options).await;
        let calls: Array = get(&seen, "calls").unchecked_into();
        assert_eq!(calls.length(), 1);
        assert_eq!(get(&calls.get(0), "loaded").as_f64(), Some(length));
        assert_eq!(get(&calls.get(0), "total").as_f64(), Some(length));
    }
    let thrower = literal("({ onProgress() { throw new Error('not mine') } })");
    assert_eq!(load_refusal(&file, &thrower).await.message, "not mine");
}

#[wasm_bindgen_test]
async fn what_the_network_may_do_wrong() {
    let file = file();
    let said = load_refusal(&"/no/such/file.safetensors".into(), &NONE).await;
    assert!(said.is("network", "/no/such/file.safetensors answered 404"), "{said:?}");
    let html = js(
        "new Response('<!doctype html><title>Sign in</title>', { headers: { 'content-type': 'text/html' } })",
        &NONE,
        &NONE,
    );
    let said = load_refusal(&html, &NONE).await;
    assert!(said.is("unsupported-format", "weights: model file: this is a web page"), "{said:?}");
    let said = load_refusal(&js("location.origin + '/'", &NONE, &NONE), &NONE).await;
    assert!(
        said.is("unsupported-format", "weights from http") && said.message.contains("web page"),
        "{said:?}"
    );
    let said = load_refusal(&"http://localhost:1/net".into(), &NONE).await;
    assert!(said.is("network", "http://localhost:1/net could not be fetched"), "{said:?}");
    let failed = js("new Response('x', { status: 503, statusText: 'Busy' })", &NONE, &NONE);
    assert!(load_refusal(&failed, &NONE).await.is("network", "answered 503"));
    let read = js("(() => { const r = new Response(a); r.arrayBuffer(); return r })()", &file, &NONE);
    assert!(load_refusal(&read, &NONE).await.is("network", "could not be read"));
    let locked = js("(() => { const r = new Response(a); r.body.getReader(); return r })()", &file, &NONE);
    assert!(load_refusal(&locked, &NONE).await.is("network", "could not be read"));
    assert!(load_refusal(&literal("new Response(null)"), &NONE).await.is("corrupt-file", "empty"));
    let said = load_refusal(&slow_response(&file, &literal("({ breakAfter: 2 })")), &NONE).await;
    // Chrome names the cause of a stream of the page's own or not, from version to version.
    assert!(said.is("network", "weights: the file could not be read ("), "{said:?}");
    for (source, sentence) in [
        (NONE, "got undefined"),
        (JsValue::from(3), "got 3"),
        (literal("({})"), "got an object"),
        (literal("[1, 2]"), "got an array"),
        (literal("document.body"), "got an HTMLBodyElement"),
    ] {
        let said = load_refusal(&source, &NONE).await;
        assert!(said.message.starts_with("weights: must be an address"), "{said:?}");
        assert!(said.is("invalid-argument", sentence), "{said:?}");
    }
}

#[wasm_bindgen_test]
async fn an_aborted_load_gives_the_signals_reason() {
    let file = file();
    for (source, what) in [(file.clone().into(), "bytes"), (JsValue::from(address(&file)), "address")] {
        let aborted = literal("({ signal: AbortSignal.abort() })");
        assert_eq!(load_refusal(&source, &aborted).await.name, "AbortError", "{what}");
    }
    // While the body is read.
    let controller = controller();
    let options = js("({ signal: a.signal })", &controller, &NONE);
    let slow = js("a", &slow_response(&file, &literal("({ parts: 6 })")), &NONE);
    js("setTimeout(() => a.abort(new Error('changed my mind')))", &controller, &NONE);
    assert_eq!(load_refusal(&slow, &options).await.message, "changed my mind");
}

#[wasm_bindgen_test]
async fn integrity_is_checked() {
    let file = file();
    let right = wait(integrity_of(&file)).await;
    let options = js("({ integrity: a })", &right, &NONE);
    load(&address(&file).into(), &options).await;
    let either = js("({ integrity: 'sha256-AAAA ' + a + '?extra' })", &right, &NONE);
    load(&address(&file).into(), &either).await;
    let changed: Uint8Array = js("a.slice(0, -1)", &file, &NONE).unchecked_into();
    let said = load_refusal(&address(&changed).into(), &options).await;
    assert!(said.is("network", "check the address, the connection, the integrity"), "{said:?}");
    // Not silently ignored where the browser checks nothing.
    for source in
        [file.clone().into(), js("new Blob([a])", &file, &NONE), js("new Response(a)", &file, &NONE)]
    {
        let said = load_refusal(&source, &options).await;
        assert!(said.is("invalid-option", "load: integrity: must come with an address, got a"), "{said:?}");
    }
}

#[wasm_bindgen_test]
async fn files_that_lie() {
    let file = networks::file();
    let refused = async |bytes: &[u8]| construction_refusal(&[&Uint8Array::from(bytes)]).await;
    for length in [0, 1, 7, 8, 100, file.len() / 2, file.len() - 1] {
        let said = refused(&file[..length]).await;
        let code = if (1..100).contains(&length) { "unsupported-format" } else { "corrupt-file" };
        assert!(said.is(code, "") && said.message.len() > 20, "{length} bytes: {said:?}");
        let loaded = load_refusal(&Uint8Array::from(&file[..length]), &NONE).await;
        assert!(loaded.is(code, &said.message), "{loaded:?} and {said:?}");
    }
    let name = b"conv_pw_3/kernel";
    let place = file.windows(name.len()).position(|bytes| bytes == name).unwrap();
    let mut renamed = file.clone();
    renamed[place..place + 4].copy_from_slice(b"nope");
    let said = refused(&renamed).await;
    assert!(said.is("unsupported-model", "_pw_3/kernel"), "{said:?}");

    let mut weights = networks::weights(networks::architecture());
    let Kernel::F32(values) = &mut weights.layers[4].kernel else { unreachable!() };
    values[3] = f32::NAN;
    let name = format!("{}/kernel", weights.layers[4].name);
    let said = refused(&safetensors::write(&weights, Storage::F32).unwrap()).await;
    assert!(said.is("corrupt-file", &name) && said.message.contains("NaN"), "{said:?}");

    let mut weights = networks::weights(networks::architecture());
    weights.architecture.classes = 6;
    weights.architecture.labels.clear();
    let said =
        refused(&safetensors::write(&weights, Storage::F32).unwrap_or_else(|_| file[..99].to_vec())).await;
    assert!(said.message.len() > 20, "{said:?}");
    let said = construction_refusal(&[&"net.safetensors".into()]).await;
    let sentence = "new MobileNet: bytes: must be an ArrayBuffer or Uint8Array, got \"net.safetensors\"; MobileNet.load takes addresses";
    assert!(said.is("invalid-argument", sentence), "{said:?}");
}

#[wasm_bindgen_test]
async fn a_float16_file_loads() {
    let weights = networks::weights(networks::architecture());
    let half = safetensors::write(&weights, Storage::F16).unwrap();
    let network = load(&Uint8Array::from(half.as_slice()), &NONE).await;
    let frame = pixels(32, 32);
    let expected = probabilities(&self::network(), &frame, &NONE).await;
    for (expected, found) in expected.iter().zip(probabilities(&network, &frame, &NONE).await) {
        assert!((expected - found).abs() < 0.01);
    }
}
