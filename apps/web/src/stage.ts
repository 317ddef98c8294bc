/** The canvas: coarse while the view moves, sharp when it rests. */

import type { Backend, Rect } from "./backend";
import type { View } from "./view";

// Milliseconds without a change after which the view counts as resting.
const REST_MS = 140;
// Milliseconds that a picture may take while the view moves.
const MOVING_MS = 45;
// Largest side of a coarse pixel.
const MAX_STEP = 16;

export type State = "loading" | "moving" | "ready" | "error";

export class Stage {
  private readonly context: CanvasRenderingContext2D;
  private version = 0;
  private drawing = false;
  private changedAt = 0;
  private step = 8;

  constructor(
    readonly canvas: HTMLCanvasElement,
    private backend: Backend,
    private readonly view: Pick<View, "look" | "draw">,
    private readonly report: (state: State, error?: unknown) => void,
  ) {
    this.context = canvas.getContext("2d") as CanvasRenderingContext2D;
  }

  use(backend: Backend): void {
    this.backend = backend;
    this.redraw(true);
  }

  resize(width: number, height: number): void {
    if (this.canvas.width === width && this.canvas.height === height) return;
    this.canvas.width = width;
    this.canvas.height = height;
    this.redraw(true);
  }

  /** Draw again. `resting`: what is shown does not move, so that no coarse picture is wanted in between. */
  redraw(resting = false): void {
    this.version++;
    this.changedAt = resting ? 0 : performance.now();
    if (!this.drawing) void this.run();
  }

  private async run(): Promise<void> {
    this.drawing = true;
    try {
      for (let done = -1; done !== this.version; ) done = await this.picture();
    } catch (error) {
      this.report("error", error);
    }
    this.drawing = false;
  }

  /** Draws until the view changes; returns the version that stands whole, or an older one. */
  private async picture(): Promise<number> {
    const version = this.version;
    const { width, height } = this.canvas;
    if (this.view.draw) {
      await frame();
      this.view.draw(this.context, width, height);
      this.report("ready");
      return version;
    }
    const look = this.view.look(width, height);
    const whole = { x: 0, y: 0, width, height };
    if (performance.now() - this.changedAt < REST_MS) {
      this.report("moving");
      const started = performance.now();
      await this.backend.draw(this.context, look, whole, this.step);
      const wanted = this.step * Math.sqrt((performance.now() - started) / MOVING_MS);
      this.step = Math.min(MAX_STEP, Math.max(1, Math.round(wanted)));
      await frame();
      while (version === this.version && performance.now() - this.changedAt < REST_MS) await frame();
      if (version !== this.version) return -1;
    }
    for (const rect of tiles(whole, () => this.backend.tile)) {
      await this.backend.draw(this.context, look, rect, 1);
      if (version !== this.version) return -1;
      await frame();
    }
    this.report("ready");
    return version;
  }
}

/** Rectangles of about so many pixels that cover `whole`, row by row; the size may change on the way. */
export function* tiles(whole: Rect, pixels: () => number): Generator<Rect> {
  for (let y = 0; y < whole.height; ) {
    const side = Math.max(8, Math.round(Math.sqrt(pixels())));
    const height = Math.min(side, whole.height - y);
    for (let x = 0; x < whole.width; ) {
      const width = Math.min(Math.max(8, Math.round(pixels() / height)), whole.width - x);
      yield { x: whole.x + x, y: whole.y + y, width, height };
      x += width;
    }
    y += height;
  }
}

/** Lets the browser draw and listen. A page in the background has no frames, so that time passes too. */
function frame(): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, 50);
    requestAnimationFrame(() => {
      clearTimeout(timer);
      setTimeout(resolve, 0);
    });
  });
}
