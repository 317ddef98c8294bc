// The owner's view: everybody's jobs and exports, with buttons that stop them, and what the studio takes.

import { getJson, postJson } from "./api.js";
import { button, element, sleep } from "./dom.js";
import { byteCount, duration, STATE_NAMES } from "./format.js";
import { isActive, pageOfRun } from "./jobs.js";

const POLL_MS = 1500;

export class OwnerView {
  constructor(root) {
    this.root = root;
    this.facts = element("p", { class: "muted" });
    this.problem = element("p", { class: "problem", role: "alert" });
    this.jobs = element("tbody");
    this.empty = element("p", { class: "muted" }, "Nobody has started anything since the studio was started.");
    const heads = ["Job", "Visitor", "State", "Progress", ""].map((text) => element("th", { scope: "col" }, text));
    this.table = element("table", {}, element("thead", {}, element("tr", {}, ...heads)), this.jobs);
    root.replaceChildren(
      element("section", { class: "card" }, element("h1", {}, "Owner’s view"), this.facts, this.problem),
      element(
        "section",
        { class: "card comparison" },
        element("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "All jobs" }, this.table),
        this.empty,
      ),
    );
    this.poll();
  }

  async poll() {
    while (this.root.isConnected) {
      try {
        this.show(await getJson("owner"));
        this.root.classList.remove("disconnected");
      } catch {
        this.root.classList.add("disconnected");
      }
      await sleep(POLL_MS);
    }
  }

  show(state) {
    this.facts.textContent = [
      `${state.active} of ${state.jobs.length} jobs wait or are under way; at most ${state.max_waiting} wait`,
      state.visitors === 1 ? "started by 1 visitor" : `started by ${state.visitors} visitors`,
      state.memory === null ? "" : `${byteCount(state.memory)} of memory`,
      `${byteCount(state.runs)} of runs on disk, of which ${byteCount(state.uploads)} uploads`,
      `${byteCount(state.free)} free`,
      `started ${duration(state.seconds)} ago`,
    ]
      .filter(Boolean)
      .join("  ·  ");
    this.table.hidden = !(state.jobs.length || state.exports.length);
    this.empty.hidden = !this.table.hidden;
    const shown = JSON.stringify([state.jobs, state.exports]);
    if (shown === this.jobs.dataset.shown) return;
    this.jobs.dataset.shown = shown;
    this.jobs.replaceChildren(
      ...state.exports.map((made) =>
        row(made.run, "export", made.label, fraction(made.fraction), () =>
          this.act(`runs/${encodeURIComponent(made.run)}/exports/${made.id}/cancel`),
        ),
      ),
      ...state.jobs.map((job) =>
        row(
          job.run,
          job.visitor ? `visitor ${job.visitor}` : "",
          job.place ? `${STATE_NAMES[job.state]}, ${job.place} before it` : STATE_NAMES[job.state],
          job.total ? fraction(job.step / job.total) : "",
          isActive(job) ? () => this.act(`jobs/${job.id}/stop`) : null,
        ),
      ),
    );
  }

  async act(path) {
    try {
      await postJson(path);
      this.problem.textContent = "";
    } catch (error) {
      this.problem.textContent = error.message;
    }
  }
}

const fraction = (done) => (Number.isFinite(done) && done !== null ? `${Math.round(100 * done)} %` : "");

function row(run, who, state, progress, stop) {
  const cells = [who, state, progress].map((text) => element("td", {}, text));
  const buttons = element(
    "span",
    { class: "buttons" },
    stop ? button("Stop", stop, { "aria-label": `Stop ${run}` }) : "",
  );
  const link = element("a", { href: pageOfRun(run) }, run);
  return element("tr", {}, element("th", { scope: "row" }, link), ...cells, element("td", {}, buttons));
}
