// A worker in the same thread, and frames as a browser has them. Messages are cloned as in a browser.
import { AsyncLocalStorage } from "node:async_hooks";
import { vi } from "vitest";

/** The worker whose code runs: one of a test before may still be at work. */
const running = new AsyncLocalStorage<FakeWorker>();

export const workers: FakeWorker[] = [];
let count = 0;

export class FakeWorker {
  onmessage?: (event: { data: unknown }) => void;
  onerror?: (event: object) => void;
  terminated = false;
  posted: Record<string, unknown>[] = [];
  #side: Promise<(event: { data: unknown }) => void>;

  constructor(
    readonly url: URL,
    readonly options: object,
  ) {
    workers.push(this);
    vi.stubGlobal("postMessage", (data: unknown, { transfer = [] }: { transfer?: Transferable[] }) => {
      const cloned = structuredClone(data, { transfer });
      const worker = running.getStore();
      setTimeout(() => worker?.terminated || worker?.onmessage?.({ data: cloned }));
    });
    this.#side = new Promise((resolve) => {
      vi.stubGlobal("addEventListener", (_: string, listener: (event: { data: unknown }) => void) => resolve(listener));
    });
    // A fresh worker each time, with the same loader.
    import(/* @vite-ignore */ `../../pkg/src/worker.ts?${++count}`);
  }

  postMessage(data: Record<string, unknown>, transfer: Transferable[] = []): void {
    const cloned = structuredClone(data, { transfer: transfer.filter((one) => one instanceof ArrayBuffer) });
    this.posted.push(data);
    this.#side.then((listener) =>
      setTimeout(() => this.terminated || running.run(this, () => listener({ data: cloned }))),
    );
  }

  terminate(): void {
    this.terminated = true;
  }
}

/** An ImageBitmap, as far as it is of interest. */
export class FakeBitmap {
  static open = 0;
  data: Uint8Array;
  constructor(
    color: number,
    readonly secret?: () => void,
  ) {
    this.data = Uint8Array.of(color);
    if (!secret) Reflect.deleteProperty(this, "secret");
    FakeBitmap.open++;
  }
  close(): void {
    FakeBitmap.open--;
  }
}

export interface Canvas {
  color?: number;
  delay?: number;
  tag?: string;
  secret?: () => void;
  refusal?: Error;
  [key: string]: unknown;
}

/** A canvas, or another element. Takes `delay` milliseconds to become a bitmap. */
export const canvas = ({ tag = "HTMLCanvasElement", ...facts }: Canvas = {}) =>
  Object.defineProperty({ width: 4, height: 4, ...facts }, Symbol.toStringTag, { value: tag }) as never;

/** Puts both in the place of the browser's. */
export function stubBrowser(): void {
  workers.length = 0;
  FakeBitmap.open = 0;
  vi.stubGlobal("Worker", FakeWorker);
  vi.stubGlobal("createImageBitmap", async ({ color = 0, delay = 0, secret, refusal }: Canvas) => {
    await new Promise((resolve) => setTimeout(resolve, delay));
    if (refusal) throw refusal;
    return new FakeBitmap(color, secret);
  });
}

export const pixels = (...data: number[]) => ({ data: Uint8Array.from(data), width: 1, height: 1 });
