import { fail, reason, tagOf } from "./error.js";
import { Download, type DownloadLimits } from "./fetch.js";
import type { ErrorCode, FetchOptions } from "./simd128/mobilenet.js";

/** Class names as they were given, or those behind the address of a text file (one a line) or a JSON array. */
export async function readLabels(labels: unknown, options: FetchOptions & DownloadLimits): Promise<unknown> {
  if (typeof labels !== "string" && tagOf(labels) !== "URL") return labels;
  const refuse = (code: ErrorCode, problem: string, thrown?: unknown): never =>
    fail(code, `labels: ${labels} ${problem}`, thrown);
  const { bytes } = await new Download(options, {}, "labels").fetch(labels as string | URL);
  const text = new TextDecoder().decode(bytes);
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
