// A file that is being read for more than a moment: for how long so far, and a button that gives it up.

import { button, element, sleep } from "./dom.js";
import { duration } from "./format.js";

const LOOK_MS = 250;
// Shorter waits show nothing.
const LONG_MS = 1000;
// Where Gradio says that something is being opened, and the function, defined by the tab, that gives it up.
const PLACES = [
  { place: "#about", cancel: () => window.studioCancelOpening?.() },
  { place: "#recon-about", cancel: () => window.studioCancelPhotographs?.() },
];

class Wait {
  constructor({ place, cancel }) {
    this.place = place;
    this.begun = 0;
    this.text = element("span", {}, "");
    this.bar = element("progress", { "aria-label": "The file is being read" });
    this.stop = button("Cancel", () => {
      this.stop.disabled = true;
      cancel();
    });
    this.box = element("div", { class: "opening", role: "status" }, this.bar, this.text, this.stop);
  }

  look() {
    const place = document.querySelector(this.place);
    // Gradio's tracker of the event that opens a file; it is there, and hidden, at other times.
    const busy = !!place?.querySelector("[data-testid=status-tracker]:not(.hide)");
    if (!busy) {
      this.begun = 0;
      this.box.remove();
      return;
    }
    this.begun ||= performance.now();
    const waited = performance.now() - this.begun;
    if (waited < LONG_MS) return;
    if (!this.box.isConnected) {
      this.stop.disabled = false;
      place.after(this.box);
    }
    this.text.textContent = `Reading the file, ${duration(waited / 1000)} so far`;
  }
}

/** Look for as long as the page is open whether something is being read. */
export async function showOpening() {
  const waits = PLACES.map((known) => new Wait(known));
  while (true) {
    for (const wait of waits) wait.look();
    await sleep(LOOK_MS);
  }
}
