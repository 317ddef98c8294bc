/** Paints rectangles in a worker. */

import type { Header } from "./contents";
import { Evaluator } from "./evaluator";
import { painterFor } from "./kinds/all";
import type { Job, Setup } from "./pool";
import type { Store } from "./store";

// Pixels that are painted together.
const CHUNK = 4096;

let header: Header;
let store: Store;
let evaluator: Evaluator;

/** Listens to the page; see `WorkerPool`. */
export function startWorker(): void {
  self.onmessage = receive;
}

function receive({ data }: MessageEvent<Setup | Job>): void {
  if ("module" in data) {
    ({ header, store } = data);
    evaluator = new Evaluator(data.module, store, header.programs);
    postMessage({ ready: true });
    return;
  }
  const { id, look, rect, step } = data;
  const [columns, rows] = [Math.ceil(rect.width / step), Math.ceil(rect.height / step)];
  const image = new Uint8ClampedArray(columns * rows * 4);
  const painter = painterFor(header, store);
  for (let first = 0; first < columns * rows; first += CHUNK) {
    const count = Math.min(CHUNK, columns * rows - first);
    const points = new Float32Array(count * 2);
    for (let i = 0; i < count; i++) {
      points[2 * i] = rect.x + (((first + i) % columns) + 0.5) * step;
      points[2 * i + 1] = rect.y + (Math.floor((first + i) / columns) + 0.5) * step;
    }
    const colors = painter.paint(evaluator, look, points);
    for (let i = 0; i < colors.length; i++) image[4 * first + i] = colors[i] * 255;
  }
  postMessage({ id, image, columns, rows }, { transfer: [image.buffer] });
}
