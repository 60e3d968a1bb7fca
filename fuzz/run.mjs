// Fuzzes every reader of foreign bytes for a while each.
//
//   npm run fuzz                           every target, 60 seconds each
//   npm run fuzz -- --seconds 600 tflite   one target, longer
//
// A crash leaves its input in fuzz/artifacts/ and ends the run with the command that repeats it.
import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { count, options } from "../benches/options.mjs";
import { ask, Failure, main, root, run } from "../scripts/lib.mjs";

await main(import.meta, async (args) => {
  const flags = { seconds: { type: "string", default: "60" } };
  const { values, positionals } = options("fuzz", { args, allowPositionals: true, options: flags });
  const seconds = count("fuzz", "seconds", values.seconds);
  const targets = readdirSync(join(root, "fuzz/fuzz_targets")).map((file) => basename(file, ".rs"));
  const unknown = positionals.find((name) => !targets.includes(name));
  if (unknown) throw new Failure(`fuzz: targets are ${targets.join(", ")}, got ${unknown}`);

  await run("cargo", ["test", "--quiet", "--package", "mobilenet-formats", "--test", "seeds", "--", "--ignored"]);
  // libFuzzer's instrumentation is unstable; RUSTC_BOOTSTRAP lets a stable compiler do it. Without a --target, cargo-fuzz
  // takes the one that it was built for (musl, in its releases), whose standard library may be missing.
  const target = ["--target", ask("rustc", ["--print", "host-tuple"])];
  const limits = [`-max_total_time=${seconds}`, "-max_len=65536", "-timeout=20"];
  for (const name of positionals.length ? positionals : targets) {
    await run("cargo", ["fuzz", "run", ...target, name, "--", ...limits], { env: { RUSTC_BOOTSTRAP: "1" } });
  }
  console.log("fuzz: nothing found");
});
