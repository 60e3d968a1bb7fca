// The Network tab: where the network comes from, what its file leaves unsaid, how it runs; and what is in use.
// Goes in: the form. Comes out: an Engine, handed to `onEngine`.

import { byId, make, short, tell } from "./dom.js";
import { builds, openNetwork } from "./engine.js";
import { parseLabels } from "./labels.js";

const NONE_SHIPPED =
  "None came with this page, so give it yours: a safetensors or TFLite file, dropped anywhere or chosen below.";
const BUILD_NAMES = { relaxed: "relaxed SIMD", simd128: "SIMD", threads: "threads" };

export class Chooser {
  #onEngine;
  #onStatus;
  #loading = null; // AbortController of the load that runs
  #engine = null;
  #names = null;
  #waiting = null; // names that fitted no network yet
  #given = null; // a file that came by drop instead of by the form

  constructor({ onEngine, onStatus }) {
    this.#onEngine = onEngine;
    this.#onStatus = onStatus;
    byId("chooser").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#loading) this.#loading.abort();
      else this.load();
    });
    byId("weights-file").addEventListener("change", () => {
      this.#given = null;
      this.#choose("file");
      if (byId("weights-file").files.length) this.load();
    });
    byId("weights-url").addEventListener("input", () => this.#choose("url"));
    byId("labels-file").addEventListener("change", () => {
      const [file] = byId("labels-file").files;
      if (file) this.takeLabels(file);
    });
    // What can be changed without another file is changed at once.
    for (const id of ["precision", "variant", "threads", "worker", "padding", "normalisation"]) {
      byId(id).addEventListener("change", () => this.#engine && this.load());
    }
    this.#offerThreads();
  }

  /** Marks the builds that this browser cannot run. */
  async offerBuilds() {
    const offered = await builds();
    for (const option of byId("variant").options) {
      if (!option.value || offered.includes(option.value)) continue;
      option.disabled = true;
      option.textContent +=
        option.value === "threads" && !self.crossOriginIsolated
          ? " (needs an isolated page)"
          : " (not in this browser)";
    }
    if (!offered.includes("threads")) {
      byId("threads").disabled = true;
    }
  }

  /** Loads a network that was dropped on the page. */
  takeNetwork(file) {
    this.#given = file;
    byId("weights-file").value = "";
    this.#choose("file");
    return this.load();
  }

  /** Reads names for the classes, for the network in use and those that follow; names that do not fit it wait. */
  async takeLabels(file) {
    let sentence = null;
    try {
      this.#waiting = parseLabels(await file.text(), file.name);
      if (this.#engine) {
        this.#useWaiting(this.#engine);
        this.#onEngine(this.#engine);
        this.#describe();
      }
    } catch (error) {
      sentence = error.message;
    }
    tell(byId("chooser-error"), sentence);
  }

  /** Gives a network the names that wait, where some do; throws where they do not fit, and then they wait on. */
  #useWaiting(engine) {
    if (!this.#waiting) return;
    try {
      engine.rename(this.#waiting);
    } catch (error) {
      throw new Error(`${error.message} They wait for a network that they fit.`);
    }
    [this.#names, this.#waiting] = [this.#waiting, null];
  }

  /** Takes settings from the page's address: `?weights=…&padding=same`. */
  takeAddress(search) {
    const wishes = new URLSearchParams(search);
    for (const id of ["padding", "normalisation", "precision", "variant", "threads"]) {
      if (wishes.has(id)) byId(id).value = wishes.get(id);
    }
    if (!wishes.get("weights")) return;
    byId("weights-url").value = wishes.get("weights");
    this.#choose("url");
  }

  /** Loads what the form says. Resolves to whether a network came of it. `unasked`: the page's own first try. */
  async load({ unasked = false } = {}) {
    this.#loading?.abort();
    const control = new AbortController();
    this.#loading = control;
    tell(byId("chooser-error"), null);
    this.#busy(true);
    try {
      const choice = await this.#choice();
      const engine = await openNetwork(choice, {
        signal: control.signal,
        onProgress: ({ loaded, total }) => this.#progress(loaded, total),
      });
      if (control.signal.aborted) {
        engine.dispose();
        return false;
      }
      this.#take(engine);
      return true;
    } catch (error) {
      if (this.#loading !== control) return false;
      this.#fail(control.signal.aborted ? new Error("The load was stopped.") : error, unasked);
      return false;
    } finally {
      if (this.#loading === control) {
        this.#loading = null;
        this.#busy(false);
      }
    }
  }

  /** Puts a network to use, whoever made it. */
  #take(engine) {
    const before = this.#engine;
    this.#engine = engine;
    let misfit = null;
    try {
      engine.rename(this.#names);
    } catch (error) {
      misfit = `${error.message} The names were left out.`;
    }
    try {
      this.#useWaiting(engine);
      misfit = null;
    } catch {
      // For another network, then.
    }
    tell(byId("chooser-error"), misfit);
    this.#describe();
    this.#onEngine(engine);
    before?.dispose();
  }

  #fail(error, unasked) {
    const message = error?.message || `The network could not be loaded: ${String(error)}.`;
    const absent = unasked && this.#source() === "shipped" && !error?.unbuilt;
    tell(byId("chooser-error"), absent ? null : message);
    if (this.#engine) this.#describe();
    else this.#onStatus("No network", absent ? NONE_SHIPPED : message);
  }

  #source() {
    return new FormData(byId("chooser")).get("source");
  }

  #choose(source) {
    byId("chooser").elements.source.value = source;
  }

  async #choice() {
    const options = {
      padding: byId("padding").value,
      normalisation: byId("normalisation").value,
      precision: byId("precision").value,
      variant: byId("variant").value,
      threads: Number(byId("threads").value),
      worker: byId("worker").checked,
    };
    switch (this.#source()) {
      case "file": {
        const file = this.#given ?? byId("weights-file").files[0];
        if (!file) throw new Error("Choose a file first, or drop one on the page.");
        return { ...options, source: file, title: file.name };
      }
      case "url": {
        const text = byId("weights-url").value.trim();
        if (!text) throw new Error("Type the network’s address first.");
        return { ...options, source: address(text), title: text };
      }
      default:
        return { ...options, source: null, title: "shipped with this page" };
    }
  }

  #busy(on) {
    const button = byId("chooser").querySelector("[type=submit]");
    button.textContent = on ? "Stop loading" : "Load";
    const bar = byId("progress");
    bar.hidden = !on;
    bar.removeAttribute("value");
    if (on) this.#onStatus("Loading…");
  }

  #progress(loaded, total) {
    if (total > 0) byId("progress").value = Math.min(1, loaded / total);
    this.#onStatus(
      total > 0 ? `Loading… ${Math.round((100 * loaded) / total)} %` : `Loading… ${(loaded / 1e6).toFixed(1)} MB`,
    );
  }

  #offerThreads() {
    const most = self.crossOriginIsolated ? Math.min(16, navigator.hardwareConcurrency || 1) : 1;
    for (let n = 1; n <= most; n++) byId("threads").append(new Option(String(n), String(n)));
    if (!self.crossOriginIsolated) {
      byId("threads").title = "Threads need a page served with the COOP and COEP headers.";
    }
  }

  #describe() {
    const { net, multAdds, parameters, readyAfter, choice } = this.#engine;
    const { alpha, resolution, classes, padding, activation, normalisation } = net.architecture;
    const title = `${width(alpha)} MobileNet-${resolution}`;
    const threads = net.numThreads ?? 1;
    // The page's threads are started once, as many as the first network wanted.
    const more = net.variant === "threads" && choice.threads > threads ? " (more after a reload)" : "";
    const running = `${net.precision ?? "f32"}, ${BUILD_NAMES[net.variant] ?? net.variant ?? "SIMD"}, ${threads} thread${threads > 1 ? "s" : ""}${more}`;
    const facts = [
      ["Network", title],
      ["From", choice.title],
      ["Classes", `${classes}${this.#engine.named ? "" : ", without names"}`],
      ["Mult-Adds", short(multAdds)],
      ["Parameters", short(parameters)],
      ["Padding", padding],
      ["Activation", activation === "relu6" ? "ReLU6" : activation === "relu" ? "ReLU" : activation],
      ["Colours", scale(normalisation)],
      ["Runs as", `${running}${choice.worker ? ", in a worker" : ""}`],
      ["Ready after", `${Math.round(readyAfter)} ms`],
    ];
    byId("facts").replaceChildren(
      ...facts.map(([term, value]) => make("div", {}, make("dt", {}, term), make("dd", {}, value))),
    );
    this.#onStatus(`${title} · ${running}`);
  }
}

function address(text) {
  let url;
  try {
    url = new URL(text, document.baseURI);
  } catch {
    throw new Error(`“${text}” is not an address.`);
  }
  if (url.origin !== location.origin && url.protocol !== "https:") {
    throw new Error(
      `“${text}” is neither on this page’s server nor an https:// address, and the browser fetches nothing else from here.`,
    );
  }
  return url.href;
}

/** The width multiplier as the paper writes it: 1.0, 0.75. */
function width(alpha) {
  return Number.isInteger(alpha) ? alpha.toFixed(1) : String(Number(alpha.toFixed(3)));
}

function scale({ mean, deviation, order }) {
  const [low, high] = [0, 255].map((byte) => (byte - mean[0]) / deviation[0]);
  const show = (value) => String(Number(value.toFixed(2))).replace("-", "−");
  return `${show(low)} to ${show(high)}${order === "bgr" ? ", blue first" : ""}`;
}
