// The Inside tab: every layer's share of the Mult-Adds beside its share of the time, measured here and now.
// The paper's point can be read off it: the 1×1 layers do nearly all of the work, the 3×3 ones nearly none.

import { make, short, tell } from "./dom.js";
import { median } from "./times.js";

const RUNS = 15;
const LONGEST_MS = 3000; // a slow network is not measured so often

const KINDS = {
  stem: { name: "first layer", symbol: "3×3 · 0" },
  depthwise: { name: "depthwise", symbol: "3×3" },
  pointwise: { name: "pointwise", symbol: "1×1" },
  standard: { name: "full convolution", symbol: "3×3" },
  pool: { name: "pool", symbol: "mean" },
  classifier: { name: "classifier", symbol: "names" },
};

export class LayersPanel {
  #panel;
  #frame;
  #engine = null;
  #measured = null;
  #busy = false;

  /** `frame()` gives what the network looks at now: `{ frame, flipped }`, or null. */
  constructor(panel, frame) {
    this.#panel = panel;
    this.#frame = frame;
    this.again = make("button", { type: "button", className: "primary wide" }, "Measure again");
    this.again.addEventListener("click", () => this.measure());
    this.notice = make("p", { className: "notice", role: "alert", hidden: true });
    this.summary = make("p", { className: "lead" });
    this.shares = make("div", { className: "shares" });
    this.body = make("tbody");
    this.totals = make("p", { className: "small" });
    const head = make(
      "tr",
      {},
      ...["Layer", "Comes out", "Mult-Adds", "Time"].map((text) => make("th", { scope: "col" }, text)),
    );
    const table = make(
      "table",
      { className: "layers" },
      make("caption", { className: "unseen" }, "Layers, their Mult-Adds and their time"),
      make("thead", {}, head),
      this.body,
    );
    panel.append(
      make(
        "div",
        { className: "lesson" },
        this.summary,
        this.shares,
        explanation(),
        this.totals,
        this.again,
        this.notice,
      ),
      table,
    );
  }

  /** Another network is in use. */
  setEngine(engine) {
    this.#engine = engine;
    this.#measured = null;
    if (!this.#panel.hidden) this.measure();
  }

  /** The tab came to the front. */
  show() {
    if (!this.#measured) this.measure();
  }

  /** There is something to look at: measures where the panel is open and has no times yet. */
  see() {
    if (!this.#panel.hidden && !this.#measured && this.#frame()) this.measure();
  }

  async measure() {
    const engine = this.#engine;
    tell(this.notice, engine ? null : "Load a network first: then its layers are listed here.");
    this.again.disabled = !engine;
    if (!engine || this.#busy) return;
    this.#busy = true;
    try {
      this.#draw(engine, null);
      const runs = [];
      const until = performance.now() + LONGEST_MS;
      while (engine === this.#engine && runs.length < RUNS && (!runs.length || performance.now() < until)) {
        // Taken anew each time: the picture may be another one by now.
        const now = this.#frame();
        if (!now && !runs.length) return tell(this.notice, "Show the network a picture first: time is measured on it.");
        if (!now) break;
        runs.push(await engine.profile(now.frame, { flipped: now.flipped }));
        await new Promise(requestAnimationFrame);
      }
      if (engine !== this.#engine) return;
      this.#measured = runs[0].map((_, at) => typical(runs.map((one) => one[at].milliseconds)));
      this.#draw(engine, this.#measured);
    } catch (error) {
      if (error.name !== "AbortError") tell(this.notice, error.message);
    } finally {
      this.#busy = false;
      if (engine !== this.#engine) this.measure();
    }
  }

  #draw({ layers }, times) {
    const work = layers.map((layer) => layer.multAdds);
    const mostWork = Math.max(...work);
    const mostTime = (times && Math.max(...times)) || 1;
    this.body.replaceChildren(
      ...layers.map((layer, at) =>
        make(
          "tr",
          {
            className: layer.kind,
            title: `${layer.input.join(" × ")} → ${layer.output.join(" × ")}, ${short(layer.parameters)} parameters`,
          },
          make(
            "th",
            { scope: "row" },
            make("i", { className: "dot" }),
            layerName(layer),
            make("span", {}, KINDS[layer.kind]?.name ?? layer.kind),
          ),
          make("td", { className: "shape" }, layer.output.join(" × ")),
          cell("work", work[at] / mostWork, short(work[at])),
          cell("time", times ? times[at] / mostTime : 0, times ? `${times[at].toFixed(2)} ms` : "…"),
        ),
      ),
    );
    this.#drawShares(layers, work, times);
  }

  #drawShares(layers, work, times) {
    const kinds = [...new Set(layers.map((layer) => layer.kind))];
    const share = (values, kind) => sum(values.filter((_, at) => layers[at].kind === kind)) / (sum(values) || 1);
    const row = (title, values) => {
      const strip = make("div", { className: "share-strip" });
      const parts = kinds.map((kind) => [kind, values ? share(values, kind) : 0]);
      for (const [kind, part] of parts) {
        const piece = make("i", { className: kind });
        piece.style.flexGrow = part;
        strip.append(piece);
      }
      const text = values
        ? parts
            .filter(([, part]) => part > 0.0005)
            .map(([kind, part]) => `${KINDS[kind]?.name ?? kind} ${percent(part)}`)
            .join(", ")
        : "being measured";
      strip.setAttribute("role", "img");
      strip.setAttribute("aria-label", `${title}: ${text}`);
      return make("div", {}, make("span", {}, title), strip);
    };
    const legend = make(
      "ul",
      { className: "legend" },
      ...kinds
        .filter((kind) => kind !== "pool")
        .map((kind) => make("li", { className: kind }, make("i", { className: "dot" }), KINDS[kind]?.name ?? kind)),
    );
    this.shares.replaceChildren(row("Mult-Adds", work), row("Time", times), legend);

    const pointwise = percent(share(work, "pointwise"));
    this.summary.textContent = times
      ? `The 1×1 layers do ${pointwise} of the Mult-Adds in ${percent(share(times, "pointwise"))} of the time; the 3×3 depthwise ones do ${percent(share(work, "depthwise"))} in ${percent(share(times, "depthwise"))}.`
      : `The 1×1 layers do ${pointwise} of the Mult-Adds. How long they take is being measured…`;
    const full = asFullConvolutions(layers);
    const speed =
      times && sum(times) > 0
        ? ` ${sum(times).toFixed(1)} ms in all, ${((2 * sum(work)) / sum(times) / 1e6).toFixed(1)} GFLOP/s.`
        : "";
    const saving =
      full > sum(work)
        ? ` With full 3×3 convolutions the same network would need ${short(full)}: ${(full / sum(work)).toFixed(1)} times as many.`
        : "";
    this.totals.textContent = `${short(sum(work))} Mult-Adds a picture.${speed}${saving}`;
  }
}

/** Of several times the median; where the page is not isolated and its clock counts in steps, the mean, which they do not shift. */
const typical = (times) => (crossOriginIsolated ? median(times) : sum(times) / times.length);

/** What the network would cost if each depthwise and pointwise pair were one full 3×3 convolution (section 3.1). */
export function asFullConvolutions(layers) {
  return sum(
    layers.map((layer) => {
      if (layer.kind === "depthwise") return 0;
      return layer.kind === "pointwise" ? 9 * layer.multAdds : layer.multAdds;
    }),
  );
}

function cell(kind, share, text) {
  const bar = make("i", { className: `cell-bar ${kind}` });
  bar.style.setProperty("--share", share.toFixed(4));
  return make("td", { className: "number" }, bar, make("span", {}, text));
}

/** `conv_dw_3` is for programmers; "3 · 3×3" reads at a glance. */
function layerName({ name, kind }) {
  const number = /\d+$/.exec(name)?.[0];
  const symbol = KINDS[kind]?.symbol ?? name;
  return kind === "depthwise" || kind === "pointwise" || kind === "standard" ? `${symbol} · ${number}` : symbol;
}

function explanation() {
  const one = (kind, title, text, drawing) =>
    make("figure", { className: kind }, drawing, make("figcaption", {}, make("b", {}, title), ` ${text}`));
  return make(
    "div",
    { className: "explanation" },
    one("depthwise", "Depthwise 3×3", "looks around each pixel, in every channel by itself.", planes(true)),
    one("pointwise", "Pointwise 1×1", "stays on its pixel, and mixes all the channels there.", planes(false)),
  );
}

/** Three channels as tilted planes: a window on each, or one line through all. */
function planes(windows) {
  const svg = svgElement("svg", { viewBox: "0 0 120 64", "aria-hidden": "true" });
  for (let at = 0; at < 3; at++) {
    const x = 8 + at * 34;
    const corner = (u, v) => `${x + u * 30},${8 + v * 36 + u * 12}`;
    svg.append(
      svgElement("polygon", {
        class: "plane",
        points: [corner(0, 0), corner(1, 0), corner(1, 1), corner(0, 1)].join(" "),
      }),
    );
    const [from, to] = windows ? [0.25, 0.75] : [0.42, 0.58];
    svg.append(
      svgElement("polygon", {
        class: "window",
        points: [corner(from, from), corner(to, from), corner(to, to), corner(from, to)].join(" "),
      }),
    );
  }
  if (!windows) svg.append(svgElement("path", { class: "through", d: "M23 32H91" }));
  return svg;
}

function svgElement(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

const sum = (values) => values.reduce((total, value) => total + value, 0);
const percent = (share) => `${(share * 100).toFixed(share < 0.0995 ? 1 : 0)} %`;
