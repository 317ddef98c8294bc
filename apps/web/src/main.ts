/** The page: reads its data, chooses what draws, and shows the field. */

import wasm from "../evaluate.wasm";
import type { Backend } from "./backend";
import { decode, type Header, PageError } from "./contents";
import { button, element } from "./controls";
import { type Fragment, readFragment, writeFragment } from "./fragment";
import { listen } from "./gestures";
import { makeView, painterFor } from "./kinds/all";
import type { Look } from "./painter";
import { WorkerPool } from "./pool";
import { Stage, type State } from "./stage";
import { makeStore, type Store } from "./store";
import type { View } from "./view";
import { WebglBackend } from "./webgl";

// Most workers that paint. More share memory bandwidth, and each holds a copy of the weights.
const MAX_WORKERS = 4;
// Milliseconds a coarse picture may take on a GPU that needs no comparison.
const FAST_MS = 30;
const COARSE = 16;
const MAX_PIXEL_RATIO = 2;

let viewer = "";

declare global {
  interface Window {
    fieldStudio: {
      /** Values of the field at coords in [0, 1]. */
      value(...coords: number[]): number[];
      backend(): string;
      header: Header;
      /** Milliseconds from opening the file to the first sharp picture. */
      firstPicture?: number;
      /** Draws the sharp picture again, in so many milliseconds. */
      draw(): Promise<number>;
    };
  }
}

function state(name: "loading" | "ready" | "error"): void {
  document.documentElement.dataset.state = name;
}

function fail(error: unknown): void {
  const text = error instanceof Error ? error.message : String(error);
  const message = element(
    "p",
    { id: "message", role: "alert" },
    error instanceof PageError ? text : `This field cannot be drawn here: ${text}`,
  );
  document.getElementById("message")?.remove();
  document.body.append(message);
  state("error");
}

/** Refuses what the browser lacks, in the order in which it is needed. */
async function startWasm(header: Header, store: Store, workers?: string): Promise<WorkerPool> {
  const module = await WebAssembly.compile(wasm as BufferSource).catch(() => {
    throw new Error("this browser's WebAssembly has no SIMD");
  });
  const count = Number(workers) || Math.min(MAX_WORKERS, Math.max(1, (navigator.hardwareConcurrency ?? 2) - 1));
  return WorkerPool.start({ module, header, store }, count, viewer);
}

function startWebgl(header: Header, store: Store): WebglBackend {
  return new WebglBackend(header, store, painterFor(header, store));
}

/** Milliseconds of a coarse picture, after one that compiles. */
async function measure(backend: Backend, look: Look, canvas: HTMLCanvasElement): Promise<number> {
  const scratch = document.createElement("canvas");
  scratch.width = canvas.width;
  scratch.height = canvas.height;
  const context = scratch.getContext("2d") as CanvasRenderingContext2D;
  const whole = { x: 0, y: 0, width: canvas.width, height: canvas.height };
  await backend.draw(context, look, { ...whole, height: Math.min(COARSE, whole.height) }, COARSE);
  const started = performance.now();
  await backend.draw(context, look, whole, COARSE);
  return performance.now() - started;
}

/** The back end that was asked for, or the faster one of those that work. */
async function chooseBackend(
  header: Header,
  store: Store,
  view: View,
  canvas: HTMLCanvasElement,
  { backend: wanted, workers }: Fragment,
): Promise<Backend> {
  if (wanted === "wasm") return startWasm(header, store, workers);
  if (wanted === "webgl2") return startWebgl(header, store);
  // What a view draws itself takes values one batch after another, for which a GPU waits more than it computes.
  if (view.draw) return startWasm(header, store).catch(() => startWebgl(header, store));
  const look = view.look(canvas.width, canvas.height);
  let webgl: WebglBackend | undefined;
  let reason: unknown;
  try {
    webgl = startWebgl(header, store);
    if (!webgl.software && (await measure(webgl, look, canvas)) < FAST_MS) return webgl;
  } catch (error) {
    webgl = undefined;
    reason = error;
  }
  try {
    const pool = await startWasm(header, store);
    // A program that pretends to be a GPU is slower than workers; what is unclear is measured.
    if (!webgl || webgl.software) return pool;
    if ((await measure(pool, look, canvas)) < (await measure(webgl, look, canvas))) return pool;
    pool.stop();
    return webgl;
  } catch (error) {
    if (webgl) return webgl;
    throw new Error(`${(reason as Error).message}, and ${(error as Error).message}`);
  }
}

async function start(): Promise<void> {
  const data = document.getElementById("field") as HTMLScriptElement | null;
  if (!data) throw new PageError("This file is not whole: its data are missing. Copy or download it again.");
  const { header, tensors } = await decode(data.textContent ?? "", Number(data.dataset.length));
  data.remove();
  document.documentElement.toggleAttribute("data-alpha", header.channels.names.includes("alpha"));
  const store = makeStore(tensors, Object.values(header.programs));
  tensors.clear();

  const fragment: Fragment = readFragment(location.hash);
  const canvas = document.getElementById("view") as HTMLCanvasElement;
  const size = /^(\d+)x(\d+)$/
    .exec(fragment.size ?? "")
    ?.slice(1)
    .map(Number);
  const ratio = Math.min(MAX_PIXEL_RATIO, devicePixelRatio || 1);
  let backend: Backend | undefined;
  let stage: Stage | undefined;
  const page = {
    canvas,
    redraw: (resting?: boolean) => stage?.redraw(resting),
    values: (...given: Parameters<Backend["values"]>) => (backend as Backend).values(...given),
  };
  const view = makeView(header, page, Boolean(size));
  view.read(fragment);
  const wantedSize = () => {
    const [width, height] = size ?? [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    return [Math.max(1, width), Math.max(1, height)] as const;
  };
  if (size) {
    document.documentElement.classList.add("sized");
    canvas.style.width = `${size[0] / (devicePixelRatio || 1)}px`;
    canvas.style.height = `${size[1] / (devicePixelRatio || 1)}px`;
  }
  [canvas.width, canvas.height] = wantedSize();

  backend = await chooseBackend(header, store, view, canvas, fragment);
  const works = element(
    "span",
    { id: "backend", title: backend.detail },
    backend.name === "wasm" ? "WebAssembly" : "WebGL 2",
  );
  window.fieldStudio = {
    value: (...coords) => view.value(...coords),
    backend: () => (backend as Backend).name,
    header,
    draw: async () => {
      const started = performance.now();
      stage?.redraw(true);
      await new Promise<void>((resolve) => {
        drawn = resolve;
      });
      return performance.now() - started;
    },
  };
  let drawn: () => void = () => undefined;

  const report = (now: State, error?: unknown) => {
    if (now === "error") fail(error);
    else state(now === "ready" ? "ready" : "loading");
    if (now !== "ready") return;
    remember();
    window.fieldStudio.firstPicture ??= performance.now();
    drawn();
  };
  const remember = () => {
    const kept = Object.fromEntries(
      ["size", "backend", "workers", "view"].filter((k) => k in fragment).map((k) => [k, fragment[k]]),
    );
    const written = view.write();
    history.replaceState(null, "", writeFragment({ ...kept, ...written }));
  };
  stage = new Stage(canvas, backend, view, report);
  furnish(header, view, canvas, works);
  if (!size) new ResizeObserver(() => stage?.resize(...wantedSize())).observe(canvas);
  addEventListener("hashchange", () => {
    view.read(readFragment(location.hash));
    stage?.redraw(true);
  });
  stage.redraw(true);
}

/** The bar below the picture, the panel, and what listens. */
function furnish(header: Header, view: View, canvas: HTMLCanvasElement, works: HTMLElement): void {
  const bar = document.getElementById("bar") as HTMLElement;
  const readout = element("output", { id: "readout" });
  const panel = document.getElementById("panel") as HTMLElement;
  panel.append(
    element("h1", {}, header.title),
    element("dl", {}, ...header.about.flatMap(([name, text]) => [element("dt", {}, name), element("dd", {}, text)])),
  );
  const toggle = () => {
    panel.hidden = !panel.hidden;
    info.setAttribute("aria-expanded", String(!panel.hidden));
  };
  const save = () => {
    canvas.toBlob((blob) => {
      if (!blob) return;
      const link = element("a", { href: URL.createObjectURL(blob), download: `${header.title}.png` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
  };
  const info = button("About", "How this field was made (i)", toggle);
  info.setAttribute("aria-expanded", "false");
  bar.append(
    ...view.controls(),
    button("Reset", "The whole field (r)", () => view.reset()),
    button("Save picture", "As a PNG file (s)", save),
    info,
    works,
    readout,
  );
  listen(canvas, {
    drag: (dx, dy, secondary) => view.drag(dx, dy, secondary),
    zoom: (factor, x, y) => view.zoom(factor, x, y),
    hover: (point) => {
      readout.textContent = point ? view.describe(...point) : "";
    },
    key: (key) => {
      const actions: Record<string, () => void> = { i: toggle, r: () => view.reset(), s: save };
      actions[key]?.();
      return key in actions || view.key(key);
    },
  });
}

/** Shows the field. `script`: the viewer's own text, for workers. */
export function startPage(script: string): void {
  viewer = script;
  start().catch(fail);
}
