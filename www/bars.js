// The five likeliest names as bars that move smoothly, and the same as text for a screen reader.
// A live frame's answer flickers: what is shown is a running mean over about a quarter of a second.

import { splitName } from "./labels.js";

const SHOWN = 5;
const UNSURE = 1 / 3;
const MEMORY_MS = 220; // time constant of the running mean; a still picture is shown as it is
const TEXT_EVERY_MS = 160; // digits that change faster cannot be read
const SPEAK_EVERY_MS = 3000;

export class Bars {
  #rows = new Map(); // class index → its row
  #mean = new Map(); // class index → { name, probability }
  #parts;
  #lastFrame = 0;
  #lastText = 0;
  #lastSpoken = 0;
  #spoken = "";

  /** `parts`: the elements `{ bars, name, more, ranking, live }`. */
  constructor(parts) {
    this.#parts = parts;
    for (let rank = 0; rank < SHOWN; rank++) parts.ranking.append(document.createElement("li"));
  }

  /** Forgets what was seen: another network, another picture. */
  clear() {
    this.#mean.clear();
    for (const row of this.#rows.values()) row.remove();
    this.#rows.clear();
    this.#lastText = 0;
    this.#spoken = "";
    this.#parts.name.textContent = "\u00a0";
    this.#parts.more.textContent = "\u00a0";
    for (const item of this.#parts.ranking.children) item.textContent = "";
  }

  /** Shows predictions `{ className, probability, index }[]`; `live` smooths them over time. */
  show(predictions, live) {
    const now = performance.now();
    this.#blend(predictions, live ? now - this.#lastFrame : Infinity);
    this.#lastFrame = now;
    const ranked = [...this.#mean].sort((a, b) => b[1].probability - a[1].probability).slice(0, SHOWN);
    const text = !live || now - this.#lastText >= TEXT_EVERY_MS;
    if (text) this.#lastText = now;
    this.#draw(ranked, text);
    if (text) this.#write(ranked, now, live);
  }

  #blend(predictions, elapsed) {
    const keep = elapsed > 4 * MEMORY_MS ? 0 : Math.exp(-elapsed / MEMORY_MS);
    for (const entry of this.#mean.values()) entry.probability *= keep;
    for (const { index, className, probability } of predictions) {
      const entry = this.#mean.get(index) ?? { probability: 0 };
      entry.name = className;
      entry.probability += (1 - keep) * probability;
      this.#mean.set(index, entry);
    }
    for (const [index, entry] of this.#mean) if (entry.probability < 1e-5) this.#mean.delete(index);
  }

  #draw(ranked, text) {
    const shown = new Set(ranked.map(([index]) => index));
    for (const [index, row] of this.#rows) {
      if (shown.has(index)) continue;
      this.#rows.delete(index);
      row.classList.add("leaving");
      setTimeout(() => row.remove(), 240);
    }
    ranked.forEach(([index, { name, probability }], rank) => {
      let row = this.#rows.get(index);
      if (!row) {
        row = makeRow(rank);
        this.#rows.set(index, row);
        this.#parts.bars.append(row);
      }
      row.dataset.rank = rank;
      row.style.setProperty("--rank", rank);
      row.style.setProperty("--share", probability.toFixed(4));
      if (text || !row.name.textContent) {
        row.name.textContent = splitName(name)[0];
        row.value.textContent = percent(probability);
      }
    });
  }

  #write(ranked, now, live) {
    const { name, more, ranking, live: spoken } = this.#parts;
    if (!ranked.length) return;
    const top = ranked[0][1];
    const [first, others] = splitName(top.name);
    name.classList.toggle("unsure", top.probability < UNSURE);
    name.textContent = first;
    more.textContent = [confidence(top.probability), others].filter(Boolean).join(" · ");
    [...ranking.children].forEach((item, rank) => {
      const entry = ranked[rank]?.[1];
      item.textContent = entry ? `${splitName(entry.name)[0]}, ${percent(entry.probability)}` : "";
    });
    if (first !== this.#spoken && (!live || now - this.#lastSpoken > SPEAK_EVERY_MS)) {
      this.#spoken = first;
      this.#lastSpoken = now;
      spoken.textContent = `${first}, ${percent(top.probability)}`;
    }
  }
}

function makeRow(rank) {
  const row = document.createElement("div");
  row.className = "bar";
  row.style.setProperty("--rank", rank);
  row.name = Object.assign(document.createElement("span"), { className: "bar-name" });
  row.value = Object.assign(document.createElement("span"), { className: "bar-value" });
  const track = Object.assign(document.createElement("i"), { className: "bar-track" });
  row.append(row.name, row.value, track);
  return row;
}

/** Below a third the network guesses, and the headline should say so. */
function confidence(share) {
  if (share >= 0.9) return "almost certain";
  if (share >= 0.6) return "likely";
  return share >= UNSURE ? "perhaps" : "not sure";
}

function percent(share) {
  return share >= 0.0995 ? `${Math.round(share * 100)} %` : `${(share * 100).toFixed(1)} %`;
}
