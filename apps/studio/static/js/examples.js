// Images of the examples: a click chooses that signal.

document.addEventListener("click", (event) => {
  const name = event.target.closest?.("[data-example]")?.dataset.example;
  if (!name) return;
  for (const other of document.querySelectorAll("[data-example]")) {
    other.setAttribute("aria-pressed", String(other.dataset.example === name));
  }
  // `tabs/fit.py` defines the function.
  window.studioChooseExample?.(name);
});
