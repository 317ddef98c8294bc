// Player of a run's sound: signal and field play in step, and a switch says which one is heard at this moment.

import { button, element, nextFrame } from "./dom.js";

const NAMES = { signal: "Signal", field: "Field" };
// Seconds by which the silent one may be off before it is corrected.
const MAX_DRIFT = 0.03;

export class SoundPlayer {
  constructor(root) {
    this.root = root;
    const folder = `/studio/runs/${encodeURIComponent(root.dataset.run)}/sound`;
    const version = `?v=${root.dataset.version}`;
    this.heard = "field";
    this.sounds = {};
    this.buttons = {};
    this.pictures = {};
    for (const [which, label] of Object.entries(NAMES)) {
      this.sounds[which] = element("audio", { src: `${folder}/${which}.wav${version}`, preload: "auto" });
      this.buttons[which] = button(label, () => this.hear(which), {});
      const image = element("img", {
        src: `${folder}/${which}.webp${version}`,
        alt: `spectrogram of the ${which}`,
        loading: "lazy",
      });
      const head = element("span", { class: "playhead", "aria-hidden": "true" });
      const track = element("div", { class: "track" }, image, head);
      track.addEventListener("click", (event) => {
        const box = track.getBoundingClientRect();
        this.seek((event.clientX - box.left) / box.width);
      });
      this.pictures[which] = element("figure", {}, track, element("figcaption", {}, `${label}: spectrogram`));
    }
    this.play = button("Play", () => this.toggle(), { class: "primary" });
    this.place = element("input", { type: "range", min: 0, max: 1, step: 0.001, value: 0, "aria-label": "Time" });
    this.place.addEventListener("input", () => this.seek(Number(this.place.value)));
    this.loop = element("input", { type: "checkbox" });
    this.loop.addEventListener("change", () => {
      for (const sound of Object.values(this.sounds)) sound.loop = this.loop.checked;
    });
    this.status = element("p", { class: "muted", role: "status" });
    root.replaceChildren(
      element(
        "div",
        { class: "buttons" },
        this.play,
        element(
          "span",
          { role: "group", "aria-label": "What is heard", class: "links" },
          ...Object.values(this.buttons),
        ),
        this.place,
        element("label", {}, this.loop, "Loop"),
      ),
      this.status,
      ...Object.values(this.pictures),
      ...Object.values(this.sounds),
    );
    this.listen();
    this.hear("field");
  }

  listen() {
    const { field, signal } = this.sounds;
    field.addEventListener("timeupdate", () => {
      this.showPlace();
      if (!field.paused && Math.abs(signal.currentTime - field.currentTime) > MAX_DRIFT)
        signal.currentTime = field.currentTime;
    });
    field.addEventListener("ended", () => {
      this.play.textContent = "Play";
    });
    field.addEventListener("error", () => this.tell("The field’s sound cannot be played."));
    signal.addEventListener("error", () => {
      this.buttons.signal.disabled = true;
      this.pictures.signal.hidden = true;
      this.tell("The signal’s file is not there any more; the field can be heard.");
    });
  }

  /** Show where in the sound one is: beside the button, and over the pictures. */
  showPlace() {
    const { field } = this.sounds;
    if (!field.duration) return;
    this.place.value = field.currentTime / field.duration;
    this.root.style.setProperty("--place", `${(100 * field.currentTime) / field.duration}%`);
  }

  /** Follow the sound while it plays. */
  async follow() {
    while (this.root.isConnected && !this.sounds.field.paused) {
      this.showPlace();
      await nextFrame();
    }
  }

  tell(text) {
    this.status.textContent = text;
  }

  hear(which) {
    this.heard = which;
    for (const name of Object.keys(NAMES)) {
      this.sounds[name].muted = name !== which;
      this.buttons[name].setAttribute("aria-pressed", String(name === which));
    }
  }

  toggle() {
    const { field, signal } = this.sounds;
    if (field.paused) {
      signal.currentTime = field.currentTime;
      field.play().catch((error) => this.tell(error.message));
      signal.play().catch(() => {});
      this.play.textContent = "Pause";
      field.addEventListener("playing", () => this.follow(), { once: true });
    } else {
      field.pause();
      signal.pause();
      this.play.textContent = "Play";
    }
  }

  seek(fraction) {
    for (const sound of Object.values(this.sounds)) {
      if (sound.duration) sound.currentTime = fraction * sound.duration;
    }
    this.showPlace();
  }
}
