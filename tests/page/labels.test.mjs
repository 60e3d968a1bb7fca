// The page's parts that need no browser: names of classes, kinds of files, medians, the paper's saving.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fitLabels, parseLabels, splitName } from "../../www/labels.js";
import { kindOf } from "../../www/picture.js";
import { median, milliseconds } from "../../www/times.js";
import { asFullConvolutions } from "../../www/layers-panel.js";

test("names: a line each, numbered, JSON, Keras' JSON", () => {
  assert.deepEqual(parseLabels("tench, Tinca tinca\r\ngoldfish\n"), ["tench, Tinca tinca", "goldfish"]);
  assert.deepEqual(parseLabels("\uFEFF0 tench\n1 goldfish"), ["tench", "goldfish"]);
  assert.deepEqual(parseLabels("0:tench\n1:goldfish"), ["tench", "goldfish"]);
  assert.deepEqual(parseLabels("7 up\n1 goldfish"), ["7 up", "1 goldfish"], "numbers that do not count are part of the name");
  assert.deepEqual(parseLabels('["tench", "goldfish"]'), ["tench", "goldfish"]);
  assert.deepEqual(parseLabels('{"1": "goldfish", "0": "tench"}'), ["tench", "goldfish"]);
  assert.deepEqual(parseLabels('{"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"]}'), ["tench", "goldfish"]);
});

test("names: what is none is a sentence with the file's name", () => {
  assert.throws(() => parseLabels(" \n", "a.txt"), /^Error: “a\.txt” holds no names\.$/);
  assert.throws(() => parseLabels("<!DOCTYPE html>", "a.txt"), /“a\.txt” is a web page/);
  assert.throws(() => parseLabels('["tench"', "a.json"), /“a\.json” begins like JSON and is not/);
  assert.throws(() => parseLabels("[1, 2]", "a.json"), /“a\.json” must hold an array of names/);
  assert.throws(() => parseLabels('{"a": "tench"}', "a.json"), /“a\.json” must hold an array of names/);
});

test("names fit with and without a background line, and otherwise not", () => {
  const names = ["tench", "goldfish"];
  const network = (classes, background = false) => ({ classes, background });
  assert.equal(fitLabels(names, network(2)), names);
  assert.deepEqual(fitLabels(["background", ...names], network(2)), names);
  assert.deepEqual(fitLabels(names, network(3, true)), ["background", ...names]);
  assert.equal(fitLabels(names, network(3)), null, "a list one short names every class wrongly");
  assert.equal(fitLabels(["other", ...names], network(2)), null, "an extra line that is no background fits nothing");
  assert.equal(fitLabels(names, network(5)), null);
});

test("the usual name and the others", () => {
  assert.deepEqual(splitName("great white shark, white shark, man-eater"), ["great white shark", "white shark, man-eater"]);
  assert.deepEqual(splitName("sports_car"), ["sports car", ""]);
  assert.deepEqual(splitName(", odd"), [", odd", ""]);
});

test("a file is known for what it is", () => {
  const kind = (name, type = "") => kindOf({ name, type });
  assert.equal(kind("x.png", "image/png"), "picture");
  assert.equal(kind("X.JPG"), "picture");
  assert.equal(kind("imagenet_labels_1001.txt", "text/plain"), "labels");
  assert.equal(kind("imagenet_class_index.json", "application/json"), "labels");
  assert.equal(kind("model.json", "application/json"), "network");
  assert.equal(kind("mobilenet.safetensors"), "network");
  assert.equal(kind("a.tflite", "application/octet-stream"), "network");
});

test("medians and milliseconds", () => {
  assert.equal(median([]), 0);
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  assert.equal(milliseconds(0.44), "0.4 ms");
  assert.equal(milliseconds(9.96), "10 ms");
});

test("full convolutions cost nine times the pointwise ones, and the depthwise ones are part of them", () => {
  const layers = [
    { kind: "stem", multAdds: 5 },
    { kind: "depthwise", multAdds: 9 * 4 },
    { kind: "pointwise", multAdds: 4 * 8 },
    { kind: "classifier", multAdds: 3 },
  ];
  assert.equal(asFullConvolutions(layers), 5 + 9 * 4 * 8 + 3);
});
