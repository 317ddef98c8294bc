// Viewer of a scene's cameras, its points and the crop box, which follows the numbers of the sliders beside it.

import { BoxHandles } from "./box_handles.js";
import { button, element, isVisible, onKeys, onResize, sleep } from "./dom.js";

const BOX_INPUTS = Array.from({ length: 6 }, (_, index) => `#recon-box-${index} input[type=number]`);
// The numbers are read so often while the viewer is visible: Gradio sets them without an event.
const POLL_MS = 150;
const MAX_ELEVATION = 89;
const MIN_ZOOM = 0.3;
const MAX_ZOOM = 12;
const COLORS = { train: "#2f86ad", test: "#d9733a", box: "#3c9a61", points: "#8d7263" };
const DARK_COLORS = { train: "#6cbde0", test: "#f2a06f", box: "#7fd6ad", points: "#b9a08f" };
// Corners of a camera's five points that a line joins.
const PYRAMID = [0, 1, 2, 0, 3, 4, 0, 2, 3, 0, 4, 1];

export class CameraViewer {
  constructor(root) {
    this.root = root;
    this.scene = JSON.parse(root.dataset.scene);
    this.view = { azimuth: 35, elevation: 25, zoom: 1 };
    this.box = [...this.scene.lower, ...this.scene.upper];
    this.centre = this.scene.lower.map((low, axis) => (low + this.scene.upper[axis]) / 2);
    this.reach = this.findReach();
    [this.right, this.ahead, this.up] = frame(this.scene.up);
    this.project = null;
    this.build();
    this.handles = new BoxHandles(this.frame, {
      whole: [...this.box],
      project: (point) => this.project?.(point) ?? null,
      change: (box, index) => this.pulled(box, index),
    });
    this.poll();
  }

  /** Half the width of what is shown at first: all cameras and the box. */
  findReach() {
    const all = [...this.scene.cameras.map((camera) => camera.points[0]), this.scene.lower, this.scene.upper];
    return Math.max(1e-6, ...all.map((point) => distance(point, this.centre))) * 1.05;
  }

  build() {
    this.canvas = element("canvas", { "aria-hidden": "true" });
    const { cameras, points } = this.scene;
    const test = cameras.filter((camera) => camera.test).length;
    this.frame = element(
      "div",
      {
        class: "window cameras",
        tabindex: "0",
        role: "group",
        "aria-label":
          "Cameras, points and the crop box; arrows turn the view, plus and minus move nearer and farther. The numbers of the box are beside it",
      },
      this.canvas,
    );
    this.caption = element(
      "p",
      { class: "muted" },
      element("b", { class: "train" }, "■ "),
      `${cameras.length - test} cameras for training, `,
      element("b", { class: "test" }, "■ "),
      `${test} for testing, `,
      ...(points.length ? [element("b", { class: "points" }, "■ "), `${points.length / 3} points, `] : []),
      element("b", { class: "box" }, "■ "),
      "crop box: drag its handles, or set its numbers",
    );
    const sign = (text, label, onclick) => button(text, onclick, { class: "sign", "aria-label": label });
    const tools = element(
      "div",
      { class: "buttons" },
      sign("←", "Turn the cameras left", () => this.turn(-15, 0)),
      sign("→", "Turn the cameras right", () => this.turn(15, 0)),
      sign("↑", "Look from higher", () => this.turn(0, 10)),
      sign("↓", "Look from lower", () => this.turn(0, -10)),
      sign("−", "Farther from the cameras", () => this.approach(1 / 1.3)),
      sign("+", "Nearer to the cameras", () => this.approach(1.3)),
    );
    this.root.replaceChildren(this.frame, tools, this.caption);
    this.frame.addEventListener("pointermove", (event) => {
      if (event.buttons) this.turn(-event.movementX / 2, event.movementY / 2);
    });
    this.frame.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.approach(Math.exp(-event.deltaY / 600));
      },
      { passive: false },
    );
    onKeys(this.frame, {
      ArrowLeft: () => this.turn(-10, 0),
      ArrowRight: () => this.turn(10, 0),
      ArrowUp: () => this.turn(0, 8),
      ArrowDown: () => this.turn(0, -8),
      "+": () => this.approach(1.15),
      "=": () => this.approach(1.15),
      "-": () => this.approach(1 / 1.15),
    });
    onResize(this.frame, () => this.draw());
  }

  turn(azimuth, elevation) {
    this.view.azimuth = (this.view.azimuth + azimuth) % 360;
    this.view.elevation = Math.max(-MAX_ELEVATION, Math.min(MAX_ELEVATION, this.view.elevation + elevation));
    this.draw();
  }

  approach(factor) {
    this.view.zoom = Math.max(MIN_ZOOM, Math.min(MAX_ZOOM, this.view.zoom * factor));
    this.draw();
  }

  /** Draw again whenever a number of the crop box has changed. */
  async poll() {
    while (this.root.isConnected) {
      if (isVisible(this.root)) {
        const box = BOX_INPUTS.map((selector, index) => {
          const value = Number.parseFloat(document.querySelector(selector)?.value);
          return Number.isFinite(value) ? value : [...this.scene.lower, ...this.scene.upper][index];
        });
        this.handles.whole = BOX_INPUTS.map((selector, index) => {
          const control = document.querySelector(selector);
          const end = Number.parseFloat(index < 3 ? control?.min : control?.max);
          return Number.isFinite(end) ? end : [...this.scene.lower, ...this.scene.upper][index];
        });
        if (box.some((value, index) => value !== this.box[index])) {
          this.box = box;
          this.draw();
        }
      }
      await sleep(POLL_MS);
    }
  }

  /** Put a number that a handle has changed into its control, which rounds it to its steps. */
  pulled(box, index) {
    const input = document.querySelector(BOX_INPUTS[index]);
    this.box = [...box];
    this.draw();
    if (!input) return;
    const step = Number.parseFloat(input.step) || 0;
    const value = step ? Math.round(box[index] / step) * step : box[index];
    input.value = String(Number(value.toPrecision(8)));
    input.dispatchEvent(new Event("input", { bubbles: true }));
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }

  /** A function from points of the scene to pixels: orthographic, so that lengths can be compared. */
  projection(width, height) {
    const [azimuth, elevation] = [this.view.azimuth, this.view.elevation].map((degrees) => (degrees * Math.PI) / 180);
    const [sinA, cosA, sinE, cosE] = [Math.sin(azimuth), Math.cos(azimuth), Math.sin(elevation), Math.cos(elevation)];
    const across = combine(this.right, -sinA, this.ahead, cosA);
    const outward = combine(this.right, cosA, this.ahead, sinA);
    const upward = combine(this.up, cosE, outward, -sinE);
    const scale = ((Math.min(width, height) / 2) * this.view.zoom) / this.reach;
    return (point) => {
      const from = point.map((value, axis) => value - this.centre[axis]);
      return [width / 2 + scale * dot(from, across), height / 2 - scale * dot(from, upward)];
    };
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.frame;
    if (!width || !height) return;
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    const context = this.canvas.getContext("2d");
    context.scale(ratio, ratio);
    const colors = document.body.classList.contains("dark") ? DARK_COLORS : COLORS;
    for (const [name, color] of Object.entries(colors)) this.root.style.setProperty(`--${name}`, color);
    const project = this.projection(width, height);
    context.fillStyle = colors.points;
    const { points } = this.scene;
    for (let index = 0; index < points.length; index += 3) {
      const [x, y] = project(points.slice(index, index + 3));
      context.fillRect(x - 0.75, y - 0.75, 1.5, 1.5);
    }
    context.lineWidth = 1;
    for (const camera of this.scene.cameras) {
      context.strokeStyle = camera.test ? colors.test : colors.train;
      strokePath(
        context,
        PYRAMID.map((corner) => project(camera.points[corner])),
      );
    }
    this.project = project;
    this.handles.box = [...this.box];
    this.handles.draw();
    this.root.dataset.drawn = this.box.map((value) => Number(value.toPrecision(4))).join(",");
  }
}

/** Two axes across a direction, and the direction, as unit vectors. */
function frame(up) {
  const length = Math.hypot(...up) || 1;
  const unit = up.map((value) => value / length);
  const least = unit.map(Math.abs).indexOf(Math.min(...unit.map(Math.abs)));
  const other = [0, 1, 2].map((axis) => (axis === least ? 1 : 0));
  const across = combine(other, 1, unit, -dot(other, unit));
  const size = Math.hypot(...across);
  const right = across.map((value) => value / size);
  return [right, cross(unit, right), unit];
}

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const combine = (a, weightA, b, weightB) => a.map((value, axis) => weightA * value + weightB * b[axis]);
const distance = (a, b) => Math.hypot(...a.map((value, axis) => value - b[axis]));

function strokePath(context, points) {
  context.beginPath();
  for (const [x, y] of points) context.lineTo(x, y);
  context.stroke();
}
