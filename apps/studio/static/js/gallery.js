// The gallery: a card for each run and comparison of the runs folder, with its buttons.

import { getJson, postJson } from "./api.js";
import { showDialog } from "./dialog.js";
import { button, element, isVisible, sleep } from "./dom.js";
import { metricPhrase } from "./format.js";
import { showStarted } from "./jobs.js";
import { openRun } from "./tabs.js";

const VISIBLE_POLL_MS = 1500;
const HIDDEN_POLL_MS = 400;
const MAX_NAME_LENGTH = 80;

export class Gallery {
  constructor(root) {
    this.root = root;
    this.shown = "";
    this.pending = false;
    this.problem = element("p", { class: "problem", role: "alert" });
    this.cards = element("div", { class: "cards" });
    this.poll();
  }

  /** Draw the cards once at the beginning, and then whenever the gallery is visible and something has changed. */
  async poll() {
    let drawn = false;
    while (this.root.isConnected) {
      if (!drawn || isVisible(this.root)) {
        try {
          await this.refresh();
          drawn = true;
          this.root.classList.remove("disconnected");
        } catch {
          this.root.classList.add("disconnected");
        }
      }
      await sleep(isVisible(this.root) ? VISIBLE_POLL_MS : HIDDEN_POLL_MS);
    }
  }

  async refresh({ always = false } = {}) {
    const runs = await getJson("runs");
    const text = JSON.stringify(runs);
    if (text === this.shown && !always) return;
    this.shown = text;
    if (!runs.length) {
      this.root.replaceChildren(element("p", { class: "muted" }, "No runs yet. Every fit is kept here."));
      return;
    }
    this.cards.replaceChildren(...runs.map((run) => this.card(run)));
    if (!this.cards.isConnected) this.root.replaceChildren(this.problem, this.cards);
  }

  /** Continue or repeat a run, once at a time, and show the job. */
  async start(run, action) {
    if (this.pending) return;
    this.pending = true;
    try {
      showStarted(await this.post(run, action));
      this.problem.textContent = "";
    } catch (error) {
      this.problem.textContent = error.message;
    }
    await this.refresh({ always: true }).catch(() => {});
    this.pending = false;
  }

  post(run, action, content) {
    return postJson(`runs/${encodeURIComponent(run.name)}/${action}`, content);
  }

  card(run) {
    const source = `/studio/runs/${encodeURIComponent(run.name)}/preview.png?v=${run.changed}`;
    return element(
      "article",
      { class: "run-card", "data-run": run.name },
      run.image ? element("img", { src: source, alt: "", loading: "lazy" }) : element("div", { class: "blank" }),
      element("h2", {}, run.name),
      element("p", { class: "muted" }, `${run.kind} · ${run.method} · ${status(run)}`),
      element("div", { class: "buttons" }, ...this.actions(run)),
    );
  }

  actions(run) {
    const labelled = (label, onclick) => button(label, onclick, { "aria-label": `${label}: ${run.name}` });
    const isRun = run.type !== "comparison";
    return [
      run.type === "reconstruction" ? labelled("Mesh", () => this.start(run, "show")) : null,
      run.ready ? this.viewAction(run, labelled) : null,
      isRun && run.ready ? labelled("Export", () => openRun("export", run.name)) : null,
      run.status !== "finished" && !run.busy ? labelled("Continue", () => this.start(run, "resume")) : null,
      labelled("Repeat", () => this.start(run, "repeat")),
      labelled("Rename", () => this.askForName(run)),
      labelled("Delete", () => this.askBeforeDeleting(run)),
    ];
  }

  viewAction(run, labelled) {
    if (run.type === "comparison") {
      const href = `/studio/runs/${encodeURIComponent(run.name)}/comparison.html`;
      const attributes = { class: "button", href, target: "_blank", rel: "noopener" };
      return element("a", { ...attributes, "aria-label": `Open: ${run.name}` }, "Open");
    }
    return run.solid
      ? labelled("3-D", () => openRun("space", run.name))
      : labelled("Inspect", () => openRun("inspect", run.name));
  }

  askForName(run) {
    const input = element("input", {
      name: "to",
      value: run.name,
      required: true,
      autofocus: true,
      maxlength: MAX_NAME_LENGTH,
    });
    showDialog({
      title: `Rename ${run.name}`,
      content: element("label", {}, "New name ", input),
      action: "Rename",
      actionClass: "primary",
      submit: async (form) => {
        await this.post(run, "rename", { to: form.get("to") });
        await this.refresh({ always: true });
      },
    });
  }

  askBeforeDeleting(run) {
    const text =
      "Its weights, history and images are deleted and cannot be restored. The signal it was fitted to stays.";
    showDialog({
      title: `Delete ${run.name}?`,
      content: element("p", {}, text),
      action: "Delete",
      actionClass: "danger",
      submit: async () => {
        await this.post(run, "delete");
        await this.refresh({ always: true });
      },
    });
  }
}

function status(run) {
  if (run.status === "finished") return run.headline ? metricPhrase(...run.headline) : run.status;
  return run.busy ? "in progress" : run.status;
}
