// A network whose right answers are known: its first layer passes red, green and blue on, every other layer leaves them
// as they are, and the classifier names the strongest. Written by hand in the native format.
import { safetensors } from "../../benches/page/network.js";

/** The classes of the color network. */
const COLORS = ["red thing, scarlet", "green thing", "blue thing", "grey thing"];

const BLOCKS = 13;
const CHANNELS = 8; // of every layer: TensorFlow never goes below it
const CENTER = 4; // of the 3×3 window

/**
 * The native file of the color network, a few kilobytes. `labels: false` leaves the names out, and then `classes` may be
 * more than the colors; the further ones are never the answer.
 */
export function colorNetwork({ labels = true, resolution = 32, classes = COLORS.length } = {}) {
  const architecture = { alpha: 0.001, resolution, classes, ...(labels ? { labels: COLORS } : {}) };
  const header = { __metadata__: { mobilenet: JSON.stringify({ version: 1, architecture }) } };
  const parts = [];
  let offset = 0;
  const put = (name, shape, entries) => {
    const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
    for (const [index, value] of entries) values[index] = value;
    header[name] = { dtype: "F32", shape, data_offsets: [offset, offset + values.byteLength] };
    offset += values.byteLength;
    parts.push(values);
  };
  const rgb = [0, 1, 2];
  const stem = rgb.map((c) => [(CENTER * 3 + c) * CHANNELS + c, 1]);
  put("conv1/kernel", [3, 3, 3, CHANNELS], stem);
  const shift = rgb.map((c) => [c, 1]); // −1 … 1 becomes 0 … 2
  put("conv1/bias", [CHANNELS], shift);
  const depthwise = rgb.map((c) => [CENTER * CHANNELS + c, 1]);
  const pointwise = rgb.map((c) => [c * CHANNELS + c, 1]);
  for (let block = 1; block <= BLOCKS; block++) {
    put(`conv_dw_${block}/kernel`, [3, 3, CHANNELS, 1], depthwise);
    put(`conv_dw_${block}/bias`, [CHANNELS], []);
    put(`conv_pw_${block}/kernel`, [1, 1, CHANNELS, CHANNELS], pointwise);
    put(`conv_pw_${block}/bias`, [CHANNELS], []);
  }
  const strength = 4;
  const classifier = rgb.map((c) => [c * classes + c, strength]);
  put("conv_preds/kernel", [1, 1, CHANNELS, classes], classifier);
  const never = Array.from({ length: classes - COLORS.length }, (_, index) => [COLORS.length + index, -100]);
  put("conv_preds/bias", [classes], [[3, strength * 1.2], ...never]);
  return Buffer.from(safetensors(header, parts));
}
