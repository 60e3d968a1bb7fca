// A network for tests that see the package from outside, built by hand in the native format: its first layer passes red,
// green and blue on, every other layer leaves them as they are, and the classifier names the strongest. So a test knows
// the right answer without any file from elsewhere.
import { safetensors } from "../../benches/page/network.js";

/** The classes of the network that knows colours. */
export const COLOURS = ["red thing, scarlet", "green thing", "blue thing", "grey thing"];

const STRIDED_BLOCKS = 13;
const CHANNELS = 8; // of every layer: TensorFlow never goes below it

/** The native file of the network that knows colours: a few kilobytes. `labels` false leaves the names out, and then
 * `classes` may be more than there are colours; the further ones are never named. */
export function colourNetwork({ labels = true, resolution = 32, classes = COLOURS.length } = {}) {
  const architecture = { alpha: 0.001, resolution, classes, ...(labels ? { labels: COLOURS } : {}) };
  const header = { __metadata__: { mobilenet: JSON.stringify({ version: 1, architecture }) } };
  const parts = [];
  let offset = 0;
  const put = (name, shape, at) => {
    const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
    for (const [index, value] of at) values[index] = value;
    header[name] = { dtype: "F32", shape, data_offsets: [offset, (offset += values.byteLength)] };
    parts.push(values);
  };
  const three = [0, 1, 2];
  const centre = 4; // of the 3 × 3 window
  put("conv1/kernel", [3, 3, 3, CHANNELS], three.map((c) => [(centre * 3 + c) * CHANNELS + c, 1]));
  put("conv1/bias", [CHANNELS], three.map((c) => [c, 1])); // −1 … 1 becomes 0 … 2
  for (let block = 1; block <= STRIDED_BLOCKS; block++) {
    put(`conv_dw_${block}/kernel`, [3, 3, CHANNELS, 1], three.map((c) => [centre * CHANNELS + c, 1]));
    put(`conv_dw_${block}/bias`, [CHANNELS], []);
    put(`conv_pw_${block}/kernel`, [1, 1, CHANNELS, CHANNELS], three.map((c) => [c * CHANNELS + c, 1]));
    put(`conv_pw_${block}/bias`, [CHANNELS], []);
  }
  const strength = 4;
  put("conv_preds/kernel", [1, 1, CHANNELS, classes], three.map((c) => [c * classes + c, strength]));
  const never = Array.from({ length: classes - COLOURS.length }, (_, index) => [COLOURS.length + index, -100]);
  put("conv_preds/bias", [classes], [[3, strength * 1.2], ...never]);
  return Buffer.from(safetensors(header, parts));
}
