// Helpers for building and observing elements of the page.

/**
 * Create an element. Attributes that begin with "on" are event listeners, `true` sets an attribute without a value,
 * and `false`, `null` and `undefined` leave it out. Children that are null are skipped.
 */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Create a button that submits nothing. */
export function button(label, onclick, attributes = {}) {
  return element("button", { type: "button", onclick, ...attributes }, label);
}

/** Whether the element is laid out: false inside a closed tab. */
export const isVisible = (node) => node.offsetParent !== null;

export const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

export const nextFrame = () => new Promise((done) => requestAnimationFrame(done));

/**
 * Decode an image completely before it is shown, so that nothing flickers. Returns false if it cannot be decoded, or if
 * `isWanted()` says then that the element shows something else meanwhile.
 */
export async function replaceImage(image, address, isWanted = () => true) {
  const loaded = new Image();
  loaded.src = address;
  try {
    await loaded.decode();
  } catch {
    return false;
  }
  if (!isWanted()) return false;
  image.src = loaded.src;
  return true;
}

/** Show the image of a response and release the one before it. Returns false if it cannot be decoded. */
export async function replaceImageByResponse(image, response) {
  const address = URL.createObjectURL(await response.blob());
  const previous = image.src;
  const shown = await replaceImage(image, address);
  const unused = shown ? previous : address;
  if (unused.startsWith("blob:")) URL.revokeObjectURL(unused);
  return shown;
}

/** Call `callback` whenever the element becomes visible or changes its size. */
export function onResize(node, callback) {
  const observer = new ResizeObserver(() => {
    if (!node.isConnected) observer.disconnect();
    else if (node.clientWidth) callback();
  });
  observer.observe(node);
}

/**
 * Follow one pointer or two fingers on an element. `drag(dx, dy)` gets pixels; `pinch(factor, x, y)` how much farther
 * apart the fingers are, and the point between them in pixels of the window.
 */
export function onPointers(node, drag, pinch) {
  const pointers = new Map();
  node.addEventListener("pointerdown", (event) => {
    node.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, event);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    node.addEventListener(name, (event) => pointers.delete(event.pointerId));
  }
  node.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    pointers.set(event.pointerId, event);
    if (pointers.size === 1) {
      drag(event.clientX - before.clientX, event.clientY - before.clientY);
      return;
    }
    const other = [...pointers.values()].find(({ pointerId }) => pointerId !== event.pointerId);
    const apart = (pointer) =>
      Math.max(1, Math.hypot(pointer.clientX - other.clientX, pointer.clientY - other.clientY));
    pinch(apart(event) / apart(before), (event.clientX + other.clientX) / 2, (event.clientY + other.clientY) / 2);
  });
}

/** Run the action of the pressed key, if `actions` has one, instead of the browser's own. */
export function onKeys(node, actions) {
  node.addEventListener("keydown", (event) => {
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}
