// A small network as a native model file, and a frame, the same bytes in every environment.
import { layersOf, modelFile } from "../../benches/page/network.js";

/** Names of the classes. */
export const labels = ["apple", "boat", "cat"];

/** The bytes of the file: 0.25 MobileNet-32. */
export function networkFile() {
  const { layers } = layersOf(0.25, 32, labels.length);
  return modelFile(0.25, 32, layers, { classes: labels.length, labels }).bytes;
}

/** A frame that every environment can make: RGBA of a diagonal. */
export function frame(width = 40, height = 30) {
  const data = new Uint8Array(width * height * 4);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) data.set(x > y ? [250, 20, 90, 255] : [10, 180, 60, 255], (y * width + x) * 4);
  return { data, width, height };
}
