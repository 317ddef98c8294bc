// The shelf of a run's exports: what can be made, what was made, when, how large, with preview, progress and cancel.

import { getJson, postJson } from "./api.js";
import { CROPPED } from "./crop_box.js";
import { button, element } from "./dom.js";
import { byteCount, duration, timeOfDay } from "./format.js";
import { announceExport } from "./notices.js";

const ESTIMATE_AFTER_MS = 150;
// As in `fields/options.py`: leaves an option as it is.
const DEFAULT = "default";
const PICTURES = /\.(png|jpe?g|webp|gif|apng)$/i;
const FILMS = /\.(mp4|webm|mov)$/i;
const SOUNDS = /\.(wav|flac|ogg|opus|mp3)$/i;
const STATES = { waiting: "waiting", working: "being made", failed: "failed", cancelled: "cancelled" };

export class Exports {
  constructor(run) {
    this.run = run;
    this.isBusy = false;
    this.forms = null;
    this.build();
  }

  path(rest) {
    return `runs/${encodeURIComponent(this.run)}/${rest}`;
  }

  build() {
    const slider = (label, attributes, unit) => {
      const shown = element("output", {}, unit(attributes.value));
      const input = element("input", { type: "range", ...attributes, "aria-label": label });
      input.addEventListener("input", () => {
        shown.textContent = unit(input.value);
        this.tellSizeSoon();
      });
      return { input, box: element("label", { hidden: true }, `${label} `, input, shown) };
    };
    this.form = element("select", { "aria-label": "Format", onchange: () => this.chooseForm() });
    this.scale = slider("Size", { min: 0.25, max: 8, step: 0.25, value: 1 }, (value) => `${value} × the original`);
    this.cells = slider("Detail", { min: 32, max: 512, step: 32, value: 128 }, (value) => `${value} cells`);
    this.estimate = element("p", { class: "muted", role: "status" });
    this.problem = element("p", { class: "problem", role: "alert" });
    this.more = element("div", { class: "more-options" });
    this.moreBox = element("details", { hidden: true }, element("summary", {}, "More options"), this.more);
    const make = () => this.make(this.form.value, this.scale.input.value, this.cells.input.value, this.options());
    this.start = button("Export", make, { class: "primary", id: "export-start" });
    this.share = button("Share as one page", () => this.make(this.page, 1, 0), {
      id: "share",
      hidden: true,
      title: "One HTML file that draws the field in any browser, without this studio and without a network",
    });
    // The crop box of the viewer, as text; empty where nothing is cropped.
    this.box = "";
    this.cropped = element("p", { class: "muted cropped", hidden: true });
    document.addEventListener(CROPPED, ({ detail }) => {
      this.box = detail;
      this.showBox();
    });
    this.list = element("ul", { class: "shelf" });
    this.root = element(
      "section",
      { class: "card", id: "exports", hidden: true, "data-studio-part": "exports" },
      element("h2", {}, "Exports"),
      element("div", { class: "buttons" }, this.form, this.scale.box, this.cells.box, this.start, this.share),
      this.moreBox,
      this.cropped,
      this.estimate,
      this.problem,
      this.list,
    );
  }

  /** Draw the exports in `facts` of the run. */
  show(facts) {
    this.root.hidden = facts.type === "comparison" || !(facts.ready || facts.exports.length);
    facts.exports.forEach(announceExport);
    this.isBusy = facts.exports.some((known) => ["waiting", "working"].includes(known.state));
    if (facts.ready && !facts.busy && !this.forms) this.loadForms();
    const entries = new Map([...this.list.children].map((entry) => [entry.dataset.export, entry]));
    this.list.replaceChildren(
      ...facts.exports.map((known) => {
        const shown = JSON.stringify(known);
        const entry = entries.get(known.id);
        // An entry that has not changed stays, with its preview.
        if (entry?.dataset.shown === shown) return entry;
        return element(
          "li",
          { "data-export": known.id, "data-state": known.state, "data-shown": shown },
          ...this.entry(known),
        );
      }),
    );
  }

  async loadForms() {
    this.forms = {};
    try {
      const forms = await getJson(this.path("forms"));
      this.forms = Object.fromEntries(forms.map((form) => [form.label, form]));
      this.page = forms.find(({ ending }) => ending === ".html")?.label;
      this.share.hidden = !this.page;
      this.form.replaceChildren(...forms.map(({ label }) => element("option", { value: label }, label)));
      this.chooseForm();
    } catch (error) {
      this.forms = null;
      this.problem.textContent = error.message;
    }
  }

  chooseForm() {
    const { size, options } = this.forms[this.form.value];
    this.scale.box.hidden = size !== "scale";
    this.cells.box.hidden = size !== "cells";
    this.moreBox.hidden = !options.length;
    this.more.replaceChildren(...options.map(optionControl));
    this.showBox();
    this.tellSizeSoon();
  }

  /** Put the crop box of the viewer into the option of the format, and say what becomes of it. */
  showBox() {
    const control = this.more.querySelector("[name=box]");
    if (control) control.value = this.box;
    this.cropped.hidden = !this.box;
    this.cropped.textContent = control
      ? `Only what lies in the crop box (${this.box.replaceAll(",", ", ")}) is written.`
      : "This format writes the whole field: the crop box is for meshes and points.";
  }

  /** What was asked for beside format and size, by the names of the options. */
  options() {
    const controls = [...this.more.querySelectorAll("[name]")];
    const value = (control) => (control.type === "checkbox" ? control.checked : control.value);
    const given = controls.map((control) => [control.name, value(control)]);
    return Object.fromEntries(given.filter(([, chosen]) => chosen && chosen !== DEFAULT));
  }

  tellSizeSoon() {
    clearTimeout(this.telling);
    this.telling = setTimeout(async () => {
      const label = this.form.value;
      const asked = new URLSearchParams({ label, scale: this.scale.input.value, cells: this.cells.input.value });
      try {
        const { text } = await getJson(this.path(`estimate?${asked}`));
        // Another format may be chosen by now.
        if (this.form.value === label) this.estimate.textContent = text;
      } catch (error) {
        if (this.form.value === label) this.estimate.textContent = error.message;
      }
    }, ESTIMATE_AFTER_MS);
  }

  async make(label, scale, cells, options = {}) {
    this.start.disabled = true;
    this.problem.textContent = "";
    try {
      const known = await postJson(this.path("exports"), {
        label,
        scale: Number(scale),
        cells: Number(cells),
        options,
      });
      this.isBusy = true;
      this.list.prepend(element("li", { "data-export": known.id, "data-state": known.state }, ...this.entry(known)));
    } catch (error) {
      this.problem.textContent = error.message;
    }
    this.start.disabled = false;
  }

  async act(known, action) {
    try {
      await postJson(this.path(`exports/${known.id}/${action}`));
      if (action === "delete") this.list.querySelector(`[data-export="${known.id}"]`)?.remove();
    } catch (error) {
      this.problem.textContent = error.message;
    }
  }

  entry(known) {
    const address = `/studio/${this.path(`exports/${known.id}`)}`;
    const working = ["waiting", "working"].includes(known.state);
    const facts = [
      known.state === "done" ? byteCount(known.bytes) : STATES[known.state],
      known.remaining ? `about ${duration(known.remaining)} left` : "",
      known.state === "done" ? `made at ${timeOfDay(known.made)} in ${duration(known.seconds)}` : "",
      known.message,
    ];
    const buttons = [];
    if (known.state === "done") {
      buttons.push(element("a", { class: "button primary", href: address, download: known.file }, "Download"));
      if (known.file.endsWith(".html"))
        buttons.push(element("a", { class: "button", href: `${address}?open=true`, target: "_blank" }, "Open"));
    }
    if (working) buttons.push(button("Cancel", () => this.act(known, "cancel")));
    else {
      buttons.push(button("Make again", () => this.make(known.label, known.scale, known.cells, known.options)));
      buttons.push(button("Delete", () => this.act(known, "delete")));
    }
    const progress = element("progress", { max: 1, value: known.fraction, "aria-label": `Progress of ${known.label}` });
    return [
      known.state === "done" ? preview(address, known) : null,
      element("b", {}, known.file || known.label),
      element("p", { class: "muted" }, [known.file ? known.label : "", ...facts].filter(Boolean).join(" · ")),
      known.state === "working" ? progress : null,
      element("div", { class: "buttons" }, ...buttons),
    ].filter(Boolean);
  }
}

/** The control of an option of a format, with its help. */
function optionControl({ name, label, help, widget, choices, hint }) {
  const control =
    widget === "choice"
      ? element("select", { name }, ...choices.map((value) => element("option", { value }, value)))
      : element("input", { name, type: widget === "switch" ? "checkbox" : "text", placeholder: hint });
  return element("label", {}, element("b", {}, label), control, element("span", { class: "muted" }, help));
}

/** How an export looks or sounds, where a browser can tell. */
function preview(address, known) {
  const { file } = known;
  if (PICTURES.test(file)) return element("img", { src: address, alt: file, loading: "lazy" });
  if (FILMS.test(file)) return element("video", { src: address, controls: true, preload: "metadata", loop: true });
  if (SOUNDS.test(file)) return element("audio", { src: address, controls: true, preload: "metadata" });
  if (file.endsWith(".glb"))
    return element("div", { "data-studio": "mesh", "data-source": address, "data-name": file });
  return null;
}
