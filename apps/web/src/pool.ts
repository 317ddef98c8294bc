/** Draws with WebAssembly in a few workers, which are made of Blob URLs: a file from disk has no others. */

import type { Backend, Rect } from "./backend";
import type { Header } from "./contents";
import { Evaluator } from "./evaluator";
import type { Look } from "./painter";
import type { Store } from "./store";

export interface Setup {
  module: WebAssembly.Module;
  header: Header;
  store: Store;
}

export interface Job {
  id: number;
  look: Look;
  rect: Rect;
  step: number;
}

interface Result {
  id: number;
  image: Uint8ClampedArray<ArrayBuffer>;
  columns: number;
  rows: number;
}

// Rows of pixels that a worker paints at once, at least.
const MIN_ROWS = 4;

export class WorkerPool implements Backend {
  readonly name = "wasm";
  readonly detail: string;
  readonly tile = 64 * 64 * 4;
  private readonly evaluator: Evaluator;
  private readonly waiting = new Map<number, (result: Result) => void>();
  private id = 0;

  private constructor(
    private readonly workers: Worker[],
    setup: Setup,
  ) {
    this.detail = `WebAssembly, ${workers.length} worker${workers.length > 1 ? "s" : ""}`;
    this.evaluator = new Evaluator(setup.module, setup.store, setup.header.programs);
    for (const worker of workers) {
      worker.onmessage = ({ data }: MessageEvent<Result>) => {
        this.waiting.get(data.id)?.(data);
        this.waiting.delete(data.id);
      };
    }
  }

  /** `script`: that of the viewer, which in a worker paints. Throws an Error that says what the browser lacks. */
  static async start(setup: Setup, count: number, script: string): Promise<WorkerPool> {
    const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
    const workers = Array.from({ length: count }, () => new Worker(url));
    await Promise.all(
      workers.map(
        (worker) =>
          new Promise<void>((resolve, reject) => {
            worker.onmessage = () => resolve();
            worker.onerror = (event) => reject(new Error(event.message || "workers do not start here"));
            worker.postMessage(setup);
          }),
      ),
    );
    URL.revokeObjectURL(url);
    return new WorkerPool(workers, setup);
  }

  stop(): void {
    for (const worker of this.workers) worker.terminate();
  }

  async draw(target: CanvasRenderingContext2D, look: Look, rect: Rect, step: number): Promise<void> {
    const rows = Math.ceil(rect.height / step);
    const bands = Math.max(1, Math.min(this.workers.length, Math.floor(rows / MIN_ROWS)));
    await Promise.all(
      Array.from({ length: bands }, async (_, band) => {
        const [first, end] = [Math.floor((rows * band) / bands), Math.floor((rows * (band + 1)) / bands)];
        const height = Math.min(rect.height - first * step, (end - first) * step);
        const part = { ...rect, y: rect.y + first * step, height };
        const { image, columns, rows: found } = await this.paint(this.workers[band], { look, rect: part, step });
        const bitmap = await createImageBitmap(new ImageData(image, columns, found));
        target.clearRect(part.x, part.y, part.width, part.height);
        target.imageSmoothingEnabled = step > 1;
        target.drawImage(bitmap, part.x, part.y, columns * step, found * step);
      }),
    );
  }

  private paint(worker: Worker, job: Omit<Job, "id">): Promise<Result> {
    const id = this.id++;
    return new Promise((resolve) => {
      this.waiting.set(id, resolve);
      worker.postMessage({ ...job, id });
    });
  }

  values(program: string, inputs: Float32Array[], count: number, sizes: number[]): Float32Array {
    return this.evaluator.run(program, inputs, count, sizes);
  }
}
