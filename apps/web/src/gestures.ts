/** Mouse, touch and keyboard as drags, turns and zooms. Lengths are in pixels of the canvas. */

export interface Gestures {
  /** `secondary`: two fingers, the right button, or shift. */
  drag(dx: number, dy: number, secondary: boolean): void;
  /** `factor` above 1: closer, around the point. */
  zoom(factor: number, x: number, y: number): void;
  /** The pointer is there; undefined: it has left. */
  hover(point?: [number, number]): void;
  key(key: string): boolean;
}

const KEY_STEP = 40;
const KEY_ZOOM = 1.25;

export function listen(canvas: HTMLCanvasElement, gestures: Gestures): void {
  const pointers = new Map<number, [number, number]>();
  const scale = () => canvas.width / canvas.clientWidth;
  const place = (event: MouseEvent): [number, number] => [event.offsetX * scale(), event.offsetY * scale()];
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    canvas.focus({ preventScroll: true });
    pointers.set(event.pointerId, place(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    const to = place(event);
    const from = pointers.get(event.pointerId);
    if (!from) {
      gestures.hover(to);
      return;
    }
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const distance = (a: number[]) => Math.hypot(a[0] - other[0], a[1] - other[1]);
      gestures.zoom(distance(to) / Math.max(1, distance(from)), (to[0] + other[0]) / 2, (to[1] + other[1]) / 2);
      gestures.drag((to[0] - from[0]) / 2, (to[1] - from[1]) / 2, true);
    } else {
      gestures.drag(to[0] - from[0], to[1] - from[1], event.shiftKey || (event.buttons & 6) !== 0);
    }
    pointers.set(event.pointerId, to);
  });
  for (const name of ["pointerup", "pointercancel"] as const) {
    canvas.addEventListener(name, (event) => pointers.delete(event.pointerId));
  }
  canvas.addEventListener("pointerleave", () => gestures.hover());
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 20 : 1;
      gestures.zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0015)), ...place(event));
    },
    { passive: false },
  );
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const middle = [canvas.width / 2, canvas.height / 2] as const;
    const step = KEY_STEP * scale();
    const actions: Record<string, () => void> = {
      ArrowLeft: () => gestures.drag(step, 0, event.shiftKey),
      ArrowRight: () => gestures.drag(-step, 0, event.shiftKey),
      ArrowUp: () => gestures.drag(0, step, event.shiftKey),
      ArrowDown: () => gestures.drag(0, -step, event.shiftKey),
      "+": () => gestures.zoom(KEY_ZOOM, ...middle),
      "=": () => gestures.zoom(KEY_ZOOM, ...middle),
      "-": () => gestures.zoom(1 / KEY_ZOOM, ...middle),
    };
    const action = actions[event.key];
    if (action) action();
    else if (!gestures.key(event.key)) return;
    event.preventDefault();
  });
}
