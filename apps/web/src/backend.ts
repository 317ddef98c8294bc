/** What draws: a rectangle of the canvas at some coarseness, and values of programs at points. */

import type { Look } from "./painter";

export interface Rect {
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface Backend {
  readonly name: "webgl2" | "wasm";
  /** Human-readable: the processor that does the work. */
  readonly detail: string;
  /** Draw `rect` of a canvas into it, one color for every `step` x `step` pixels. False where `look` has changed since. */
  draw(target: CanvasRenderingContext2D, look: Look, rect: Rect, step: number): Promise<void>;
  values(program: string, inputs: Float32Array[], count: number, sizes: number[]): Float32Array;
  /** Pixels of a tile that take about this long. */
  readonly tile: number;
}
