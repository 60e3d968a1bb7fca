// Where a frame's time goes: grab, resize, network; and how many frames a second.
// The strip is as long as a frame at 60 (then 30, 15 …) a second, so the room that is left can be seen.

const PARTS = ["grab", "resize", "network"];
const KEEP = 60; // frames of the running median
const TEXT_EVERY_MS = 300;

export class Times {
  #parts;
  #frames = [];
  #ends = [];
  #lastText = -Infinity;

  /** `parts`: the elements `{ strip, grab, resize, network, rate }`. */
  constructor(parts) {
    this.#parts = parts;
  }

  clear() {
    this.#frames = [];
    this.#ends = [];
    this.#lastText = -Infinity;
    for (const part of [...PARTS, "rate"]) this.#parts[part].textContent = "–";
    this.#parts.strip.style.removeProperty("--total");
    for (const part of PARTS) this.#parts.strip.style.setProperty(`--${part}`, 0);
    delete this.#parts.strip.dataset.budget;
  }

  /** `times`: `{ grab, resize, network }` in milliseconds; `live`: whether a rate makes sense. */
  add(times, live) {
    const now = performance.now();
    this.#frames.push(times);
    if (this.#frames.length > KEEP) this.#frames.shift();
    this.#ends.push(now);
    while (this.#ends.length > 3 && now - this.#ends[0] > 2000) this.#ends.shift();
    if (now - this.#lastText < TEXT_EVERY_MS && this.#frames.length > 5) return;
    this.#lastText = now;
    this.#write(live);
  }

  #write(live) {
    const medians = PARTS.map((part) => median(this.#frames.map((frame) => frame[part] ?? 0)));
    const total = medians.reduce((sum, value) => sum + value, 0);
    let rate = 60;
    while (1000 / rate < total && rate > 0.1) rate /= 2;
    const budget = 1000 / rate;
    PARTS.forEach((part, index) => {
      this.#parts[part].textContent = milliseconds(medians[index]);
      this.#parts.strip.style.setProperty(`--${part}`, (medians[index] / budget).toFixed(4));
    });
    this.#parts.strip.dataset.budget = `${budget < 20 ? budget.toFixed(1) : Math.round(budget)} ms, a frame at ${Number(rate.toFixed(1))} a second`;
    this.#parts.rate.textContent = live ? this.#rate() : "–";
  }

  #rate() {
    const span = this.#ends[this.#ends.length - 1] - this.#ends[0];
    if (span <= 200) return "…";
    const rate = ((this.#ends.length - 1) * 1000) / span;
    return rate.toFixed(rate < 9.95 ? 1 : 0);
  }
}

/** The middle value; 0 for none. */
export function median(values) {
  if (!values.length) return 0;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function milliseconds(value) {
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ms`;
}
