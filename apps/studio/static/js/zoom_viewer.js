// Viewer of images, audio, videos and volumes: the field is evaluated anew for the pixels of every window.

import { errorMessage, fetchImage, getJson } from "./api.js";
import { button, element, onKeys, onPointers, onResize, replaceImageByResponse, sleep } from "./dom.js";
import { count } from "./format.js";

const WHOLE = { x0: 0, y0: 0, x1: 1, y1: 1 };
// Closer than this, float32 coordinates of neighbouring pixels do not differ. The server refuses 1e-5.
const MIN_WINDOW = 2e-5;
const MAX_WIDTH = 1280;
const MAX_HEIGHT = 1100;
const MAX_PIXEL_RATIO = 2;
// Wheel events arrive in bursts: a request waits for so long, and takes the newest window.
const GATHER_MS = 60;
const RETRY_MS = 1000;
// The pointer rests when it has not moved for so long.
const REST_MS = 80;

export class ZoomViewer {
  constructor(root) {
    this.root = root;
    this.run = root.dataset.run;
    this.zoomsVertically = root.dataset.kind !== "audio";
    this.view = { ...WHOLE };
    this.drawn = { ...WHOLE };
    this.busy = false;
    this.again = false;
    this.build();
    this.listen();
    onResize(this.frame, () => this.show());
  }

  build() {
    const { position } = this.root.dataset;
    this.image = element("img", { alt: `the field ${this.run}`, draggable: "false" });
    this.frame = element(
      "div",
      {
        class: "window",
        tabindex: "0",
        role: "group",
        "aria-label": "The field; arrows move, plus and minus zoom, 0 shows all",
      },
      this.image,
    );
    this.status = element("p", { class: "muted", role: "status" });
    const show = () => this.show();
    this.position = element("input", {
      type: "range",
      min: 0,
      max: 1,
      step: 0.005,
      value: 0.5,
      "aria-label": position || "position",
      oninput: show,
    });
    const axes = ["z", "y", "x"].map((name) => element("option", { value: name }, `across ${name}`));
    this.axis = element("select", { "aria-label": "cut across", onchange: show }, ...axes);
    const tools = element(
      "div",
      { class: "buttons" },
      button("−", () => this.zoomAt(0.5, 0.5, 1 / 2), { "aria-label": "Zoom out" }),
      button("+", () => this.zoomAt(0.5, 0.5, 2), { "aria-label": "Zoom in" }),
      button("Whole", () => this.showWhole()),
      position ? element("label", {}, position, this.position) : null,
      position === "slice" ? this.axis : null,
    );
    this.value = element("p", { class: "muted value" });
    this.root.replaceChildren(this.frame, tools, this.status, this.value);
  }

  listen() {
    this.frame.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        const box = this.frame.getBoundingClientRect();
        const x = (event.clientX - box.left) / box.width;
        const y = (event.clientY - box.top) / box.height;
        this.zoomAt(x, y, Math.exp(-event.deltaY / 400));
      },
      { passive: false },
    );
    onPointers(
      this.frame,
      (dx, dy) => this.move(-dx / this.frame.clientWidth, -dy / this.frame.clientHeight),
      (factor, x, y) => {
        const box = this.frame.getBoundingClientRect();
        this.zoomAt((x - box.left) / box.width, (y - box.top) / box.height, factor);
      },
    );
    if (this.root.dataset.kind === "image")
      this.frame.addEventListener("pointermove", (event) => this.tellValue(event));
    onKeys(this.frame, {
      "+": () => this.zoomAt(0.5, 0.5, 1.5),
      "=": () => this.zoomAt(0.5, 0.5, 1.5),
      "-": () => this.zoomAt(0.5, 0.5, 1 / 1.5),
      ArrowLeft: () => this.move(-0.15, 0),
      ArrowRight: () => this.move(0.15, 0),
      ArrowUp: () => this.move(0, -0.15),
      ArrowDown: () => this.move(0, 0.15),
      0: () => this.showWhole(),
    });
  }

  /** Tell the field's own value under a pointer that rests. */
  tellValue({ clientX, clientY }) {
    const box = this.frame.getBoundingClientRect();
    const { view } = this;
    const x = view.x0 + ((clientX - box.left) / box.width) * this.width;
    const y = view.y0 + ((clientY - box.top) / box.height) * this.height;
    clearTimeout(this.telling);
    this.telling = setTimeout(async () => {
      try {
        const { text } = await getJson(`runs/${encodeURIComponent(this.run)}/value?x=${x}&y=${y}`);
        this.value.textContent = text;
      } catch {
        this.value.textContent = "";
      }
    }, REST_MS);
  }

  get width() {
    return this.view.x1 - this.view.x0;
  }

  get height() {
    return this.view.y1 - this.view.y0;
  }

  showWhole() {
    Object.assign(this.view, WHOLE);
    this.show();
  }

  /** Zoom by `factor`; the point `(x, y)`, in [0, 1] of the window, stays where it is. */
  zoomAt(x, y, factor) {
    const { view, width, height } = this;
    const bounded = Math.max(Math.min(factor, width / MIN_WINDOW), width);
    view.x0 += x * (width - width / bounded);
    view.x1 = view.x0 + width / bounded;
    if (this.zoomsVertically) {
      view.y0 += y * (height - height / bounded);
      view.y1 = view.y0 + height / bounded;
    }
    this.keepInside();
  }

  /** Move by parts of the window. */
  move(dx, dy) {
    const { view, width, height } = this;
    view.x0 += dx * width;
    view.x1 += dx * width;
    if (this.zoomsVertically) {
      view.y0 += dy * height;
      view.y1 += dy * height;
    }
    this.keepInside();
  }

  keepInside() {
    const { view } = this;
    for (const [low, high] of [
      ["x0", "x1"],
      ["y0", "y1"],
    ]) {
      const shift = Math.max(0, -view[low]) - Math.max(0, view[high] - 1);
      view[low] += shift;
      view[high] += shift;
    }
    this.show();
  }

  /** Move the present image to the new window, and fetch a sharp one. */
  show() {
    this.placeImage();
    const times = 1 / this.width;
    const rounded = times < 10 ? times.toFixed(1) : count(Math.round(times));
    this.status.textContent =
      times > 1.01 ? `Zoomed in ${rounded} times, evaluated for these pixels` : "All of it, evaluated for these pixels";
    this.fetchSharp();
  }

  placeImage() {
    const { view, drawn, width, height } = this;
    const x = (100 * (drawn.x0 - view.x0)) / width;
    const y = (100 * (drawn.y0 - view.y0)) / height;
    const scaleX = (drawn.x1 - drawn.x0) / width;
    const scaleY = (drawn.y1 - drawn.y0) / height;
    this.image.style.transform = `translate(${x}%, ${y}%) scale(${scaleX}, ${scaleY})`;
  }

  async fetchSharp() {
    this.again = true;
    if (this.busy) return;
    this.busy = true;
    while (this.again && this.root.isConnected) {
      this.again = false;
      await sleep(GATHER_MS);
      await this.fetchOnce({ ...this.view });
    }
    this.busy = false;
  }

  async fetchOnce(view) {
    const ratio = Math.min(MAX_PIXEL_RATIO, window.devicePixelRatio || 1);
    const pixels = (length, limit) => Math.max(1, Math.min(limit, Math.round(length * ratio)));
    const response = await fetchImage(`view/${encodeURIComponent(this.run)}`, {
      ...view,
      w: pixels(this.frame.clientWidth, MAX_WIDTH),
      h: pixels(this.frame.clientHeight, MAX_HEIGHT),
      at: this.position.value,
      axis: this.axis.value,
    });
    if (!this.root.isConnected) return;
    if (!response) {
      this.status.textContent = "The studio does not answer";
      await sleep(RETRY_MS);
      this.again = true;
    } else if (!response.ok) {
      this.status.textContent = await errorMessage(response);
    } else if (await replaceImageByResponse(this.image, response)) {
      this.drawn = view;
      this.placeImage();
      const window = Object.values(view).map((value) => value.toFixed(4));
      this.root.dataset.drawn = `${this.run} ${window}`;
    }
  }
}
