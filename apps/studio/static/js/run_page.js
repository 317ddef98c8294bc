// The page of one run. Everything on it belongs to the run in its address: it is fetched by that name, and nothing else.

import { getHtml, getJson, postJson } from "./api.js";
import { showDialog } from "./dialog.js";
import { button, element, isVisible, sleep } from "./dom.js";
import { Exports } from "./exports.js";
import { byteCount, count, duration, metricName, metricPhrase, metricValue } from "./format.js";
import { pageOfRun, showStarted } from "./jobs.js";
import { addressOfTab } from "./tabs.js";
import { showWork } from "./waiting.js";

const BUSY_POLL_MS = 700;
const IDLE_POLL_MS = 2500;
const SAVE_AFTER_MS = 800;
const MAX_NAME_LENGTH = 80;
const PANELS = { comparison: "comparison", reconstruction: "reconstruction" };

export class RunPage {
  constructor(root) {
    this.root = root;
    this.run = root.dataset.run;
    this.facts = null;
    this.viewed = "";
    this.build();
    this.poll();
  }

  path(rest) {
    return `runs/${encodeURIComponent(this.run)}/${rest}`;
  }

  build() {
    this.about = element("p", { class: "muted" });
    this.buttons = element("div", { class: "buttons" });
    this.problem = element("p", { class: "problem", role: "alert" });
    this.scores = element("dl", { class: "scores" });
    this.tags = element("input", { id: "run-tags", placeholder: "for example cat, paper, first try" });
    this.note = element("textarea", { id: "run-note", rows: 3, placeholder: "What you want to remember of this run" });
    for (const input of [this.tags, this.note]) input.addEventListener("input", () => this.saveSoon());
    this.saved = element("span", { class: "muted", role: "status" });
    this.described = element(
      "details",
      { class: "describe" },
      element("summary", {}, "Tags and note"),
      element("label", { for: "run-tags" }, "Tags, separated by commas"),
      this.tags,
      element("label", { for: "run-note" }, "Note"),
      this.note,
      this.saved,
    );
    const kind = this.root.dataset.type;
    this.live = element("section", { "data-studio": PANELS[kind] || "live", "data-run": this.run, hidden: true });
    this.viewer = element("div", { class: "card", hidden: true });
    this.exports = new Exports(this.run);
    this.inside = this.buildInside();
    this.root.replaceChildren(
      element(
        "section",
        { class: "card" },
        element("div", { class: "head" }, element("h1", {}, this.run)),
        this.about,
        this.scores,
        this.buttons,
        this.problem,
        this.described,
      ),
      element("div", { class: "card live-card", hidden: true }, this.live),
      this.viewer,
      this.exports.root,
      this.inside,
    );
  }

  /** What the field consists of, and its spectra: fetched when they are asked for, as they take some seconds. */
  buildInside() {
    const parts = element("div");
    const spectra = element("div");
    const load = async (place, what, waiting) => {
      place.replaceChildren(element("p", { class: "muted" }, waiting));
      try {
        place.innerHTML = await getHtml(this.path(what));
      } catch (error) {
        place.replaceChildren(element("p", { class: "problem" }, error.message));
      }
    };
    const ask = button("Draw the spectra", async () => {
      ask.disabled = true;
      await showWork(spectra, this.path("spectra"), "Computing the spectra of signal and field");
      ask.disabled = false;
    });
    const cameras = element("div");
    const details = element(
      "details",
      { class: "card", hidden: true },
      element("summary", {}, "Inside the field: its grids, planes, kernels and frequencies"),
      cameras,
      parts,
      element("div", { class: "buttons" }, ask),
      spectra,
    );
    details.addEventListener(
      "toggle",
      () => {
        load(parts, "parts", "Drawing the parts of the field …");
        if (this.facts?.solid) load(cameras, "cameras", "Drawing the cameras …");
      },
      { once: true },
    );
    return details;
  }

  async poll() {
    while (this.root.isConnected) {
      try {
        const facts = await getJson(this.path("facts"));
        this.root.classList.remove("disconnected");
        await this.show(facts);
      } catch (error) {
        // An answer that there is no such run is one; else the studio does not answer.
        this.root.classList.toggle("disconnected", !error.status);
        if (error.status && !this.leaving) this.showGone(error.message);
      }
      const busy = this.facts?.busy || this.exports.isBusy;
      await sleep(busy && isVisible(this.root) ? BUSY_POLL_MS : IDLE_POLL_MS);
    }
  }

  async show(facts) {
    const first = this.facts === null;
    this.facts = facts;
    this.about.textContent = aboutText(facts);
    this.drawScores(facts);
    this.drawButtons(facts);
    if (first) {
      this.note.value = facts.note;
      this.tags.value = facts.tags.join(", ");
      this.described.open = !!facts.note || facts.tags.length > 0;
    }
    this.note.disabled = this.tags.disabled = !facts.stored;
    this.live.hidden = this.live.parentElement.hidden = !facts.job;
    this.exports.show(facts);
    this.inside.hidden = !facts.ready || facts.type === "comparison";
    await this.showViewer(facts);
  }

  drawScores(facts) {
    // The panel of a job shows its scores itself.
    const scores = facts.job || !facts.metrics ? [] : Object.entries(facts.metrics);
    this.scores.replaceChildren(
      ...scores.flatMap(([metric, value]) => [
        element("dt", {}, metricName(metric)),
        element("dd", {}, metricValue(metric, value)),
      ]),
    );
  }

  drawButtons(facts) {
    const shown = JSON.stringify([facts.status, facts.stored, facts.busy, facts.ready, facts.type, facts.job]);
    if (shown === this.buttons.dataset.shown) return;
    this.buttons.dataset.shown = shown;
    const known = facts.stored;
    const convert = element(
      "a",
      { class: "button", href: addressOfTab("distill", this.run) },
      "Convert to another architecture",
    );
    const open = element(
      "a",
      { class: "button", href: `/studio/${this.path("comparison.html")}`, target: "_blank", rel: "noopener" },
      "Open as one page",
    );
    const show = facts.type === "reconstruction" && !facts.job;
    this.buttons.replaceChildren(
      ...[
        facts.type === "comparison" && facts.ready ? open : null,
        show ? button("Show the stages and files", () => this.start("show")) : null,
        known && facts.status !== "finished" && !facts.busy ? button("Continue", () => this.start("resume")) : null,
        known ? button("Repeat", () => this.start("repeat")) : null,
        facts.type === "run" && facts.ready ? convert : null,
        known && !facts.busy ? button("Rename", () => this.askForName()) : null,
        known && !facts.busy ? button("Delete", () => this.remove(), { class: "danger-text" }) : null,
      ].filter(Boolean),
    );
  }

  /** Show the field as soon as it has weights, and anew when these have changed. */
  async showViewer(facts) {
    const version = facts.ready && !facts.busy && facts.type !== "comparison" ? String(facts.weights) : "";
    if (version === this.viewed) return;
    this.viewed = version;
    this.viewer.hidden = !version;
    // The viewer shows what the slider of the fit showed, at any zoom.
    this.live.classList.toggle("beside-viewer", !!version);
    if (version) this.viewer.innerHTML = await getHtml(this.path("viewer"));
    else this.viewer.replaceChildren();
  }

  showGone(text) {
    this.facts = null;
    this.root.replaceChildren(
      element(
        "section",
        { class: "card" },
        element("h1", {}, this.run),
        element("p", { class: "problem", role: "alert" }, `This run is not there any more: ${text}.`),
        element("div", { class: "buttons" }, element("a", { class: "button", href: addressOfTab("runs") }, "All runs")),
      ),
    );
  }

  async start(action) {
    try {
      showStarted(await postJson(this.path(action)));
      if (action !== "repeat") location.reload();
    } catch (error) {
      this.problem.textContent = error.message;
    }
  }

  saveSoon() {
    clearTimeout(this.saving);
    this.saved.textContent = "";
    this.saving = setTimeout(async () => {
      try {
        await postJson(this.path("describe"), { note: this.note.value, tags: this.tags.value.split(",") });
        this.saved.textContent = "Saved";
      } catch (error) {
        this.saved.textContent = error.message;
      }
    }, SAVE_AFTER_MS);
  }

  askForName() {
    const input = element("input", { name: "to", value: this.run, required: true, maxlength: MAX_NAME_LENGTH });
    showDialog({
      title: `Rename ${this.run}`,
      content: element("label", {}, "New name ", input),
      action: "Rename",
      actionClass: "primary",
      submit: async (form) => {
        this.leaving = true;
        try {
          const { name } = await postJson(this.path("rename"), { to: form.get("to") });
          location.replace(pageOfRun(name));
        } catch (error) {
          this.leaving = false;
          throw error;
        }
      },
    });
  }

  async remove() {
    this.leaving = true;
    try {
      const { token } = await postJson(this.path("delete"));
      const undo = button("Undo", async () => {
        try {
          const { name } = await postJson(this.path("restore"), { token });
          location.replace(pageOfRun(name));
        } catch (error) {
          problem.textContent = error.message;
        }
      });
      const problem = element("p", { class: "problem", role: "alert" });
      this.root.replaceChildren(
        element(
          "section",
          { class: "card" },
          element("h1", {}, `${this.run} is deleted`),
          element("p", { class: "muted" }, "It can be brought back for a day."),
          element(
            "div",
            { class: "buttons" },
            undo,
            element("a", { class: "button", href: addressOfTab("runs") }, "All runs"),
          ),
          problem,
        ),
      );
    } catch (error) {
      this.leaving = false;
      this.problem.textContent = error.message;
    }
  }
}

function aboutText(facts) {
  if (!facts.stored) return facts.busy ? "It waits for its turn." : "It has not begun, so that nothing of it is kept.";
  const parts = [facts.kind, facts.method];
  if (facts.parameters) parts.push(`${count(facts.parameters)} parameters`);
  if (facts.source) parts.push(`of ${facts.source}`);
  if (facts.teacher) parts.push(`converted from ${facts.teacher}`);
  if (facts.from) parts.push(`begun with the weights of ${facts.from}`);
  if (facts.seconds) parts.push(`fitted for ${duration(facts.seconds)}`);
  parts.push(facts.status === "finished" && facts.headline ? metricPhrase(...facts.headline) : facts.status);
  parts.push(`${byteCount(facts.bytes)} on disk`);
  return parts.join(" · ");
}
