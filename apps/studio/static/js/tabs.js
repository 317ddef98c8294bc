// Changing between the tabs of the page.

/** Open a run in the tab with the id "inspect", "space" or "export". `page.py` defines the function that does it. */
export const openRun = (tab, run) => window.studioOpenRun?.(tab, run);

/** Open the tab with this label. */
export function openTab(label) {
  const tabs = [...document.querySelectorAll("[role=tab]")];
  tabs.find((tab) => tab.textContent.trim() === label)?.click();
}
