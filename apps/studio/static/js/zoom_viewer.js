// Viewer of images, audio, videos and volumes: signal, field and error, which zoom together. The field is evaluated anew
// for the pixels of every window. A clip plays, frame by frame too, with all panes at the same moment.

import { errorMessage, fetchImage, getJson, storage } from "./api.js";
import { button, element, nextFrame, onKeys, onPointers, onResize, replaceImageByResponse, sleep } from "./dom.js";
import { count } from "./format.js";

const WHOLE = { x0: 0, y0: 0, x1: 1, y1: 1 };
// Closer than this, float32 coordinates of neighbouring pixels do not differ. The server refuses 1e-5.
const MIN_WINDOW = 2e-5;
const MAX_WIDTH = 1280;
const MAX_HEIGHT = 1100;
// Pixels along the longer side while a clip plays.
const PLAYED_SIDE = 400;
const MAX_PIXEL_RATIO = 2;
// Wheel events arrive in bursts: a request waits for so long, and takes the newest window.
const GATHER_MS = 60;
const RETRY_MS = 1000;
// The pointer rests when it has not moved for so long.
const REST_MS = 80;
const PANES = { signal: "signal", field: "field", error: "error" };
// Which panes each layout shows, and what its button says.
const LAYOUTS = {
  field: { label: "Field", panes: ["field"] },
  slider: { label: "Slider", panes: ["signal", "field"] },
  side: { label: "Side by side", panes: ["signal", "field", "error"] },
};
const LAYOUT_KEY = "viewer-layout";
const GAINS = [1, 3, 10, 30, 100];
const CURVES = { reinhard: "Reinhard", filmic: "Filmic", srgb: "Clipped" };
const MAX_STOPS = 8;

export class ZoomViewer {
  constructor(root) {
    this.root = root;
    this.run = root.dataset.run;
    this.kind = root.dataset.kind;
    this.frames = Number(root.dataset.frames || 0);
    this.zoomsVertically = this.kind !== "audio";
    this.view = { ...WHOLE };
    this.busy = false;
    this.again = false;
    this.playing = false;
    // Where the signal cannot be opened, only the field is shown.
    this.hasSignal = true;
    this.build();
    this.listen();
    const remembered = storage.get(LAYOUT_KEY);
    this.layOut(remembered in LAYOUTS ? remembered : this.zoomsVertically ? "slider" : "field");
    onResize(this.stage, () => this.show());
  }

  build() {
    this.panes = Object.fromEntries(
      Object.entries(PANES).map(([of, label]) => {
        const image = element("img", { alt: `the ${label} of ${this.run}`, draggable: "false" });
        const tag = element("span", { class: "tag" }, label);
        return [of, { of, image, tag, drawn: { ...WHOLE }, node: element("div", { class: `pane ${of}` }, image, tag) }];
      }),
    );
    this.edge = element("span", { class: "edge", "aria-hidden": "true" });
    this.stage = element(
      "div",
      {
        class: "window stage",
        tabindex: "0",
        role: "group",
        "aria-label": "Field and signal; arrows move, plus and minus zoom, 0 shows all",
      },
      ...Object.values(this.panes).map(({ node }) => node),
      this.edge,
    );
    this.layouts = Object.fromEntries(
      Object.entries(LAYOUTS).map(([name, { label }]) => [name, button(label, () => this.layOut(name))]),
    );
    this.status = element("p", { class: "muted", role: "status" });
    this.value = element("p", { class: "muted value" });
    this.buildPosition();
    const film = this.frames ? [this.buildFilm()] : [];
    this.root.replaceChildren(this.stage, this.buildCut(), ...film, this.buildTools(), this.status, this.value);
  }

  /** The moment of a clip, or where a volume is cut. */
  buildPosition() {
    const { position } = this.root.dataset;
    this.position = element("input", {
      type: "range",
      min: 0,
      max: 1,
      step: this.frames ? 1 / (2 * this.frames) : 0.005,
      value: 0.5,
      "aria-label": position || "position",
      oninput: () => this.show(),
    });
  }

  buildCut() {
    this.cut = element("input", {
      type: "range",
      min: 0,
      max: 100,
      step: 0.5,
      value: 50,
      "aria-label": "How much of the signal is shown beside the field",
    });
    const cut = () => this.stage.style.setProperty("--cut", `${this.cut.value}%`);
    this.cut.addEventListener("input", cut);
    cut();
    this.cutBox = element("label", { class: "cut" }, "signal", this.cut, "field");
    return this.cutBox;
  }

  buildTools() {
    const { position } = this.root.dataset;
    const show = () => this.show();
    const options = (entries) => entries.map(([value, label]) => element("option", { value }, label));
    const axes = ["z", "y", "x"].map((name) => [name, `across ${name}`]);
    this.axis = element("select", { "aria-label": "cut across", onchange: show }, ...options(axes));
    this.gain = element(
      "select",
      { "aria-label": "How many times larger the error is shown", onchange: show },
      ...options(GAINS.map((gain) => [gain, `× ${gain}`])),
    );
    this.gain.value = "10";
    this.gainBox = element("label", {}, "error", this.gain);
    return element(
      "div",
      { class: "buttons" },
      element("span", { class: "links", role: "group", "aria-label": "Layout" }, ...Object.values(this.layouts)),
      button("−", () => this.zoomAt(0.5, 0.5, 1 / 2), { class: "sign", "aria-label": "Zoom out" }),
      button("+", () => this.zoomAt(0.5, 0.5, 2), { class: "sign", "aria-label": "Zoom in" }),
      button("Whole", () => this.showWhole()),
      position && !this.frames ? element("label", {}, position, this.position) : null,
      position === "slice" ? this.axis : null,
      this.gainBox,
      ...("linear" in this.root.dataset ? this.buildTone(options) : []),
    );
  }

  /** Controls of linear light. */
  buildTone(options) {
    const stops = element("output", {}, "0 stops");
    this.exposure = element("input", {
      type: "range",
      min: -MAX_STOPS,
      max: MAX_STOPS,
      step: 0.25,
      value: 0,
      "aria-label": "Exposure in stops",
    });
    this.exposure.addEventListener("input", () => {
      const { value } = this.exposure;
      stops.textContent = `${value > 0 ? "+" : ""}${value} stops`;
      this.show();
    });
    this.curve = element(
      "select",
      { "aria-label": "Tone curve", onchange: () => this.show() },
      ...options(Object.entries(CURVES)),
    );
    return [element("label", {}, "Exposure", this.exposure, stops), element("label", {}, "Tone curve", this.curve)];
  }

  /** Player of a clip. */
  buildFilm() {
    this.play = button("Play", () => this.togglePlay(), { class: "primary" });
    this.moment = element("span", { class: "muted" });
    this.loop = element("input", { type: "checkbox", checked: true });
    return element(
      "div",
      { class: "buttons film" },
      this.play,
      button("←", () => this.step(-1), { class: "sign", "aria-label": "Previous frame" }),
      button("→", () => this.step(1), { class: "sign", "aria-label": "Next frame" }),
      this.position,
      this.moment,
      element("label", {}, this.loop, "Loop"),
    );
  }

  listen() {
    const inPane = (event) => (event.target.closest?.(".pane") ?? this.panes.field.node).getBoundingClientRect();
    this.stage.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        const box = inPane(event);
        const x = (event.clientX - box.left) / box.width;
        const y = (event.clientY - box.top) / box.height;
        this.zoomAt(x, y, Math.exp(-event.deltaY / 400));
      },
      { passive: false },
    );
    const pane = () => this.panes.field.node;
    onPointers(
      this.stage,
      (dx, dy) => this.move(-dx / pane().clientWidth, -dy / pane().clientHeight),
      (factor, x, y) => {
        const box = pane().getBoundingClientRect();
        this.zoomAt((x - box.left) / box.width, (y - box.top) / box.height, factor);
      },
    );
    if (this.zoomsVertically) {
      for (const name of ["pointermove", "pointerdown"])
        this.stage.addEventListener(name, (event) => this.tellValue(event, this.paneAt(event)));
    }
    onKeys(this.stage, {
      "+": () => this.zoomAt(0.5, 0.5, 1.5),
      "=": () => this.zoomAt(0.5, 0.5, 1.5),
      "-": () => this.zoomAt(0.5, 0.5, 1 / 1.5),
      ArrowLeft: () => this.move(-0.15, 0),
      ArrowRight: () => this.move(0.15, 0),
      ArrowUp: () => this.move(0, -0.15),
      ArrowDown: () => this.move(0, 0.15),
      0: () => this.showWhole(),
      ...(this.frames ? { ",": () => this.step(-1), ".": () => this.step(1), " ": () => this.togglePlay() } : {}),
    });
  }

  /** The rectangle of the pane under the pointer, which is captured by the stage while it is pressed. */
  paneAt({ clientX, clientY }) {
    const boxes = this.shownPanes().map(({ node }) => node.getBoundingClientRect());
    return boxes.find(
      (box) => clientX >= box.left && clientX < box.right && clientY >= box.top && clientY < box.bottom,
    );
  }

  /** Tell the values of field and signal under a pointer that rests. */
  tellValue({ clientX, clientY }, box) {
    clearTimeout(this.telling);
    if (!box) return;
    const { view } = this;
    const x = view.x0 + ((clientX - box.left) / box.width) * this.width;
    const y = view.y0 + ((clientY - box.top) / box.height) * this.height;
    this.telling = setTimeout(async () => {
      const asked = new URLSearchParams({ x, y, at: this.position.value, axis: this.axis.value });
      try {
        this.value.textContent = valueText(await getJson(`runs/${encodeURIComponent(this.run)}/value?${asked}`));
      } catch {
        this.value.textContent = "";
      }
    }, REST_MS);
  }

  /** Choose a layout; `show` follows. */
  layOut(name) {
    this.layout = this.hasSignal ? name : "field";
    this.stage.dataset.layout = this.layout;
    for (const [known, node] of Object.entries(this.layouts)) {
      node.setAttribute("aria-pressed", String(known === this.layout));
      node.hidden = !this.hasSignal && known !== "field";
    }
    const { panes } = LAYOUTS[this.layout];
    for (const { of, node } of Object.values(this.panes)) node.hidden = !panes.includes(of);
    this.cutBox.hidden = this.edge.hidden = this.layout !== "slider";
    this.gainBox.hidden = this.layout !== "side";
    this.show();
  }

  shownPanes() {
    return LAYOUTS[this.layout].panes.map((of) => this.panes[of]);
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

  /** The frame that is shown, from 0. */
  get frame() {
    return Math.min(this.frames - 1, Math.floor(Number(this.position.value) * this.frames));
  }

  /** Go on by some frames, from the last to the first where the clip loops. Returns whether there was one. */
  step(by) {
    const next = this.frame + by;
    if ((next < 0 || next >= this.frames) && !this.loop.checked) return false;
    this.position.value = (((next + this.frames) % this.frames) + 0.5) / this.frames;
    this.show();
    return true;
  }

  showMoment() {
    if (!this.frames) return;
    const seconds = (Number(this.root.dataset.seconds) * Number(this.position.value)).toFixed(2);
    this.moment.textContent = `frame ${this.frame + 1} of ${this.frames}, ${seconds} s`;
  }

  /** Play at the clip's own rate, as far as frames arrive in time; frames are left out where they do not. */
  async togglePlay() {
    this.playing = !this.playing;
    this.play.textContent = this.playing ? "Pause" : "Play";
    const seconds = Number(this.root.dataset.seconds) / this.frames;
    let due = performance.now() + 1000 * seconds;
    while (this.playing && this.root.isConnected) {
      while (this.busy || performance.now() < due) await nextFrame();
      const passed = Math.max(1, Math.floor((performance.now() - due) / 1000 / seconds) + 1);
      due += 1000 * seconds * passed;
      if (this.playing && !this.step(Math.min(passed, this.frames))) break;
    }
    this.playing = false;
    this.play.textContent = "Play";
    this.show();
  }

  /** Move the present images to the new window, and fetch sharp ones. */
  show() {
    if (!this.layout) return;
    for (const pane of this.shownPanes()) this.place(pane);
    const times = 1 / this.width;
    const rounded = times < 10 ? times.toFixed(1) : count(Math.round(times));
    this.status.textContent =
      times > 1.01 ? `Zoomed in ${rounded} times, evaluated for these pixels` : "All of it, evaluated for these pixels";
    this.showMoment();
    this.fetchSharp();
  }

  place({ image, drawn }) {
    const { view, width, height } = this;
    const x = (100 * (drawn.x0 - view.x0)) / width;
    const y = (100 * (drawn.y0 - view.y0)) / height;
    const scaleX = (drawn.x1 - drawn.x0) / width;
    const scaleY = (drawn.y1 - drawn.y0) / height;
    image.style.transform = `translate(${x}%, ${y}%) scale(${scaleX}, ${scaleY})`;
  }

  async fetchSharp() {
    this.again = true;
    if (this.busy) return;
    this.busy = true;
    while (this.again && this.root.isConnected) {
      this.again = false;
      if (!this.playing) await sleep(GATHER_MS);
      await this.fetchAll({ ...this.view });
    }
    this.busy = false;
  }

  /** Fetch the images of all panes of one window and one moment, and show them together. */
  async fetchAll(view) {
    const { clientWidth, clientHeight } = this.panes.field.node;
    if (!clientWidth) return;
    const ratio = Math.min(MAX_PIXEL_RATIO, window.devicePixelRatio || 1);
    const shrink = this.playing ? Math.min(1, PLAYED_SIDE / (ratio * Math.max(clientWidth, clientHeight))) : 1;
    const pixels = (length, limit) => Math.max(1, Math.min(limit, Math.round(length * ratio * shrink)));
    const asked = {
      ...view,
      w: pixels(clientWidth, MAX_WIDTH),
      h: pixels(clientHeight, MAX_HEIGHT),
      at: this.position.value,
      axis: this.axis.value,
      ...(this.curve ? { exposure: this.exposure.value, curve: this.curve.value } : {}),
    };
    const panes = this.shownPanes();
    const { layout } = this;
    const answers = await Promise.all(
      panes.map(({ of }) =>
        fetchImage(`view/${encodeURIComponent(this.run)}`, { ...asked, of, gain: this.gain.value }),
      ),
    );
    if (!this.root.isConnected) return;
    if (answers.includes(null)) {
      this.status.textContent = "The studio does not answer; trying again …";
      await sleep(RETRY_MS);
      this.again = true;
      return;
    }
    const field = answers[panes.indexOf(this.panes.field)];
    if (!field.ok) {
      this.status.textContent = await errorMessage(field);
      return;
    }
    const refused = answers.find((answer) => !answer.ok);
    if (refused) {
      const why = await errorMessage(refused);
      this.hasSignal = false;
      this.layOut("field");
      this.status.textContent = `The signal is not shown beside the field: ${why}`;
      return;
    }
    const shown = await Promise.all(panes.map(({ image }, index) => replaceImageByResponse(image, answers[index])));
    if (!shown.every(Boolean)) return;
    for (const pane of panes) {
      pane.drawn = view;
      this.place(pane);
    }
    this.panes.error.tag.textContent = `error × ${this.gain.value}`;
    const window_ = Object.values(view).map((value) => value.toFixed(4));
    this.root.dataset.drawn = `${this.run} ${window_} ${layout} ${asked.at} ${asked.exposure ?? ""}`;
  }
}

/** Where a point is, and the values of signal and field there. */
function valueText({ x, y, field, signal }) {
  const values = (named) => Object.entries(named).map(([name, value]) => `${name} ${value}`);
  const parts = [`x ${x}, y ${y}`];
  if (signal) parts.push(`signal: ${values(signal).join(", ")}`);
  parts.push(`field: ${values(field).join(", ")}`);
  return parts.join("   ·   ");
}
