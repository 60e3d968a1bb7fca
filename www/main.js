// The page: wires the source (camera or still) to the network, and the network's answers to bars, times and light.
// One frame at a time: the next is looked at when the last has been answered, so a slow network never builds a queue.

import { Bars } from "./bars.js";
import { Camera } from "./camera.js";
import { Chooser } from "./chooser.js";
import { byId, tell } from "./dom.js";
import { LayersPanel } from "./layers-panel.js";
import { decode, kindOf } from "./picture.js";
import { drawSample, SAMPLES } from "./sample.js";
import { Stage } from "./stage.js";
import { makeTabs } from "./tabs.js";
import { TeachPanel } from "./teach-panel.js";
import { Times } from "./times.js";

const STILL_RUNS = 5; // a still is looked at so often, so that the times are not those of a first run

const stage = new Stage({ glass: byId("glass"), video: byId("video"), picture: byId("picture"), heat: byId("heat") });
const bars = new Bars({
  bars: byId("bars"),
  name: byId("top-name"),
  more: byId("top-more"),
  ranking: byId("ranking"),
  live: byId("live"),
});
const times = new Times({
  strip: byId("strip"),
  grab: byId("t-grab"),
  resize: byId("t-resize"),
  network: byId("t-network"),
  rate: byId("t-rate"),
});
const camera = new Camera(byId("video"));

const state = {
  engine: null,
  still: null,
  stillRuns: 0,
  mirror: false,
  heat: false,
  paused: false,
  looking: false,
  once: false,
};

const tabs = makeTabs(document.querySelector('[role="tablist"]'), (panel) =>
  panel === "panel-layers" ? layers.show() : teach.see(),
);
const layers = new LayersPanel(byId("panel-layers"), currentFrame);
const teach = new TeachPanel(byId("panel-teach"), currentFrame, () => lookAgain());
const chooser = new Chooser({ onEngine: useEngine, onStatus: showStatus });

/** What the network looks at now, or null where there is nothing to see. */
function currentFrame() {
  const frame = camera.running ? (byId("video").readyState >= 2 ? byId("video") : null) : state.still;
  return frame && { frame, flipped: state.mirror };
}

function showStatus(text, why) {
  // Read aloud once it is settled, not at every percent.
  byId("status").ariaBusy = String(text.startsWith("Loading"));
  byId("status").textContent = text;
  const none = text === "No network";
  byId("no-network").hidden = !none;
  document.body.classList.toggle("without-network", none);
  if (none) byId("no-network-why").textContent = why;
}

function useEngine(engine) {
  state.engine = engine;
  byId("no-network").hidden = true;
  document.body.classList.remove("without-network");
  byId("look").disabled = !engine;
  if (!engine) return;
  // The ticks at the border stand for the places of the map that the network decides on.
  byId("glass").style.setProperty("--places", Math.ceil(engine.net.architecture.resolution / 32));
  tabs.offer("tab-teach", engine.teachable);
  layers.setEngine(engine);
  teach.setEngine(engine);
  lookAgain();
}

/** Something changed: forget what was shown and look anew. */
function lookAgain() {
  bars.clear();
  times.clear();
  stage.clearHeat();
  state.stillRuns = 0;
  state.once = true; // also where the camera is paused
  layers.see();
  wake();
}

// ---- the loop ----

let cancel = null; // takes back the look that is scheduled

function wake() {
  cancel?.();
  cancel = null;
  if (state.looking || document.hidden || !state.engine) return;
  const video = byId("video");
  if (camera.running && !state.paused && video.requestVideoFrameCallback) {
    // Once for every new frame of the camera.
    const id = video.requestVideoFrameCallback(look);
    cancel = () => video.cancelVideoFrameCallback(id);
  } else if (camera.running ? !state.paused || state.once : state.still && state.stillRuns < STILL_RUNS) {
    const id = requestAnimationFrame(look);
    cancel = () => cancelAnimationFrame(id);
  }
}

async function look() {
  cancel = null;
  state.looking = true;
  const { engine } = state;
  const live = camera.running;
  try {
    const now = currentFrame();
    const { once } = state;
    state.once = false;
    if (now && !(live && state.paused && !once)) await lookAt(engine, now, live);
  } catch (error) {
    // A newer frame took this one's place in the worker, or its network was replaced: nothing is wrong.
    if (error.name !== "AbortError" && engine === state.engine) {
      state.stillRuns = STILL_RUNS;
      if (live) setPaused(true);
      say(error.message);
    }
  } finally {
    state.looking = false;
    wake();
  }
}

async function lookAt(engine, now, live) {
  const stale = () => engine !== state.engine || now.frame !== currentFrame()?.frame || now.flipped !== state.mirror;
  const { predictions, times: spent } = await engine.look(now.frame, now);
  if (stale()) return;
  bars.show(predictions, live);
  teach.see();
  times.add(spent, live);
  if (state.heat && (stage.heatDue || !live)) {
    const map = await engine.where(now.frame, now);
    if (!stale() && state.heat) stage.showHeat(map, live);
  }
  if (!live) state.stillRuns++;
}

/** Shows a sentence under the picture, until the user does the next thing. */
function say(sentence) {
  tell(byId("notice"), sentence);
}

// ---- where the picture comes from ----

let drawing = null;
let asked = 0; // what was asked for last is shown, however long another picture took
let sampleAt = -1;

async function showSample() {
  asked++;
  leave();
  sampleAt = (sampleAt + 1) % SAMPLES.length;
  const sample = SAMPLES[sampleAt];
  const control = new AbortController();
  drawing = control;
  stage.showStill(null, `Sample picture: ${sample.name}`, false);
  const frame = await drawSample(sample, stage.picture, control.signal);
  if (!frame) return;
  state.still = frame;
  lookAgain();
}

async function showPicture(file) {
  const mine = ++asked;
  try {
    const bitmap = await decode(file);
    if (mine !== asked) return bitmap.close();
    leave();
    state.still = bitmap;
    stage.showStill(bitmap, file.name ? `Picture: ${file.name}` : "Pasted picture");
    lookAgain();
  } catch (error) {
    if (mine === asked) say(error.message);
  }
}

/** Ends the source that was, so that another can take its place. */
function leave() {
  drawing?.abort();
  drawing = null;
  say(null);
  // The mirror was the camera's.
  if (byId("glass").dataset.source === "camera") setMirror(false);
  camera.stop();
  setPaused(false);
  state.still?.close?.();
  state.still = null;
  showCameraState();
  lookAgain(); // at nothing yet: the old answer must not stand beside a new picture
}

async function startCamera(deviceId) {
  asked++;
  say(null);
  byId("camera").disabled = true;
  try {
    if (!(await camera.start(deviceId))) return;
    drawing?.abort();
    setPaused(false);
    state.still?.close?.();
    state.still = null;
    // People expect a mirror of themselves, and no mirror of the world behind the phone.
    setMirror(!camera.looksAway);
    stage.showCamera();
    await listCameras();
    lookAgain();
  } catch (error) {
    say(error.message);
    if (camera.running)
      await listCameras(); // the one before goes on
    else if (!state.still) showSample().then(() => say(error.message));
  } finally {
    byId("camera").disabled = false;
    showCameraState();
  }
}

function stopCamera(sentence) {
  leave();
  sampleAt = -1;
  showSample();
  if (sentence) say(sentence);
}

async function listCameras() {
  const devices = await camera.devices().catch(() => []);
  byId("cameras").replaceChildren(
    ...devices.map(({ id, name }) => new Option(name, id, false, id === camera.deviceId)),
  );
  byId("which").hidden = !camera.running || devices.length < 2;
}

function showCameraState() {
  label("camera", camera.running ? "Stop" : "Camera", camera.running ? "stop" : "camera");
  byId("pause").disabled = !camera.running;
  if (!camera.running) byId("which").hidden = true;
}

function setPaused(on) {
  state.paused = on;
  byId("pause").setAttribute("aria-pressed", String(on));
  label("pause", on ? "Resume" : "Pause", on ? "play" : "pause");
  stage.setPaused(on);
  if (camera.running)
    on
      ? byId("video").pause()
      : byId("video")
          .play()
          .catch(() => {});
}

function setMirror(on) {
  state.mirror = on;
  byId("mirror").setAttribute("aria-pressed", String(on));
  stage.setMirror(on);
}

function label(id, text, icon) {
  byId(id).querySelector("span").textContent = text;
  byId(id).querySelector("use").setAttribute("href", `#i-${icon}`);
}

// ---- what the user does ----

byId("camera").addEventListener("click", () => (camera.running ? stopCamera() : startCamera()));
byId("cameras").addEventListener("change", () => startCamera(byId("cameras").value));
byId("sample").addEventListener("click", showSample);
byId("open").addEventListener("click", () => byId("picture-file").click());
byId("picture-file").addEventListener("change", () => {
  const [file] = byId("picture-file").files;
  byId("picture-file").value = ""; // so that the same file can be chosen again
  if (file) showPicture(file);
});
byId("pause").addEventListener("click", () => {
  setPaused(!state.paused);
  wake();
});
byId("mirror").addEventListener("click", () => {
  setMirror(!state.mirror);
  lookAgain();
});
byId("look").addEventListener("click", () => {
  state.heat = !state.heat;
  byId("look").setAttribute("aria-pressed", String(state.heat));
  stage.clearHeat();
  state.stillRuns = Math.min(state.stillRuns, STILL_RUNS - 1);
  state.once = true; // also where the camera is paused
  wake();
});
byId("go-choose").addEventListener("click", () => {
  tabs.select("tab-network");
  byId("weights-file").focus();
  byId("chooser").scrollIntoView({ block: "start" });
});

camera.addEventListener("ended", () =>
  stopCamera("The camera was taken away: it was unplugged, or its permission withdrawn. Press Camera to try again."),
);
camera.addEventListener("silent", () =>
  say("The camera sends no picture just now: it may be covered, or in use elsewhere."),
);
camera.addEventListener("heard", () => say(null));
camera.addEventListener("devices", listCameras);
document.addEventListener("visibilitychange", wake);

document.addEventListener("paste", (event) => {
  const file = [...(event.clipboardData?.files ?? [])][0];
  if (!file) return;
  event.preventDefault();
  take(file);
});
document.addEventListener("dragover", (event) => {
  if (![...event.dataTransfer.types].includes("Files")) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = "copy";
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", (event) => event.relatedTarget ?? document.body.classList.remove("dropping"));
document.addEventListener("drop", (event) => {
  document.body.classList.remove("dropping");
  if (!event.dataTransfer.files.length) return;
  event.preventDefault();
  for (const file of event.dataTransfer.files) take(file);
});

function take(file) {
  const kind = kindOf(file);
  if (kind === "picture") return showPicture(file);
  tabs.select("tab-network");
  return kind === "labels" ? chooser.takeLabels(file) : chooser.takeNetwork(file);
}

// ---- the start ----

showCameraState();
showSample();
chooser.takeAddress(location.search);
chooser.offerBuilds().catch(() => {});
chooser.load({ unasked: true });
