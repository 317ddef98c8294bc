// Records what a canvas shows as a film, in the browser itself: nothing is sent to the studio.

import { nextFrame } from "./dom.js";

const RATE = 24;
const BITS_PER_SECOND = 8e6;
// Longer side of the film in pixels.
const SIDE = 720;
// What browsers can write, the format that most programs read first.
const TYPES = ["video/mp4;codecs=avc1.42E01F", "video/webm;codecs=vp9", "video/webm"];

/** The media type of films that this browser writes; empty where it writes none. */
export const filmType = () =>
  window.MediaRecorder ? (TYPES.find((type) => MediaRecorder.isTypeSupported(type)) ?? "") : "";

/**
 * A film of a canvas, as a blob; null where it was cancelled. It takes as long to make as to watch.
 *
 * `draw(fraction)`: draws the moment at a fraction of the film. `told(fraction)`: called for each picture; a film ends
 * where it returns false.
 */
export async function record(canvas, { seconds, background, draw, told }) {
  const scale = SIDE / Math.max(canvas.width, canvas.height);
  const film = document.createElement("canvas");
  // Most codecs want even numbers.
  film.width = 2 * Math.round((scale * canvas.width) / 2);
  film.height = 2 * Math.round((scale * canvas.height) / 2);
  const context = film.getContext("2d");
  const recorder = new MediaRecorder(film.captureStream(RATE), {
    mimeType: filmType(),
    videoBitsPerSecond: BITS_PER_SECOND,
  });
  const parts = [];
  recorder.addEventListener("dataavailable", ({ data }) => parts.push(data));
  const ended = new Promise((done) => recorder.addEventListener("stop", done, { once: true }));
  recorder.start();
  const begun = performance.now();
  let fraction = 0;
  let wanted = true;
  while (wanted && fraction < 1) {
    fraction = Math.min(1, (performance.now() - begun) / (1000 * seconds));
    draw(fraction);
    context.fillStyle = background;
    context.fillRect(0, 0, film.width, film.height);
    context.drawImage(canvas, 0, 0, film.width, film.height);
    wanted = told(fraction) !== false;
    await nextFrame();
  }
  recorder.stop();
  await ended;
  return wanted ? new Blob(parts, { type: recorder.mimeType.split(";")[0] }) : null;
}
