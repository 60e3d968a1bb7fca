// Calls the class of the built package with random arguments, in Node.
//
//   node tests/fuzz-class/run.mjs                          5,000 calls
//   node tests/fuzz-class/run.mjs --calls 20000 --seed 7   more, with other numbers
import { parseArgs } from "node:util";
import { load } from "../../pkg/index.js";
import { networkFile } from "../bundlers/network.mjs";
import { fuzzClass } from "./calls.js";

const { values } = parseArgs({
  options: { calls: { type: "string", default: "5000" }, seed: { type: "string", default: "1" } },
});
const weights = networkFile();
const result = await fuzzClass({
  load: () => load({ weights }),
  count: Number(values.calls),
  seed: Number(values.seed),
  onProblem: (kind, what, call) => console.error(kind, `call ${call}`, what),
});
console.log(result);
process.exitCode = result.traps + result.stuck + result.wrong + result.strange > 0 ? 1 : 0;
