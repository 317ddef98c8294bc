// Clips of several runs in step: every pane of a comparison shows the same frame, while it plays too.

import { errorMessage, fetchImage } from "./api.js";
import { button, element, replaceImageByResponse, sleep } from "./dom.js";

// Pixels of the longer side of a frame: at rest, and while the clip plays.
const SIDE = 640;
const PLAYED_SIDE = 320;

export class Clips {
  constructor(root) {
    this.root = root;
    this.frames = Number(root.dataset.frames);
    this.seconds = Number(root.dataset.seconds);
    this.aspect = Number(root.dataset.width) / Number(root.dataset.height);
    this.runs = JSON.parse(root.dataset.runs);
    this.viewer = document.querySelector(".comparison .compare-viewer");
    // Above the panes that it changes.
    this.viewer.querySelector(".tools").after(root);
    this.frame = Math.floor((this.frames - 1) / 2);
    this.shown = -1;
    this.wishes = 0;
    this.playing = false;
    this.busy = false;
    this.build();
    for (const choice of this.viewer.querySelectorAll("[data-show]")) {
      choice.addEventListener("click", () => {
        this.show();
      });
    }
    this.show();
  }

  build() {
    const sign = (text, label, by) => button(text, () => this.step(by), { class: "sign", "aria-label": label });
    this.play = button("Play", () => this.toggle(), { class: "primary" });
    this.place = element("input", {
      type: "range",
      min: 0,
      max: this.frames - 1,
      step: 1,
      value: this.frame,
      "aria-label": "Frame",
      oninput: () => this.goTo(Number(this.place.value)),
    });
    this.counter = element("output", {});
    this.status = element("p", { class: "muted", role: "status" });
    this.root.replaceChildren(
      element(
        "div",
        { class: "buttons", role: "group", "aria-label": "All clips, in step" },
        this.play,
        sign("◂", "One frame back", -1),
        sign("▸", "One frame on", 1),
        this.place,
        this.counter,
      ),
      this.status,
    );
    this.count();
  }

  count() {
    this.place.value = this.frame;
    this.counter.textContent = `frame ${this.frame + 1} of ${this.frames}`;
  }

  goTo(frame) {
    this.frame = Math.min(this.frames - 1, Math.max(0, frame));
    this.count();
    this.show();
  }

  step(by) {
    this.pause();
    this.goTo(this.frame + by);
  }

  pause() {
    this.playing = false;
    this.play.textContent = "Play";
  }

  /** Play at the clip's own speed; frames are left out where drawing takes longer. */
  async toggle() {
    if (this.playing) {
      this.pause();
      this.goTo(this.frame);
      return;
    }
    this.playing = true;
    this.play.textContent = "Pause";
    if (this.frame >= this.frames - 1) this.frame = 0;
    const rate = this.frames / this.seconds;
    const first = this.frame;
    const begun = performance.now();
    while (this.playing && this.root.isConnected) {
      const frame = first + Math.floor(((performance.now() - begun) / 1000) * rate);
      if (frame >= this.frames) break;
      if (frame === this.shown) {
        await sleep(1000 / rate / 4);
        continue;
      }
      this.frame = frame;
      this.count();
      if (!(await this.draw(frame, PLAYED_SIDE))) break;
    }
    if (!this.playing) return;
    this.pause();
    this.goTo(this.frames - 1);
  }

  /** Show the frame that is chosen, and what is chosen of it, however fast that changes. */
  async show() {
    this.wishes += 1;
    if (this.busy || this.playing) return;
    this.busy = true;
    let answered = 0;
    while (answered !== this.wishes && !this.playing) {
      answered = this.wishes;
      if (!(await this.draw(this.frame, SIDE))) break;
    }
    this.busy = false;
  }

  /** The panes, each with the run that it is drawn from: the signal's own, where there is one, is the first. */
  panes() {
    const panes = [...this.viewer.querySelectorAll(".panes .pane")];
    const signals = panes.length - this.runs.length;
    return panes.map((pane, index) =>
      index < signals
        ? { pane, run: this.runs[0], of: "signal" }
        : { pane, run: this.runs[index - signals], of: "field" },
    );
  }

  /** Draw one frame into all panes at once: none is shown before the last one has come. */
  async draw(frame, side) {
    const [width, height] = this.aspect > 1 ? [side, side / this.aspect] : [side * this.aspect, side];
    const size = { x0: 0, y0: 0, x1: 1, y1: 1, w: Math.max(1, Math.round(width)), h: Math.max(1, Math.round(height)) };
    const at = (frame + 0.5) / this.frames;
    const errors = this.viewer.classList.contains("errors");
    const wanted = this.panes().map(({ pane, run, of }) => {
      const error = pane.querySelector(".error");
      // What is hidden is not drawn.
      return error && errors ? { image: error, run, of: "error" } : { image: pane.querySelector(".fit"), run, of };
    });
    const responses = await Promise.all(
      wanted.map(({ of, run }) => fetchImage(`view/${encodeURIComponent(run)}`, { ...size, at, of })),
    );
    const refused = responses.find((response) => !response?.ok);
    if (refused !== undefined) {
      this.status.textContent = refused ? await errorMessage(refused) : "The studio does not answer";
      return false;
    }
    await Promise.all(wanted.map(({ image }, index) => replaceImageByResponse(image, responses[index])));
    this.shown = frame;
    this.status.textContent = "";
    // The wipe copies the images of the panes when it is told to.
    this.viewer.querySelector(".wipe input")?.dispatchEvent(new Event("input"));
    this.root.dataset.drawn = `${frame} ${errors ? "error" : "fit"}`;
    return true;
  }
}
