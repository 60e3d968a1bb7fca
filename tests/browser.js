// The browser that tests and benchmarks start: the one that is installed, never a download.
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

const PROGRAMS = ["google-chrome", "google-chrome-stable", "chromium", "chromium-browser", "chrome"];
const PLACES = [
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
  "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
];

function executable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function inPath(program) {
  const folders = (process.env.PATH ?? "").split(delimiter);
  return folders.map((folder) => join(folder, program)).find(executable);
}

/** The path of Chrome or Chromium: `CHROME` (a path or a program's name), else what is installed, else undefined. */
export function chrome() {
  const chosen = process.env.CHROME;
  if (chosen) return executable(chosen) ? chosen : inPath(chosen);
  return PROGRAMS.map(inPath).find(Boolean) ?? PLACES.find(executable);
}

/** Launch options for Playwright: no background requests, and no sandbox for root, who cannot have one. */
export function launchOptions(args = []) {
  const executablePath = chrome();
  if (!executablePath) throw new Error("no Chrome or Chromium found: install one, or set CHROME to its path");
  const quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"];
  const root = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  return { executablePath, headless: true, args: [...quiet, ...root, ...args] };
}
