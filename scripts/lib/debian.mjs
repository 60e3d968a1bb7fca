// Debian's packages: installed with apt where we are root, or looked up and unpacked without
// touching the machine's own list of sources.
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ask, Failure, run, say, which } from "./shell.mjs";

/** Whether `installDebianPackages` can work: apt is here and we are root. */
export function canInstallDebianPackages() {
  return process.getuid?.() === 0 && which("apt-get") !== null && which("dpkg") !== null;
}

/** Installs packages with apt, after one `apt-get update` where apt does not know them yet. */
export async function installDebianPackages(names) {
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  const install = ["install", "--yes", "--no-install-recommends", ...names];
  try {
    await run("apt-get", install, { env, quiet: true });
  } catch {
    // An old list of packages names files that the mirror no longer has.
    say("  apt-get update");
    await run("apt-get", ["update"], { env, quiet: true });
    await run("apt-get", install, { env, quiet: true });
  }
}

/** The mirrors of Debian itself that this machine's apt uses: [{ address, key }]. */
function mirrors() {
  const format = "$(ORIGIN)|$(COMPONENT)|$(REPO_URI)|$(SIGNED_BY)";
  const lines = ask("apt-get", ["indextargets", "--format", format, "Created-By: Packages"])?.split("\n") ?? [];
  const found = new Map();
  for (const line of lines) {
    const [origin, component, address, key] = line.split("|");
    if (component !== "main" || !/\/debian\/?$/.test(address)) continue;
    if (origin !== "Debian" && !origin.startsWith("$(")) continue;
    found.set(address, key.startsWith("$(") ? "" : key);
  }
  return [...found].map(([address, key]) => ({ address, key }));
}

/** Debian's suites, those likeliest to hold a package of a recent upstream version first. */
const suites = ["stable-backports", "trixie-backports", "unstable", "testing", "forky", "stable", "trixie", "bookworm-backports"];

/**
 * Fetches the package `name` whose version starts with `upstream` from whichever of Debian's suites
 * has it, and unpacks it below a new temporary folder, whose path it returns. apt keeps its state in
 * that folder too, so the machine's own sources and lists stay as they are.
 */
export async function unpackDebianPackage(name, upstream) {
  const folder = mkdtempSync(join(tmpdir(), "debian-package-"));
  for (const sub of ["state/lists/partial", "cache/archives/partial", "parts", "unpacked"]) mkdirSync(join(folder, sub), { recursive: true });
  const sources = join(folder, "sources.list");
  const options = [
    `Dir::Etc::sourcelist=${sources}`,
    `Dir::Etc::sourceparts=${join(folder, "parts")}`,
    `Dir::State=${join(folder, "state")}`,
    `Dir::State::status=/var/lib/dpkg/status`,
    `Dir::Cache=${join(folder, "cache")}`,
    "Acquire::Languages=none",
    "APT::Sandbox::User=root",
    "APT::Update::Post-Invoke-Success::=true",
  ].flatMap((option) => ["-o", option]);

  for (const { address, key } of mirrors()) {
    for (const suite of suites) {
      writeFileSync(sources, `deb [${key ? `signed-by=${key}` : "arch-=none"}] ${address} ${suite} main\n`);
      if (ask("apt-get", [...options, "update"], { timeout: 180_000 }) === null) continue;
      const versions = ask("apt-cache", [...options, "madison", name])?.split("\n").map((line) => line.split("|")[1]?.trim()) ?? [];
      const version = versions.find((candidate) => candidate?.startsWith(`${upstream}+`) || candidate?.startsWith(`${upstream}-`));
      say(`  ${suite}: ${version ?? (versions.filter(Boolean).join(", ") || "no such package")}`);
      if (!version) continue;
      await run("apt-get", [...options, "download", `${name}=${version}`], { cwd: folder, quiet: true });
      const archive = readdirSync(folder).find((file) => file.endsWith(".deb"));
      await run("dpkg", ["-x", join(folder, archive), join(folder, "unpacked")], { quiet: true });
      return join(folder, "unpacked");
    }
  }
  rmSync(folder, { recursive: true, force: true });
  throw new Failure(`none of Debian's suites within reach has ${name} ${upstream}`);
}
