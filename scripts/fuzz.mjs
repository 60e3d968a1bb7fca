// Fuzzes every reader of foreign bytes for a while each.
//
//   npm run fuzz                           every target, 60 seconds each
//   npm run fuzz -- --seconds 600 tflite   one target, longer
//
// A crash leaves its input in fuzz/artifacts/ and ends the run with the command that repeats it.
import { existsSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { ask, count, Failure, main, options, root, run, say } from "./lib/shell.mjs";
import { setup } from "./setup.mjs";

await main(import.meta, async (args) => {
  const { values, positionals } = options("fuzz", { args, allowPositionals: true, options: { seconds: { type: "string", default: "60" } } });
  const seconds = count("fuzz", "seconds", values.seconds);
  const folder = join(root, "fuzz", "fuzz_targets");
  const targets = existsSync(folder) ? readdirSync(folder).filter((file) => file.endsWith(".rs")).map((file) => basename(file, ".rs")) : [];
  if (!targets.length) throw new Failure("fuzz: there are no targets in fuzz/fuzz_targets.");
  const unknown = positionals.filter((name) => !targets.includes(name));
  if (unknown.length) throw new Failure(`fuzz: no target is called ${unknown.join(", ")}; there are ${targets.join(", ")}.`);

  await setup(["rust", "fuzz"]);
  // libFuzzer's instrumentation is unstable; the flag lets the ordinary compiler do it too. Without a --target,
  // cargo-fuzz takes its own (musl, where it was built so), whose standard library is not here.
  const host = ask("rustc", ["-vV"]).match(/^host: (.+)$/m)[1];
  const env = { RUSTC_BOOTSTRAP: "1" };
  await run("cargo", ["test", "--quiet", "--test", "seeds", "--", "--ignored"]);
  for (const target of positionals.length ? positionals : targets) {
    say(`fuzz: ${target} for ${seconds} s`);
    await run("cargo", ["fuzz", "run", "--target", host, target, "--", `-max_total_time=${seconds}`, "-max_len=65536", "-timeout=20"], { env });
  }
  say(`fuzz: nothing found`);
});
