// What the panels know about jobs: their states, their hidden text boxes and the tabs that show them.

import { storage } from "./api.js";
import { openTab } from "./tabs.js";

export const ACTIVE_STATES = ["queued", "loading", "running", "stopping"];

// For each type of job: the id of the hidden text box into which Gradio writes the id of the job that a button started,
// and the tab that shows such jobs.
const PANELS = {
  fit: { boxId: "started-fit", tab: { label: "Fit", id: "fit" } },
  comparison: { boxId: "started-comparison", tab: { label: "Compare", id: "compare" } },
  distillation: { boxId: "started-distillation", tab: { label: "Distill", id: "distill" } },
  reconstruction: { boxId: "started-reconstruction", tab: { label: "Photographs to 3-D", id: "reconstruct" } },
};

export const isActive = (job) => ACTIVE_STATES.includes(job.state);

const startedBox = (type) => {
  const { boxId } = PANELS[type];
  return document.querySelector(`#${boxId} textarea, #${boxId} input`);
};

/** The id of the job that was started on this page last; empty before that. */
export const startedJob = (type) => startedBox(type)?.value || "";

/** The id of the job that this browser showed last, also before the page was loaded anew. */
export const rememberedJob = (type) => startedJob(type) || storage.get(PANELS[type].boxId);

export const rememberJob = (type, id) => storage.set(PANELS[type].boxId, id);

export const openTabOf = (type) => openTab(PANELS[type].tab);

/** Show a job that was started elsewhere, for example by a button of the gallery. */
export function showStarted(job) {
  const box = startedBox(job.type);
  rememberJob(job.type, job.id);
  if (box) box.value = job.id;
  openTabOf(job.type);
}
