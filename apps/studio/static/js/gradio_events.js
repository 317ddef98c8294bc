// Corrections of how Gradio handles events (seen in 6.31).

import { nextFrame, sleep } from "./dom.js";

const START_BUTTONS = "#start, #compare-start, #distill-start, #recon-start, #recon-cameras";
const DOUBLE_CLICK_MS = 500;

// Gradio ignores clicks while the request of the first one is under way, but learns of that only a little later.
const clickedAt = new Map();
function ignoreDoubleClicks(event) {
  const id = event.target.closest?.(START_BUTTONS)?.id;
  if (!id) return;
  if (event.timeStamp - (clickedAt.get(id) ?? Number.NEGATIVE_INFINITY) < DOUBLE_CLICK_MS) {
    event.stopImmediatePropagation();
    event.preventDefault();
  } else {
    clickedAt.set(id, event.timeStamp);
    showPressed(event.target.closest("button") ?? event.target);
  }
}

// A press is answered at once; the studio's own answer, a job or a message, may take a second.
const ANSWERED = "[data-testid=toast-body], .toast-body";
const PRESSED_MS = 8000;
async function showPressed(pressed) {
  const known = () =>
    [...document.querySelectorAll("[id^=started-] textarea, [id^=started-] input")].map((box) => box.value);
  const before = known().join();
  const toasts = document.querySelectorAll(ANSWERED).length;
  pressed.setAttribute("aria-busy", "true");
  for (let waited = 0; waited < PRESSED_MS; waited += 100) {
    await sleep(100);
    if (known().join() !== before || document.querySelectorAll(ANSWERED).length > toasts) break;
  }
  pressed.removeAttribute("aria-busy");
}
window.addEventListener("click", ignoreDoubleClicks, true);

/** Take elements that only scripts use out of the order of the Tab key. */
export function correctTabOrder() {
  for (const box of document.querySelectorAll(".script-only textarea, .script-only input")) {
    if (box.tabIndex === -1) continue;
    box.tabIndex = -1;
    box.setAttribute("aria-hidden", "true");
  }
  // The viewer of meshes would be reached before all else.
  for (const canvas of document.querySelectorAll("#recon-mesh canvas")) {
    if (canvas.tabIndex > 0) canvas.tabIndex = 0;
  }
}

// When a tab or an accordion opens for the first time, Gradio sets the values of its controls once more, two frames
// after they have appeared: what was typed in between would be lost. They are hidden until then.
const settling = new Set();
let numAdded = 0;
let waiting = false;

export function hideUntilSettled(mutations) {
  for (const { addedNodes } of mutations) {
    for (const node of addedNodes) {
      if (node.nodeType !== Node.ELEMENT_NODE || !node.matches(".tabitem, .tabitem .form, .tabitem .block")) continue;
      numAdded += 1;
      if (!isLate(node)) continue;
      node.classList.add("settling");
      settling.add(node);
    }
  }
  if (settling.size && !waiting) showWhenSettled();
}

/** Whether an element appears after the page: a tab that is not the first, or the content of an accordion. */
function isLate(node) {
  return node.matches(".tabitem") ? document.querySelectorAll(".tabitem").length > 1 : node.closest(".gr-accordion");
}

async function showWhenSettled() {
  waiting = true;
  let before;
  do {
    before = numAdded;
    await nextFrame();
    await nextFrame();
    await sleep(50);
  } while (numAdded !== before);
  for (const node of settling) node.classList.remove("settling");
  settling.clear();
  waiting = false;
}
