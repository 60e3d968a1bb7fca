// The rows of the comparison: which network, in which precision, from which file. Paths are relative to the folder of
// models (../shared/bench-peers/models, or --models DIR); `onnx` where onnxruntime-web has a file of the same network.
// `border`: the int8 file has int8 tensors at its border, which LiteRT.js does not take; uint8_border.py makes the copy
// that it gets, in dist/.

export const MODELS = [
  {
    name: "1.0-224",
    alpha: 1,
    resolution: 224,
    f32: "mobilenet_v1_1.0_224_f32.tflite",
    int8: "../../weights/tflite/mobilenet_v1_1.0_224_int8.tflite",
    onnx: "mobilenet_v1_1.0_224_nchw.onnx",
  },
  {
    name: "0.5-160",
    alpha: 0.5,
    resolution: 160,
    f32: "random_0.5_160_f32.tflite",
    int8: "random_0.5_160_int8.tflite",
    border: true,
  },
  {
    name: "0.25-224",
    alpha: 0.25,
    resolution: 224,
    f32: "../../weights/tflite/mobilenet_v1_0.25_224_f32.tflite",
    int8: "../../weights/tflite/mobilenet_v1_0.25_224_int8.tflite",
    border: true,
    onnx: "../../weights/onnx/mobilenet_v1_0.25_224_nchw_opset13.onnx",
  },
  {
    name: "0.25-128",
    alpha: 0.25,
    resolution: 128,
    f32: "../../weights/tflite/mbnet128_0.25_f.tflite",
    int8: "../../weights/tflite/mobilenet_v1_0.25_128_quant.tflite",
  },
];
