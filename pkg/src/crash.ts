/**
 * Contains traps. A trap (`unreachable`, memory out of bounds) leaves a WebAssembly instance in an unknown state, so it is
 * replaced by a fresh one at once: its networks give an error with the code "crashed", and the next load works.
 */
import { fail, MobileNetError, reason } from "./error.js";

/** What the generated code keeps in each object: the instance that it belongs to. */
interface Owned {
  readonly __wbg_inst?: number;
}

// The engine's own error at the stack's end would leave a network in the middle of a call. V8 gives a thread 1 MB.
const stack: unknown[] = new Array(2 ** 13).fill(0);
const needStack: (...args: unknown[]) => void = () => {};

/** Watches over the calls into the module of one build. */
export class Guard {
  /** As the generated code counts them. */
  #instance = 0;
  #isBroken = false;
  /** What rejects the promises that the instance has not settled. */
  readonly #pending = new Set<(reason: unknown) => void>();
  readonly #reset: () => void;

  /** `reset` starts a fresh instance. */
  constructor(reset: () => void) {
    this.#reset = reset;
  }

  /** Calls into the module. */
  run<T>(call: () => T): T {
    if (this.#isBroken) this.#restart();
    needStack.apply(undefined, stack);
    const instance = this.#instance;
    try {
      const result = call();
      // The caller's code called back, and that call trapped.
      if (instance !== this.#instance) throw crashed();
      return result instanceof Promise ? (this.#watch(result) as T) : result;
    } catch (thrown) {
      if (instance !== this.#instance) throw thrown instanceof MobileNetError ? thrown : crashed(thrown);
      throw isTrap(thrown) ? this.#trapped(thrown) : thrown;
    }
  }

  /** Has all methods and properties of the class go through `run`. */
  protect(prototype: object): void {
    const guard = this;
    for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
      const { value, get } = property;
      const original = value ?? get;
      if (/^(constructor|free|__.*)$/.test(name) || typeof original !== "function") continue;
      property[get ? "get" : "value"] = function (this: Owned, ...args: unknown[]) {
        if ((this.__wbg_inst ?? guard.#instance) !== guard.#instance) {
          if (name === "dispose") return undefined;
          if (name === "disposed") return true;
          throw crashed();
        }
        return guard.run(() => original.apply(this, args));
      };
      Object.defineProperty(prototype, name, property);
    }
  }

  /** A promise of an instance that is gone would never be settled. */
  #watch<T>(promise: Promise<T>): Promise<T> {
    // A trap in a later step of training has no caller.
    const listen = (event: Event) => {
      const { error, reason } = event as Event & { error?: unknown; reason?: unknown };
      if (isTrap(error ?? reason)) this.#trapped(error ?? reason);
    };
    const events = ["error", "unhandledrejection"];
    for (const event of events) globalThis.addEventListener?.(event, listen);
    return new Promise<T>((resolve, reject) => {
      this.#pending.add(reject);
      promise.then(resolve, reject);
      promise.finally(() => this.#pending.delete(reject)).catch(() => {});
    }).finally(() => {
      for (const event of events) globalThis.removeEventListener?.(event, listen);
    });
  }

  /** Replaces the instance. Returns the error of its networks. */
  #trapped(thrown: unknown): MobileNetError {
    const error = crashed(thrown);
    try {
      this.#restart();
    } catch {
      // There may be memory for an instance when the next load wants one.
      this.#isBroken = true;
    }
    for (const reject of this.#pending) reject(error);
    this.#pending.clear();
    return error;
  }

  #restart(): void {
    this.#instance++;
    try {
      this.#reset();
    } catch (thrown) {
      fail(
        "out-of-memory",
        `load: WebAssembly could not be started again (${reason(thrown)}); close other pages`,
        thrown,
      );
    }
    this.#isBroken = false;
  }
}

/** The caller's code may throw anything, a revoked proxy too. */
function isTrap(thrown: unknown): boolean {
  try {
    return thrown instanceof WebAssembly.RuntimeError;
  } catch {
    return false;
  }
}

const crashed = (thrown?: unknown): MobileNetError =>
  new MobileNetError("crashed", `MobileNet crashed${thrown ? ` (${reason(thrown)})` : ""}; load the network again`, {
    cause: thrown,
  });
