// A modal dialog that asks before something is changed.

import { button, element } from "./dom.js";

/**
 * Show a dialog. `submit` gets the form's values; the dialog closes when it succeeds and shows the message of the error
 * when it fails. Only one dialog is open at a time, and `submit` runs once at a time.
 */
export function showDialog({ title, content, action, actionClass, submit }) {
  if (document.querySelector(".studio-dialog")) return;
  let pending = false;
  const problem = element("p", { class: "problem", role: "alert" });
  const onsubmit = async (event) => {
    event.preventDefault();
    if (pending) return;
    pending = true;
    try {
      await submit(new FormData(event.target));
      dialog.close();
    } catch (error) {
      problem.textContent = error.message;
    }
    pending = false;
  };
  const form = element(
    "form",
    { method: "dialog", onsubmit },
    element("h2", {}, title),
    content,
    problem,
    element(
      "div",
      { class: "buttons" },
      button("Cancel", () => dialog.close()),
      element("button", { type: "submit", class: actionClass }, action),
    ),
  );
  const dialog = element("dialog", { class: "studio-dialog", "aria-label": title }, form);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
