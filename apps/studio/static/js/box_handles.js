// A box drawn over a view, whose faces are dragged by handles: with the mouse, a pen or a finger.

const SVG = "http://www.w3.org/2000/svg";
const AXES = [0, 1, 2];
// Radius of a handle in pixels, and of what a finger may touch.
const HANDLE = 6;
const TOUCHED = 16;
// A face that looks at the viewer cannot be pulled: its axis is shorter than this on the screen, in pixels.
const MIN_PULL = 12;
// Least thickness of a box, as a fraction of the whole one.
const MIN_SIDE = 0.01;

/** The corner of a box `[x0, y0, z0, x1, y1, z1]`; bit k of its number says whether it is the upper one of axis k. */
export const cornerOf = (box, number) => AXES.map((axis) => box[axis + ((number >> axis) & 1 ? 3 : 0)]);

/** Pairs of numbers of corners that an edge joins. */
export const EDGES = [...Array(8).keys()].flatMap((from) =>
  AXES.filter((axis) => !((from >> axis) & 1)).map((axis) => [from, from | (1 << axis)]),
);

export class BoxHandles {
  /**
   * `frame`: the element that shows the view. `project`: from a point to pixels of the frame; null behind the camera.
   * `change`: called with the box that a drag has made, and the index of the number that it has changed.
   */
  constructor(frame, { whole, project, change }) {
    Object.assign(this, { whole, project, change });
    this.box = [...whole];
    this.svg = document.createElementNS(SVG, "svg");
    this.svg.setAttribute("class", "box-handles");
    this.svg.setAttribute("aria-hidden", "true");
    this.edges = EDGES.map(() => this.add("line"));
    this.handles = [...Array(6).keys()].map((index) => this.addHandle(index));
    frame.append(this.svg);
    // Nothing shows before its place is known.
    this.draw();
  }

  add(name, attributes = {}, parent = this.svg) {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    parent.append(node);
    return node;
  }

  addHandle(index) {
    const node = this.add("g", { class: "handle", "data-face": index });
    this.add("circle", { r: TOUCHED, class: "touched" }, node);
    this.add("circle", { r: HANDLE }, node);
    let begun = null;
    node.addEventListener("pointerdown", (event) => {
      // The view does not turn.
      event.stopPropagation();
      event.preventDefault();
      node.setPointerCapture(event.pointerId);
      begun = { event, value: this.box[index], way: this.wayOf(index) };
    });
    node.addEventListener("pointermove", (event) => {
      event.stopPropagation();
      if (event.pointerId !== begun?.event.pointerId) return;
      this.pull(index, begun, event.clientX - begun.event.clientX, event.clientY - begun.event.clientY);
    });
    for (const name of ["pointerup", "pointercancel"]) {
      node.addEventListener(name, (event) => {
        event.stopPropagation();
        begun = null;
      });
    }
    return node;
  }

  /** The middle of a face: 0 to 2 the lower ones, 3 to 5 the upper ones. */
  middle(index) {
    return AXES.map((axis) => (axis === index % 3 ? this.box[index] : (this.box[axis] + this.box[axis + 3]) / 2));
  }

  /** The way in pixels that a face goes if it is pulled over the whole length of its axis; null where nothing shows. */
  wayOf(index) {
    const axis = index % 3;
    const length = this.whole[axis + 3] - this.whole[axis];
    const middle = this.middle(index);
    // A small step, as lines are not as long everywhere in perspective.
    const step = middle.map((value, k) => (k === axis ? value + length / 100 : value));
    const [from, to] = [this.project(middle), this.project(step)];
    return from && to ? [100 * (to[0] - from[0]), 100 * (to[1] - from[1])] : null;
  }

  /** Move a face from where it was when the drag began, by as much as the pointer has gone along its axis. */
  pull(index, { value, way }, dx, dy) {
    const axis = index % 3;
    if (!way || Math.hypot(...way) < MIN_PULL) return;
    const [low, high] = [this.whole[axis], this.whole[axis + 3]];
    const moved = ((dx * way[0] + dy * way[1]) / (way[0] ** 2 + way[1] ** 2)) * (high - low);
    const gap = MIN_SIDE * (high - low);
    const [least, most] = index < 3 ? [low, this.box[axis + 3] - gap] : [this.box[axis] + gap, high];
    this.box[index] = Math.min(most, Math.max(least, value + moved));
    this.draw();
    this.change(this.box, index);
  }

  draw() {
    for (const [number, [from, to]] of EDGES.entries()) {
      const [a, b] = [from, to].map((corner) => this.project(cornerOf(this.box, corner)));
      const line = this.edges[number];
      line.toggleAttribute("hidden", !(a && b));
      if (!(a && b)) continue;
      for (const [name, value] of Object.entries({ x1: a[0], y1: a[1], x2: b[0], y2: b[1] })) {
        line.setAttribute(name, value.toFixed(1));
      }
    }
    for (const [index, node] of this.handles.entries()) {
      const place = this.project(this.middle(index));
      const way = this.wayOf(index);
      const shown = place && way && Math.hypot(...way) >= MIN_PULL;
      node.toggleAttribute("hidden", !shown);
      if (shown) node.setAttribute("transform", `translate(${place[0].toFixed(1)} ${place[1].toFixed(1)})`);
    }
  }
}
