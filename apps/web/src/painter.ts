/**
 * What a kind of signal looks like: the color of a pixel, once as GLSL and once as script that calls the evaluator.
 *
 * Both read the same `Look`, which says where the camera is and what is shown.
 */

import type { Header } from "./contents";
import type { Evaluator } from "./evaluator";
import type { Store } from "./store";

/** Numbers by name: one, two, three or four of them are a float, vec2, vec3 or vec4 of the shader. */
export type Look = Record<string, number[]>;

export interface Painter {
  /** Programs that the pixel needs. */
  programs: string[];
  /** GLSL of `vec4 pixel(vec2 p)`: the color, not multiplied by alpha, of the point p of the canvas, in pixels. */
  glsl(look: Look): string;
  /** The colors `[count, 4]` of points `[count, 2]`. */
  paint(evaluator: Evaluator, look: Look, points: Float32Array): Float32Array;
}

export type MakePainter = (header: Header, store: Store) => Painter;

const TYPES = ["", "float", "vec2", "vec3", "vec4"];

export function declarations(look: Look): string {
  return Object.entries(look)
    .map(([name, values]) => `uniform ${TYPES[values.length]} ${name};`)
    .join("\n");
}
