/** Rays through points of the canvas, and where they cross a box: shared by everything solid. */

import type { Look } from "../painter";

// Stands for an infinite distance.
export const FAR = 1e30;

export const RAYS_GLSL = `
vec3 direction_of(vec2 p) { return normalize(rayO + p.x * rayX + p.y * rayY); }
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
  const { rayO, rayX, rayY } = look;
  for (let i = 0; i < points.length / 2; i++) {
    const x = points[2 * i];
    const y = points[2 * i + 1];
    let square = 0;
    for (let k = 0; k < 3; k++) {
      const d = rayO[k] + x * rayX[k] + y * rayY[k];
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
