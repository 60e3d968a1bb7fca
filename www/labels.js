// Names of the classes: a text or JSON file goes in, an array in the network's order comes out.

/**
 * Reads one name a line, or JSON: an array, `{"0": "tench", …}`, or Keras' `{"0": ["n01440764", "tench"], …}`.
 * Lines like `0 tench` or `0,tench` lose their number when every line has its own in order.
 */
export function parseLabels(text, fileName = "labels") {
  const trimmed = text.replace(/^\uFEFF/, "").trim();
  if (!trimmed) throw new Error(`“${fileName}” holds no names.`);
  if (/^[[{]/.test(trimmed)) return fromJson(trimmed, fileName);
  if (/^<(!doctype|html)/i.test(trimmed)) throw new Error(`“${fileName}” is a web page, not a list of names.`);
  const lines = trimmed.split(/\r?\n/).map((line) => line.trim());
  const numbered = lines.map((line) => /^(\d+)\s*[:,;\t ]\s*(.+)$/.exec(line));
  if (lines.length > 1 && numbered.every((match, index) => match && Number(match[1]) === index)) {
    return numbered.map((match) => match[2].trim());
  }
  return lines;
}

function fromJson(text, fileName) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`“${fileName}” begins like JSON and is not: ${error.message}.`);
  }
  const list = Array.isArray(value) ? value : Object.keys(value).map((_, index) => value[index]);
  const names = list.map((entry) => (Array.isArray(entry) ? entry[entry.length - 1] : entry));
  if (!names.length || names.some((name) => typeof name !== "string")) {
    throw new Error(`“${fileName}” must hold an array of names, or an object with keys "0", "1", ….`);
  }
  return names;
}

/**
 * Fits names to a network of `classes`, the first of which is nothing where it has a `background`: lists of ImageNet come
 * with a line for that in front or without. Returns null where they do not fit.
 */
export function fitLabels(names, { classes, background }) {
  if (names.length === classes) return names;
  if (names.length === classes + 1 && /^(background|dummy|unused|none)/i.test(names[0])) return names.slice(1);
  if (background && names.length + 1 === classes) return ["background", ...names];
  return null;
}

/** `"tench, Tinca tinca"` → `["tench", "Tinca tinca"]`: the usual name, and the others. */
export function splitName(name) {
  const comma = name.indexOf(",");
  if (comma < 1) return [name.replaceAll("_", " "), ""];
  return [name.slice(0, comma).trim(), name.slice(comma + 1).trim()];
}
