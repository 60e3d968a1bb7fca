// The sample pictures: fruit on a table, traced ray by ray, so that the page needs nobody's photograph.
// Out comes a square of pixels near enough to the thing for a network that learnt from photographs.

const SIDE = 352;
const COARSE = 64; // side of the first sight of it
const SLICE_MS = 12; // of work between two looks at the screen

/** What `drawSample` can draw. Lengths are in radii, colours linear; `pores` is the depth of the skin's bumps. */
export const SAMPLES = [
  {
    name: "an orange",
    axes: [1, 0.95, 1],
    skin: [0.86, 0.235, 0.008],
    spots: [0.93, 0.33, 0.03],
    pores: 0.045,
    shine: 0.22,
    table: [0.36, 0.22, 0.12],
  },
  {
    name: "a lemon",
    axes: [1.26, 0.88, 0.88],
    skin: [0.9, 0.66, 0.05],
    spots: [0.95, 0.77, 0.16],
    pores: 0.03,
    shine: 0.22,
    table: [0.3, 0.33, 0.36],
  },
  {
    name: "a green apple",
    axes: [1, 0.93, 1],
    skin: [0.36, 0.56, 0.07],
    spots: [0.5, 0.66, 0.16],
    pores: 0,
    shine: 0.6,
    table: [0.5, 0.36, 0.26],
    dimple: 2,
  },
];

const LIGHT = normal([-0.55, 0.85, -0.6]);
const EYE = [0, 1.35, -5.1];
const HORIZON = 0.25; // how far the camera bends down
const WALL = [0.52, 0.5, 0.47];

/**
 * Draws a sample into the canvas, blurred at once and then sharp, a few rows at a time; resolves to its ImageData.
 * An aborted signal ends it early with null.
 */
export async function drawSample(sample, canvas, signal) {
  const coarse = new ImageData(COARSE, COARSE);
  for (let y = 0; y < COARSE; y++) drawRow(sample, coarse, y);
  show(coarse, canvas, COARSE);
  const image = new ImageData(SIDE, SIDE);
  for (let y = 0; y < SIDE; ) {
    await new Promise((resolve) => setTimeout(resolve));
    if (signal?.aborted) return null;
    const until = performance.now() + SLICE_MS;
    do drawRow(sample, image, y++);
    while (y < SIDE && performance.now() < until);
    show(image, canvas, y);
  }
  return image;
}

/** Puts the first `rows` rows of an image over their part of the canvas. */
function show(image, canvas, rows) {
  const own = new OffscreenCanvas(image.width, rows);
  own.getContext("2d").putImageData(image, 0, 0);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(own, 0, 0, canvas.width, (canvas.height * rows) / image.height);
}

function drawRow(sample, image, y) {
  const side = image.width;
  const colour = [0, 0, 0],
    behind = [0, 0, 0];
  for (let x = 0; x < side; x++) {
    const ray = normal([((x + 0.5) / side - 0.5) * 0.66, (0.5 - (y + 0.5) / side) * 0.66 - HORIZON, 1]);
    const hit = meet(sample.axes, EYE, ray);
    const edge = clamp(hit.depth / 0.03); // a ray that only grazes the fruit sees some of what is behind it
    if (edge < 1) shadeTable(sample, ray, hash(x, y, 3), behind);
    if (edge > 0) shadeFruit(sample, along(EYE, ray, hit.distance), ray, colour);
    for (let c = 0; c < 3; c++) colour[c] = edge * colour[c] + (1 - edge) * behind[c];
    const grain = (hash(x, y, 7) - 0.5) * 0.012;
    const at = 4 * (y * side + x);
    for (let c = 0; c < 3; c++) image.data[at + c] = 255 * clamp(colour[c] + grain) ** (1 / 2.2);
    image.data[at + 3] = 255;
  }
}

const MISS = { distance: 0, depth: 0 };

/** Where a ray meets the ellipsoid around the origin: `distance` along it, and `depth`, how far it goes in; 0 where it passes by. */
function meet(axes, from, ray) {
  let a = 0,
    b = 0,
    c = -1;
  for (let i = 0; i < 3; i++) {
    const r = ray[i] / axes[i],
      o = from[i] / axes[i];
    a += r * r;
    b += r * o;
    c += o * o;
  }
  const root = b * b - a * c;
  const distance = root > 0 ? (-b - Math.sqrt(root)) / a : 0;
  return distance > 0 ? { distance, depth: root } : MISS;
}

function shadeFruit(sample, point, ray, colour) {
  const { axes, pores, shine, skin, spots, table, dimple = 1 } = sample;
  const slope = point.map((value, i) => value / (axes[i] * axes[i]));
  if (pores) {
    const here = noise(...point, 26);
    for (let i = 0; i < 3; i++) {
      const beside = noise(
        point[0] + (i === 0) * 0.012,
        point[1] + (i === 1) * 0.012,
        point[2] + (i === 2) * 0.012,
        26,
      );
      slope[i] -= (pores * (beside - here)) / 0.048;
    }
  }
  // The dimple around the stem, and the stem's end.
  const [dx, dz] = [point[0] - 0.08, point[2] + 0.3];
  const away = point[1] > 0 ? Math.hypot(dx, dz) : 9;
  if (away < 0.3) {
    slope[0] -= ((dimple * (0.3 - away) * dx) / (away + 0.04)) * 2;
    slope[2] -= ((dimple * (0.3 - away) * dz) / (away + 0.04)) * 2;
  }
  const n = normal(slope);
  const half = normal(LIGHT.map((value, i) => value - ray[i]));
  const facing = Math.max(0, dot(n, LIGHT));
  const rim = 1 + dot(n, ray);
  const gloss = shine * Math.max(0, dot(n, half)) ** 28;
  const bounce = Math.max(0, -n[1]) * 0.5;
  const mottle = noise(...point, 3.1) * 0.6 + noise(...point, 9) * 0.4;
  for (let c = 0; c < 3; c++) {
    const base = away < 0.05 ? 0.05 + 0.03 * (2 - c) : skin[c] + (spots[c] - skin[c]) * mottle;
    colour[c] = base * (0.17 + 0.95 * facing + 0.12 * rim * rim + bounce * table[c]) + gloss;
  }
}

function shadeTable({ axes, table }, ray, chance, colour) {
  const distance = (-axes[1] - EYE[1]) / ray[1];
  const far = ray[1] < 0 ? clamp((distance - 5) / 7) : 1;
  const glow = 1 + 0.5 * (ray[1] + 0.25) - 0.35 * ray[0];
  for (let c = 0; c < 3; c++) colour[c] = WALL[c] * glow;
  if (far === 1) return;
  const [x, y, z] = along(EYE, ray, distance);
  // The lamp is large: each pixel asks four of its points, at places of its own, and the shadow's edge is soft.
  let lit = 0.25;
  for (let i = 0; i < 4; i++) {
    const [u, v] = [(chance + i / 4) % 1, (chance * 7.3 + i * 0.37) % 1];
    const lamp = normal([LIGHT[0] + 0.5 * (u - 0.5), LIGHT[1], LIGHT[2] + 0.5 * (v - 0.5)]);
    if (meet(axes, [x, y, z], lamp) === MISS) lit += 0.19;
  }
  const touch = clamp(Math.hypot(x / axes[0], z / axes[2]) / 1.15);
  const board = 0.8 + 0.26 * noise(x * 0.9, 0, z * 7, 1.4) + 0.1 * noise(x * 2, 4, z * 30, 1);
  for (let c = 0; c < 3; c++) {
    const wood = table[c] * board * lit * (0.35 + 0.65 * touch * touch);
    colour[c] = wood * (1 - far) + colour[c] * far;
  }
}

const clamp = (value) => Math.min(1, Math.max(0, value));
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const along = (from, ray, distance) => [0, 1, 2].map((i) => from[i] + ray[i] * distance);
const ease = (t) => t * t * (3 - 2 * t);

function normal([x, y, z]) {
  const length = Math.sqrt(x * x + y * y + z * z) || 1;
  return [x / length, y / length, z / length];
}

/** A number in 0..1 that looks random, the same for the same three whole numbers. */
function hash(x, y, z) {
  let h = (Math.imul(x, 374761393) + Math.imul(y, 668265263) + Math.imul(z, 2147483647)) | 0;
  h = Math.imul(h ^ (h >>> 13), 1274126177);
  return ((h ^ (h >>> 16)) >>> 0) / 4294967295;
}

/** Smooth noise in 0..1 with `frequency` bumps to the unit. */
function noise(px, py, pz, frequency) {
  px *= frequency;
  py *= frequency;
  pz *= frequency;
  const x = Math.floor(px),
    y = Math.floor(py),
    z = Math.floor(pz);
  const fx = ease(px - x),
    fy = ease(py - y),
    fz = ease(pz - z);
  let sum = 0;
  for (let corner = 0; corner < 8; corner++) {
    const i = corner & 1,
      j = (corner >> 1) & 1,
      k = corner >> 2;
    sum += hash(x + i, y + j, z + k) * (i ? fx : 1 - fx) * (j ? fy : 1 - fy) * (k ? fz : 1 - fz);
  }
  return sum;
}
