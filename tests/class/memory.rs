//! Thousands of frames, and hundreds of networks: the wasm memory stays where it was after the first.

use super::networks;
use super::page::*;
use js_sys::Uint8Array;
use mobilenet_wasm::memory_used;
use wasm_bindgen::JsValue;
use wasm_bindgen_test::wasm_bindgen_test;

const NONE: JsValue = JsValue::UNDEFINED;

#[wasm_bindgen_test]
async fn ten_thousand_frames_take_no_memory() {
    let network = network();
    let frames = [pixels(32, 32), canvas(40, 40)];
    let run = js(
        "async (frames, count) => { for (let i = 0; i < count; i++) { const f = frames[i & 1]; a.classify(f); if (i % 100 === 0) { await new Promise((done) => setTimeout(done)); a.embed(f); a.heatmap(f); a.profile(f); try { a.classify(f, 0) } catch {} try { a.classify({}) } catch {} } } }",
        &network,
        &NONE,
    );
    let target = js("({ run: a })", &run, &NONE);
    let frames = js("[a, b]", &frames[0], &frames[1]);
    call(&target, "run", &[&frames, &200.into()]).await;
    let before = memory_used();
    call(&target, "run", &[&frames, &10_000.into()]).await;
    assert_eq!(memory_used(), before);
}

#[wasm_bindgen_test]
async fn two_hundred_loads_take_the_memory_of_one() {
    let file = file();
    let mut before = 0.0;
    for round in 0..200 {
        let network = load(&file, &NONE).await;
        call(&network, "classify", &[&pixels(32, 32)]).await;
        call(&network, "dispose", &[]).await;
        if round == 4 {
            before = memory_used();
        }
        let broken = js("a.slice(0, a.length - 4)", &file, &NONE);
        load_refusal(&broken, &NONE).await;
    }
    assert_eq!(memory_used(), before);
}

/// What outlives a disposed network, its object, must not lie where the next network's memory has to be.
#[wasm_bindgen_test]
async fn objects_that_wait_to_be_collected_are_in_no_networks_way() {
    let file = Uint8Array::from(networks::large_file().as_slice());
    let mut before = 0.0;
    for round in 0..60 {
        let network = load(&file, &NONE).await;
        if round == 0 {
            call(&network, "classify", &[&pixels(32, 32)]).await;
            before = memory_used();
        }
        call(&network, "dispose", &[]).await;
    }
    assert_eq!(memory_used(), before);
}
