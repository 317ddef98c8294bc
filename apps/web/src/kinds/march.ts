/**
 * Scenes: emission and absorption along rays, as fields/render/volume.py does it.
 *
 * Samples lie in the occupied cells of the run's grid, or where a second, small field proposes them.
 */

import type { Header } from "../contents";
import type { Evaluator } from "../evaluator";
import type { Look, Painter } from "../painter";
import type { Store } from "../store";
import { directionsOf, inBox, RAYS_GLSL } from "./rays";

/** `header.view` of a scene; see fields/export/page/scenes.py. */
export interface SceneHeader {
  features: number;
  log_density: [number, number];
  moving: boolean;
  directional: boolean;
  unbounded: boolean;
  occupied: string;
  cells: number;
  cascades: number;
  step: number;
  cone: number;
  min_weight: number;
  min_transmittance: number;
  max_samples: number;
  proposal: { near: number; far: number; knee: number; counts: [number, number]; padding: number } | null;
  background: [number, number, number];
}

// Samples of a ray that are evaluated together, in the first wave; each further wave is twice as large.
const FIRST_WAVE = 8;
// What an interval weighs at least, so that every ray has a weight.
const LEAST = 1e-6;
export const SCENE_MODES = ["color", "depth"];

/** `mode`: index of SCENE_MODES. `time`: of a moving scene. `depths`: of the brightest and the darkest point. */
export class MarchPainter implements Painter {
  readonly programs: string[];
  private readonly view: SceneHeader;
  private readonly bits: Float32Array;
  private readonly bitsAt: number;
  private readonly outer: [number, number];

  constructor(header: Header, store: Store) {
    this.view = header.view;
    this.programs = ["density", "color", ...(this.view.proposal ? ["proposal"] : [])];
    this.bitsAt = store.offset[this.view.occupied];
    this.bits = store.values.subarray(this.bitsAt);
    const half = 0.5 * 2 ** (this.view.cascades - 1);
    this.outer = [0.5 - half, 0.5 + half];
  }

  glsl(): string {
    const { view } = this;
    const F = Math.ceil(view.features / 4);
    const inputs = ["x", ...(view.moving ? ["t"] : []), ...(view.directional ? ["d"] : [])];
    const color = `
  sum.a += w;
  depth += w * 0.5 * (t0 + t1);
  if (!(w > ${float(view.min_weight)})) return;
  vec4 d4[1], c[1];
  d4[0] = vec4(d, 0.0);
  color(f, d4, c);
  sum.rgb += w * c[0].rgb;`;
    return `${RAYS_GLSL}
vec3 to_coords(vec3 p) {
  ${
    view.unbounded
      ? `vec3 c = p * 2.0 - 1.0;
  float far = max(max(max(abs(c.x), abs(c.y)), abs(c.z)), 1.0);
  return (c * ((2.0 - 1.0 / far) / far) + 2.0) * 0.25;`
      : "return clamp(p, 0.0, 1.0);"
  }
}
// Adds a sample from t0 to t1; light is what reaches it, and then what it lets through.
void take(vec3 d, float t0, float t1, inout float light, inout vec4 sum, inout float depth) {
  vec4 x[1], f[${F}]${view.moving ? ", t[1]" : ""}${view.directional ? ", e[1]" : ""};
  x[0] = vec4(to_coords(eye + 0.5 * (t0 + t1) * d), 0.0);
  ${view.moving ? "t[0] = vec4(time, 0.0, 0.0, 0.0);" : ""}
  ${view.directional ? "e[0] = vec4(d, 0.0);" : ""}
  density(${inputs.map((name) => (name === "d" ? "e" : name)).join(", ")}, f);
  float absorbed = exp(min(f[0].x + ${float(view.log_density[0])}, ${float(view.log_density[1])})) * (t1 - t0);
  float through = exp(-absorbed), w = light * (1.0 - through);
  light *= through;${color}
}
${view.proposal ? this.proposalGlsl() : this.cellsGlsl()}
vec4 pixel(vec2 p) {
  vec3 d = direction_of(p);
  vec4 sum = vec4(0.0);
  float depth = 0.0;
  march(d, sum, depth);
  if (mode == 1.0) {
    float at = sum.a > 0.5 ? clamp((depth / sum.a - depths.x) / max(depths.y - depths.x, 1e-6), 0.0, 1.0) : 1.2;
    return vec4(vec3(at > 1.0 ? 0.0 : 1.0 - 0.85 * at), 1.0);
  }
  return vec4(sum.rgb + (1.0 - sum.a) * backdrop, 1.0);
}`;
  }

  private cellsGlsl(): string {
    const { cells, cascades, step, cone, min_transmittance, max_samples } = this.view;
    const blocks = cells / 4;
    const longest = (this.outer[1] - this.outer[0]) * Math.sqrt(3);
    return `
// Whether the cell of a point is occupied; \`leave\`: how far along d an empty block reaches.
bool occupied(vec3 p, vec3 d, out float leave) {
  vec3 q = (p - 0.5) * ${float(cells)};
  float size = 1.0;
  float farthest = max(max(abs(q.x), abs(q.y)), abs(q.z));
  int cascade = 0;
  for (; cascade < ${cascades}; cascade++) {
    if (farthest * size < ${float(cells / 2)}) break;
    size *= 0.5;
  }
  leave = 0.0;
  if (cascade >= ${cascades}) return false;
  vec3 at = q * size + ${float(cells / 2)};
  ivec3 cell = clamp(ivec3(at), ivec3(0), ivec3(${cells - 1}));
  ivec3 block = cell / 4, within = cell - block * 4;
  vec4 words = W(${this.bitsAt / 4} + ((cascade * ${blocks} + block.x) * ${blocks} + block.y) * ${blocks} + block.z);
  if (words == vec4(0.0)) {
    vec3 edge = (mix(vec3(block), vec3(block + 1), greaterThan(d, vec3(0.0))) * 4.0 - at) / (size * ${float(cells)});
    vec3 t = edge / mix(d, vec3(1e-20), lessThan(abs(d), vec3(1e-20)));
    leave = ${cascades > 1 ? "0.0" : "min(min(t.x, t.y), t.z)"};
    return false;
  }
  int bit = (within.x * 4 + within.y) * 4 + within.z;
  return ((int(words[bit >> 4]) >> (bit & 15)) & 1) == 1;
}
void march(vec3 d, inout vec4 sum, inout float depth) {
  vec2 range = in_box(eye, d, vec3(${float(this.outer[0])}), vec3(${float(this.outer[1])}));
  float light = 1.0, leave, t0 = range.x;
  int k = 0, taken = 0;
  for (int s = 0; s < ${Math.ceil(longest / step) + 2} + zero; s++) {
    ${
      cone
        ? `float t1 = t0 + max(${float(step)}, ${float(cone)} * t0);`
        : `t0 = range.x + float(k) * ${float(step)}; float t1 = range.x + float(k + 1) * ${float(step)};`
    }
    float middle = 0.5 * (t0 + t1);
    if (!(middle < range.y)) break;
    k++;
    if (occupied(eye + middle * d, d, leave)) {
      take(d, t0, t1, light, sum, depth);
      if (light < ${float(min_transmittance)} || ++taken >= ${max_samples}) break;
    }
    ${cone ? "t0 = t1;" : `else if (leave > 0.0) k = max(k, int(ceil((middle + leave - range.x) / ${float(step)} - 0.5)) - 1);`}
  }
}`;
  }

  private proposalGlsl(): string {
    const { near, far, knee, counts, padding } = this.view.proposal as NonNullable<SceneHeader["proposal"]>;
    const [first, last] = [near / knee, 2 - knee / far];
    const [n, m] = counts;
    return `
float edge_of(int i) {
  float at = ${float(first)} + float(i) * ${float((last - first) / n)};
  return at < 1.0 ? at * ${float(knee)} : ${float(knee)} / max(2.0 - at, 1e-6);
}
void march(vec3 d, inout vec4 sum, inout float depth) {
  float mass[${n}], light = 1.0, total = 0.0;
  for (int i = 0; i < ${n} + zero; i++) {
    float t0 = edge_of(i), t1 = edge_of(i + 1);
    vec4 x[1], f[1];
    x[0] = vec4(to_coords(eye + 0.5 * (t0 + t1) * d), 0.0);
    proposal(x, f);
    float through = exp(-exp(min(f[0].x, ${float(this.view.log_density[1])})) * (t1 - t0));
    mass[i] = light * (1.0 - through);
    total += mass[i];
    light *= through;
  }
  float pad = total * ${float(padding / n)} + ${LEAST};
  total += pad * ${float(n)};
  light = 1.0;
  float before = 0.0, t0 = 0.0;
  int j = 0;
  for (int k = 0; k <= ${m} + zero; k++) {
    float wanted = (float(k) + 0.5) / ${float(m + 1)} * total;
    while (j < ${n - 1} && before + mass[j] + pad <= wanted) { before += mass[j] + pad; j++; }
    float start = edge_of(j);
    float t1 = start + min(1.0, (wanted - before) / (mass[j] + pad)) * (edge_of(j + 1) - start);
    if (k > 0 && light >= ${float(this.view.min_transmittance)}) take(d, t0, t1, light, sum, depth);
    t0 = t1;
  }
}`;
  }

  paint(evaluator: Evaluator, look: Look, points: Float32Array): Float32Array {
    const count = points.length / 2;
    const directions = directionsOf(look, points);
    const rays = new Rays(this.view, evaluator, look, directions, count);
    if (this.view.proposal) this.proposed(evaluator, look, directions, count, rays);
    else this.inCells(look, directions, count, rays);
    return rays.colors();
  }

  /** Waves of samples in occupied cells. */
  private inCells(look: Look, directions: Float32Array, count: number, rays: Rays): void {
    const { step, cone, max_samples } = this.view;
    const ranges = Array.from({ length: count }, (_, i) => inBox(look.eye, directions, i, ...this.outer));
    const next = Float64Array.from(ranges, ([near]) => (cone ? near : 0));
    const taken = new Int32Array(count);
    let active = Array.from({ length: count }, (_, i) => i).filter((i) => ranges[i][1] > ranges[i][0]);
    for (let wave = FIRST_WAVE; active.length; wave *= 2) {
      const kept: number[] = [];
      for (const i of active) {
        const [near, far] = ranges[i];
        let open = true;
        for (let found = 0; found < wave; ) {
          const t0 = cone ? next[i] : Math.fround(near + next[i] * step);
          const t1 = cone ? t0 + Math.max(step, cone * t0) : Math.fround(near + (next[i] + 1) * step);
          const middle = (t0 + t1) / 2;
          if (!(middle < far) || taken[i] >= max_samples) {
            open = false;
            break;
          }
          next[i] = cone ? t1 : next[i] + 1;
          const leave = this.leaves(look.eye, directions, i, middle);
          if (leave < 0) {
            rays.sample(i, t0, t1);
            found++;
            taken[i]++;
          } else if (leave > 0 && !cone) {
            next[i] = Math.max(next[i], Math.ceil((middle + leave - near) / step - 0.5) - 1);
          }
        }
        if (open) kept.push(i);
      }
      rays.evaluate();
      active = kept.filter((i) => rays.light[i] >= this.view.min_transmittance);
    }
  }

  /** -1 where the cell at distance t of ray i is occupied; else how far its block is empty, or 0. */
  private leaves(eye: number[], directions: Float32Array, i: number, t: number): number {
    const { cells, cascades } = this.view;
    const half = cells / 2;
    const q0 = (eye[0] + t * directions[3 * i] - 0.5) * cells;
    const q1 = (eye[1] + t * directions[3 * i + 1] - 0.5) * cells;
    const q2 = (eye[2] + t * directions[3 * i + 2] - 0.5) * cells;
    const farthest = Math.max(Math.abs(q0), Math.abs(q1), Math.abs(q2));
    let size = 1;
    let cascade = 0;
    for (; cascade < cascades && farthest * size >= half; cascade++) size /= 2;
    if (cascade >= cascades) return 0;
    const [x, y, z] = [q0 * size + half, q1 * size + half, q2 * size + half];
    const [cx, cy, cz] = [clampCell(x, cells), clampCell(y, cells), clampCell(z, cells)];
    const [bx, by, bz] = [cx >> 2, cy >> 2, cz >> 2];
    const blocks = cells / 4;
    const word = 4 * (((cascade * blocks + bx) * blocks + by) * blocks + bz);
    const bits = this.bits;
    const bit = ((cx & 3) * 4 + (cy & 3)) * 4 + (cz & 3);
    if ((bits[word + (bit >> 4)] >> (bit & 15)) & 1) return -1;
    if (cascades > 1 || bits[word] || bits[word + 1] || bits[word + 2] || bits[word + 3]) return 0;
    const along = (at: number, block: number, d: number) =>
      Math.abs(d) < 1e-20 ? 1e30 : ((d > 0 ? 4 * block + 4 : 4 * block) - at) / (cells * d);
    return Math.min(
      along(x, bx, directions[3 * i]),
      along(y, by, directions[3 * i + 1]),
      along(z, bz, directions[3 * i + 2]),
    );
  }

  private proposed(evaluator: Evaluator, look: Look, directions: Float32Array, count: number, rays: Rays): void {
    const { near, far, knee, counts, padding } = this.view.proposal as NonNullable<SceneHeader["proposal"]>;
    const [n, m] = counts;
    const [first, last] = [near / knee, 2 - knee / far];
    const edges = Float64Array.from({ length: n + 1 }, (_, i) => {
      const at = first + ((last - first) * i) / n;
      return at < 1 ? at * knee : knee / Math.max(2 - at, 1e-6);
    });
    const coords = new Float32Array(3 * n);
    const mass = new Float64Array(n);
    for (let i = 0; i < count; i++) {
      for (let k = 0; k < n; k++)
        toCoords(this.view, look.eye, directions, i, (edges[k] + edges[k + 1]) / 2, coords, 3 * k);
      const values = evaluator.run("proposal", [coords], n, [3]);
      const size = values.length / n;
      let light = 1;
      let total = 0;
      for (let k = 0; k < n; k++) {
        const density = Math.exp(Math.min(values[k * size], this.view.log_density[1]));
        const through = Math.exp(-density * (edges[k + 1] - edges[k]));
        mass[k] = light * (1 - through);
        total += mass[k];
        light *= through;
      }
      const pad = (total * padding) / n + LEAST;
      total += pad * n;
      let before = 0;
      let j = 0;
      let t0 = 0;
      for (let k = 0; k <= m; k++) {
        const wanted = ((k + 0.5) / (m + 1)) * total;
        while (j < n - 1 && before + mass[j] + pad <= wanted) before += mass[j++] + pad;
        const t1 = edges[j] + Math.min(1, (wanted - before) / (mass[j] + pad)) * (edges[j + 1] - edges[j]);
        if (k > 0) rays.sample(i, t0, t1);
        t0 = t1;
      }
      if (rays.pending > 1 << 15) rays.evaluate();
    }
    rays.evaluate();
  }
}

/** Samples that wait to be evaluated, and the sums along the rays. Samples of a ray come in order. */
class Rays {
  readonly light: Float64Array;
  private readonly sums: Float64Array;
  private rays: number[] = [];
  private starts: number[] = [];
  private ends: number[] = [];

  constructor(
    private readonly view: SceneHeader,
    private readonly evaluator: Evaluator,
    private readonly look: Look,
    private readonly directions: Float32Array,
    private readonly count: number,
  ) {
    this.light = new Float64Array(count).fill(1);
    // Red, green, blue, opacity, and depth times opacity.
    this.sums = new Float64Array(5 * count);
  }

  get pending(): number {
    return this.rays.length;
  }

  sample(ray: number, start: number, end: number): void {
    this.rays.push(ray);
    this.starts.push(start);
    this.ends.push(end);
  }

  evaluate(): void {
    const { view, rays, starts, ends } = this;
    const S = rays.length;
    if (!S) return;
    const coords = new Float32Array(3 * S);
    for (let s = 0; s < S; s++) {
      toCoords(view, this.look.eye, this.directions, rays[s], (starts[s] + ends[s]) / 2, coords, 3 * s);
    }
    const inputs: Float32Array[] = [coords];
    const sizes = [3];
    if (view.moving) {
      inputs.push(new Float32Array(S).fill(this.look.time[0]));
      sizes.push(1);
    }
    if (view.directional) {
      inputs.push(this.directionsOf(rays));
      sizes.push(3);
    }
    const F = view.features;
    const features = this.evaluator.run("density", inputs, S, sizes);
    const weights: number[] = [];
    const visible: number[] = [];
    for (let s = 0; s < S; s++) {
      const ray = rays[s];
      const before = this.light[ray];
      if (before < view.min_transmittance) continue;
      const density = Math.exp(Math.min(features[s * F] + view.log_density[0], view.log_density[1]));
      const absorbed = density * (ends[s] - starts[s]);
      const weight = before * -Math.expm1(-absorbed);
      this.light[ray] = before * Math.exp(-absorbed);
      const at = 5 * ray;
      this.sums[at + 3] += weight;
      this.sums[at + 4] += (weight * (starts[s] + ends[s])) / 2;
      if (weight > view.min_weight) {
        visible.push(s);
        weights.push(weight);
      }
    }
    const seen = new Float32Array(visible.length * F);
    for (let n = 0; n < visible.length; n++) {
      for (let k = 0; k < F; k++) seen[n * F + k] = features[visible[n] * F + k];
    }
    const along = this.directionsOf(visible.map((s) => rays[s]));
    const colors = this.evaluator.run("color", [seen, along], visible.length, [F, 3]);
    visible.forEach((s, n) => {
      const at = 5 * rays[s];
      for (let k = 0; k < 3; k++) this.sums[at + k] += weights[n] * colors[3 * n + k];
    });
    this.rays = [];
    this.starts = [];
    this.ends = [];
  }

  private directionsOf(rays: number[]): Float32Array {
    const found = new Float32Array(3 * rays.length);
    for (let n = 0; n < rays.length; n++) {
      for (let k = 0; k < 3; k++) found[3 * n + k] = this.directions[3 * rays[n] + k];
    }
    return found;
  }

  colors(): Float32Array {
    const found = new Float32Array(4 * this.count);
    const { backdrop, depths, mode } = this.look;
    for (let i = 0; i < this.count; i++) {
      const sums = this.sums.subarray(5 * i, 5 * i + 5);
      const clear = 1 - sums[3];
      for (let k = 0; k < 3; k++) found[4 * i + k] = sums[k] + clear * backdrop[k];
      if (mode[0] === 1) {
        const at = (sums[4] / sums[3] - depths[0]) / Math.max(depths[1] - depths[0], 1e-6);
        found.fill(sums[3] > 0.5 ? 1 - 0.85 * Math.min(1, Math.max(0, at)) : 0, 4 * i, 4 * i + 3);
      }
      found[4 * i + 3] = 1;
    }
    return found;
  }
}

/** Writes the field's coords of the point at distance t of ray i. */
function toCoords(
  view: SceneHeader,
  eye: number[],
  directions: Float32Array,
  i: number,
  t: number,
  coords: Float32Array,
  at: number,
): void {
  for (let k = 0; k < 3; k++) coords[at + k] = eye[k] + t * directions[3 * i + k];
  if (!view.unbounded) {
    for (let k = 0; k < 3; k++) coords[at + k] = Math.min(1, Math.max(0, coords[at + k]));
    return;
  }
  let far = 1;
  for (let k = 0; k < 3; k++) far = Math.max(far, Math.abs(coords[at + k] * 2 - 1));
  for (let k = 0; k < 3; k++) coords[at + k] = ((coords[at + k] * 2 - 1) * ((2 - 1 / far) / far) + 2) * 0.25;
}

function clampCell(x: number, cells: number): number {
  return Math.min(cells - 1, Math.max(0, Math.trunc(x)));
}

function float(value: number): string {
  const text = String(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
}
