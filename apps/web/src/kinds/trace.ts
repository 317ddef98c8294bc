/** Surfaces by sphere tracing, as fields/render/sphere_trace.py does it. */

import type { Header } from "../contents";
import type { Evaluator } from "../evaluator";
import type { Look, Painter } from "../painter";
import { directionsOf, FAR, inBox, RAYS_GLSL } from "./rays";

const TOLERANCE = 2e-4;
const STEP_FRACTION = 0.95;
// Steps of a ray; values of occupancy give no distance, so that they need more.
const STEPS = 160;
const OCCUPANCY_STEPS = 500;
// Cell of the lattice that fields/render/surface_field.py lays over occupancy.
const OCCUPANCY_CELL = 1 / 96;
const HALF_THICKNESS = 1.5e-3;
// Radius over which normals are measured.
const WIDTH = 2e-3;
const TETRAHEDRON = [1, -1, -1, -1, -1, 1, -1, 1, -1, 1, 1, 1];
const PALE = [0.84, 0.82, 0.79];

/** What `mode` of a look shows. */
export const SHADES = ["headlight", "matcap", "normals", "depth"];

/** `mode`: index of SHADES. `backdrop`: color behind. `cut`: axis and position of a slice; axis -1: none. */
export class TracePainter implements Painter {
  readonly programs = ["values"];
  private readonly space: string;
  private readonly channels: number;
  private readonly steps: number;

  constructor(header: Header) {
    this.space = header.channels.space;
    this.channels = header.channels.names.length;
    this.steps = this.space === "occupancy" ? OCCUPANCY_STEPS : STEPS;
  }

  glsl(): string {
    const value = {
      occupancy: `clamp(0.5 - v[0].x, -0.5, 0.5) * ${OCCUPANCY_CELL}`,
      unsigned_distance: `v[0].x - ${HALF_THICKNESS}`,
    }[this.space];
    return `${RAYS_GLSL}
float distance_at(vec3 p, out vec3 albedo) {
  vec4 i[1], v[${Math.ceil(this.channels / 4)}];
  i[0] = vec4(p, 0.0);
  values(i, v);
  albedo = ${this.channels > 3 ? "clamp(v[0].yzw, 0.0, 1.0)" : `vec3(${PALE})`};
  return ${value ?? "v[0].x"};
}
bool trace(vec3 o, vec3 d, vec2 range, out float t) {
  float at = range.x, outside = range.x, inside = ${FAR}, before = ${FAR};
  vec3 unused;
  if (!(range.y > range.x)) return false;
  for (int s = 0; s < ${this.steps} + zero; s++) {
    float value = distance_at(o + at * d, unused);
    if (value > 0.0) outside = at;
    if (value < 0.0) inside = at;
    bool arrived = abs(value) < ${TOLERANCE} || (value < 0.0 && at <= range.x) || inside - outside < ${TOLERANCE};
    float to = at + value * (arrived ? 1.0 : ${STEP_FRACTION});
    bool halve = inside < ${FAR} && (to <= outside || to >= inside || abs(value) > before * 0.5);
    at = max(halve ? (outside + inside) * 0.5 : to, range.x);
    if (arrived) { t = min(at, range.y); return true; }
    before = abs(value);
    if (!(at < range.y)) return false;
  }
  return false;
}
vec3 contours(float d) {
  vec3 c = d > 0.0 ? vec3(0.65, 0.85, 1.0) : vec3(0.9, 0.6, 0.3);
  c *= (1.0 - exp(-12.0 * abs(d))) * (0.8 + 0.2 * cos(150.0 * d));
  return mix(vec3(1.0), c, smoothstep(0.0, 0.004, abs(d)));
}
vec4 pixel(vec2 p) {
  vec3 d = direction_of(p), albedo, unused;
  vec2 range = in_box(eye, d, vec3(0.0), vec3(1.0));
  float t;
  if (cut.x >= 0.0 && range.y > range.x) {
    int axis = int(cut.x);
    float plane = (cut.y - eye[axis]) / (abs(d[axis]) < 1e-20 ? 1e-20 : d[axis]);
    if (eye[axis] > cut.y) {
      if (plane > range.x && plane < range.y) return vec4(contours(distance_at(eye + plane * d, unused)), 1.0);
      if (plane < range.x || plane > range.y) range.y = plane < 0.0 || plane > range.y ? 0.0 : range.y;
    } else if (d[axis] > 0.0) {
      if (!trace(eye, d, vec2(range.x, min(range.y, plane)), t)) {
        if (plane > range.x && plane < range.y) return vec4(contours(distance_at(eye + plane * d, unused)), 1.0);
        return vec4(backdrop, 1.0);
      }
    }
  }
  if (!trace(eye, d, range, t)) return vec4(backdrop, 1.0);
  vec3 q = eye + t * d, n = vec3(0.0);
  ${[0, 3, 6, 9]
    .map((i) => {
      const corner = `vec3(${TETRAHEDRON.slice(i, i + 3).map((v) => v.toFixed(1))})`;
      return `n += distance_at(q + ${corner} * ${WIDTH / Math.sqrt(3)}, unused) * ${corner};`;
    })
    .join("\n  ")}
  n = n / max(length(n), 1e-20);
  if (mode == 2.0) return vec4(n * 0.5 + 0.5, 1.0);
  if (mode == 3.0) return vec4(vec3(1.0 - 0.85 * clamp((t - range.x) / max(range.y - range.x, 1e-6), 0.0, 1.0)), 1.0);
  distance_at(q, albedo);
  float facing = -dot(n, d);
  if (facing < 0.0) n = -n;
  facing = abs(facing);
  if (mode == 1.0) {
    float x = dot(n, right), y = dot(n, up);
    float rim = pow(1.0 - facing, 3.0), spot = pow(max(0.0, dot(vec3(x, y, facing), vec3(-0.4, 0.6, 0.69))), 24.0);
    return vec4(clamp(albedo * (0.35 + 0.4 * facing + 0.25 * y) + 0.35 * spot + rim * vec3(0.35, 0.45, 0.6), 0.0, 1.0), 1.0);
  }
  vec3 warm = vec3(1.0, 0.96, 0.9), cool = vec3(0.75, 0.85, 1.0);
  vec3 light = 0.92 * pow(facing, 1.6) * warm + 0.18 * (n.y * 0.5 + 0.5) * warm + 0.12 * (1.0 - facing) * (1.0 - facing) * cool + 0.06;
  return vec4(pow(clamp(pow(albedo, vec3(2.2)) * light, 0.0, 1.0), vec3(1.0 / 2.2)), 1.0);
}`;
  }

  paint(evaluator: Evaluator, look: Look, points: Float32Array): Float32Array {
    const count = points.length / 2;
    const found = new Float32Array(count * 4);
    for (let i = 0; i < count; i++) found.set([...look.backdrop, 1], 4 * i);
    const directions = directionsOf(look, points);
    const ranges = Array.from({ length: count }, (_, i) => inBox(look.eye, directions, i));
    const near = Float32Array.from(ranges, (r) => r[0]);
    const far = Float32Array.from(ranges, (r) => r[1]);
    const faces = this.slice(evaluator, look, directions, near, far);
    const { hits, t } = this.trace(evaluator, look, directions, near, far);
    for (const [i, color] of faces) found.set([...color, 1], 4 * i);
    this.shade(evaluator, look, directions, hits, t, ranges, found);
    return found;
  }

  /** Values of points `[N, 3]` as distances; `albedo` `[N, 3]` gets colors. */
  private distances(evaluator: Evaluator, points: Float32Array, albedo?: Float32Array): Float32Array {
    const count = points.length / 3;
    const values = evaluator.run("values", [points], count, [3]);
    const found = new Float32Array(count);
    for (let i = 0; i < count; i++) {
      const v = values[i * this.channels];
      if (this.space === "occupancy") found[i] = Math.min(0.5, Math.max(-0.5, 0.5 - v)) * OCCUPANCY_CELL;
      else found[i] = this.space === "unsigned_distance" ? v - HALF_THICKNESS : v;
      if (!albedo) continue;
      for (let k = 0; k < 3; k++) {
        albedo[3 * i + k] = this.channels > 3 ? Math.min(1, Math.max(0, values[i * this.channels + 1 + k])) : PALE[k];
      }
    }
    return found;
  }

  private along(look: Look, directions: Float32Array, rays: number[], t: Float32Array | number[]): Float32Array {
    const found = new Float32Array(rays.length * 3);
    rays.forEach((i, n) => {
      for (let k = 0; k < 3; k++) found[3 * n + k] = look.eye[k] + t[i] * directions[3 * i + k];
    });
    return found;
  }

  /** Ends rays at the plane of a slice, and gives the colors of its face where they get there. */
  private slice(
    evaluator: Evaluator,
    look: Look,
    directions: Float32Array,
    near: Float32Array,
    far: Float32Array,
  ): [number, number[]][] {
    const [axis, position] = look.cut;
    if (axis < 0) return [];
    const rays: number[] = [];
    const planes: number[] = [];
    for (let i = 0; i < near.length; i++) {
      const d = directions[3 * i + axis];
      const plane = (position - look.eye[axis]) / (Math.abs(d) < 1e-20 ? 1e-20 : d);
      if (!(far[i] > near[i])) continue;
      const met = plane > near[i] && plane < far[i];
      const removedSide = look.eye[axis] > position;
      if (met && (removedSide || d > 0)) {
        rays.push(i);
        planes[i] = plane;
      }
      if (removedSide) {
        if (met || plane < 0 || plane > far[i]) far[i] = 0;
      } else if (d > 0) far[i] = Math.min(far[i], plane);
    }
    const values = this.distances(evaluator, this.along(look, directions, rays, planes));
    return rays.map((i, n) => [i, contours(values[n])]);
  }

  private trace(evaluator: Evaluator, look: Look, directions: Float32Array, near: Float32Array, far: Float32Array) {
    const hits: number[] = [];
    const t = new Float32Array(near.length);
    let active = Array.from(near.keys()).filter((i) => far[i] > near[i]);
    const at = near.slice();
    const outside = near.slice();
    const inside = new Float32Array(near.length).fill(FAR);
    const before = new Float32Array(near.length).fill(FAR);
    for (let step = 0; step < this.steps && active.length; step++) {
      const values = this.distances(evaluator, this.along(look, directions, active, at));
      const kept: number[] = [];
      active.forEach((i, n) => {
        const value = values[n];
        if (value > 0) outside[i] = at[i];
        if (value < 0) inside[i] = at[i];
        const size = Math.abs(value);
        const arrived = size < TOLERANCE || (value < 0 && at[i] <= near[i]) || inside[i] - outside[i] < TOLERANCE;
        const to = at[i] + value * (arrived ? 1 : STEP_FRACTION);
        const halve = inside[i] < FAR / 2 && (to <= outside[i] || to >= inside[i] || size > before[i] / 2);
        at[i] = Math.max(halve ? (outside[i] + inside[i]) / 2 : to, near[i]);
        before[i] = size;
        if (arrived) {
          hits.push(i);
          t[i] = Math.min(at[i], far[i]);
        } else if (at[i] < far[i]) kept.push(i);
      });
      active = kept;
    }
    return { hits, t };
  }

  private shade(
    evaluator: Evaluator,
    look: Look,
    directions: Float32Array,
    hits: number[],
    t: Float32Array,
    ranges: [number, number][],
    found: Float32Array,
  ): void {
    const points = this.along(look, directions, hits, t);
    const normals = new Float32Array(points.length);
    for (let c = 0; c < 12; c += 3) {
      const shifted = points.map((v, i) => v + (TETRAHEDRON[c + (i % 3)] * WIDTH) / Math.sqrt(3));
      this.distances(evaluator, shifted).forEach((value, n) => {
        for (let k = 0; k < 3; k++) normals[3 * n + k] += value * TETRAHEDRON[c + k];
      });
    }
    const albedo = new Float32Array(points.length);
    this.distances(evaluator, points, albedo);
    hits.forEach((i, n) => {
      let normal = [...normals.subarray(3 * n, 3 * n + 3)];
      const size = Math.max(Math.hypot(...normal), 1e-20);
      normal = normal.map((v) => v / size);
      const mode = look.mode[0];
      if (mode === 2) {
        found.set(
          normal.map((v) => v * 0.5 + 0.5),
          4 * i,
        );
        return;
      }
      if (mode === 3) {
        const [near, far] = ranges[i];
        const grey = 1 - 0.85 * Math.min(1, Math.max(0, (t[i] - near) / Math.max(far - near, 1e-6)));
        found.set([grey, grey, grey], 4 * i);
        return;
      }
      const along = (v: ArrayLike<number>) => normal[0] * v[0] + normal[1] * v[1] + normal[2] * v[2];
      let facing = -along(directions.subarray(3 * i, 3 * i + 3));
      if (facing < 0) normal = normal.map((v) => -v);
      facing = Math.abs(facing);
      const base = albedo.subarray(3 * n, 3 * n + 3);
      const color =
        mode === 1 ? matcap(base, along(look.right), along(look.up), facing) : headlight(base, normal[1], facing);
      found.set(color, 4 * i);
    });
  }
}

function contours(d: number): number[] {
  const base = d > 0 ? [0.65, 0.85, 1] : [0.9, 0.6, 0.3];
  const shade = (1 - Math.exp(-12 * Math.abs(d))) * (0.8 + 0.2 * Math.cos(150 * d));
  const x = Math.min(1, Math.abs(d) / 0.004);
  const line = x * x * (3 - 2 * x);
  return base.map((c) => 1 + (c * shade - 1) * line);
}

function headlight(albedo: Float32Array, up: number, facing: number): number[] {
  const [warm, cool] = [
    [1, 0.96, 0.9],
    [0.75, 0.85, 1],
  ];
  const above = up * 0.5 + 0.5;
  return Array.from(albedo, (base, k) => {
    const light = (0.92 * facing ** 1.6 + 0.18 * above) * warm[k] + 0.12 * (1 - facing) ** 2 * cool[k] + 0.06;
    return Math.min(1, Math.max(0, base ** 2.2 * light)) ** (1 / 2.2);
  });
}

function matcap(albedo: Float32Array, x: number, y: number, facing: number): number[] {
  const rim = (1 - facing) ** 3;
  const spot = Math.max(0, -0.4 * x + 0.6 * y + 0.69 * facing) ** 24;
  const glow = [0.35, 0.45, 0.6];
  return Array.from(albedo, (base, k) =>
    Math.min(1, Math.max(0, base * (0.35 + 0.4 * facing + 0.25 * y) + 0.35 * spot + rim * glow[k])),
  );
}
