import { fail, reason, tagOf } from "./error.js";
import { readFile } from "./fetch.js";
import type { ErrorCode } from "./simd128/mobilenet.js";

/** Class names as they were given, or those behind the address of a text file (one a line) or a JSON array. */
export async function readLabels(labels: unknown, signal: AbortSignal | undefined): Promise<unknown> {
  if (typeof labels !== "string" && tagOf(labels) !== "URL") return labels;
  const refuse = (code: ErrorCode, problem: string, thrown?: unknown): never => {
    signal?.throwIfAborted();
    return fail(code, `labels: ${labels} ${problem}`, thrown);
  };
  const lost = (thrown: unknown) =>
    refuse("network", `could not be fetched (${reason(thrown)}); check the address`, thrown);
  const file = await readFile(labels).catch(lost);
  let text = "";
  if (file) text = new TextDecoder().decode(file);
  else {
    const response = await fetch(labels as string | URL, { signal }).catch(lost);
    if (!response.ok) refuse("network", `answered ${response.status}; check the address`);
    text = await response.text().catch(lost);
  }
  const [first] = text.trimStart();
  if (first === "<") refuse("unsupported-format", "is a web page, not a list of labels; check the address");
  if (first !== "[") return text.trimEnd().split(/\r?\n/);
  try {
    return JSON.parse(text);
  } catch (thrown) {
    return refuse(
      "corrupt-file",
      `is not a JSON array (${reason(thrown)}); give a text file with a name a line`,
      thrown,
    );
  }
}
