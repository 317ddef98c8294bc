/** Rays through points of the canvas, and where they cross a box: shared by everything solid. */

import type { Look } from "../painter";

// Stands for an infinite distance.
export const FAR = 1e30;

// Rounds in which the distortion of a lens is undone; each takes a digit off the error.
const ROUNDS = 12;

export const RAYS_GLSL = `
vec3 direction_of(vec2 p) {
  vec2 uv = (p - lens.xy) * lens.zw, a = uv;
  if (distortion != vec4(0.0)) for (int i = 0; i < ${ROUNDS}; i++) {
    float r2 = dot(a, a), ab = 2.0 * a.x * a.y;
    vec2 shift = distortion.zw * ab + distortion.wz * (r2 + 2.0 * a * a);
    a = (uv - shift) / (1.0 + r2 * (distortion.x + distortion.y * r2));
  }
  return normalize(a.x * right - a.y * up - backward);
}
// Interval of a ray in a box; empty where far <= near.
vec2 in_box(vec3 o, vec3 d, vec3 lower, vec3 upper) {
  vec3 safe = mix(d, vec3(1e-20), lessThan(abs(d), vec3(1e-20)));
  vec3 a = (lower - o) / safe, b = (upper - o) / safe;
  vec3 enter = min(a, b), leave = max(a, b);
  return vec2(max(max(max(enter.x, enter.y), enter.z), 0.0), min(min(leave.x, leave.y), leave.z));
}`;

/** Directions `[N, 3]` of the rays through points `[N, 2]`. */
export function directionsOf(look: Look, points: Float32Array): Float32Array {
  const found = new Float32Array((points.length / 2) * 3);
  const { right, up, backward } = look;
  const [cx, cy, ix, iy] = look.lens;
  const [k1, k2, p1, p2] = look.distortion;
  const bent = k1 || k2 || p1 || p2;
  for (let i = 0; i < points.length / 2; i++) {
    const u = (points[2 * i] - cx) * ix;
    const v = (points[2 * i + 1] - cy) * iy;
    let a = u;
    let b = v;
    for (let round = 0; bent && round < ROUNDS; round++) {
      const r2 = a * a + b * b;
      const radial = 1 + r2 * (k1 + k2 * r2);
      const [x, y] = [2 * p1 * a * b + p2 * (r2 + 2 * a * a), 2 * p2 * a * b + p1 * (r2 + 2 * b * b)];
      a = (u - x) / radial;
      b = (v - y) / radial;
    }
    let square = 0;
    for (let k = 0; k < 3; k++) {
      const d = a * right[k] - b * up[k] - backward[k];
      found[3 * i + k] = d;
      square += d * d;
    }
    const size = Math.sqrt(square);
    for (let k = 0; k < 3; k++) found[3 * i + k] /= size;
  }
  return found;
}

/** Interval of ray i from `eye` in a cube; empty where far <= near. */
export function inBox(eye: number[], directions: Float32Array, i: number, lower = 0, upper = 1): [number, number] {
  let near = 0;
  let far = FAR;
  for (let k = 0; k < 3; k++) {
    const d = Math.abs(directions[3 * i + k]) < 1e-20 ? 1e-20 : directions[3 * i + k];
    const [a, b] = [(lower - eye[k]) / d, (upper - eye[k]) / d];
    near = Math.max(near, Math.min(a, b));
    far = Math.min(far, Math.max(a, b));
  }
  return [near, far];
}
