// Panel of a comparison: its state, buttons and downloads above the table, curves and images that the server makes.

import { getJson, postJson } from "./api.js";
import { button, element, isVisible, sleep } from "./dom.js";
import { STATE_NAMES } from "./format.js";
import { bestJob, isActive, startedJob } from "./jobs.js";
import { announce } from "./notices.js";

const VISIBLE_POLL_MS = 700;
const HIDDEN_POLL_MS = 2500;
const TYPE = "comparison";
const DOWNLOADS = {
  "comparison.html": "Download as one page",
  "comparison.json": "Values",
  "curves.png": "Curves",
  "crops.png": "Crops",
};

export class Comparison {
  constructor(root) {
    this.root = root;
    this.run = root.dataset.run || "";
    this.job = null;
    this.startedId = "";
    this.head = element("div", { class: "head" });
    this.progress = element("progress", { max: 1, "aria-label": "Progress of this fit" });
    this.problem = element("p", { class: "problem", role: "alert" });
    this.results = element("div", { class: "comparison" });
    this.choose("");
    this.poll();
  }

  choose(id) {
    this.jobId = id;
    this.job = null;
    this.shownVersion = -1;
  }

  async act(action) {
    const id = this.jobId;
    try {
      await postJson(`jobs/${id}/${action}`);
      if (this.jobId === id) this.problem.textContent = "";
    } catch (error) {
      if (this.jobId === id) this.problem.textContent = error.message;
    }
  }

  async poll() {
    while (this.root.isConnected) {
      try {
        await this.update();
        this.root.classList.remove("disconnected");
      } catch {
        this.root.classList.add("disconnected");
      }
      await sleep(isVisible(this.root) ? VISIBLE_POLL_MS : HIDDEN_POLL_MS);
    }
  }

  async update() {
    const started = this.run ? "" : startedJob(TYPE);
    if (started && started !== this.startedId) {
      this.startedId = started;
      this.choose(started);
    }
    let answer = await getJson(`jobs?of=${this.jobId}`);
    if (this.run || !answer.jobs.some((job) => job.id === this.jobId)) {
      const best = bestJob(answer.jobs, TYPE, this.run);
      if (best && best.id !== this.jobId) {
        this.choose(best.id);
        answer = await getJson(`jobs?of=${this.jobId}`);
      }
    }
    if (!answer.job || answer.job.id !== this.jobId) return;
    announce(this.job, answer.job);
    this.job = answer.job;
    this.draw();
  }

  draw() {
    const { job } = this;
    if (!this.head.isConnected) this.root.replaceChildren(this.head, this.problem, this.results);
    if (isActive(job) && job.total) this.progress.value = job.step / job.total;
    else this.progress.removeAttribute("value");
    // The head is drawn only when something changes, so that its buttons can be clicked.
    const shown = JSON.stringify([job.id, job.name, job.state, job.message, job.info]);
    if (shown !== this.head.dataset.shown) {
      this.head.dataset.shown = shown;
      this.drawHead(job);
    }
    if (job.version !== this.shownVersion) {
      this.results.innerHTML = job.page;
      this.shownVersion = job.version;
      // Defined by the script of the comparison's own page.
      window.startCompareViewers?.();
    }
  }

  drawHead(job) {
    const failed = job.state === "failed" ? " problem" : "";
    this.head.replaceChildren(
      element("h2", {}, job.name),
      element("span", { class: "chip", "data-state": job.state }, STATE_NAMES[job.state]),
      element(
        "p",
        { class: `muted note${failed}`, role: "status" },
        [job.message, job.info].filter(Boolean).join("  ·  "),
      ),
    );
    if (isActive(job) && job.state !== "queued") this.head.append(this.progress);
    this.head.append(element("div", { class: "buttons" }, ...this.actions(job)));
  }

  actions(job) {
    if (isActive(job)) {
      return [button("Stop and keep", () => this.act("stop"), { disabled: job.state === "stopping" })];
    }
    if (job.state === "done") {
      const folder = `/studio/runs/${encodeURIComponent(job.run)}`;
      return Object.entries(DOWNLOADS).map(([file, label]) =>
        element("a", { href: `${folder}/${file}`, download: `${job.run}-${file}`, class: "button" }, label),
      );
    }
    return [button("Continue", () => this.act("resume"))];
  }
}
