//! Code of the caller's that runs in the middle of a call: getters, proxies and callbacks that throw, call the class or
//! dispose the object; and values of another window. None of it panics, and the object answers the next call.

use super::page::*;
use js_sys::{Array, Object};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_test::wasm_bindgen_test;

const NONE: JsValue = JsValue::UNDEFINED;

/// Frames and options of which a getter or a proxy runs `run()` and then gives what it should.
const RUNNING: [&str; 8] = [
    "[{ width: 32, height: 32, get data() { run(); return pixels.data } }]",
    "[{ get width() { run(); return 32 }, height: 32, data: pixels.data }]",
    "[{ width: 32, get height() { run(); return 32 }, data: pixels.data }]",
    "[Object.defineProperty(new ImageData(32, 32), 'width', { get() { run(); return 32 } })]",
    "[Object.defineProperty(canvas, 'width', { get() { run(); return 32 } })]",
    "[pixels, { get fit() { run(); return 'cover' } }]",
    "[pixels, { regionOfInterest: { get left() { run(); return 0 } } }]",
    "[pixels, new Proxy({}, { ownKeys() { run(); return [] } })]",
];

/// Arguments of `classify` and `embed` from an expression of `run`, a `pixels` object and a `canvas`.
fn arguments(code: &str, run: &JsValue) -> Array {
    let canvas = canvas(32, 32);
    let code = format!("((run, pixels, canvas) => {code})(a.run, a.pixels, a.canvas)");
    let page = js("({ run: a, ...b })", run, &js("({ pixels: a, canvas: b })", &pixels(32, 32), &canvas));
    js(&code, &page, &NONE).unchecked_into()
}

/// Calls a method that may succeed or throw an `Error`, whose message it gives.
async fn tried(network: &JsValue, method: &str, args: &Array) -> Option<String> {
    let result = wait(attempt(network, method, args)).await;
    get(&result, "message").as_string()
}

#[wasm_bindgen_test]
async fn a_getter_that_calls_the_class_gets_an_answer() {
    let network = network();
    for code in RUNNING {
        for method in ["classify", "embed"] {
            let answers = Array::new();
            let run = evaluate("() => { b.push(a.classify(page, 5)) }", &network, &answers, &pixels(32, 32));
            let result = tried(&network, method, &arguments(code, &run)).await;
            assert_eq!(result, None, "{method}, {code}");
            assert!(answers.length() > 0, "{code} runs nothing");
            assert_eq!(get(&answers.get(0), "length"), 5, "{code}");
        }
        still_works(&network).await;
    }
    // Two deep, and through methods that have no frame.
    let run = evaluate(
        "() => { a.classify({ width: 32, height: 32, get data() { b.push(a.layers(), a.labels, a.save()); return page.data } }) }",
        &network,
        &Array::new(),
        &pixels(32, 32),
    );
    assert_eq!(tried(&network, "classify", &arguments(RUNNING[0], &run)).await, None);
    still_works(&network).await;
}

#[wasm_bindgen_test]
async fn a_getter_that_throws_passes_its_own_error_on() {
    let network = network();
    let run = literal("() => { throw new RangeError('mine') }");
    for code in RUNNING {
        for method in ["classify", "embed", "profile"] {
            let said = thrown_by(&network, method, &arguments(code, &run)).await;
            assert_eq!(
                (said.name.as_str(), said.message.as_str()),
                ("RangeError", "mine"),
                "{method}, {code}"
            );
        }
    }
    let options = literal("({ get precision() { throw new RangeError('mine') } })");
    assert_eq!(construction_refusal(&[&file(), &options]).await.message, "mine");
    assert_eq!(load_refusal(&file(), &options).await.message, "mine");
    assert_eq!(
        refusal(&network, "train", &[&literal("({ get seed() { throw new Error('mine') } })")]).await.message,
        "mine"
    );
    still_works(&network).await;
}

#[wasm_bindgen_test]
async fn a_getter_that_disposes_the_network_ends_the_call() {
    for code in RUNNING {
        let network = network();
        let run = js("() => a.dispose()", &network, &NONE);
        let said = thrown_by(&network, "classify", &arguments(code, &run)).await;
        assert!(said.is("disposed", "this MobileNet was disposed"), "{code}: {said:?}");
        assert_eq!(get(&network, "disposed"), JsValue::TRUE);
    }
    // `free` is wasm-bindgen's: it throws in the middle of a call, and ends the object too.
    for code in RUNNING {
        let freed = network();
        let run = js("() => a.free()", &freed, &NONE);
        assert!(tried(&freed, "classify", &arguments(code, &run)).await.is_some(), "{code}");
        still_works(&network()).await;
    }
}

#[wasm_bindgen_test]
async fn callbacks_may_do_anything() {
    let small = pixels(32, 32);
    let taught = async || {
        let network = network();
        for label in ["a", "b", "a", "b"] {
            call(&network, "addExample", &[&label.into(), &small]).await;
        }
        network
    };
    let epochs = |network: &JsValue, code: &str| {
        evaluate(&format!("({{ epochs: 3, onEpoch(epoch) {{ {code} }} }})"), network, &NONE, &small)
    };

    let network = taught().await;
    let options = epochs(
        &network,
        "a.classify(page); a.addExample('c', page); a.removeExamples('c'); a.save(); a.train({ epochs: 1 })",
    );
    call(&network, "train", &[&options]).await;
    let said = refusal(&network, "train", &[&epochs(&network, "throw new RangeError('mine')")]).await;
    assert_eq!((said.name.as_str(), said.message.as_str()), ("RangeError", "mine"));
    call(&network, "train", &[&epochs(&network, "")]).await;
    let said = refusal(&network, "train", &[&epochs(&network, "a.dispose()")]).await;
    assert!(said.is("disposed", "was disposed"), "{said:?}");

    // While a training waits for the page to draw.
    let network = taught().await;
    let result = js(
        "Promise.allSettled([a.train({ epochs: 2000 }), new Promise((done) => setTimeout(done, 30)).then(() => a.dispose())])",
        &network,
        &NONE,
    );
    let settled = wait(result.unchecked_into()).await;
    assert_eq!(js("a[0].reason?.code", &settled, &NONE), "disposed");
    // The object itself may go too.
    let network = taught().await;
    let result = js(
        "(() => { const training = a.train({ epochs: 20 }); a.free(); return training })()",
        &network,
        &NONE,
    );
    wait(result.unchecked_into()).await;

    let network = super::page::network();
    let options = js("({ onProgress() { a.classify(b); a.dispose() } })", &network, &small);
    let again = load(&file(), &options).await;
    still_works(&again).await;
}

#[wasm_bindgen_test]
async fn what_comes_from_another_window_is_taken() {
    let network = network();
    let frame = literal("document.body.appendChild(document.createElement('iframe'))");
    let other = get(&frame, "contentWindow");
    let expected = probabilities(&network, &pixels(32, 32), &NONE).await;
    let copied = |code: &str| js(&format!("((w, data) => {code})(a, b.data)"), &other, &pixels(32, 32));
    let draw = "const c = w.document.createElement('canvas'); c.width = c.height = 32; \
                c.getContext('2d').putImageData(new w.ImageData(new w.Uint8ClampedArray(data), 32), 0, 0);";
    for (kind, code) in [
        ("canvas", format!("(() => {{ {draw} return c }})()")),
        ("ImageData", "new w.ImageData(new w.Uint8ClampedArray(data), 32)".into()),
        (
            "bytes",
            "w.Object.assign(new w.Object, { data: new w.Uint8Array(data), width: 32, height: 32 })".into(),
        ),
        ("VideoFrame", format!("(() => {{ {draw} return new w.VideoFrame(c, {{ timestamp: 0 }}) }})()")),
    ] {
        assert_eq!(probabilities(&network, &copied(&code), &NONE).await, expected, "{kind}");
    }
    let bitmap = copied(&format!("(() => {{ {draw} return w.createImageBitmap(c) }})()"));
    assert_eq!(probabilities(&network, &wait(bitmap.unchecked_into()).await, &NONE).await, expected);
    let image = copied(&format!(
        "(async () => {{ {draw} const i = new w.Image; i.src = c.toDataURL(); await i.decode(); return i }})()"
    ));
    assert_eq!(probabilities(&network, &wait(image.unchecked_into()).await, &NONE).await, expected);

    let options =
        js("a.eval(b)", &other, &"({ topk: 1, regionOfInterest: { left: 0.5 }, allow: ['cat', 3] })".into());
    let found = call(&network, "classify", &[&pixels(32, 32), &options]).await;
    assert_eq!(get(&found, "length"), 1);
    let options = js("a.eval(b)", &other, &"({ regionOfInterest: { tap: 0.5 } })".into());
    let said = refusal(&network, "classify", &[&pixels(32, 32), &options]).await;
    assert!(said.is("invalid-option", "regionOfInterest.tap: unknown option"), "{said:?}");
    let signal = js("({ signal: a.AbortSignal.abort(new Error('enough')) })", &other, &NONE);
    assert_eq!(refusal(&network, "classify", &[&pixels(32, 32), &signal]).await.message, "enough");
    let waiting =
        js("({ signal: new a.AbortController().signal, onProgress: a.eval('() => {}') })", &other, &NONE);
    let bytes = js("new a.Uint8Array(b)", &other, &file());
    for source in [
        bytes.clone(),
        get(&bytes, "buffer"),
        js("new a.Blob([b])", &other, &bytes),
        js("new a.Response(b)", &other, &bytes),
    ] {
        still_works(&load(&source, &waiting).await).await;
    }
    let settings = js("({ precision: 'f32', labels: a.Array.of('v', 'w', 'x', 'y', 'z') })", &other, &NONE);
    call(&load(&bytes, &settings).await, "dispose", &[]).await;
    js("a.remove()", &frame, &NONE);
    still_works(&network).await;
}

#[wasm_bindgen_test]
async fn revoked_proxies_are_refused() {
    let network = network();
    let revoked = || literal("(() => { const r = Proxy.revocable({}, {}); r.revoke(); return r.proxy })()");
    let frame = pixels(32, 32);
    let field = |name: &str| js(&format!("({{ {name}: a }})"), &revoked(), &NONE);
    for options in
        [revoked(), field("regionOfInterest"), field("allow"), field("signal"), field("topk"), field("fit")]
    {
        assert!(tried(&network, "classify", &Array::of2(&frame, &options)).await.is_some());
    }
    assert!(refusal(&network, "classify", &[&revoked()]).await.message.contains("revoked"));
    for frame in [
        js("({ width: 32, height: 32, data: a })", &revoked(), &NONE),
        js("({ ...b, width: a })", &revoked(), &frame),
    ] {
        let said = refusal(&network, "classify", &[&frame]).await;
        assert!(said.is("invalid-frame", "got an object"), "{said:?}");
    }
    assert!(
        refusal(&network, "heatmap", &[&frame, &revoked()]).await.is("invalid-argument", "got an object")
    );
    assert!(
        refusal(&network, "addExample", &[&revoked(), &frame]).await.is("invalid-argument", "got an object")
    );
    assert!(refusal(&network, "train", &[&revoked()]).await.message.contains("revoked"));
    assert!(construction_refusal(&[&revoked()]).await.is("invalid-argument", "got an object"));
    assert!(construction_refusal(&[&file(), &revoked()]).await.message.contains("revoked"));
    assert!(load_refusal(&revoked(), &NONE).await.is("invalid-argument", "got an object"));
    assert!(load_refusal(&file(), &field("normalization")).await.message.contains("revoked"));
    // Revoked in the middle.
    let late =
        literal("(() => { const r = Proxy.revocable({}, { get() { r.revoke() } }); return r.proxy })()");
    assert!(refusal(&network, "classify", &[&frame, &late]).await.message.contains("revoked"));
    still_works(&network).await;
}

#[wasm_bindgen_test]
async fn proxies_and_classes_of_a_framework_are_taken() {
    let network = network();
    let frame = pixels(32, 32);
    let expected = probabilities(&network, &frame, &NONE).await;
    let proxied = js("new Proxy({ ...a }, {})", &frame, &NONE);
    assert_eq!(probabilities(&network, &proxied, &NONE).await, expected);
    for options in [
        "new Proxy({ topk: 1 }, {})",
        "new (class { get topk() { return 1 } })",
        "Object.create({ topk: 1 })",
        "Object.defineProperty({ topk: 1 }, '__ob__', { value: {} })",
        "Object.assign(Object.create(null), { topk: 1, [Symbol('x')]: 2, fit: undefined, allow: null })",
        "({ topk: 1, regionOfInterest: new DOMRect(0.25, 0.25, 0.5, 0.5) })",
    ] {
        let found = call(&network, "classify", &[&frame, &literal(options)]).await;
        assert_eq!(get(&found, "length"), 1, "{options}");
    }
    still_works(&network).await;
}

#[wasm_bindgen_test]
async fn values_that_pretend_are_refused() {
    let network = network();
    for (frame, sentence) in [
        (
            "({ [Symbol.toStringTag]: 'HTMLCanvasElement', width: 32, height: 32 })",
            "the browser could not draw it",
        ),
        ("({ [Symbol.toStringTag]: 'ImageBitmap', width: 32, height: 32 })", "the browser could not draw it"),
        (
            "({ [Symbol.toStringTag]: 'VideoFrame', displayWidth: 32, displayHeight: 32 })",
            "the browser could not draw it",
        ),
        ("({ [Symbol.toStringTag]: 'VideoFrame' })", "the VideoFrame was closed"),
        (
            "({ [Symbol.toStringTag]: 'HTMLVideoElement', readyState: 1, videoWidth: 640, videoHeight: 480 })",
            "the video has no image yet",
        ),
        ("({ [Symbol.toStringTag]: 'ImageData' })", "got an ImageData"),
        (
            "({ data: { [Symbol.toStringTag]: 'Uint8Array', byteLength: 4096 }, width: 32, height: 32 })",
            "got 0 bytes",
        ),
        (
            "(() => { const data = new Uint8Array(4096); structuredClone(0, { transfer: [data.buffer] }); return { data, width: 32, height: 32 } })()",
            "got a buffer that was transferred",
        ),
    ] {
        let said = refusal(&network, "classify", &[&literal(frame)]).await;
        assert!(said.is("invalid-frame", sentence), "{frame}: {said:?}");
        still_works(&network).await;
    }
    let liar = literal(
        "({ width: 32, height: 32, data: new (class extends Uint8Array { get length() { throw new Error('mine') } })(4096) })",
    );
    call(&network, "classify", &[&liar]).await;
    let fakes = ["Response", "Request", "URL", "Blob", "ArrayBuffer"];
    for fake in fakes {
        let source = literal(&format!(
            "({{ [Symbol.toStringTag]: '{fake}', ok: true, body: {{}}, headers: new Headers }})"
        ));
        assert!(!load_refusal(&source, &NONE).await.message.is_empty(), "{fake}");
    }
    still_works(&network).await;
    let seen = Object::new();
    let options = js("({ onProgress: a })", &counter(&seen), &NONE);
    still_works(&load(&file(), &options).await).await;
}

#[wasm_bindgen_test]
async fn arguments_are_read_when_the_method_is_called() {
    let network = network();
    let small = pixels(32, 32);
    for label in ["a", "b"] {
        call(&network, "addExample", &[&label.into(), &small]).await;
    }
    let report = evaluate(
        "(() => { const options = { epochs: 2 }; const training = a.train(options); options.epochs = 9; \
          a.addExample('c', page); return training })()",
        &network,
        &NONE,
        &small,
    );
    let report = wait(report.unchecked_into()).await;
    assert_eq!((get(&report, "epochs"), get(&report, "examples")), (2.into(), 2.into()));
}
