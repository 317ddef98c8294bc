// Viewer of shapes and scenes from all sides: coarse while the camera moves, sharp when it rests.

import { errorMessage, fetchImage, postJson } from "./api.js";
import { CropBox } from "./crop_box.js";
import { button, element, onKeys, onPointers, onResize, replaceImageByResponse, sleep } from "./dom.js";
import { backgroundControl, KeyViews } from "./key_views.js";

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
    this.crop = new CropBox(this.run, this.frame, () => this.changed());
    this.root.replaceChildren(this.frame, tools, this.status, this.crop.root, this.buildFilm());
  }

  /** Key views, and the film along them, which the studio makes of the field. */
  buildFilm() {
    this.background = backgroundControl(() => {
      this.frame.dataset.background = this.background.value;
    });
    this.path = new KeyViews({
      current: () => ({ ...this.view, time: Number(this.time.value) }),
      show: ({ time, ...place }) => {
        Object.assign(this.view, place);
        this.time.value = time;
        this.changed();
      },
      about: () => `of what is shown (${CHANNELS[this.channel]})`,
      make: (film) => this.makeFilm(film),
      extra: [element("label", {}, "Background", this.background)],
    });
    return this.path.root;
  }

  async makeFilm({ views, seconds, closed }) {
    const options = {
      views: views.map(({ azimuth, elevation, distance, time }) => [azimuth, elevation, distance, time]),
      seconds,
      closed,
      channel: this.channel,
      background: this.background.value,
    };
    await postJson(`runs/${encodeURIComponent(this.run)}/exports`, { label: FILM, options });
    return "The film is being made: it appears under Exports below.";
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
    this.path.draw();
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
      box: this.crop.isShown,
    });
    if (!response?.ok) {
      this.status.textContent = response ? await errorMessage(response) : "The studio does not answer";
      return false;
    }
    await replaceImageByResponse(this.image, response);
    this.crop.projected(response.headers.get("X-Projection"));
    if (!rests) this.coarseMs = Math.max(MIN_COARSE_MS, performance.now() - asked);
    return true;
  }

  sharpSide() {
    const affordable = COARSE_SIDE * Math.sqrt(SHARP_MS / this.coarseMs);
    return Math.round(Math.max(MIN_SHARP_SIDE, Math.min(MAX_SHARP_SIDE, affordable)));
  }
}
