// The square in which the picture is seen: a camera, a still, and over both the light that shows where the network
// looked. What is outside the square the network is not given, so it is not shown either.

import { drawSquare } from "./picture.js";

const HEAT_EVERY_MS = 110;
const DARK = [8, 14, 12];

export class Stage {
  #parts;
  #heat = null; // running mean of the map while the camera runs
  #lastHeat = 0;
  #small = document.createElement("canvas");

  /** `parts`: the elements `{ glass, video, picture, heat }`. */
  constructor(parts) {
    this.#parts = parts;
  }

  get picture() {
    return this.#parts.picture;
  }

  /** Shows the camera's video. */
  showCamera() {
    this.#parts.video.hidden = false;
    this.#parts.picture.hidden = true;
    this.#parts.glass.dataset.source = "camera";
    this.clearHeat();
  }

  /** Shows a still; `draw` false where someone else draws into the canvas. */
  showStill(frame, description, draw = true) {
    this.#parts.video.hidden = true;
    this.#parts.picture.hidden = false;
    this.#parts.picture.setAttribute("aria-label", description);
    this.#parts.glass.dataset.source = "still";
    if (draw) drawSquare(this.#parts.picture, frame);
    this.clearHeat();
  }

  setMirror(on) {
    this.#parts.glass.classList.toggle("mirrored", on);
  }

  setPaused(on) {
    this.#parts.glass.classList.toggle("paused", on);
  }

  /** Whether it is time for another map: a live one need not be made for every frame. */
  get heatDue() {
    return performance.now() - this.#lastHeat >= HEAT_EVERY_MS;
  }

  /** Leaves bright where the map is high and darkens the rest. */
  showHeat({ width, height, values, minimum, maximum }, live) {
    this.#lastHeat = performance.now();
    // A map that is the same everywhere says that the network looked nowhere in particular.
    if (maximum <= minimum) values = new Float32Array(values.length).fill(1);
    const blend = live && this.#heat?.length === values.length ? 0.45 : 1;
    if (blend === 1) {
      this.#heat = Float32Array.from(values);
    } else {
      values.forEach((value, i) => {
        this.#heat[i] += blend * (value - this.#heat[i]);
      });
    }

    this.#small.width = width;
    this.#small.height = height;
    const image = new ImageData(width, height);
    this.#heat.forEach((value, i) => {
      image.data.set(DARK, 4 * i);
      image.data[4 * i + 3] = 225 * (1 - value) ** 1.4;
    });
    this.#small.getContext("2d").putImageData(image, 0, 0);
    const canvas = this.#parts.heat;
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingQuality = "high";
    context.drawImage(this.#small, 0, 0, canvas.width, canvas.height);
    canvas.hidden = false;
  }

  clearHeat() {
    this.#heat = null;
    this.#lastHeat = 0;
    this.#parts.heat.hidden = true;
  }
}
