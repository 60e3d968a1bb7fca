// A small network as a native model file: 0.25 MobileNet-32 with three classes, the same bytes every time.

const blocks = [64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024].map((channels) => channels / 4);

/** Names of the classes. */
export const labels = ["apple", "boat", "cat"];

/** The bytes of the file. */
export function networkFile() {
  let state = 0x2545f491;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 31 - 1;
  };
  const header = { __metadata__: { mobilenet: JSON.stringify({ version: 1, architecture: { alpha: 0.25, resolution: 32, classes: labels.length, labels } }) } };
  const values = [];
  const tensor = (name, shape, scale, middle = 0) => {
    const start = values.length * 4;
    const length = shape.reduce((product, side) => product * side, 1);
    for (let i = 0; i < length; i++) values.push(middle + next() * scale);
    header[name] = { dtype: "F32", shape, data_offsets: [start, values.length * 4] };
  };
  const layer = (name, shape, inputs, outputs) => {
    tensor(`${name}/kernel`, shape, Math.sqrt(6 / inputs));
    tensor(`${name}/bias`, [outputs], 0.1, 0.1);
  };
  let channels = 8;
  layer("conv1", [3, 3, 3, channels], 27, channels);
  blocks.forEach((outputs, index) => {
    layer(`conv_dw_${index + 1}`, [3, 3, channels, 1], 9, channels);
    layer(`conv_pw_${index + 1}`, [1, 1, channels, outputs], channels, outputs);
    channels = outputs;
  });
  layer("conv_preds", [1, 1, channels, labels.length], channels, labels.length);
  const json = new TextEncoder().encode(JSON.stringify(header));
  const padded = new Uint8Array(Math.ceil(json.length / 8) * 8).fill(32);
  padded.set(json);
  const file = new Uint8Array(8 + padded.length + values.length * 4);
  new DataView(file.buffer).setBigUint64(0, BigInt(padded.length), true);
  file.set(padded, 8);
  file.set(new Uint8Array(Float32Array.from(values).buffer), 8 + padded.length);
  return file;
}

/** A frame that every environment can make: RGBA of a diagonal. */
export function frame(width = 40, height = 30) {
  const data = new Uint8Array(width * height * 4);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) data.set(x > y ? [250, 20, 90, 255] : [10, 180, 60, 255], (y * width + x) * 4);
  return { data, width, height };
}
