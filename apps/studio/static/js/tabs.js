// Changing between the tabs of the page.

/** Open a run in the tab with the id "inspect", "space" or "export". `page.py` defines the function that does it. */
export const openRun = (tab, run) => window.studioOpenRun?.(tab, run);

/** Open the tab with this label and id. On narrow screens some tabs are in a menu, which Gradio opens them from. */
export function openTab({ label, id }) {
  const tabs = [...document.querySelectorAll("[role=tab]")];
  const tab = tabs.find((known) => known.textContent.trim() === label);
  if (tab) tab.click();
  else openRun(id, "");
}
