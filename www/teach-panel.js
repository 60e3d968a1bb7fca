// The Teach tab: hold a button to show examples of your own things, train the network's last layer on them, use it.
// Offered only where the network in use has `addExample` and `train`. Pictures and training stay in the page.

import { byId, make, tell } from "./dom.js";
import { drawSquare } from "./picture.js";

const EVERY_MS = 120; // between two examples while the button is held
const THUMBS = 6;
const FIRST_LABELS = ["Thing one", "Thing two"];

export class TeachPanel {
  #panel;
  #frame;
  #onTaught;
  #engine = null;
  #groups = []; // { name, count, card, … } in the order of the cards
  #training = null; // AbortController

  /** `frame()` gives what the network looks at now; `onTaught()` is called when the answers will differ. */
  constructor(panel, frame, onTaught) {
    this.#panel = panel;
    this.#frame = frame;
    this.#onTaught = onTaught;
    this.eye = make("canvas", { width: 144, height: 144, "aria-hidden": "true" });
    this.answer = make("strong");
    this.cards = make("div", { className: "cards" });
    this.add = make("button", { type: "button" }, "Another thing");
    this.add.addEventListener("click", () => this.#addGroup(this.#freeName()).input.select());
    this.trainButton = make("button", { type: "button", className: "primary" }, "Train");
    this.trainButton.addEventListener("click", () => (this.#training ? this.#training.abort() : this.#train()));
    this.saveButton = make("button", { type: "button", disabled: true }, "Save as a file");
    this.saveButton.addEventListener("click", () => this.#save());
    this.curve = make("canvas", {
      className: "curve",
      width: 560,
      height: 120,
      hidden: true,
      role: "img",
      "aria-label": "Loss of every pass",
    });
    this.outcome = make("p", { className: "small", "aria-live": "polite" });
    this.notice = make("p", { className: "notice", role: "alert", hidden: true });
    panel.append(
      make(
        "p",
        { className: "lead" },
        "Show it your own things. Hold a button while the camera sees one from several sides, then the next; ten of each is a start.",
      ),
      // The picture above is out of sight on a phone; its answer is read aloud from there.
      make("div", { className: "eye", "aria-hidden": "true" }, this.eye, this.answer),
      this.cards,
      make("div", { className: "row" }, this.add, this.trainButton, this.saveButton),
      this.curve,
      this.outcome,
      this.notice,
      make(
        "p",
        { className: "small" },
        "Only the last layer is trained, on what the others see; that takes seconds. A saved file is a network like any other: drop it on the page to use it again. To have the first names back, load the first network.",
      ),
    );
  }

  /** Another network is in use: what was taught belonged to the last. */
  setEngine(engine) {
    if (engine === this.#engine) return;
    this.#training?.abort();
    this.#engine = engine;
    this.#groups = [];
    this.cards.replaceChildren();
    this.outcome.textContent = "";
    this.curve.hidden = true;
    this.saveButton.disabled = true;
    tell(this.notice, null);
    if (!engine.teachable) return;
    for (const name of FIRST_LABELS) this.#addGroup(name);
    this.#refresh();
  }

  /** Shows what the network looks at and its answer, while the panel is open. */
  see() {
    const now = this.#panel.hidden ? null : this.#frame();
    if (!now) return;
    draw(this.eye, now);
    this.answer.textContent = byId("top-name").textContent;
  }

  /** "Thing 3", or the next number that no thing has. */
  #freeName() {
    let number = this.#groups.length + 1;
    while (this.#groups.some(({ name }) => name === `Thing ${number}`)) number++;
    return `Thing ${number}`;
  }

  #addGroup(name) {
    const group = { name, count: 0, thumbs: make("div", { className: "thumbs", "aria-hidden": "true" }) };
    group.input = make("input", { type: "text", value: name, maxLength: 60, "aria-label": "Name", spellcheck: false });
    group.counter = make("span", { className: "small", "aria-live": "off" }, "none yet");
    group.hold = make("button", { type: "button", className: "hold" }, "Hold to show it");
    group.remove = make("button", { type: "button", className: "quiet", "aria-label": `Remove ${name}` }, "Remove");
    group.card = make(
      "section",
      { className: "card", "aria-label": name },
      group.input,
      group.thumbs,
      group.hold,
      make("div", { className: "row" }, group.counter, group.remove),
    );
    group.input.addEventListener("change", () => this.#rename(group));
    group.remove.addEventListener("click", () => this.#remove(group));
    this.#holdable(group);
    this.#groups.push(group);
    this.cards.append(group.card);
    this.#refresh();
    return group;
  }

  /** A press, a touch or a held key adds examples until it ends; a click adds one. */
  #holdable(group) {
    let timer = 0;
    const stop = () => {
      clearInterval(timer);
      timer = 0;
      group.hold.classList.remove("held");
    };
    const start = () => {
      if (timer || !this.#settleName(group)) return;
      group.hold.classList.add("held");
      this.#example(group);
      timer = setInterval(() => this.#example(group), EVERY_MS);
    };
    group.hold.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      group.hold.setPointerCapture(event.pointerId);
      start();
    });
    for (const type of ["pointerup", "pointercancel", "lostpointercapture", "blur"])
      group.hold.addEventListener(type, stop);
    group.hold.addEventListener("contextmenu", (event) => event.preventDefault());
    group.hold.addEventListener("keydown", (event) => {
      if (event.key !== " " && event.key !== "Enter") return;
      event.preventDefault();
      start();
    });
    group.hold.addEventListener("keyup", stop);
    // Screen readers send a click and no pointer.
    group.hold.addEventListener(
      "click",
      (event) => event.detail === 0 && !timer && this.#settleName(group) && this.#example(group),
    );
  }

  async #example(group) {
    const now = this.#frame();
    if (!now) return tell(this.notice, "There is nothing to see yet: start the camera or open a picture.");
    if (group.adding || this.#training) return;
    group.adding = true;
    try {
      group.count = await this.#engine.net.addExample(group.name, now.frame, { flipped: now.flipped });
      this.#thumb(group, now);
      tell(this.notice, null);
      this.#refresh();
    } catch (error) {
      if (error.name !== "AbortError") tell(this.notice, error.message);
    } finally {
      group.adding = false;
    }
  }

  #thumb(group, now) {
    const canvas = make("canvas", { width: 72, height: 72 });
    draw(canvas, now);
    group.thumbs.prepend(canvas);
    while (group.thumbs.children.length > THUMBS) group.thumbs.lastChild.remove();
  }

  /** Takes over a name that was typed: a press on the button comes before the field's own `change`. */
  #settleName(group) {
    return group.input.value.trim() === group.name || this.#rename(group);
  }

  /** Gives a thing the name in its field, or says why not; tells whether it has it. */
  #rename(group) {
    const name = group.input.value.trim();
    const taken = this.#groups.some((other) => other !== group && other.name === name);
    if (!name || taken || group.count > 0 || group.adding) {
      if (name !== group.name) {
        const why = taken
          ? `“${name}” is there already.`
          : name
            ? `“${group.name}” has examples under that name; remove it first, or add another thing.`
            : "A thing needs a name.";
        tell(this.notice, why);
      }
      group.input.value = group.name;
      return false;
    }
    tell(this.notice, null);
    group.name = name;
    group.card.setAttribute("aria-label", name);
    group.remove.setAttribute("aria-label", `Remove ${name}`);
    return true;
  }

  async #remove(group) {
    try {
      if (group.count) await this.#engine.net.removeExamples(group.name);
      this.#groups = this.#groups.filter((other) => other !== group);
      group.card.remove();
      this.add.focus();
      this.#refresh();
    } catch (error) {
      tell(this.notice, error.message);
    }
  }

  #refresh() {
    for (const { count, counter } of this.#groups)
      counter.textContent = count ? `${count} example${count > 1 ? "s" : ""}` : "none yet";
    const ready = this.#groups.filter(({ count }) => count > 0).length >= 2;
    this.trainButton.disabled = !ready && !this.#training;
    this.trainButton.title = ready ? "" : "Two things need examples first.";
  }

  async #train() {
    const engine = this.#engine;
    const control = new AbortController();
    this.#training = control;
    this.trainButton.textContent = "Stop training";
    tell(this.notice, null);
    const losses = [];
    try {
      const report = await engine.net.train({
        signal: control.signal,
        onEpoch: (epoch, logs) => {
          losses.push(logs.loss);
          this.#drawCurve(losses);
          this.outcome.textContent = `Pass ${epoch + 1}: ${accuracy(logs)}`;
        },
      });
      engine.rename(null);
      this.saveButton.disabled = false;
      this.outcome.textContent = `Taught ${report.labels.length} things from ${report.examples} examples in ${(report.milliseconds / 1000).toFixed(1)} s: ${accuracy(report)}. The page now answers with them.`;
      this.#onTaught();
    } catch (error) {
      if (error.name === "AbortError") this.outcome.textContent = "Training was stopped; the answers are as before.";
      else tell(this.notice, error.message);
    } finally {
      this.#training = null;
      this.trainButton.textContent = "Train";
      this.#refresh();
    }
  }

  /** The loss of every pass, as a line that falls. */
  #drawCurve(losses) {
    this.curve.hidden = false;
    this.curve.setAttribute(
      "aria-label",
      `Loss ${losses[0].toFixed(2)} at first, ${losses[losses.length - 1].toFixed(2)} now`,
    );
    const { width, height } = this.curve;
    const context = this.curve.getContext("2d");
    context.clearRect(0, 0, width, height);
    context.strokeStyle = getComputedStyle(this.curve).color;
    context.lineWidth = 3;
    context.lineJoin = "round";
    context.beginPath();
    const most = Math.max(...losses, 1e-6);
    losses.forEach((loss, at) => {
      const x = 4 + (at / Math.max(losses.length - 1, 1)) * (width - 8);
      const y = height - 6 - (loss / most) * (height - 12);
      context.lineTo(x, y);
    });
    context.stroke();
  }

  async #save() {
    try {
      const bytes = await this.#engine.net.save();
      const url = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
      make("a", { href: url, download: "taught.safetensors" }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
    } catch (error) {
      tell(this.notice, error.message);
    }
  }
}

/** The square that the network is given, as the stage shows it. */
function draw(canvas, { frame, flipped }) {
  canvas.classList.toggle("flipped", flipped);
  drawSquare(canvas, frame instanceof ImageData ? byId("picture") : frame);
}

function accuracy(logs) {
  const share = (value) => `${Math.round(100 * value)} %`;
  const held = logs.validationAccuracy;
  return `${share(logs.accuracy)} right${held === undefined ? "" : `, ${share(held)} of those kept back`}`;
}
