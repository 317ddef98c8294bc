// What the panels know about jobs: their states, their hidden text boxes and the pages that show them.

import { storage } from "./api.js";
import { element } from "./dom.js";
import { STATE_NAMES } from "./format.js";

export const ACTIVE_STATES = ["queued", "loading", "running", "stopping"];

// For each type of job: the id of the hidden text box into which Gradio writes the id of the job that a button started.
const BOXES = {
  fit: "started-fit",
  comparison: "started-comparison",
  distillation: "started-distillation",
  reconstruction: "started-reconstruction",
};
// How people call them.
const TYPE_NAMES = { distillation: "conversion" };

export const isActive = (job) => ACTIVE_STATES.includes(job.state);

const startedBox = (type) => document.querySelector(`#${BOXES[type]} textarea, #${BOXES[type]} input`);

/** The id of the job that was started on this page last; empty before that. */
export const startedJob = (type) => startedBox(type)?.value || "";

/** The id of the job that this browser showed last, also before the page was loaded anew. */
export const rememberedJob = (type) => startedJob(type) || storage.get(BOXES[type]);

export const rememberJob = (type, id) => storage.set(BOXES[type], id);

/** The address of the page of a run. */
export const pageOfRun = (run) => `/run/${encodeURIComponent(run)}`;

/** Show a job that was started by a button of the gallery or of a run's page: the page of its run. */
export function showStarted(job) {
  rememberJob(job.type, job.id);
  location.assign(pageOfRun(job.run));
}

/**
 * The job that a panel shows where none is chosen. On the page of a run that run's newest; else the one that this
 * browser showed last, or its newest active one, or its newest. Never one of another visitor.
 */
export function bestJob(jobs, type, run = "") {
  if (run) return jobs.findLast((job) => job.run === run);
  const remembered = rememberedJob(type);
  const own = jobs.filter((job) => job.type === type && (job.mine || job.id === remembered));
  return own.find((job) => job.id === remembered) || own.findLast(isActive) || own.at(-1);
}

/** An entry of the list of other jobs: a link to the page of its run. */
export function queueEntry(job) {
  const type = job.type === "fit" ? "" : `, a ${TYPE_NAMES[job.type] || job.type}`;
  const place = job.state === "queued" && job.place ? `, ${job.place} before it` : "";
  const owner = job.mine ? "" : ", another visitor’s";
  const link = element("a", { class: "button", href: pageOfRun(job.run) }, element("b", {}, job.name));
  link.append(` ${STATE_NAMES[job.state]}${place}${type}${owner}`);
  return element("li", {}, link);
}
