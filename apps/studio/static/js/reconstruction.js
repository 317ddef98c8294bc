// Panel of a reconstruction: its stages, the picture that grows during the fit, notes, figures and downloads.

import { getJson, postJson } from "./api.js";
import { button, element, isVisible, replaceImage, sleep } from "./dom.js";
import { duration, metricName, metricPhrase, metricValue, STATE_NAMES } from "./format.js";
import { bestJob, isActive, pageOfRun, queueEntry, rememberJob, startedJob } from "./jobs.js";
import { announce } from "./notices.js";

const TYPE = "reconstruction";
const ACTIVE_POLL_MS = 600;
const IDLE_POLL_MS = 2500;
const STARTED_POLL_MS = 100;
const NARROW_PIXELS = 700;
const IMAGE_NAMES = { target: "photograph", fit: "the field", surface: "its surface, coarse" };
const STAGE_NAMES = {
  poses: "Find the cameras",
  fit: "Fit a field",
  surface: "Extract the surface",
  simplify: "Simplify",
  refine: "Refine",
  colors: "Colors",
  charts: "Charts",
  texture: "Texture",
  file: "Write the file",
  report: "Report",
};
const STAGE_STATES = { running: "", kept: "kept", done: "done" };

export class Reconstruction {
  constructor(root) {
    this.root = root;
    this.run = root.dataset.run || "";
    this.startedId = "";
    this.problem = "";
    this.reported = {};
    this.forget("");
    this.build();
    this.poll();
  }

  build() {
    this.name = element("h2");
    this.state = element("span", { class: "chip" });
    this.info = element("p", { class: "muted" });
    this.progress = element("progress", { max: 1, value: 0, "aria-label": "Progress of this stage" });
    this.line = element("p", { class: "line" });
    this.note = element("p", { class: "muted note", role: "status" });
    this.stages = element("ol", { class: "stages", "aria-label": "Stages" });
    this.images = Object.fromEntries(
      Object.entries(IMAGE_NAMES).map(([name, alt]) => [name, element("img", { alt, draggable: "false" })]),
    );
    this.figures = Object.entries(this.images).map(([name, image]) =>
      element("figure", {}, image, element("figcaption", {}, IMAGE_NAMES[name])),
    );
    this.views = element("div", { class: "growing" }, ...this.figures);
    this.notes = element("ul", { class: "notes muted", "aria-label": "Notes" });
    this.scores = element("dl", { class: "scores" });
    this.buttons = {
      stop: button("Stop and keep", () => this.act("stop")),
      resume: button("Continue", () => this.act("resume")),
    };
    this.mesh = element("div", { class: "large-mesh" });
    this.downloads = element("span", { class: "links" });
    this.pageLink = element("a", { class: "button" }, "View, inspect and export the field");
    this.report = element("img", { alt: "Photographs, field, mesh and its shape from several cameras" });
    this.sheet = element(
      "figure",
      { class: "sheet", hidden: true },
      this.report,
      element("figcaption", {}, "From above: photograph, field, textured mesh, its shape"),
    );
    this.others = element("ul", { class: "queue", "aria-label": "Other jobs" });
    this.body = element(
      "div",
      { class: "live" },
      element("div", { class: "head" }, this.name, this.state),
      this.info,
      this.progress,
      this.line,
      element("div", { class: "buttons" }, ...Object.values(this.buttons), this.downloads, this.pageLink),
      this.note,
      this.mesh,
      this.views,
      this.scores,
      this.sheet,
      element("details", { open: true }, element("summary", {}, "Stages"), this.stages),
      this.notes,
    );
  }

  /** Begin to show another job. */
  forget(id) {
    this.jobId = id;
    this.job = null;
    this.shownImages = {};
  }

  choose(id) {
    if (id === this.jobId) return;
    this.forget(id);
    for (const image of Object.values(this.images)) image.removeAttribute("src");
    if (!this.run) rememberJob(TYPE, id);
  }

  async act(action) {
    if (!this.job) return;
    const { id } = this.job;
    try {
      const job = await postJson(`jobs/${id}/${action}`);
      // Another job may be shown by now.
      if (this.jobId !== id) return;
      this.problem = "";
      // Another file is made by another job of the same run.
      if (job.id !== this.jobId) this.choose(job.id);
      this.job = job;
    } catch (error) {
      this.problem = error.message;
    }
    this.draw();
  }

  draw() {
    const { job } = this;
    if (!job) return;
    if (!this.body.isConnected) this.root.replaceChildren(this.body, this.others);
    const active = isActive(job);
    this.name.textContent = job.name;
    this.state.textContent = job.state === "running" ? "at work" : STATE_NAMES[job.state];
    this.state.dataset.state = job.state;
    this.info.textContent = job.info;
    this.note.textContent = this.problem || job.message;
    this.note.classList.toggle("problem", job.state === "failed" || !!this.problem);
    this.drawStage(job, active);
    this.buttons.stop.hidden = !active;
    this.buttons.stop.disabled = job.state === "stopping";
    this.buttons.resume.hidden = !["stopped", "paused", "failed"].includes(job.state);
    this.pageLink.href = pageOfRun(job.run);
    this.pageLink.hidden = !!this.run || active || !job.files.length;
    this.drawResults(job, active);
    this.drawNotes(job);
    this.drawQueue();
  }

  drawStage(job, active) {
    const stage = job.stages.find((known) => known.state === "running");
    this.progress.hidden = !active;
    this.line.hidden = !active;
    if (stage) this.progress.value = stage.fraction;
    else this.progress.removeAttribute("value");
    const quality = stage?.name === "fit" && job.quality !== null ? metricPhrase(job.metric, job.quality) : "";
    this.line.textContent = active
      ? [
          stage ? STAGE_NAMES[stage.name] || stage.name : "",
          stage ? `${Math.round(100 * stage.fraction)} %` : "",
          quality || job.detail,
          job.remaining === null ? "" : `about ${duration(job.remaining)} left`,
        ]
          .filter(Boolean)
          .join("   ·   ")
      : "";
    this.stages.parentElement.hidden = !job.stages.length;
    this.stages.replaceChildren(
      ...job.stages.map((known) =>
        element(
          "li",
          { "data-state": known.state },
          element("span", {}, STAGE_NAMES[known.name] || known.name),
          ` ${known.state === "kept" ? STAGE_STATES.kept : duration(known.seconds)}`,
        ),
      ),
    );
  }

  drawResults(job, active) {
    const done = !active && job.files.length > 0;
    const folder = `/studio/runs/${encodeURIComponent(job.run)}`;
    const shown = JSON.stringify([job.id, done, job.files]);
    if (shown !== this.downloads.dataset.shown) {
      this.downloads.dataset.shown = shown;
      const links = (done ? job.files : []).map(({ name, bytes }) => {
        const ending = name.slice(name.lastIndexOf("."));
        const href = `${folder}/${name}?v=${bytes}`;
        const label = `Download ${ending.slice(1).toUpperCase()}, ${(bytes / 1e6).toFixed(1)} MB`;
        return element("a", { href, download: `${job.run}${ending}`, class: "button" }, label);
      });
      const makes = done && !job.files.some(({ name }) => name.endsWith(".usdz"));
      if (makes) links.push(button("Make a USDZ", () => this.act("usdz")));
      this.downloads.replaceChildren(...links);
    }
    this.sheet.hidden = !done || !job.report;
    const version = `${folder}/report.png?v=${job.id}-${job.version}`;
    if (!this.sheet.hidden && this.report.getAttribute("src") !== version) this.report.setAttribute("src", version);
    this.views.hidden = done || !Object.keys(this.shownImages).length;
    const scores = done ? Object.entries(job.metrics) : [];
    this.scores.replaceChildren(
      ...scores.flatMap(([metric, value]) => [
        element("dt", {}, `${metricName(metric)}, held-out photographs`),
        element("dd", {}, metricValue(metric, value)),
      ]),
    );
    this.reportToPage(job, active, done);
  }

  /** Have Gradio show the cameras once they are known, and the mesh once it is there. `tabs/reconstruct.py` does it. */
  reportToPage(job, active, done) {
    const show = window.studioShowReconstruction;
    if (!show) {
      // The page of the run has a viewer of its own.
      this.drawMesh(job, done);
      return;
    }
    const cameras = job.cameras ? job.run : "";
    if (cameras && this.reported.cameras !== cameras) {
      this.reported.cameras = cameras;
      show(cameras, "cameras");
    }
    const hasMesh = !active && done && job.files.some(({ name }) => name.endsWith(".glb"));
    const mesh = hasMesh ? `${job.run} ${JSON.stringify(job.files)}` : "";
    if ((this.reported.mesh ?? "") !== mesh) {
      this.reported.mesh = mesh;
      show(hasMesh ? job.run : "", "mesh");
    }
  }

  drawMesh(job, done) {
    const file = done && job.files.find(({ name }) => name.endsWith(".glb"));
    const source = file ? `/studio/runs/${encodeURIComponent(job.run)}/${file.name}?v=${file.bytes}` : "";
    if (source === this.mesh.dataset.shown) return;
    this.mesh.dataset.shown = source;
    const viewer = element("div", { "data-studio": "mesh", "data-source": source, "data-name": file?.name });
    this.mesh.replaceChildren(...(source ? [viewer] : []));
  }

  drawNotes(job) {
    const shown = JSON.stringify(job.notes);
    if (shown === this.notes.dataset.shown) return;
    this.notes.dataset.shown = shown;
    this.notes.hidden = !job.notes.length;
    this.notes.replaceChildren(...job.notes.map((text) => element("li", {}, text)));
  }

  drawQueue() {
    if (this.run) return;
    const others = this.queue.filter((other) => other.id !== this.jobId && isActive(other));
    others.sort((a, b) => b.mine - a.mine);
    const shown = JSON.stringify(others);
    if (shown === this.others.dataset.shown) return;
    this.others.dataset.shown = shown;
    this.others.replaceChildren(...others.map(queueEntry));
  }

  async drawImages() {
    const { id, images } = this.job;
    for (const [name, image] of Object.entries(this.images)) {
      if (images[name] === undefined || images[name] === this.shownImages[name]) continue;
      const address = `/studio/jobs/${id}/${name}?v=${images[name]}`;
      const shown = await replaceImage(image, address, () => this.jobId === id);
      if (this.jobId !== id) return;
      if (shown) this.shownImages[name] = images[name];
    }
    for (const [index, name] of Object.keys(this.images).entries()) {
      this.figures[index].hidden = !(name in this.shownImages);
    }
  }

  async poll() {
    while (this.root.isConnected) {
      let pause = IDLE_POLL_MS;
      try {
        const started = this.run ? "" : startedJob(TYPE);
        if (started && started !== this.startedId) {
          this.startedId = started;
          this.choose(started);
          if (innerWidth < NARROW_PIXELS && isVisible(this.root)) this.root.scrollIntoView({ block: "start" });
        }
        await this.update();
        if (isVisible(this.root) && this.job && isActive(this.job)) pause = ACTIVE_POLL_MS;
        this.root.classList.remove("disconnected");
      } catch {
        this.root.classList.add("disconnected");
      }
      for (let waited = 0; waited < pause; waited += STARTED_POLL_MS) {
        const started = startedJob(TYPE);
        if (started && started !== this.startedId) break;
        await sleep(STARTED_POLL_MS);
      }
    }
  }

  async update() {
    // A hidden panel does not ask for its job, so that the server draws no pictures for it.
    const visible = isVisible(this.root);
    let answer = await getJson(`jobs?of=${visible || !this.job ? this.jobId : ""}`);
    this.queue = answer.jobs;
    if (this.run || !this.queue.some((job) => job.id === this.jobId)) {
      const best = bestJob(this.queue, TYPE, this.run);
      if (!best) return;
      if (best.id !== this.jobId) {
        this.choose(best.id);
        answer = await getJson(`jobs?of=${best.id}`);
      }
    }
    if (!answer.job || answer.job.id !== this.jobId) return;
    announce(this.job, answer.job);
    this.job = answer.job;
    if (visible) this.draw();
    if (visible) await this.drawImages();
  }
}
