// Viewer of shapes and scenes from all sides: coarse while the camera moves, sharp when it rests.

import { errorMessage, fetchImage, postJson } from "./api.js";
import { button, element, onKeys, onPointers, onResize, replaceImageByResponse, sleep } from "./dom.js";

// Sides of the square image in pixels.
const COARSE_SIDE = 128;
const MIN_SHARP_SIDE = 192;
const MAX_SHARP_SIDE = 512;
// A sharp image may take so long; its side follows from what a coarse one takes.
const SHARP_MS = 1500;
const MIN_COARSE_MS = 20;
const FIRST_COARSE_MS = 100;
// The camera rests when it has not moved for so long.
const REST_MS = 180;
const REST_POLL_MS = 40;
const MAX_ELEVATION = 85;
const MIN_DISTANCE = 0.4;
const MAX_DISTANCE = 6;
// As in `apps/studio/films.py`.
const FILM = "film along key views (.mp4)";
const MAX_KEY_VIEWS = 24;
const BACKGROUNDS = { white: "White", grey: "Grey", black: "Black" };
const CHANNELS = { color: "shaded", normal: "normals", depth: "depth" };

export class OrbitViewer {
  constructor(root) {
    this.root = root;
    this.run = root.dataset.run;
    this.isMoving = "moving" in root.dataset;
    this.view = { azimuth: 30, elevation: 15, distance: 1.9 };
    this.channel = "color";
    this.coarseMs = FIRST_COARSE_MS;
    this.movedAt = 0;
    this.dirty = true;
    this.sharp = false;
    this.busy = false;
    this.build();
    this.listen();
    this.drawWhenVisible();
  }

  build() {
    this.image = element("img", { alt: `the shape ${this.run}`, draggable: "false" });
    this.frame = element(
      "div",
      {
        class: "window round",
        tabindex: "0",
        role: "group",
        "aria-label": "The shape; arrows turn it, plus and minus move the camera nearer and farther",
      },
      this.image,
    );
    this.status = element("p", { class: "muted", role: "status" });
    this.channels = Object.entries(CHANNELS).map(([channel, label]) =>
      button(label, () => this.choose(channel), { "aria-pressed": String(channel === this.channel) }),
    );
    const sign = (text, label, onclick) => button(text, onclick, { class: "sign", "aria-label": label });
    this.time = element("input", {
      type: "range",
      min: 0,
      max: 1,
      step: 0.02,
      value: 0,
      "aria-label": "time",
      oninput: () => this.changed(),
    });
    const tools = element(
      "div",
      { class: "buttons" },
      ...this.channels,
      sign("←", "Turn left", () => this.turn(-15, 0)),
      sign("→", "Turn right", () => this.turn(15, 0)),
      sign("↑", "Higher", () => this.turn(0, 10)),
      sign("↓", "Lower", () => this.turn(0, -10)),
      sign("−", "Farther", () => this.approach(1.2)),
      sign("+", "Nearer", () => this.approach(1 / 1.2)),
      this.isMoving ? element("label", {}, "time", this.time) : null,
    );
    this.root.replaceChildren(this.frame, tools, this.status, this.buildFilm());
  }

  /** Key views, and the film along them. */
  buildFilm() {
    this.keyViews = [];
    this.keyList = element("span", { class: "links", role: "group", "aria-label": "Key views" });
    this.seconds = element("input", { type: "number", min: 1, max: 60, value: 6, "aria-label": "Seconds of the film" });
    this.closed = element("input", { type: "checkbox" });
    this.background = element(
      "select",
      { "aria-label": "Background", onchange: () => this.showBackground() },
      ...Object.entries(BACKGROUNDS).map(([value, label]) => element("option", { value }, label)),
    );
    this.film = button("Make the film", () => this.makeFilm(), { class: "primary", disabled: true });
    this.filmStatus = element("p", { class: "muted", role: "status" }, "Turn the view, and add two views or more.");
    return element(
      "details",
      { class: "key-views" },
      element("summary", {}, "Camera path"),
      element(
        "div",
        { class: "buttons" },
        button("Add this view", () => this.addKeyView()),
        this.keyList,
        element("label", {}, "Seconds", this.seconds),
        element("label", {}, this.closed, "Back to the first"),
        element("label", {}, "Background", this.background),
        this.film,
      ),
      this.filmStatus,
    );
  }

  addKeyView() {
    if (this.keyViews.length >= MAX_KEY_VIEWS) return;
    this.keyViews.push({ ...this.view, time: Number(this.time.value) });
    this.drawKeyViews();
  }

  drawKeyViews() {
    const views = this.keyViews.map((view, index) => {
      const show = () => {
        const { time, ...place } = view;
        Object.assign(this.view, place);
        this.time.value = time;
        this.changed();
      };
      const remove = () => {
        this.keyViews.splice(index, 1);
        this.drawKeyViews();
      };
      return element(
        "span",
        { class: "links" },
        button(`View ${index + 1}`, show),
        button("×", remove, { class: "sign", "aria-label": `Remove view ${index + 1}` }),
      );
    });
    this.keyList.replaceChildren(...views);
    this.film.disabled = this.keyViews.length < 2;
    if (this.keyViews.length < 2) this.filmStatus.textContent = "Turn the view, and add two views or more.";
    else
      this.filmStatus.textContent = `A film along ${this.keyViews.length} views, of what is shown (${CHANNELS[this.channel]}).`;
  }

  showBackground() {
    this.frame.dataset.background = this.background.value;
  }

  async makeFilm() {
    this.film.disabled = true;
    const options = {
      views: this.keyViews.map(({ azimuth, elevation, distance, time }) => [azimuth, elevation, distance, time]),
      seconds: Number(this.seconds.value),
      channel: this.channel,
      background: this.background.value,
      closed: this.closed.checked,
    };
    try {
      await postJson(`runs/${encodeURIComponent(this.run)}/exports`, { label: FILM, options });
      this.filmStatus.textContent = "The film is being made: it appears under Exports below.";
    } catch (error) {
      this.filmStatus.textContent = error.message;
    }
    this.film.disabled = false;
  }

  listen() {
    onPointers(
      this.frame,
      (dx, dy) => this.turn(-dx / 2, dy / 2),
      (factor) => this.approach(1 / factor),
    );
    this.frame.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.approach(Math.exp(event.deltaY / 600));
      },
      { passive: false },
    );
    onKeys(this.frame, {
      ArrowLeft: () => this.turn(-10, 0),
      ArrowRight: () => this.turn(10, 0),
      ArrowUp: () => this.turn(0, 8),
      ArrowDown: () => this.turn(0, -8),
      "+": () => this.approach(1 / 1.15),
      "=": () => this.approach(1 / 1.15),
      "-": () => this.approach(1.15),
    });
  }

  drawWhenVisible() {
    let begun = false;
    onResize(this.frame, () => {
      if (begun) return;
      begun = true;
      this.changed();
    });
  }

  choose(channel) {
    this.channel = channel;
    for (const [index, name] of Object.keys(CHANNELS).entries()) {
      this.channels[index].setAttribute("aria-pressed", String(name === channel));
    }
    this.changed();
  }

  /** Turn the camera by angles in degrees. */
  turn(azimuth, elevation) {
    const { view } = this;
    view.azimuth = (view.azimuth + azimuth) % 360;
    view.elevation = Math.max(-MAX_ELEVATION, Math.min(MAX_ELEVATION, view.elevation + elevation));
    this.changed();
  }

  approach(factor) {
    this.view.distance = Math.max(MIN_DISTANCE, Math.min(MAX_DISTANCE, this.view.distance * factor));
    this.changed();
  }

  changed() {
    this.dirty = true;
    this.sharp = false;
    this.movedAt = performance.now();
    this.draw();
  }

  /** Fetch coarse images while the view changes, and a sharp one after that. */
  async draw() {
    if (this.busy) return;
    this.busy = true;
    while (this.root.isConnected && (this.dirty || !this.sharp)) {
      const rests = !this.dirty && performance.now() - this.movedAt > REST_MS;
      if (!this.dirty && !rests) {
        await sleep(REST_POLL_MS);
        continue;
      }
      this.dirty = false;
      if (!(await this.fetchOnce(rests))) break;
      if (rests && !this.dirty) {
        this.sharp = true;
        const time = this.isMoving ? ` at ${this.time.value}` : "";
        this.root.dataset.drawn = `${this.run} sharp ${this.channel} ${Math.round(this.view.azimuth)}${time}`;
      }
    }
    this.busy = false;
  }

  /** Fetch and show one image. Returns false, and says why, where the studio does not give one. */
  async fetchOnce(rests) {
    const asked = performance.now();
    const response = await fetchImage(`orbit/${encodeURIComponent(this.run)}`, {
      ...this.view,
      side: rests ? this.sharpSide() : COARSE_SIDE,
      what: this.channel,
      at: this.time.value,
    });
    if (!response?.ok) {
      this.status.textContent = response ? await errorMessage(response) : "The studio does not answer";
      return false;
    }
    await replaceImageByResponse(this.image, response);
    if (!rests) this.coarseMs = Math.max(MIN_COARSE_MS, performance.now() - asked);
    return true;
  }

  sharpSide() {
    const affordable = COARSE_SIDE * Math.sqrt(SHARP_MS / this.coarseMs);
    return Math.round(Math.max(MIN_SHARP_SIDE, Math.min(MAX_SHARP_SIDE, affordable)));
  }
}
