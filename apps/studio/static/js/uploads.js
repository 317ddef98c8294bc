// Files that are about to be uploaded: what is too large is refused at once, and what was chosen before is forgotten.

// As in `apps/studio/uploads.py`, which checks again.
const MAX_BYTES = 512 * 2 ** 20;
const UPLOAD = "#upload";

function begin(event, file, place) {
  if (!file) return;
  if (file.size > MAX_BYTES) {
    event.stopImmediatePropagation();
    event.preventDefault();
    if (event.target.value) event.target.value = "";
    const size = `${Math.round(file.size / 2 ** 20).toLocaleString("en")} MB`;
    place.dataset.problem = `${file.name} has ${size}; at most ${MAX_BYTES / 2 ** 20} MB are taken here.`;
    return;
  }
  delete place.dataset.problem;
  // `tabs/fit.py` defines the function.
  window.studioUploadBegins?.(file.name);
}

const upload = (event) => event.target.closest?.(UPLOAD);

window.addEventListener(
  "change",
  (event) => upload(event) && event.target.type === "file" && begin(event, event.target.files[0], upload(event)),
  true,
);
window.addEventListener(
  "drop",
  (event) => upload(event) && begin(event, event.dataTransfer?.files[0], upload(event)),
  true,
);
