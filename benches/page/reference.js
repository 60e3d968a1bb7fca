// A MobileNet as naive loops, in 64-bit floats: what the answers of the bench are held against before anything is timed.

/** 3×3 over `channels` maps: TensorFlow's SAME padding, ReLU6. `kernel` is [3, 3, inputs, outputs], or [3, 3, inputs, 1]. */
function window(map, side, inputs, kernel, bias, stride, depthwise) {
  const outputs = bias.length;
  const to = Math.ceil(side / stride);
  const pad = Math.floor(Math.max(0, (to - 1) * stride + 3 - side) / 2);
  const next = new Float64Array(to * to * outputs);
  for (let y = 0; y < to; y++) {
    for (let x = 0; x < to; x++) {
      for (let output = 0; output < outputs; output++) {
        let sum = bias[output];
        for (let tap = 0; tap < 9; tap++) {
          const row = y * stride + Math.floor(tap / 3) - pad;
          const column = x * stride + (tap % 3) - pad;
          if (row < 0 || row >= side || column < 0 || column >= side) continue;
          const pixel = (row * side + column) * inputs;
          if (depthwise) sum += map[pixel + output] * kernel[tap * inputs + output];
          else
            for (let input = 0; input < inputs; input++)
              sum += map[pixel + input] * kernel[(tap * inputs + input) * outputs + output];
        }
        next[(y * to + x) * outputs + output] = Math.min(Math.max(sum, 0), 6);
      }
    }
  }
  return next;
}

/** Every pixel by itself; `kernel` is [inputs, outputs]. */
function pointwise(map, inputs, kernel, bias, largest) {
  const outputs = bias.length;
  const next = new Float64Array((map.length / inputs) * outputs);
  for (let pixel = 0; pixel < map.length / inputs; pixel++) {
    const sums = Float64Array.from(bias);
    for (let input = 0; input < inputs; input++) {
      const value = map[pixel * inputs + input];
      for (let output = 0; output < outputs; output++) sums[output] += value * kernel[input * outputs + output];
    }
    for (let output = 0; output < outputs; output++)
      next[pixel * outputs + output] =
        largest === undefined ? sums[output] : Math.min(Math.max(sums[output], 0), largest);
  }
  return next;
}

/** Probabilities of all classes. `layers` as page.js makes them, each with its values; `rgba` of `side`² pixels. */
export function reference(layers, strides, rgba, side, { mean, deviation }) {
  let map = new Float64Array(side * side * 3);
  for (let i = 0; i < map.length; i++)
    map[i] = (rgba[Math.floor(i / 3) * 4 + (i % 3)] - mean[i % 3]) / deviation[i % 3];
  let channels = 3;
  let classes;
  for (const { name, shape, kernel, bias } of layers) {
    const [, , inputs, outputs] = shape;
    if (name === "conv_preds") {
      const pooled = new Float64Array(inputs);
      map.forEach((value, i) => {
        pooled[i % inputs] += value / (side * side);
      });
      classes = pointwise(pooled, inputs, kernel, bias);
    } else if (shape[0] === 3) {
      const stride = strides[name];
      map = window(map, side, inputs, kernel, bias, stride, outputs === 1);
      side = Math.ceil(side / stride);
      channels = bias.length;
    } else {
      map = pointwise(map, channels, kernel, bias, 6);
      channels = bias.length;
    }
  }
  const top = classes.reduce((a, b) => Math.max(a, b));
  const powers = classes.map((value) => Math.exp(value - top));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}
