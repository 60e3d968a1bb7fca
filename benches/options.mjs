// Command-line options of the benchmarks: a wrong one is reported in one sentence.
import { parseArgs } from "node:util";
import { Failure } from "../scripts/lib.mjs";

/** `parseArgs` of node:util; `script` is the name in the report. */
export function options(script, settings) {
  try {
    return parseArgs(settings);
  } catch (error) {
    throw new Failure(`${script}: ${error.message.split(/\. |\.?\n/)[0]}`);
  }
}

/** A value of `--option` as a number that is at least `least`, whole if `whole`. */
export function count(script, option, value, { least = 1, whole = true } = {}) {
  const number = Number(value);
  const valid =
    value.trim() !== "" && number >= least && Number.isFinite(number) && (!whole || Number.isInteger(number));
  if (valid) return number;
  throw new Failure(
    `${script}: --${option}: must be a ${whole ? "whole " : ""}number of at least ${least}, got "${value}"`,
  );
}
