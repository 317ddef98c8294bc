// Key views that somebody keeps, for a film along them. What a view is, and how the film is made, its viewer says.

import { button, element } from "./dom.js";

// As in `apps/studio/films.py`.
const MAX_KEY_VIEWS = 24;
const FEW = "Turn the view, and add two views or more.";
export const BACKGROUNDS = { white: "White", grey: "Grey", black: "Black" };

export class KeyViews {
  /**
   * `current()`: the view that is shown now. `show(view)`: shows one. `make(film)`: makes a film of the `views` that
   * were kept, with `seconds`, `background` and whether it is `closed`; resolves with what is to be said of it.
   * `about()`: what the film will show, for people. `extra`: more controls.
   */
  constructor({ current, show, make, about, extra = [] }) {
    Object.assign(this, { current, show, make, about });
    this.views = [];
    this.list = element("span", { class: "links", role: "group", "aria-label": "Key views" });
    this.seconds = element("input", { type: "number", min: 1, max: 60, value: 6, "aria-label": "Seconds of the film" });
    this.closed = element("input", { type: "checkbox" });
    this.film = button("Make the film", () => this.start(), { class: "primary", disabled: true });
    this.status = element("p", { class: "muted", role: "status" }, FEW);
    this.root = element(
      "details",
      { class: "key-views" },
      element("summary", {}, "Camera path"),
      element(
        "div",
        { class: "buttons" },
        button("Add this view", () => this.add()),
        this.list,
        element("label", {}, "Seconds", this.seconds),
        element("label", {}, this.closed, "Back to the first"),
        ...extra,
        this.film,
      ),
      this.status,
    );
  }

  add() {
    if (this.views.length >= MAX_KEY_VIEWS) return;
    this.views.push(this.current());
    this.draw();
  }

  draw() {
    const remove = (index) => {
      this.views.splice(index, 1);
      this.draw();
    };
    this.list.replaceChildren(
      ...this.views.map((view, index) =>
        element(
          "span",
          { class: "links" },
          button(`View ${index + 1}`, () => this.show(view)),
          button("×", () => remove(index), { class: "sign", "aria-label": `Remove view ${index + 1}` }),
        ),
      ),
    );
    const enough = this.views.length > 1;
    this.film.disabled = !enough;
    this.status.textContent = enough ? `A film along ${this.views.length} views, ${this.about()}.` : FEW;
  }

  async start() {
    this.film.disabled = true;
    const seconds = Number(this.seconds.value);
    try {
      this.status.textContent = await this.make({ views: this.views, seconds, closed: this.closed.checked });
    } catch (error) {
      this.status.textContent = error.message;
    }
    this.film.disabled = this.views.length < 2;
  }
}

/** A control for what is behind the field. */
export function backgroundControl(onchange) {
  const options = Object.entries(BACKGROUNDS).map(([value, label]) => element("option", { value }, label));
  return element("select", { "aria-label": "Background of the film", onchange }, ...options);
}

/**
 * The view at a fraction of the way along key views: a smooth path (Catmull-Rom), as in `apps/studio/films.py`. Views
 * are lists of numbers; the first is an angle in radians, which goes the shorter way round.
 */
export function viewAt(views, fraction, closed) {
  const keys = (closed ? [...views, views[0]] : views).map((view) => [...view]);
  for (let i = 1; i < keys.length; i += 1) {
    const turns = Math.round((keys[i][0] - keys[i - 1][0]) / (2 * Math.PI));
    keys[i][0] -= turns * 2 * Math.PI;
  }
  const last = keys.length - 1;
  const round = keys[last].map((value, k) => value - keys[0][k]);
  const key = (index) => {
    if (index < 0) return closed ? keys[last - 1].map((value, k) => value - round[k]) : keys[0];
    if (index > last) return closed ? keys[1].map((value, k) => value + round[k]) : keys[last];
    return keys[index];
  };
  const place = Math.min(1, Math.max(0, fraction)) * last;
  const index = Math.min(Math.floor(place), last - 1);
  const t = place - index;
  const [p, a, b, n] = [-1, 0, 1, 2].map((offset) => key(index + offset));
  return a.map((value, k) => {
    const [from, to] = [(b[k] - p[k]) / 2, (n[k] - value) / 2];
    return (
      (2 * t ** 3 - 3 * t ** 2 + 1) * value +
      (t ** 3 - 2 * t ** 2 + t) * from +
      (3 * t ** 2 - 2 * t ** 3) * b[k] +
      (t ** 3 - t ** 2) * to
    );
  });
}
