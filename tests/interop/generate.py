"""Writes the networks that `crates/formats/tests/interop.rs` reads, each in every format that can hold it.

    pip install "tensorflow-cpu==2.*" tf2onnx onnx
    pip install --no-deps tensorflowjs tf_keras
    python tests/interop/generate.py OUT [KIND …]
    MOBILENET_INTEROP=OUT cargo test -p mobilenet-formats --all-features --test interop -- --nocapture

One folder a network, OUT/KIND/NAME: `frames.rgba` and `expected.json` (side, probabilities by Keras), and a folder for each
format. Weights are random; batch norm's statistics are those of the frames, so that no layer is dead. What a converter
refuses by itself is written to OUT/refused.txt. INTEROP_FORMATS=h5,tflite writes these formats
alone, INTEROP_NAMES=gelu,deep these networks.
"""

import functools
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import traceback
import types
import zlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

import keras  # noqa: E402
from keras import layers  # noqa: E402

# What the converter of TF.js imports and does not need here.
for name in ["tensorflow_decision_forests", "tensorflow_hub", "jax", "jax.experimental", "jax.experimental.jax2tf"]:
    sys.modules.setdefault(name, types.ModuleType(name))

CLASSES = 5
FRAMES = 3


def frames(side, seed):
    """Smooth patches of color with some noise, as bytes."""
    random = np.random.default_rng(seed)
    coarse = random.uniform(0, 255, (FRAMES, 6, 6, 3)).astype(np.float32)
    smooth = tf.image.resize(coarse, (side, side)).numpy()
    return np.clip(smooth + random.normal(0, 12, smooth.shape), 0, 255).astype(np.uint8)


def base(side, alpha, **more):
    return keras.applications.MobileNet(
        input_shape=(side, side, 3), alpha=alpha, include_top=False, weights=None, **more
    )


def settle(model, pictures, normalized):
    """Gives every batch norm the statistics of the pictures."""
    random = np.random.default_rng(1)
    norms = []

    def visit(model):
        for layer in model.layers:
            if hasattr(layer, "layers"):
                visit(layer)
            elif isinstance(layer, layers.BatchNormalization):
                norms.append(layer)

    visit(model)
    for norm in norms:
        norm.momentum = 0.0
        weights = norm.get_weights()
        if norm.scale and norm.center:
            weights[0] = random.uniform(0.8, 2.0, weights[0].shape)
            weights[1] = random.uniform(-0.2, 1.0, weights[1].shape)
            norm.set_weights(weights)
    for _ in range(len(norms) // 8 + 2):
        model(normalized(pictures), training=True)
    for norm in norms:
        norm.momentum = 0.99


def classes(x, activation="softmax", units=CLASSES):
    x = layers.GlobalAveragePooling2D()(x)
    return layers.Dense(units, activation=activation, kernel_initializer=keras.initializers.VarianceScaling(4.0))(x)


def plain(side=96, alpha=0.25):
    inside = base(side, alpha)
    return keras.Model(inside.input, classes(inside.output))


def with_head(build):
    inside = base(96, 0.25)
    return keras.Model(inside.input, build(inside.output))


def with_front(build, dtype="float32"):
    taken = keras.Input((96, 96, 3), dtype=dtype)
    return keras.Model(taken, classes(base(96, 0.25)(build(taken))))


def wide(units, activation=None, **more):
    initializer = keras.initializers.VarianceScaling(4.0)
    return layers.Dense(units, activation=activation, kernel_initializer=initializer, **more)


def heads():
    pool = layers.GlobalAveragePooling2D

    def chain(*steps):
        def build(x):
            for step in steps:
                x = step(x)
            return x

        return build

    last = lambda activation="softmax", units=CLASSES: wide(units, activation)  # noqa: E731
    return {
        "dense": chain(pool(), last()),
        "dense-no-bias": chain(pool(), wide(CLASSES, "softmax", use_bias=False)),
        "hidden-relu-dropout": chain(pool(), wide(32, "relu"), layers.Dropout(0.5), last()),
        "two-hidden": chain(pool(), wide(32, "relu"), wide(16, "tanh"), last()),
        "batch-norm": chain(pool(), layers.BatchNormalization(), wide(32), layers.BatchNormalization(), layers.ReLU(), last()),
        "swish": chain(pool(), wide(24, "swish"), last()),
        "gelu": chain(pool(), wide(24, "gelu"), last()),
        "elu-leaky": chain(pool(), wide(24, "elu"), wide(24), layers.LeakyReLU(), last()),
        "sigmoids": chain(pool(), last("sigmoid")),
        "logits": chain(pool(), last(None)),
        "one-sigmoid": chain(pool(), last("sigmoid", 1)),
        "one-logit": chain(pool(), last(None, 1)),
        "conv-preds": chain(pool(keepdims=True), layers.Dropout(0.1), layers.Conv2D(CLASSES, 1), layers.Reshape((CLASSES,)), layers.Softmax()),
        "average-pool": chain(layers.AveragePooling2D(3), layers.Flatten(), wide(20, "relu6"), last()),
    }


def fronts():
    def augment(x):
        x = layers.RandomFlip("horizontal")(x)
        x = layers.RandomRotation(0.2)(x)
        x = layers.RandomZoom(0.1)(x)
        x = layers.RandomContrast(0.1)(x)
        x = layers.GaussianNoise(0.1)(x)
        return layers.Rescaling(1 / 127.5, offset=-1)(x)

    def adapted(x):
        return layers.Normalization(mean=[120.0, 115.0, 100.0], variance=[3000.0, 3500.0, 4000.0])(x)

    def normed(x):
        return layers.BatchNormalization()(x)

    return {
        "rescaling": (lambda x: layers.Rescaling(1 / 127.5, offset=-1)(x), "float32"),
        "two-rescalings": (lambda x: layers.Rescaling(2, offset=-1)(layers.Rescaling(1 / 255)(x)), "float32"),
        "unit-rescaling": (lambda x: layers.Rescaling(1 / 255)(x), "float32"),
        "preprocess-input": (lambda x: keras.applications.mobilenet.preprocess_input(x), "float32"),
        "subtract-then-divide": (lambda x: (x - 127.5) / 127.5, "float32"),
        "divide-subtract-multiply": (lambda x: (x / 255.0 - 0.5) * 2.0, "float32"),
        "per-channel": (lambda x: (x - np.array([123.7, 116.8, 103.9], "float32")) / np.array([58.4, 57.1, 57.4], "float32"), "float32"),
        "normalization": (adapted, "float32"),
        "batch-norm": (normed, "float32"),
        "augmentation": (augment, "float32"),
        "resizing": (lambda x: layers.Rescaling(1 / 127.5, offset=-1)(layers.Resizing(96, 96)(x)), "float32"),
        "bytes": (lambda x: keras.ops.cast(x, "float32") / 127.5 - 1.0, "uint8"),
    }


def nestings():
    scaled = lambda: layers.Rescaling(1 / 127.5, offset=-1)  # noqa: E731

    def sequential():
        return keras.Sequential([keras.Input((96, 96, 3)), base(96, 0.25), layers.GlobalAveragePooling2D(), wide(CLASSES, "softmax")])

    def deep():
        inner = keras.Sequential([keras.Input((96, 96, 3)), scaled(), base(96, 0.25)], name="inner")
        taken = keras.Input((96, 96, 3))
        middle = keras.Model(taken, layers.GlobalAveragePooling2D()(inner(taken)), name="middle")
        return keras.Sequential([keras.Input((96, 96, 3)), middle, layers.Dropout(0.2), wide(CLASSES, "softmax")])

    def head_inside():
        head = keras.Sequential([keras.Input((256,)), wide(16, "relu"), layers.Dropout(0.2), wide(CLASSES)], name="head")
        inside = base(96, 0.25, pooling="avg")
        return keras.Model(inside.input, layers.Softmax()(head(inside.output)))

    def augmented():
        augmentation = keras.Sequential([keras.Input((96, 96, 3)), layers.RandomFlip(), layers.RandomBrightness(0.1)], name="augmentation")
        taken = keras.Input((96, 96, 3))
        return keras.Model(taken, classes(base(96, 0.25)(scaled()(augmentation(taken)))))

    def functional():
        taken = keras.Input((96, 96, 3))
        return keras.Model(taken, classes(base(96, 0.25)(taken)))

    return {"sequential": sequential, "deep": deep, "head-inside": head_inside, "augmented": augmented, "functional": functional}


def save_tflite(model, folder):
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    write(folder, "model.tflite", converter.convert())


def save_onnx(model, folder):
    with tempfile.TemporaryDirectory() as saved:
        model.export(saved, verbose=False)
        command = [sys.executable, "-m", "tf2onnx.convert", "--saved-model", saved, "--opset", "13"]
        os.makedirs(folder, exist_ok=True)
        subprocess.run(command + ["--output", f"{folder}/model.onnx"], check=True, capture_output=True)


def save_tfjs_graph(model, folder):
    from tensorflowjs.converters import tf_saved_model_conversion_v2 as conversion

    with tempfile.TemporaryDirectory() as saved:
        model.export(saved, verbose=False)
        os.makedirs(folder, exist_ok=True)
        conversion.convert_tf_saved_model(saved, folder)


def save_tfjs_layers(model, folder):
    """As `tensorflowjs.converters.save_keras_model` does: the model's JSON, and its weights by name."""
    weights, data = [], b""

    def visit(model):
        nonlocal data
        for layer in model.layers:
            if hasattr(layer, "layers"):
                visit(layer)
                continue
            for variable in layer.variables:
                value = np.asarray(variable)
                if value.dtype != np.float32:
                    continue
                weights.append({"name": f"{layer.name}/{variable.name}", "shape": list(value.shape), "dtype": "float32"})
                data += value.tobytes()

    visit(model)
    topology = {"keras_version": keras.__version__, "backend": "tensorflow", "model_config": json.loads(model.to_json())}
    manifest = [{"paths": ["group1-shard1of1.bin"], "weights": weights}]
    document = {"format": "layers-model", "modelTopology": topology, "weightsManifest": manifest}
    write(folder, "model.json", json.dumps(document).encode())
    write(folder, "group1-shard1of1.bin", data)


def save_keras(name):
    def save(model, folder):
        os.makedirs(folder, exist_ok=True)
        if name.endswith("weights.h5"):
            model.save_weights(f"{folder}/{name}")
        else:
            model.save(f"{folder}/{name}")

    return save


# Networks of which weights alone say too little: what stands in front, and functions in the head.
NOT_IN_WEIGHTS = [
    "fronts/unit-rescaling",
    "fronts/per-channel",
    "fronts/normalization",
    "fronts/batch-norm",
    "heads/two-hidden",
    "heads/batch-norm",
    "heads/swish",
    "heads/gelu",
    "heads/elu-leaky",
    "heads/sigmoids",
]

FORMATS = {
    "h5": save_keras("model.h5"),
    "keras": save_keras("model.keras"),
    "weights": save_keras("model.weights.h5"),
    "tfjs-layers": save_tfjs_layers,
    "tflite": save_tflite,
    "onnx": save_onnx,
    "tfjs-graph": save_tfjs_graph,
}


def write(folder, name, data):
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/{name}", "wb") as file:
        file.write(data)


def probabilities(model, inputs, logits):
    """What the network means: two classes of one output, a softmax of logits."""
    values = np.asarray(model(inputs, training=False), dtype=np.float64)
    if values.shape[1] == 1:
        values = 1 / (1 + np.exp(-values)) if logits else values
        return np.concatenate([1 - values, values], axis=1)
    if logits:
        values = np.exp(values - values.max(axis=1, keepdims=True))
        values /= values.sum(axis=1, keepdims=True)
    return values


def network(out, kind, name, build, side, front=False, logits=False, bytes_in=False, formats=FORMATS):
    folder = f"{out}/{kind}/{name}"
    chosen = os.environ.get("INTEROP_FORMATS", "").split(",")
    names = os.environ.get("INTEROP_NAMES", "").split(",")
    if names != [""] and name not in names:
        return
    formats = {format: save for format, save in formats.items() if chosen == [""] or format in chosen}
    if f"{kind}/{name}" in NOT_IN_WEIGHTS:
        formats.pop("weights", None)
    if all(os.path.exists(f"{folder}/{format}") for format in formats):
        return
    # The same weights whenever the network is made.
    keras.backend.clear_session()
    keras.utils.set_random_seed(zlib.crc32(f"{kind}/{name}".encode()))
    model = build()
    pictures = frames(side, len(name))

    def inputs(pictures):
        if bytes_in:
            return pictures
        return pictures.astype(np.float32) if front else pictures.astype(np.float32) / np.float32(127.5) - 1

    settle(model, pictures, inputs)
    expected = probabilities(model, inputs(pictures), logits)
    rgba = np.concatenate([pictures, np.full(pictures.shape[:3] + (1,), 255, np.uint8)], axis=3)
    write(folder, "frames.rgba", rgba.tobytes())
    document = {"side": side, "frames": FRAMES, "probabilities": expected.tolist()}
    write(folder, "expected.json", json.dumps(document).encode())
    for format, save in formats.items():
        if os.path.exists(f"{folder}/{format}"):
            continue
        try:
            save(model, f"{folder}/{format}")
        except Exception as error:  # noqa: BLE001
            shutil.rmtree(f"{folder}/{format}", ignore_errors=True)
            with open(f"{out}/refused.txt", "a") as file:
                file.write(f"{kind}/{name}/{format}: {traceback.format_exception_only(error)[-1].strip()[:300]}\n")
    write(folder, "done", b"")
    print(kind, name, np.round(expected[0], 3).tolist(), flush=True)


def safetensors(tensors):
    """The file of named float arrays."""
    header, data = {}, b""
    for name, value in tensors.items():
        value = np.ascontiguousarray(value, np.float32)
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [len(data), len(data) + value.nbytes]}
        data += value.tobytes()
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


PREFIXES = [
    "module.",
    "_orig_mod.",
    "model.",
    "backbone.",
    "ema.",
    "net.",
    "mobilenet_0.25_224/",
    "module.model.",
    "state_dict.module._orig_mod.backbone.",
    "model/net/mobilenet_0.25_224/",
]


def prefixed(prefix):
    def save(model, folder):
        tensors = {}
        for layer in model.layers:
            for variable in layer.variables:
                dense = isinstance(layer, layers.Dense)
                tensors[("" if dense else prefix) + f"{layer.name}/{variable.name}"] = np.asarray(variable)
        write(folder, "model.safetensors", safetensors(tensors))

    return save


def main():
    out, kinds = sys.argv[1], sys.argv[2:]
    wanted = lambda kind: not kinds or kind in kinds  # noqa: E731
    os.makedirs(out, exist_ok=True)
    if wanted("prefixes"):
        for index, prefix in enumerate(PREFIXES):
            network(out, "prefixes", f"prefix-{index}", plain, 96, formats={"safetensors": prefixed(prefix)})
    if wanted("nestings"):
        for name, build in nestings().items():
            network(out, "nestings", name, build, 96, front=name in ("deep", "augmented"))
    if wanted("fronts"):
        for name, (build, dtype) in fronts().items():
            make = functools.partial(with_front, build, dtype)
            network(out, "fronts", name, make, 96, front=True, bytes_in=dtype == "uint8")
    if wanted("heads"):
        for name in heads():
            network(out, "heads", name, lambda: with_head(heads()[name]), 96, logits="logit" in name)
    if wanted("sizes"):
        for side in [112, 150, 180, 200, 240, 299, 300, 224]:
            for alpha in [0.1, 0.25, 0.5]:
                network(out, "sizes", f"{side}-{alpha}", functools.partial(plain, side, alpha), side)


main()
