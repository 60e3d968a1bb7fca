// One function a library: each prepares the network of a row and returns { name, run, answer }, or { name, absent }
// with the reason. `run()` is one inference from an input that lies ready to an answer that JavaScript can read;
// `answer()` gives the probabilities (or logits) of the last one, to be checked before anything is timed.

import { loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import { setThreadsCount, setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import * as layers from "@tensorflow/tfjs-layers";
import * as ort from "onnxruntime-web/wasm";

const bytesOf = async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer());

/** This package: RGBA of exactly the network's size in, all probabilities out. */
export async function ours({ row, precision, threads, rgba, url }) {
  const { load } = await import(/* external */ "/pkg/index.js");
  const net = await load({ weights: await bytesOf(url), precision, numThreads: threads });
  const frame = { data: rgba, width: row.resolution, height: row.resolution };
  const classes = net.architecture.classes;
  let found;
  return {
    name: `this package (${net.variant})`,
    run: () => {
      found = net.classify(frame, 5);
    },
    answer: () => {
      const probabilities = new Float32Array(classes);
      for (const { index, probability } of net.classify(frame, classes)) probabilities[index] = probability;
      return probabilities;
    },
    found: () => found,
  };
}

// LiteRT.js takes no file whose batch is left open, so a shape signature [-1, …] becomes [1, …] in a copy.
function closeBatch(bytes) {
  const words = new Int32Array(bytes.buffer, 0, bytes.length >> 2);
  for (let i = 1; i + 3 < words.length; i++) {
    const rank = words[i - 1];
    if (words[i] !== -1 || (rank !== 4 && rank !== 2)) continue;
    if (words.subarray(i + 1, i + rank).every((side) => side > 0 && side <= 4096)) words[i] = 1;
  }
  return bytes;
}

/** LiteRT.js, its threaded build (the faster one) also on one thread. */
let litertLoaded;
export async function litert({ row, threads, rgb, litertUrl }) {
  const name = "LiteRT.js";
  litertLoaded ??= loadLiteRt("/peers/modules/@litertjs/core/wasm/", { threads: true });
  await litertLoaded;
  const model = await loadAndCompile(closeBatch(await bytesOf(litertUrl)), {
    accelerator: "wasm",
    cpuOptions: { numThreads: threads },
  });
  const { dtype } = model.getInputDetails()[0];
  const fill = {
    float32: () => Float32Array.from(rgb, (byte) => byte / 127.5 - 1),
    uint8: () => Uint8Array.from(rgb),
    int8: () => Int8Array.from(rgb, (byte) => byte - 128),
  }[dtype];
  if (!fill) return { name, absent: `takes no ${dtype} input` };
  const input = new Tensor(fill(), [1, row.resolution, row.resolution, 3]);
  let output;
  return {
    name,
    run: async () => {
      const [tensor] = await model.run(input);
      output = tensor.toTypedArray();
      tensor.delete();
    },
    answer: () => Float32Array.from(output),
  };
}

/** TensorFlow.js on its wasm backend: the same layers with random weights, so its answer is only checked for sense. */
export async function tfjs({ row, precision, threads, rgb }) {
  const name = "tfjs-backend-wasm";
  if (precision !== "f32") return { name, absent: "has no int8 path" };
  setWasmPaths("/peers/modules/@tensorflow/tfjs-backend-wasm/dist/");
  setThreadsCount(threads);
  await tf.setBackend("wasm");
  await tf.ready();
  const model = keras(row);
  const size = row.resolution;
  const input = tf.tensor4d(
    Float32Array.from(rgb, (byte) => byte / 127.5 - 1),
    [1, size, size, 3],
  );
  let output;
  return {
    name,
    run: () => {
      const tensor = model.predict(input);
      output = tensor.dataSync();
      tensor.dispose();
    },
    answer: () => null,
    sane: () => Math.abs(output.reduce((sum, p) => sum + p, 0) - 1) < 1e-3,
  };
}

// Batch norm is folded away in every contestant, so the layers have biases instead.
function keras({ alpha, resolution }) {
  const channels = (c) => Math.max(8, Math.floor(c * alpha));
  const blocks = [
    [1, 64],
    [2, 128],
    [1, 128],
    [2, 256],
    [1, 256],
    [2, 512],
    ...Array(5).fill([1, 512]),
    [2, 1024],
    [1, 1024],
  ];
  const net = layers.sequential();
  const relu6 = () => net.add(layers.layers.reLU({ maxValue: 6 }));
  const conv = { padding: "same", useBias: true };
  net.add(
    layers.layers.conv2d({
      ...conv,
      inputShape: [resolution, resolution, 3],
      filters: channels(32),
      kernelSize: 3,
      strides: 2,
    }),
  );
  relu6();
  for (const [strides, filters] of blocks) {
    net.add(layers.layers.depthwiseConv2d({ ...conv, kernelSize: 3, strides }));
    relu6();
    net.add(layers.layers.conv2d({ ...conv, filters: channels(filters), kernelSize: 1 }));
    relu6();
  }
  net.add(layers.layers.globalAveragePooling2d({}));
  net.add(layers.layers.dense({ units: 1000, activation: "softmax" }));
  return net;
}

/** ONNX Runtime Web. */
export async function onnx({ row, precision, threads, rgb, onnxUrl }) {
  const name = "onnxruntime-web";
  if (precision !== "f32" || !onnxUrl) return { name, absent: "no model file of this network" };
  ort.env.wasm.wasmPaths = "/peers/modules/onnxruntime-web/dist/";
  ort.env.wasm.numThreads = threads;
  const session = await ort.InferenceSession.create(onnxUrl, { executionProviders: ["wasm"] });
  const size = row.resolution;
  const plane = size * size;
  const data = new Float32Array(3 * plane);
  for (let i = 0; i < 3 * plane; i++) data[(i % 3) * plane + Math.floor(i / 3)] = rgb[i] / 127.5 - 1;
  const feeds = { [session.inputNames[0]]: new ort.Tensor("float32", data, [1, 3, size, size]) };
  let output;
  return {
    name,
    run: async () => {
      output = (await session.run(feeds))[session.outputNames[0]].data;
    },
    answer: () => output,
  };
}
