// Files that are about to be uploaded: what is too large is refused at once, and what was chosen before is forgotten.

// As in `apps/studio/uploads.py`, which checks again.
const MAX_BYTES = 512 * 2 ** 20;
const MAX_PHOTOGRAPHS_BYTES = 2 * 2 ** 30;
// The signal of a fit, its mask, and photographs.
const SIGNAL = "upload";
const PLACES = `#${SIGNAL}, #mask, #recon-upload`;

const megabytes = (bytes) => `${Math.round(bytes / 2 ** 20).toLocaleString("en")} MB`;

/** What is wrong with the sizes of some files, as a sentence; empty where nothing is. */
function problemOf(files) {
  const large = files.find(({ size }) => size > MAX_BYTES);
  if (large) return `${large.name} has ${megabytes(large.size)}; at most ${MAX_BYTES / 2 ** 20} MB are taken here.`;
  const total = files.reduce((sum, { size }) => sum + size, 0);
  if (total <= MAX_PHOTOGRAPHS_BYTES) return "";
  return `These files have ${megabytes(total)} together; at most ${megabytes(MAX_PHOTOGRAPHS_BYTES)} are taken here.`;
}

function begin(event, place, files) {
  if (!files.length) return;
  const problem = problemOf(files);
  if (problem) {
    event.stopImmediatePropagation();
    event.preventDefault();
    if (event.target.value) event.target.value = "";
    place.dataset.problem = problem;
    return;
  }
  delete place.dataset.problem;
  // `tabs/fit.py` defines the function.
  if (place.id === SIGNAL) window.studioUploadBegins?.(files[0].name);
}

for (const name of ["change", "drop"]) {
  window.addEventListener(
    name,
    (event) => {
      const place = event.target.closest?.(PLACES);
      if (!place || (name === "change" && event.target.type !== "file")) return;
      begin(event, place, [...((name === "change" ? event.target : event.dataTransfer)?.files ?? [])]);
    },
    true,
  );
}
