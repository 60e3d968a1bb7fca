// Running programs: in goes a command, out come its words or a sentence that says how it failed.
// Every other script builds on these few functions; nothing here knows what the project is.
import { spawn, spawnSync } from "node:child_process";
import { accessSync, constants, realpathSync, statSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

/** The repository's root folder. */
export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** What went wrong, in a sentence for the user: printed without a stack. */
export class Failure extends Error {}

/** Prints a line at once (standard output is a pipe in CI, where lines must not be lost). */
export function say(line = "") {
  process.stdout.write(`${line}\n`);
}

/** "0.4 s", "12 s", "3 min 05 s". */
export function duration(milliseconds) {
  const seconds = milliseconds / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
}

/** The path of `program` as a shell would find it, or null. A dangling link counts as absent. */
export function which(program, path = process.env.PATH ?? "") {
  const names = process.platform === "win32" ? [`${program}.exe`, `${program}.cmd`, program] : [program];
  for (const folder of path.split(delimiter)) {
    for (const name of names) {
      const file = join(folder, name);
      try {
        accessSync(file, constants.X_OK);
        if (statSync(file).isFile()) return file;
      } catch {
        // not here: look in the next folder
      }
    }
  }
  return null;
}

/** What a quick question to a program printed, or null where it failed or does not exist. */
export function ask(program, args = [], { env, timeout = 60_000, cwd = root, input } = {}) {
  const asked = spawnSync(program, args, {
    cwd,
    encoding: "utf8",
    env: { ...process.env, ...env },
    input: input ?? "",
    timeout,
    maxBuffer: 64 << 20,
  });
  return asked.status === 0 ? asked.stdout.trim() : null;
}

/** A command as a user would type it; PATH is only lengthened here, so it is left out. */
export function commandLine(program, args, env = {}) {
  const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
  const settings = Object.entries(env)
    .filter(([name]) => name !== "PATH")
    .map(([name, value]) => `${name}=${quoted(String(value))}`);
  return [...settings, program, ...args.map(quoted)].join(" ");
}

/**
 * Runs a command with its output passed through, and resolves when it has succeeded.
 * Otherwise throws a `Failure` that names the command. `capture` keeps a copy of what it printed
 * and resolves to it; `quiet` prints only if it fails; `timeout` (milliseconds) ends it.
 */
export function run(program, args = [], { env = {}, cwd = root, quiet = false, capture = false, timeout = 0 } = {}) {
  return new Promise((resolve, reject) => {
    const keep = quiet || capture;
    const child = spawn(program, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ["ignore", keep ? "pipe" : "inherit", keep ? "pipe" : "inherit"],
    });
    let printed = "";
    const listen = (stream, out) => {
      stream?.setEncoding("utf8");
      stream?.on("data", (text) => {
        printed += text;
        if (!quiet) out.write(text);
      });
    };
    listen(child.stdout, process.stdout);
    listen(child.stderr, process.stderr);
    const timer = timeout ? setTimeout(() => child.kill(), timeout) : null;
    const fail = (reason) => {
      if (timer) clearTimeout(timer);
      if (quiet && printed) process.stderr.write(printed);
      const failure = new Failure(`\`${commandLine(program, args, env)}\` ${reason}.`);
      failure.printed = printed;
      reject(failure);
    };
    child.on("error", (error) => fail(`could not be started (${error.message})`));
    child.on("close", (code, signal) => {
      if (code !== 0) return fail(signal ? `was ended by ${signal}` : `failed with exit code ${code}`);
      if (timer) clearTimeout(timer);
      resolve(printed);
    });
  });
}

/** `parseArgs` of node:util, whose complaint (an unknown option, one without its value) is a sentence of `script`. */
export function options(script, settings) {
  try {
    return parseArgs(settings);
  } catch (error) {
    throw new Failure(`${script}: ${error.message.split(/\. |\.?\n/)[0]}.`);
  }
}

/** A value of `--option` as a number from `least` up, whole if `whole`. */
export function count(script, option, value, { least = 1, whole = true } = {}) {
  const number = Number(value);
  if (value.trim() !== "" && number >= least && Number.isFinite(number) && (!whole || Number.isInteger(number))) return number;
  throw new Failure(`${script}: --${option} must be a ${whole ? "whole " : ""}number from ${least} up, not "${value}".`);
}

/** Runs a script's main function; a `Failure` is printed as its sentence, anything else with its stack. */
export async function main(meta, body) {
  // The script may be called through a link.
  if (!process.argv[1] || realpathSync(process.argv[1]) !== fileURLToPath(meta.url)) return;
  try {
    await body(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`\n${error instanceof Failure ? error.message : error.stack}\n`);
    process.exitCode = 1;
  }
}
