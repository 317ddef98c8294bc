// Changing between the tabs of the first page. Its address names the tab: /#runs, and /#distill=RUN for one with a run.

const TABS = {
  Fit: "fit",
  "Photographs to 3-D": "reconstruct",
  Runs: "runs",
  Compare: "compare",
  Convert: "distill",
};
const POLL_MS = 100;

/** The address of a tab, in which a run is chosen where it has a list of them. */
export const addressOfTab = (tab, run = "") => `/#${tab}${run ? `=${encodeURIComponent(run)}` : ""}`;

function openNamedTab() {
  const [tab, run = ""] = location.hash.slice(1).split("=");
  if (!Object.values(TABS).includes(tab)) return;
  // `page.py` defines the function, once Gradio has built the page.
  if (window.studioOpenTab) window.studioOpenTab(tab, decodeURIComponent(run));
  else setTimeout(openNamedTab, POLL_MS);
}

/** Follow the address, also with the browser's buttons back and forward, and keep it up to date. */
export function followAddress() {
  if (location.pathname !== "/") return;
  window.addEventListener("hashchange", openNamedTab);
  document.addEventListener("click", (event) => {
    const label = event.target.closest?.("[role=tab], .overflow-dropdown button")?.textContent.trim();
    if (label in TABS && location.hash.slice(1).split("=")[0] !== TABS[label]) {
      history.pushState(null, "", addressOfTab(TABS[label]));
    }
  });
  openNamedTab();
}
