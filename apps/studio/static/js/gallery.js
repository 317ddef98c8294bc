// The gallery: a card for each run and comparison of the runs folder, with search, order, filters and buttons.

import { getJson, postJson, storage } from "./api.js";
import { showDialog } from "./dialog.js";
import { button, element, isVisible, sleep } from "./dom.js";
import { byteCount, metricPhrase, timeOfDay } from "./format.js";
import { pageOfRun, showStarted } from "./jobs.js";

const VISIBLE_POLL_MS = 1500;
const HIDDEN_POLL_MS = 400;
const MAX_NAME_LENGTH = 80;
const UNDO_MS = 20_000;
// As in `apps/studio/run_comparison.py`.
const MIN_COMPARED = 2;
const MAX_COMPARED = 6;
const ORDER_KEY = "gallery-order";
const ORDERS = {
  newest: { label: "Newest first", before: (a, b) => b.changed - a.changed },
  oldest: { label: "Oldest first", before: (a, b) => a.changed - b.changed },
  name: { label: "By name", before: (a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }) },
  largest: { label: "Largest first", before: (a, b) => b.bytes - a.bytes },
  method: { label: "By method", before: (a, b) => a.method.localeCompare(b.method) || b.changed - a.changed },
};

export class Gallery {
  constructor(root) {
    this.root = root;
    this.runs = [];
    this.shown = "";
    this.pending = false;
    this.problem = element("p", { class: "problem", role: "alert" });
    this.notice = element("p", { class: "notice", role: "status", hidden: true });
    this.cards = element("div", { class: "cards" });
    this.build();
    this.poll();
  }

  build() {
    const redraw = () => this.draw();
    this.search = element("input", {
      type: "search",
      placeholder: "Search names, tags, notes and files",
      "aria-label": "Search the runs",
      oninput: redraw,
    });
    const select = (label, options) => element("select", { "aria-label": label, onchange: redraw }, ...options);
    const option = ([value, label]) => element("option", { value }, label);
    this.order = select(
      "Order",
      Object.entries(ORDERS).map(([value, { label }]) => option([value, label])),
    );
    const remembered = storage.get(ORDER_KEY);
    if (remembered in ORDERS) this.order.value = remembered;
    this.order.addEventListener("change", () => storage.set(ORDER_KEY, this.order.value));
    this.kind = select("Kind of signal", []);
    this.method = select("Method", []);
    this.total = element("span", { class: "muted" });
    // Names of the runs that are marked to be compared.
    this.marked = new Set();
    this.compare = button("Compare", () => this.compareMarked(), { class: "primary", hidden: true });
    this.tools = element(
      "div",
      { class: "buttons tools" },
      this.search,
      this.kind,
      this.method,
      this.order,
      this.total,
      this.compare,
    );
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
    this.runs = runs;
    offer(
      this.kind,
      "All kinds",
      runs.map((run) => run.kind),
    );
    offer(
      this.method,
      "All methods",
      runs.flatMap((run) => run.method.split(", ")),
    );
    this.draw();
  }

  draw() {
    const { runs } = this;
    if (!this.cards.isConnected) this.root.replaceChildren(this.tools, this.notice, this.problem, this.cards);
    this.tools.hidden = !runs.length;
    const found = runs.filter((run) => this.isWanted(run)).sort(ORDERS[this.order.value].before);
    const bytes = byteCount(found.reduce((sum, run) => sum + run.bytes, 0));
    this.total.textContent = `${found.length === runs.length ? runs.length : `${found.length} of ${runs.length}`} runs, ${bytes}`;
    for (const name of this.marked) if (!runs.some((run) => run.name === name)) this.marked.delete(name);
    this.drawCompare();
    const empty = runs.length ? "No run matches." : "No runs yet. Everything that is fitted is kept here.";
    this.cards.replaceChildren(
      ...(found.length ? found.map((run) => this.card(run)) : [element("p", { class: "muted" }, empty)]),
    );
  }

  mark(run, isMarked) {
    if (isMarked) this.marked.add(run.name);
    else this.marked.delete(run.name);
    this.drawCompare();
  }

  drawCompare() {
    const { size } = this.marked;
    this.compare.hidden = !size;
    this.compare.disabled = size < MIN_COMPARED || size > MAX_COMPARED;
    this.compare.textContent = this.compare.disabled
      ? `Mark ${MIN_COMPARED} to ${MAX_COMPARED} runs to compare`
      : `Compare ${size} runs`;
  }

  compareMarked() {
    const parameters = new URLSearchParams([...this.marked].map((name) => ["run", name]));
    location.assign(`/compare?${parameters}`);
  }

  isWanted(run) {
    if (this.kind.value && run.kind !== this.kind.value) return false;
    if (this.method.value && !run.method.split(", ").includes(this.method.value)) return false;
    const text = [run.name, run.kind, run.method, run.source, run.note, ...run.tags].join(" ").toLowerCase();
    return this.search.value
      .toLowerCase()
      .split(/\s+/)
      .every((word) => text.includes(word));
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
    const source = `/studio/runs/${encodeURIComponent(run.name)}/thumbnail.webp?v=${run.changed}`;
    const href = pageOfRun(run.name);
    const picture = run.image
      ? element("img", { src: source, alt: "", loading: "lazy" })
      : element("div", { class: "blank" });
    return element(
      "article",
      { class: "run-card", "data-run": run.name },
      element("a", { href, tabindex: "-1", "aria-hidden": "true" }, picture),
      element("h2", {}, element("a", { href }, run.name)),
      element("p", { class: "muted" }, `${run.kind} · ${run.method} · ${status(run)}`),
      element("p", { class: "muted" }, `${timeOfDay(run.changed)} · ${byteCount(run.bytes)}`),
      run.tags.length ? element("p", { class: "tags" }, ...run.tags.map((tag) => element("span", {}, tag))) : null,
      element("div", { class: "buttons" }, ...this.actions(run), run.ready ? this.marker(run) : null),
    );
  }

  actions(run) {
    const labelled = (label, onclick) => button(label, onclick, { "aria-label": `${label}: ${run.name}` });
    return [
      run.type === "reconstruction" ? labelled("Mesh", () => this.start(run, "show")) : null,
      run.status !== "finished" && !run.busy ? labelled("Continue", () => this.start(run, "resume")) : null,
      labelled("Repeat", () => this.start(run, "repeat")),
      labelled("Rename", () => this.askForName(run)),
      labelled("Delete", () => this.remove(run)),
    ];
  }

  marker(run) {
    const box = element("input", { type: "checkbox", "aria-label": `Mark ${run.name} to compare it` });
    box.checked = this.marked.has(run.name);
    box.addEventListener("change", () => this.mark(run, box.checked));
    return element("label", { class: "mark" }, box, "compare");
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

  /** Delete a run, and offer to bring it back. */
  async remove(run) {
    if (this.pending) return;
    this.pending = true;
    try {
      const { token } = await this.post(run, "delete");
      this.problem.textContent = "";
      this.offerUndo(run, token);
    } catch (error) {
      this.problem.textContent = error.message;
    }
    await this.refresh({ always: true }).catch(() => {});
    this.pending = false;
  }

  offerUndo(run, token) {
    const undo = button("Undo", async () => {
      undo.disabled = true;
      try {
        await this.post(run, "restore", { token });
      } catch (error) {
        this.problem.textContent = error.message;
      }
      this.notice.hidden = true;
      await this.refresh({ always: true }).catch(() => {});
    });
    this.notice.replaceChildren(`${run.name} is deleted. `, element("span", { class: "buttons" }, undo));
    this.notice.hidden = false;
    clearTimeout(this.forgetting);
    this.forgetting = setTimeout(() => {
      this.notice.hidden = true;
    }, UNDO_MS);
  }
}

/** Offer the values that occur, and keep what is chosen. */
function offer(select, all, values) {
  const wanted = ["", ...[...new Set(values.filter(Boolean))].sort()];
  const { value } = select;
  if (JSON.stringify(wanted) === select.dataset.offered) return;
  select.dataset.offered = JSON.stringify(wanted);
  select.replaceChildren(...wanted.map((name) => element("option", { value: name }, name || all)));
  select.value = wanted.includes(value) ? value : "";
}

function status(run) {
  if (run.status === "finished") return run.headline ? metricPhrase(...run.headline) : run.status;
  return run.busy ? "in progress" : run.status;
}
