// Random calls of the class, with arguments as hostile as JavaScript allows. Runs in Node and in a page.

/** Mulberry32: the same numbers everywhere. */
export function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 4294967296;
  };
}

class Mine extends Error {}

/** Values for any argument, and frames, options and labels that are nearly right. */
function makeValues(random, nets, calls) {
  const int = (limit) => Math.floor(random() * limit);
  const pick = (list) => list[int(list.length)];
  const revoked = (target) => {
    const { proxy, revoke } = Proxy.revocable(target, {});
    revoke();
    return proxy;
  };
  const mine = () => {
    throw new Mine("mine");
  };
  /** What the caller's code does when it is asked for something in the middle of a call. */
  const trick = () =>
    pick([
      mine,
      mine,
      () => calls.one(),
      () => nets.attacked.dispose(),
      () => nets.attacked.classify(bytes(8, 8), 1),
      () => new Array(1e4).fill(revoked({})),
      () => {
        throw undefined;
      },
      () => {
        throw revoked({});
      },
      function deep() {
        return deep();
      },
    ]);
  const trap = (value) => {
    const act = trick();
    const at = int(4);
    let asked = 0;
    const handler = {};
    for (const name of ["get", "has", "ownKeys", "getOwnPropertyDescriptor", "getPrototypeOf"])
      handler[name] = (...args) => {
        if (asked++ === at) act();
        return Reflect[name](...args);
      };
    return new Proxy(value, handler);
  };
  const getter = (value, key) => {
    const act = trick();
    return Object.defineProperty(value, key, { enumerable: true, get: act, configurable: true });
  };
  const bytes = (width, height, length = width * height * 4) => ({
    data: Uint8Array.from({ length: Math.min(length, 1e6) }, () => int(256)),
    width,
    height,
  });
  const detached = () => {
    const data = new Uint8Array(64);
    structuredClone(data, { transfer: [data.buffer] });
    return data;
  };
  const number = () =>
    pick([0, 1, 2, 3, -1, 0.5, 1e9, 2 ** 31, 2 ** 32, 2 ** 53, -0, NaN, Infinity, -Infinity, 1e-320, 1e308]);
  const text = () => pick(["", " ", "cat", "__proto__", "constructor", "\ud800", "\0", "x".repeat(int(2000)), "🐈"]);
  const frame = () =>
    pick([
      () => bytes(1 + int(60), 1 + int(60)),
      () => bytes(1 + int(60), 1 + int(60)),
      () => bytes(32, 32),
      () => bytes(4, 4, int(80)),
      () => ({ data: detached(), width: 4, height: 4 }),
      () => ({ data: new Uint8Array(new SharedArrayBuffer(64)), width: 4, height: 4 }),
      () => ({ data: new Uint8Array(new ArrayBuffer(64, { maxByteLength: 128 })), width: 4, height: 4 }),
      () => ({ data: new Float64Array(8), width: 4, height: 4 }),
      () => ({ data: new DataView(new ArrayBuffer(64)), width: 4, height: 4 }),
      () => ({ data: new Uint8Array(64), width: number(), height: number() }),
      () => ({ data: trap(new Uint8Array(64)), width: 4, height: 4 }),
      () => ({ data: Object.create(Uint8Array.prototype), width: 4, height: 4 }),
      () => getter(bytes(4, 4), pick(["data", "width", "height"])),
      () => getter(bytes(4, 4), Symbol.toStringTag),
      () => {
        const liar = bytes(4, 4);
        Object.defineProperty(liar.data, pick(["length", "byteLength", "byteOffset", "buffer"]), { get: trick() });
        return liar;
      },
      () => ({ ...bytes(4, 4), [Symbol.toStringTag]: pick(["ImageBitmap", "HTMLCanvasElement", "VideoFrame"]) }),
      () => trap(bytes(4, 4)),
      () => revoked(bytes(4, 4)),
      ...nets.frames,
      any,
    ])();
  const items = () =>
    pick([
      () => [int(3), "cat", number()],
      () => [trap({})],
      () => [getter({}, Symbol.toStringTag)],
      () => [revoked({})],
      () => revoked([]),
      () => trap([0, 1]),
      () => new Array(4294967295),
      () => new Array(1e4).fill(0),
      () => new Proxy([], { get: (_, key) => (key === "length" ? 2 ** 32 - 1 : 0) }),
      () => Object.assign([0], { constructor: 3 }),
    ])();
  const options = () => {
    const value = {};
    const set = (key, make) => random() < 0.3 && Reflect.set(value, key, random() < 0.8 ? make() : any());
    set("topk", () => int(4));
    set("scoreThreshold", random);
    set(pick(["allow", "deny"]), items);
    set("flipped", () => random() < 0.5);
    set("rotationDegrees", () => 90 * int(5));
    set("fit", () => pick(["cover", "contain", "stretch"]));
    set("regionOfInterest", () => trap({ left: random(), right: 1 }));
    set("signal", () => (random() < 0.5 ? AbortSignal.abort(new Mine("aborted")) : new AbortController().signal));
    set("epochs", () => int(3));
    set("batchSize", () => int(5));
    set("onEpoch", trick);
    if (random() < 0.1) getter(value, pick(["topk", "allow", "fit", "signal", "epochs", "unknown"]));
    return random() < 0.2 ? trap(value) : value;
  };
  function any() {
    return pick([
      () => undefined,
      () => null,
      number,
      text,
      () => random() < 0.5,
      () => Symbol("s"),
      () => 10n ** 30n,
      () => [],
      () => ({}),
      () => () => {},
      () => new Date(NaN),
      () => nets.attacked,
      () => nets.witness,
      () => Object.create(null),
      () => revoked(() => {}),
      () => getter({}, Symbol.toPrimitive),
      () => trap({}),
      items,
      options,
    ])();
  }
  return { int, pick, any, frame, options, text, trick, items };
}

/**
 * Makes `count` calls of a network that `load` gives, and watches another one.
 *
 * Returns how many calls ended how, and what must not happen: traps, networks that stay busy, other answers of the
 * watched network, errors of an unknown kind.
 */
export async function fuzzClass({ load, count, seed, frames = [], onProblem = () => {} }) {
  const random = randomOf(seed);
  const nets = { attacked: await load(), witness: await load(), frames };
  const seen = { data: new Uint8Array(40 * 40 * 4).map((_, index) => index * 7), width: 40, height: 40 };
  const answer = () => JSON.stringify(nets.witness.classify(seen, 3));
  const right = answer();
  const result = { calls: 0, answers: 0, refusals: 0, passedOn: 0, loads: 0, traps: 0, stuck: 0, wrong: 0, strange: 0 };
  const problem = (kind, what) => {
    result[kind]++;
    onProblem(kind, what, result.calls);
  };
  const pending = new Set();

  const judge = (thrown, method) => {
    if (isRevoked(thrown)) result.passedOn++;
    else if (thrown instanceof WebAssembly.RuntimeError || thrown?.code === "crashed")
      problem("traps", [method, thrown]);
    else if (thrown?.name === "MobileNetError" && typeof thrown.code === "string") result.refusals++;
    else if (thrown instanceof Mine || thrown === undefined || thrown instanceof RangeError) result.passedOn++;
    // The engine's own words about a revoked proxy.
    else if (thrown instanceof TypeError) result.passedOn++;
    else problem("strange", [method, thrown]);
  };
  let depth = 0;
  const calls = {
    one() {
      if (depth > 3) return;
      depth++;
      result.calls++;
      let method = "drawing";
      try {
        const [drawn, ...args] = draw();
        method = drawn;
        const value = Reflect.get(nets.attacked, method);
        const answer = typeof value === "function" ? value.apply(nets.attacked, args) : value;
        if (answer instanceof Promise) {
          pending.add(answer);
          answer.catch((thrown) => judge(thrown, method)).finally(() => pending.delete(answer));
        } else if (method === "classify" && !answer.every(({ probability }) => probability >= 0)) {
          problem("wrong", [method, answer]);
        } else result.answers++;
      } catch (thrown) {
        judge(thrown, method);
      } finally {
        depth--;
      }
    },
  };
  const { int, pick, any, frame, options, text, items } = makeValues(random, nets, calls);
  const draw = () =>
    pick([
      () => ["classify", frame(), random() < 0.3 ? int(4) : options()],
      () => ["classify", frame(), { [pick(["allow", "deny"])]: items() }],
      () => ["embed", frame(), options()],
      () => ["heatmap", frame(), random() < 0.5 ? int(3) : any(), options()],
      () => ["profile", frame(), options()],
      () => ["addExample", random() < 0.8 ? text() : any(), frame(), options()],
      () => ["removeExamples", random() < 0.8 ? text() : any()],
      () => ["train", options()],
      () => ["save"],
      () => [pick(["layers", "architecture", "labels", "examples", "timings", "precision", "disposed", "numThreads"])],
      () => [pick(["classify", "embed", "heatmap", "addExample", "train"]), any(), any(), any()],
    ])();
  /** The same call just below the stack's end, a little further up each time. */
  const deep = () => {
    let left = 1 + int(40);
    const down = () => {
      try {
        down();
      } catch {
        if (left > 0) {
          left--;
          calls.one();
        }
      }
    };
    down();
  };

  while (result.calls < count) {
    if (random() < 0.01) deep();
    else calls.one();
    if (nets.attacked.disposed) {
      nets.attacked = await load();
      result.loads++;
    }
    if (random() < 0.02) {
      // A training of many epochs ends when its network is disposed of.
      await Promise.race([Promise.allSettled([...pending]), new Promise((resolve) => setTimeout(resolve, 50))]);
      if (pending.size > 0) nets.attacked.dispose();
      await Promise.allSettled([...pending]);
      // Whatever happened, the network works, or it was disposed of.
      try {
        nets.attacked.layers();
      } catch (thrown) {
        if (thrown?.code !== "disposed") problem("stuck", thrown);
        nets.attacked.dispose();
        nets.attacked = await load();
        result.loads++;
      }
      if (answer() !== right) problem("wrong", "the watched network");
    }
  }
  nets.attacked.dispose();
  await Promise.allSettled([...pending]);
  nets.witness.dispose();
  return result;
}

function isRevoked(value) {
  try {
    Array.isArray(value);
    return false;
  } catch {
    return true;
  }
}
