// Networks of random weights as native model files, for the bench and for tests: in pages and in Node.

/** Channels of the blocks and strides of their depthwise convolutions: Table 1 of the paper. */
const BLOCKS = [
  [1, 64],
  [2, 128],
  [1, 128],
  [2, 256],
  [1, 256],
  [2, 512],
  [1, 512],
  [1, 512],
  [1, 512],
  [1, 512],
  [1, 512],
  [2, 1024],
  [1, 1024],
];

/** Name, kernel shape and number of multiplied inputs of every layer with weights; and the Mult-Adds of all. */
export function layersOf(alpha, resolution, classes = 1000) {
  const width = (channels) => Math.max(8, Math.floor(channels * alpha));
  let side = Math.ceil(resolution / 2);
  let channels = width(32);
  const layers = [["conv1", [3, 3, 3, channels], 27]];
  const strides = { conv1: 2 };
  let multAdds = side * side * 27 * channels;
  BLOCKS.forEach(([stride, out], index) => {
    side = Math.ceil(side / stride);
    layers.push(
      [`conv_dw_${index + 1}`, [3, 3, channels, 1], 9],
      [`conv_pw_${index + 1}`, [1, 1, channels, width(out)], channels],
    );
    strides[`conv_dw_${index + 1}`] = stride;
    multAdds += side * side * channels * (9 + width(out));
    channels = width(out);
  });
  layers.push(["conv_preds", [1, 1, channels, classes], channels]);
  return { layers, strides, multAdds: multAdds + channels * classes };
}

/** A file of a header and the arrays that it names, in their order. */
export function safetensors(header, parts) {
  let json = JSON.stringify(header);
  json += " ".repeat((8 - (json.length % 8)) % 8);
  const length = parts.reduce((sum, part) => sum + part.byteLength, 0);
  const bytes = new Uint8Array(8 + json.length + length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(new TextEncoder().encode(json), 8);
  let at = 8 + json.length;
  for (const part of parts) {
    bytes.set(new Uint8Array(part.buffer), at);
    at += part.byteLength;
  }
  return bytes;
}

/**
 * Weights that keep activations alive (uniform, He's variance), the same every time, and a native model file of them.
 * `more` is what the file says of its architecture besides: classes and labels where they are not ImageNet's.
 */
export function modelFile(alpha, resolution, layers, more = {}) {
  let state = 1;
  const random = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return ((state >>> 0) / 2 ** 32) * 2 - 1;
  };
  const architecture = { alpha, resolution, ...more };
  const header = { __metadata__: { mobilenet: JSON.stringify({ version: 1, architecture }) } };
  const parts = [];
  let offset = 0;
  const add = (name, shape, scale) => {
    const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => random() * scale);
    header[name] = { dtype: "F32", shape, data_offsets: [offset, offset + values.byteLength] };
    offset += values.byteLength;
    parts.push(values);
    return values;
  };
  const values = layers.map(([name, shape, terms]) => {
    const kernel = add(`${name}/kernel`, shape, Math.sqrt(6 / terms));
    return { name, shape, kernel, bias: add(`${name}/bias`, [shape[3] === 1 ? shape[2] : shape[3]], 0.1) };
  });
  return { bytes: safetensors(header, parts), values };
}
