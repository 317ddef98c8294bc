// What is told of a job outside of its panel: the title of the browser's tab, and a notification at its end.

import { button, element } from "./dom.js";
import { isActive } from "./jobs.js";

const TITLE = document.title;
const ENDS = { done: "is done", failed: "has failed", stopped: "was stopped", paused: "is paused" };
// The jobs that were shown while they were under way: only their ends are news.
const underWay = new Set();

/** Tell of a change of the shown job. `before`: what was known of it; null where nothing was. */
export function announce(before, job) {
  if (isActive(job)) {
    underWay.add(job.id);
    const percent = job.total ? `${Math.floor((100 * job.step) / job.total)} %` : "…";
    document.title = `${percent} ${job.name} · ${TITLE}`;
    return;
  }
  if (!underWay.delete(job.id) || (before && before.id !== job.id)) return;
  document.title = `${job.state === "done" ? "✓" : "■"} ${job.name} ${ENDS[job.state]} · ${TITLE}`;
  if (canNotify() && Notification.permission === "granted" && document.hidden) {
    new Notification(`${job.name} ${ENDS[job.state]}`, { tag: job.id, body: job.message });
  }
}

// Exports that were shown while they were under way.
const beingMade = new Set();

/** Tell of an export that has ended, or has failed, while its page was open. */
export function announceExport(known) {
  if (["waiting", "working"].includes(known.state)) {
    beingMade.add(known.id);
    return;
  }
  if (!beingMade.delete(known.id) || known.state === "cancelled") return;
  const text = known.state === "done" ? `${known.file} is ready` : `${known.label} has failed`;
  document.title = `${known.state === "done" ? "✓" : "■"} ${text} · ${TITLE}`;
  if (canNotify() && Notification.permission === "granted" && document.hidden) {
    new Notification(text, { tag: known.id, body: known.message });
  }
}

// The title says what is going on until the page is looked at again.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !underWay.size) document.title = TITLE;
});

let knownStart = "";

/**
 * Say that the studio was restarted while the first page was open: what was chosen on it is forgotten. Other pages ask
 * for all they show.
 */
export function noticeRestart(start) {
  if (knownStart && start !== knownStart && location.pathname === "/" && !document.querySelector(".restarted")) {
    const load = button("Load the page anew", () => location.reload());
    const text = "The studio was restarted. Runs are kept; choose the signal again. ";
    document.body.prepend(element("div", { class: "restarted", role: "alert" }, text, load));
  }
  knownStart = start;
}

const canNotify = () => "Notification" in window;

/** A button that asks the browser for permission to notify. It is hidden for good once somebody has decided. */
export function offerNotification() {
  const offer = button("Notify me at the end", async () => {
    offer.dataset.asked = "";
    offer.hidden = true;
    await Notification.requestPermission();
  });
  if (!canNotify() || Notification.permission !== "default") offer.dataset.asked = "";
  offer.hidden = true;
  return offer;
}
