// Something that takes a while and was asked for: its progress, the time left, and a cancel, in place of its result.

import { getJson, postJson } from "./api.js";
import { button, element, sleep } from "./dom.js";
import { duration } from "./format.js";

const POLL_MS = 250;
// Shorter waits have no time left.
const LONG_SECONDS = 3;

/**
 * Start the work at a path of the studio, show how far it is in `place`, and then its result, which is HTML. Resolves
 * at the end, however it ends.
 */
export async function showWork(place, path, title) {
  const progress = element("progress", { max: 1, "aria-label": title });
  const text = element("p", { class: "muted", role: "status" }, `${title} …`);
  let task = null;
  const cancel = button("Cancel", async () => {
    cancel.disabled = true;
    if (task) await postJson(`tasks/${task.id}/cancel`).catch(() => {});
  });
  place.replaceChildren(progress, text, element("div", { class: "buttons" }, cancel));
  try {
    task = await postJson(path);
    while (["waiting", "working"].includes(task.state) && place.isConnected) {
      await sleep(POLL_MS);
      task = await getJson(`tasks/${task.id}`);
      progress.value = task.fraction;
      const left = task.seconds > LONG_SECONDS && task.remaining ? `about ${duration(task.remaining)} left` : "";
      text.textContent = [`${task.text || title} …`, left].filter(Boolean).join("   ·   ");
    }
    if (task.state === "done") place.innerHTML = task.result;
    else if (task.state === "cancelled") place.replaceChildren(element("p", { class: "muted" }, "Cancelled."));
    else place.replaceChildren(element("p", { class: "problem", role: "alert" }, task.text));
  } catch (error) {
    place.replaceChildren(element("p", { class: "problem", role: "alert" }, error.message));
  }
}
