/** What a kind lets people see and move. */

import type { Fragment } from "./fragment";
import type { Look } from "./painter";

/** What a view may ask of the page. */
export interface Page {
  /** Draw again: the view moves, or `resting`, it only shows something else. */
  redraw(resting?: boolean): void;
  /** Values of a program at points. */
  values(program: string, inputs: Float32Array[], count: number, sizes: number[]): Float32Array;
  canvas: HTMLCanvasElement;
}

export interface View {
  look(width: number, height: number): Look;
  /** Draws the canvas itself, where pixels do not come one by one from the field. */
  draw?(context: CanvasRenderingContext2D, width: number, height: number): void;
  drag(dx: number, dy: number, secondary: boolean): void;
  zoom(factor: number, x: number, y: number): void;
  /** What is under a point of the canvas, for people; empty where nothing is. */
  describe(x: number, y: number): string;
  key(key: string): boolean;
  reset(): void;
  /** The elements below the picture. */
  controls(): HTMLElement[];
  read(fragment: Fragment): void;
  write(): Fragment;
  /** `window.fieldStudio.value`: coords in [0, 1] to values. */
  value(...coords: number[]): number[];
}
