// Runs programs for the other scripts, in the environment of a user's shell.
import { spawn, spawnSync } from "node:child_process";
import { realpathSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's root folder. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Where `cargo install` puts programs. */
export const cargoBin = join(process.env.CARGO_HOME ?? join(homedir(), ".cargo"), "bin");

// npm adds its programs to PATH, and settings: without them, what is found here is found in a user's shell too.
const folders = (process.env.PATH ?? "").split(delimiter).filter((folder) => !/node_modules|node-gyp-bin/.test(folder));
process.env.PATH = [...new Set([...folders, cargoBin])].join(delimiter);
for (const name of Object.keys(process.env)) if (name.startsWith("npm_")) delete process.env[name];

/** A failure that is reported in one sentence, without a stack. */
export class Failure extends Error {}

/** The path of a program that npm installed here. */
export const local = (name) => join(root, "node_modules", ".bin", name);

/** When a file was last modified, in milliseconds; 0 if it does not exist. */
export const modified = (file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** "4 s", "3 min 05 s". */
export function duration(milliseconds) {
  const seconds = Math.round(milliseconds / 1000);
  return seconds < 90 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, "0")} s`;
}

/** What a program prints, or null if it fails or does not exist. */
export function ask(program, args, input = "") {
  const { status, stdout } = spawnSync(program, args, { cwd: root, encoding: "utf8", input, maxBuffer: 1 << 28 });
  return status === 0 ? stdout.trim() : null;
}

/** Whether a program is installed and starts. */
export const works = (program) => ask(program, ["--version"]) !== null;

/** Runs a command and passes its output on; resolves to the output, or throws a `Failure` with it as `printed`. */
export function run(program, args, { env = {}, cwd = root, timeout = 0 } = {}) {
  const command = [...Object.entries(env).map((setting) => setting.join("=")), program, ...args].join(" ");
  console.log(`$ ${command}`);
  return new Promise((resolve, reject) => {
    const options = { cwd, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"], timeout };
    const child = spawn(program, args, options);
    let printed = "";
    for (const name of ["stdout", "stderr"]) {
      child[name].setEncoding("utf8").on("data", (text) => {
        printed += text;
        process[name].write(text);
      });
    }
    child.on("error", ({ message }) => reject(new Failure(`\`${command}\` could not be started: ${message}`)));
    child.on("close", (code, signal) => {
      if (code === 0) return resolve(printed);
      reject(Object.assign(new Failure(`\`${command}\` ended with ${signal ?? `exit code ${code}`}`), { printed }));
    });
  });
}

/** Runs `body` with the arguments if `meta` is the script that was started. */
export async function main(meta, body) {
  if (!process.argv[1] || realpathSync(process.argv[1]) !== fileURLToPath(meta.url)) return;
  try {
    await body(process.argv.slice(2));
  } catch (error) {
    console.error(`\n${error instanceof Failure ? error.message : error.stack}`);
    process.exitCode = 1;
  }
}
