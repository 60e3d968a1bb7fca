// Modules of the page that need no browser: labels, kinds of files, medians, the cost of full convolutions.
import { expect, test } from "@playwright/test";
import { fitLabels, parseLabels, splitName } from "../../www/labels.js";
import { asFullConvolutions } from "../../www/layers-panel.js";
import { kindOf } from "../../www/picture.js";
import { median, milliseconds } from "../../www/times.js";

test("labels: one a line, numbered, JSON, Keras' JSON", () => {
  expect(parseLabels("tench, Tinca tinca\r\ngoldfish\n")).toEqual(["tench, Tinca tinca", "goldfish"]);
  expect(parseLabels("\uFEFF0 tench\n1 goldfish")).toEqual(["tench", "goldfish"]);
  expect(parseLabels("0:tench\n1:goldfish")).toEqual(["tench", "goldfish"]);
  // Numbers that do not count up are part of the name.
  expect(parseLabels("7 up\n1 goldfish")).toEqual(["7 up", "1 goldfish"]);
  expect(parseLabels('["tench", "goldfish"]')).toEqual(["tench", "goldfish"]);
  expect(parseLabels('{"1": "goldfish", "0": "tench"}')).toEqual(["tench", "goldfish"]);
  const keras = '{"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"]}';
  expect(parseLabels(keras)).toEqual(["tench", "goldfish"]);
});

test("labels: a file that holds none is refused with its name", () => {
  expect(() => parseLabels(" \n", "a.txt")).toThrow(/^“a\.txt” holds no names\.$/);
  expect(() => parseLabels("<!DOCTYPE html>", "a.txt")).toThrow(/“a\.txt” is a web page/);
  expect(() => parseLabels('["tench"', "a.json")).toThrow(/“a\.json” begins like JSON and is not/);
  expect(() => parseLabels("[1, 2]", "a.json")).toThrow(/“a\.json” must hold an array of names/);
  expect(() => parseLabels('{"a": "tench"}', "a.json")).toThrow(/“a\.json” must hold an array of names/);
});

test("labels fit with and without a background line, and otherwise not", () => {
  const names = ["tench", "goldfish"];
  const network = (classes, background = false) => ({ classes, background });
  expect(fitLabels(names, network(2))).toBe(names);
  expect(fitLabels(["background", ...names], network(2))).toEqual(names);
  expect(fitLabels(names, network(3, true))).toEqual(["background", ...names]);
  expect(fitLabels(names, network(3)), "a list one short names every class wrongly").toBe(null);
  expect(fitLabels(["other", ...names], network(2)), "an extra line that is no background").toBe(null);
  expect(fitLabels(names, network(5))).toBe(null);
});

test("the usual name and the others", () => {
  const shark = "great white shark, white shark, man-eater";
  expect(splitName(shark)).toEqual(["great white shark", "white shark, man-eater"]);
  expect(splitName("sports_car")).toEqual(["sports car", ""]);
  expect(splitName(", odd")).toEqual([", odd", ""]);
});

test("the kind of a file", () => {
  const kind = (name, type = "") => kindOf({ name, type });
  expect(kind("x.png", "image/png")).toBe("picture");
  expect(kind("X.JPG")).toBe("picture");
  expect(kind("imagenet_labels_1001.txt", "text/plain")).toBe("labels");
  expect(kind("imagenet_class_index.json", "application/json")).toBe("labels");
  expect(kind("model.json", "application/json")).toBe("network");
  expect(kind("mobilenet.safetensors")).toBe("network");
  expect(kind("a.tflite", "application/octet-stream")).toBe("network");
});

test("medians and milliseconds", () => {
  expect(median([])).toBe(0);
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(milliseconds(0.44)).toBe("0.4 ms");
  expect(milliseconds(9.96)).toBe("10 ms");
});

test("full convolutions cost nine times the pointwise ones, and contain the depthwise ones", () => {
  const layers = [
    { kind: "stem", multAdds: 5 },
    { kind: "depthwise", multAdds: 9 * 4 },
    { kind: "pointwise", multAdds: 4 * 8 },
    { kind: "classifier", multAdds: 3 },
  ];
  expect(asFullConvolutions(layers)).toBe(5 + 9 * 4 * 8 + 3);
});
