// The crop box of a solid field: handles over its view, and a number for each side. Exports of the page write what is in it.

import { getJson } from "./api.js";
import { BoxHandles } from "./box_handles.js";
import { button, element } from "./dom.js";

const LABELS = ["x from", "y from", "z from", "x to", "y to", "z to"];
// How they stand beside each other: by axes.
const ORDER = [0, 3, 1, 4, 2, 5];
const DIGITS = 4;
// Told to the rest of the page: `detail` is the box as the option of an export, or empty.
export const CROPPED = "studio-cropped";

export class CropBox {
  /** `redraw`: asks for the view again, with its projection. */
  constructor(run, frame, redraw) {
    Object.assign(this, { run, frame, redraw });
    this.matrix = null;
    this.handles = null;
    this.shows = button("Show the box", () => this.toggle(), { "aria-pressed": "false" });
    this.reset = button("Whole field", () => this.set([...this.handles.whole]), { disabled: true });
    this.inputs = LABELS.map((label, index) =>
      element("input", {
        type: "number",
        step: "any",
        disabled: true,
        "aria-label": label,
        onchange: () => this.typed(index),
      }),
    );
    this.status = element(
      "p",
      { class: "muted", role: "status" },
      "Show the box, then drag its handles or type numbers, in units of the file.",
    );
    this.root = element(
      "details",
      { class: "measures crop" },
      element("summary", {}, "Crop box"),
      element("div", { class: "buttons" }, this.shows, this.reset),
      element(
        "div",
        { class: "buttons" },
        ...ORDER.map((index) => element("label", {}, LABELS[index], this.inputs[index])),
      ),
      this.status,
    );
  }

  /** Whether views should come with their projection. */
  get isShown() {
    return this.shows.getAttribute("aria-pressed") === "true";
  }

  async toggle() {
    const on = !this.isShown;
    this.shows.setAttribute("aria-pressed", String(on));
    this.shows.textContent = on ? "Hide the box" : "Show the box";
    try {
      if (!this.handles) await this.load();
    } catch (error) {
      this.status.textContent = error.message;
      return;
    }
    this.handles.svg.toggleAttribute("hidden", !on);
    this.redraw();
  }

  async load() {
    const { lower, upper } = await getJson(`runs/${encodeURIComponent(this.run)}/box`);
    this.handles = new BoxHandles(this.frame, {
      whole: [...lower, ...upper],
      project: (point) => this.project(point),
      change: () => this.changed(),
    });
    for (const [index, input] of this.inputs.entries()) {
      input.disabled = false;
      input.min = lower[index % 3];
      input.max = upper[index % 3];
    }
    this.reset.disabled = false;
    this.changed();
  }

  /** Take the projection of the view that is shown now: twelve numbers as text, from its response. */
  projected(text) {
    this.matrix = text ? JSON.parse(text) : null;
    this.handles?.draw();
  }

  project(point) {
    if (!this.matrix) return null;
    const [x, y, w] = [0, 4, 8].map((row) =>
      point.reduce((sum, value, axis) => sum + this.matrix[row + axis] * value, this.matrix[row + 3]),
    );
    return w > 0 ? [(x / w) * this.frame.clientWidth, (y / w) * this.frame.clientHeight] : null;
  }

  set(box) {
    this.handles.box = box;
    this.handles.draw();
    this.changed();
  }

  typed(index) {
    const { whole, box } = this.handles;
    const axis = index % 3;
    const value = Number.parseFloat(this.inputs[index].value);
    const next = [...box];
    next[index] = Number.isFinite(value) ? Math.min(whole[axis + 3], Math.max(whole[axis], value)) : whole[index];
    if (next[axis] < next[axis + 3]) this.set(next);
    else {
      this.changed();
      this.status.textContent = `${LABELS[axis]} must be less than ${LABELS[axis + 3]}; the box is as it was.`;
    }
  }

  changed() {
    const { whole, box } = this.handles;
    const numbers = box.map((value) => Number(value.toPrecision(DIGITS)));
    for (const [index, input] of this.inputs.entries()) input.value = numbers[index];
    const all = box.every((value, index) => value === whole[index]);
    this.status.textContent = all
      ? "The whole field: nothing is cropped."
      : "Exports of meshes and points write only what lies in the box.";
    document.dispatchEvent(new CustomEvent(CROPPED, { detail: all ? "" : numbers.join(",") }));
  }
}
