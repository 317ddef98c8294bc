// Panel of one fit or distillation: images under a slider, error, quality curve, progress, buttons, scores, and what waits.

import { getJson, postJson } from "./api.js";
import { button, element, isVisible, replaceImage, sleep } from "./dom.js";
import { count, duration, metricName, metricPhrase, metricValue, STATE_NAMES } from "./format.js";
import { bestJob, isActive, pageOfRun, queueEntry, rememberJob, startedJob } from "./jobs.js";
import { announce, noticeRestart, offerNotification } from "./notices.js";

const ACTIVE_POLL_MS = 500;
const IDLE_POLL_MS = 2500;
// Time between two checks whether a button of this page has started another job.
const STARTED_POLL_MS = 100;
// On screens narrower than this the panel lies below the controls, so that it is scrolled to when a job starts.
const NARROW_PIXELS = 700;
const RESTARTED = "The studio was restarted. What was kept of this fit can be continued on its page.";
const DELETED = "This run was deleted.";

export class LiveFit {
  constructor(root) {
    this.root = root;
    this.type = root.dataset.jobType || "fit";
    // On the page of a run: the run whose jobs are shown, and no others.
    this.run = root.dataset.run || "";
    this.job = null;
    this.jobId = "";
    this.queue = [];
    this.problem = "";
    this.startedId = "";
    // The welcome stays until a fit is started, where it was asked for.
    this.welcomes = location.search === "?welcome" && this.type === "fit";
    this.forgetImages();
    this.build();
    this.poll();
  }

  build() {
    const [targetName, fitName] = this.type === "distillation" ? ["original", "converted"] : ["signal", "field"];
    this.name = element("h2");
    this.state = element("span", { class: "chip" });
    this.info = element("p", { class: "muted" });
    this.note = element("p", { class: "muted note", role: "status" });
    this.images = {
      target: element("img", { alt: targetName, draggable: "false" }),
      fit: element("img", { alt: fitName, draggable: "false", class: "over" }),
      error: element("img", { alt: "ten times the error", draggable: "false" }),
    };
    this.slider = this.buildSlider(targetName, fitName);
    this.curve = element("figure", { class: "curve" });
    this.progress = element("progress", { max: 1, value: 0, "aria-label": "Progress" });
    this.status = element("p", { class: "line" });
    this.scores = element("dl", { class: "scores" });
    this.buttons = {
      pause: button("Pause", () => this.act("pause")),
      resume: button("Resume", () => this.act("resume")),
      stop: button("Stop and keep", () => this.act("stop")),
    };
    this.pageLink = element("a", { class: "button primary" }, "View, inspect and export");
    this.notify = offerNotification();
    this.others = element("ul", { class: "queue", "aria-label": "Other jobs" });
    const error = element("figure", { class: "error" }, this.images.error, element("figcaption", {}, "error × 10"));
    this.pictures = element(
      "div",
      { class: "images" },
      this.slider,
      element("div", { class: "beside" }, error, this.curve),
    );
    this.body = element(
      "div",
      { class: "live" },
      element("div", { class: "head" }, this.name, this.state),
      this.info,
      this.pictures,
      element(
        "div",
        { class: "run" },
        this.progress,
        this.status,
        element("div", { class: "buttons" }, ...Object.values(this.buttons), this.pageLink, this.notify),
      ),
      this.note,
      this.scores,
    );
  }

  buildSlider(targetName, fitName) {
    const range = element("input", {
      type: "range",
      min: 0,
      max: 100,
      value: 50,
      "aria-label": `How much of the ${fitName} is shown over the ${targetName}`,
    });
    const slider = element(
      "div",
      { class: "slider" },
      this.images.target,
      this.images.fit,
      element("span", { class: "edge" }),
      element("span", { class: "tag left" }, fitName),
      element("span", { class: "tag right" }, targetName),
      range,
    );
    const cut = () => slider.style.setProperty("--cut", `${range.value}%`);
    range.addEventListener("input", cut);
    cut();
    return slider;
  }

  async act(action) {
    if (!this.job) return;
    const { id } = this.job;
    try {
      const answer = await postJson(`jobs/${id}/${action}`);
      // Another job may be shown by now.
      if (this.jobId !== id) return;
      this.job = { ...this.job, ...answer };
      this.problem = "";
    } catch (error) {
      if (this.jobId === id) this.problem = error.message;
    }
    this.draw();
  }

  choose(id) {
    if (id === this.jobId) return;
    this.jobId = id;
    this.job = null;
    this.problem = "";
    this.forgetImages();
    for (const image of Object.values(this.images)) image.removeAttribute("src");
    this.slider.classList.remove("has-fit");
    this.body.classList.remove("has-fit");
    if (!this.run) rememberJob(this.type, id);
  }

  /** The versions of the images that are shown now: of each, and of all together. */
  forgetImages() {
    this.shownVersion = -1;
    this.shownImages = {};
  }

  draw() {
    const { job } = this;
    if (!job) return;
    if (!this.body.isConnected) this.root.replaceChildren(this.body, this.others);
    this.name.textContent = job.name;
    this.state.textContent = STATE_NAMES[job.state];
    this.state.dataset.state = job.state;
    this.info.textContent = job.info;
    this.note.textContent = this.problem || job.message;
    this.note.classList.toggle("problem", job.state === "failed" || !!this.problem);
    this.drawProgress(job);
    this.drawButtons(job);
    const scores = isActive(job) ? [] : Object.entries(job.metrics);
    this.scores.replaceChildren(
      ...scores.flatMap(([metric, value]) => [
        element("dt", {}, metricName(metric)),
        element("dd", {}, metricValue(metric, value)),
      ]),
    );
    if (this.curve.dataset.drawn !== job.curve) {
      this.curve.innerHTML = job.curve;
      this.curve.dataset.drawn = job.curve;
    }
  }

  drawProgress(job) {
    const active = isActive(job);
    if (job.total) this.progress.value = job.step / job.total;
    else if (active && job.state !== "queued") this.progress.removeAttribute("value");
    else this.progress.value = 0;
    let steps = "";
    if (job.total) steps = `${count(job.step)} of ${count(job.total)} steps`;
    else if (job.step > 1) steps = `${count(job.step)} steps`;
    this.status.textContent = [
      job.state === "queued" && job.place ? `${job.place} before it in the queue` : "",
      steps,
      active && job.rate ? `${job.rate} steps per second` : "",
      active && job.quality !== null ? metricPhrase(job.metric, job.quality) : "",
      active && job.remaining !== null ? `${duration(job.remaining)} left` : duration(job.elapsed),
    ]
      .filter(Boolean)
      .join("   ·   ");
  }

  drawButtons(job) {
    const complete = job.total && job.step >= job.total;
    this.buttons.pause.hidden = !isActive(job);
    this.buttons.pause.disabled = job.state === "stopping";
    this.buttons.resume.hidden = !["paused", "stopped"].includes(job.state) || complete;
    this.buttons.stop.hidden = !["loading", "running", "stopping", "paused"].includes(job.state);
    this.buttons.stop.disabled = job.state === "stopping";
    this.pageLink.href = pageOfRun(job.run);
    this.pageLink.hidden = !!this.run || !["done", "paused", "stopped"].includes(job.state) || !job.step;
    this.notify.hidden = !isActive(job) || this.notify.dataset.asked !== undefined;
  }

  /** The other jobs that wait, run or are paused, each as a link to its page: one's own first. */
  drawQueue() {
    if (this.run) return;
    const others = this.queue.filter((job) => job.id !== this.jobId && (isActive(job) || job.state === "paused"));
    others.sort((a, b) => b.mine - a.mine);
    const shown = JSON.stringify(others);
    if (shown === this.others.dataset.shown) return;
    this.others.dataset.shown = shown;
    this.others.replaceChildren(...others.map(queueEntry));
  }

  /** Load the images that have changed. */
  async drawImages() {
    const { id, version, images } = this.job;
    if (version === this.shownVersion) return;
    const changed = Object.keys(images).filter((name) => images[name] !== this.shownImages[name]);
    const loaded = await Promise.all(
      changed.map(async (name) => {
        const address = `/studio/jobs/${id}/${name}?v=${images[name]}`;
        if (!(await replaceImage(this.images[name], address, () => this.jobId === id))) return false;
        this.shownImages[name] = images[name];
        return true;
      }),
    );
    if (this.jobId !== id) return;
    if (loaded.every(Boolean)) this.shownVersion = version;
    const hasFit = "fit" in this.shownImages;
    // The images of jobs that ended long ago are not kept.
    this.pictures.hidden = !isActive(this.job) && !Object.keys(images).length;
    this.slider.classList.toggle("has-fit", hasFit);
    this.body.classList.toggle("has-fit", hasFit);
    const { naturalWidth, naturalHeight } = this.images.target;
    if (naturalWidth) this.slider.style.setProperty("--ratio", `${naturalWidth}/${naturalHeight}`);
  }

  /** Ask for the state of the queue and of the shown job for as long as the panel is on the page. */
  async poll() {
    while (this.root.isConnected) {
      let pause = IDLE_POLL_MS;
      try {
        this.followStarted();
        await this.update();
        if (isVisible(this.root) && this.queue.some(isActive)) pause = ACTIVE_POLL_MS;
        this.root.classList.remove("disconnected");
      } catch {
        this.root.classList.add("disconnected");
      }
      for (let waited = 0; waited < pause && !this.hasStarted(); waited += STARTED_POLL_MS) {
        await sleep(STARTED_POLL_MS);
      }
    }
  }

  /** Whether a button of this page has started a job that is not shown yet. */
  hasStarted() {
    if (this.run) return false;
    const started = startedJob(this.type);
    return started !== "" && started !== this.startedId;
  }

  followStarted() {
    if (!this.hasStarted()) return;
    this.startedId = startedJob(this.type);
    this.welcomes = false;
    this.choose(this.startedId);
    if (innerWidth < NARROW_PIXELS && isVisible(this.root)) this.root.scrollIntoView({ block: "start" });
  }

  /** Say what became of the shown job, which the studio does not know any more: it was restarted, or the run deleted. */
  async explain() {
    if (this.explained === this.jobId) return;
    const { id, run } = this.job;
    let message = isActive(this.job) ? RESTARTED : this.job.message;
    let deleted = false;
    try {
      await getJson(`runs/${encodeURIComponent(run)}/facts`);
    } catch (error) {
      if (!error.status) throw error;
      // A fit that had kept nothing before the studio ended is not there either.
      deleted = true;
      message = isActive(this.job) ? "The studio was restarted before anything of this fit was kept." : DELETED;
    }
    if (this.jobId !== id) return;
    this.explained = id;
    // Jobs are forgotten when the studio is restarted, and runs are not.
    this.job = { ...this.job, state: isActive(this.job) ? "stopped" : this.job.state, message };
    this.draw();
    if (deleted) for (const part of [...Object.values(this.buttons), this.pageLink]) part.hidden = true;
    else this.buttons.resume.hidden = this.buttons.stop.hidden = true;
  }

  async update() {
    // A hidden panel does not ask for its job, so that the server draws no images for it.
    const wanted = isVisible(this.root) || !this.job ? this.jobId : "";
    let answer = await getJson(`jobs?of=${wanted}`);
    noticeRestart(answer.start);
    this.queue = answer.jobs;
    const vanished = this.job && !this.queue.some((job) => job.id === this.jobId);
    if (vanished && !this.run) await this.explain();
    else if (this.run || !this.queue.some((job) => job.id === this.jobId)) {
      const chosen = this.welcomes ? null : bestJob(this.queue, this.type, this.run);
      if (chosen && chosen.id !== this.jobId) {
        this.choose(chosen.id);
        answer = await getJson(`jobs?of=${chosen.id}`);
        this.queue = answer.jobs;
      }
    }
    this.drawQueue();
    if (!this.others.isConnected && !this.run) this.root.append(this.others);
    if (!answer.job && this.run && this.job && isActive(this.job) && vanished) {
      this.job = { ...this.job, state: "stopped", message: RESTARTED };
      this.draw();
    }
    if (!answer.job || answer.job.id !== this.jobId) return;
    announce(this.job, answer.job);
    this.job = answer.job;
    this.draw();
    await this.drawImages();
  }
}
