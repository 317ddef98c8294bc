/** Views of shapes and scenes: orbit, pan, zoom, presets, turntable, what is shown. */

import { type Lens, OrbitCamera, orbitPose, type Pose, rayLook, resizedLens } from "../camera";
import type { Header } from "../contents";
import { button, choice, slider } from "../controls";
import { type Fragment, readNumbers, short } from "../fragment";
import type { Look } from "../painter";
import type { Page, View } from "../view";

// Degrees a second of the turntable.
const SPEED = 30;
const CAMERA_NUMBERS = 10;

/** What the kinds differ in. */
export interface Solid {
  modes: string[];
  /** Views that `#view=N` opens. */
  presets: { pose: Pose; lens: Lens; time?: number }[];
  /** The view without a fragment. */
  first: Pose;
  lens: Lens;
  frame: {
    up: [number, number, number];
    front: [number, number, number];
    focus: [number, number, number];
    reach: number;
  };
  moving: boolean;
  /** Axis of slices; none where slices mean nothing. */
  sliced: boolean;
  /** Uniforms besides the rays. */
  look(mode: number, cut: [number, number], time: number): Look;
  value(...coords: number[]): number[];
}

export class SolidView implements View {
  private readonly camera: OrbitCamera;
  private lens: Lens;
  private mode = 0;
  private cut: [number, number] = [-1, 0.5];
  private time = 0;
  private spinning = 0;
  /** The preset that is shown; undefined once the view has moved. */
  private preset?: number;
  private moved = false;

  constructor(
    private readonly solid: Solid,
    private readonly page: Page,
  ) {
    this.lens = solid.lens;
    this.camera = new OrbitCamera(solid.first, solid.frame, solid.frame.reach);
    this.camera.set(solid.first);
  }

  private get fitted(): Lens {
    return resizedLens(this.lens, this.page.canvas.width, this.page.canvas.height);
  }

  look(width: number, height: number): Look {
    const rays = rayLook(this.camera.pose, resizedLens(this.lens, width, height));
    return { ...rays, ...this.solid.look(this.mode, this.cut, this.time) };
  }

  private hasMoved(): void {
    // Only the run's own views are seen through its lens.
    this.lens = { ...this.lens, distortion: undefined };
    this.moved = true;
    this.preset = undefined;
    this.page.redraw();
  }

  drag(dx: number, dy: number, secondary: boolean): void {
    const { width, height } = this.page.canvas;
    if (secondary) this.camera.pan(dx, dy, this.fitted);
    else this.camera.turn(dx, dy, Math.min(width, height));
    this.hasMoved();
  }

  zoom(factor: number): void {
    this.camera.zoom(factor);
    this.hasMoved();
  }

  describe(): string {
    return "";
  }

  value(...coords: number[]): number[] {
    return this.solid.value(...coords);
  }

  key(key: string): boolean {
    if (key === " ") this.spin();
    else if (/^\d$/.test(key) && Number(key) < this.solid.presets.length) this.show(Number(key));
    else return false;
    return true;
  }

  private show(preset: number): void {
    const found = this.solid.presets[preset];
    if (!found) return;
    this.camera.set(found.pose);
    this.lens = found.lens;
    this.time = found.time ?? this.time;
    this.preset = preset;
    this.page.redraw(true);
  }

  reset(): void {
    this.lens = this.solid.lens;
    this.camera.set(this.solid.first);
    this.preset = undefined;
    this.moved = false;
    this.page.redraw(true);
  }

  controls(): HTMLElement[] {
    const { solid } = this;
    const found: HTMLElement[] = [];
    const modes = solid.modes.map((name, i): [string, string] => [String(i), name]);
    found.push(
      choice("Show", modes, String(this.mode), (value) => {
        this.mode = Number(value);
        this.page.redraw(true);
      }),
    );
    const views = solid.presets.map((_, i): [string, string] => [String(i), String(i)]);
    if (views.length) {
      found.push(choice("View", [["", "–"], ...views], String(this.preset ?? ""), (v) => v && this.show(Number(v))));
    }
    if (solid.moving) {
      found.push(this.timeSlider());
    }
    if (solid.sliced) found.push(...this.sliceControls());
    found.push(button("Turn", "Turntable (space)", () => this.spin()));
    return found;
  }

  private timeSlider(): HTMLElement {
    const change = (value: number) => {
      this.time = value;
      this.page.redraw();
    };
    const show = (value: number) => value.toFixed(2);
    return slider({ label: "Time", min: 0, max: 1, step: 0.005, value: this.time, show, change }).root;
  }

  private sliceControls(): HTMLElement[] {
    const position = slider({
      label: "at",
      min: 0,
      max: 1,
      step: 0.005,
      value: this.cut[1],
      show: (value) => value.toFixed(2),
      change: (value) => {
        this.cut = [this.cut[0], value];
        this.page.redraw();
      },
    });
    position.root.hidden = this.cut[0] < 0;
    const axes: [string, string][] = [
      ["-1", "none"],
      ..."xyz".split("").map((a, i): [string, string] => [String(i), a]),
    ];
    const axis = choice("Slice", axes, String(this.cut[0]), (value) => {
      this.cut = [Number(value), this.cut[1]];
      position.root.hidden = this.cut[0] < 0;
      this.page.redraw(true);
    });
    return [axis, position.root];
  }

  private spin(): void {
    if (this.spinning) {
      cancelAnimationFrame(this.spinning);
      this.spinning = 0;
      this.page.redraw(true);
      return;
    }
    let last = performance.now();
    const tick = (now: number) => {
      this.camera.spin(((now - last) / 1000) * SPEED);
      last = now;
      this.hasMoved();
      this.spinning = requestAnimationFrame(tick);
    };
    this.spinning = requestAnimationFrame(tick);
  }

  read(fragment: Fragment): void {
    const view = readNumbers(fragment.view, 1)?.[0];
    const camera = readNumbers(fragment.camera, CAMERA_NUMBERS);
    if (camera) {
      this.camera.read(camera);
      this.moved = true;
    } else if (view !== undefined && this.solid.presets[view]) this.show(view);
    const mode = this.solid.modes.indexOf(fragment.show);
    if (mode >= 0) this.mode = mode;
    const cut = readNumbers(fragment.slice, 2);
    if (cut) this.cut = [cut[0], cut[1]];
    this.time = readNumbers(fragment.time, 1)?.[0] ?? this.time;
  }

  write(): Fragment {
    const found: Fragment = {};
    if (this.preset !== undefined) found.view = String(this.preset);
    else if (this.moved)
      found.camera = this.camera
        .write()
        .map((v) => short(v))
        .join(",");
    if (this.mode) found.show = this.solid.modes[this.mode];
    if (this.cut[0] >= 0) found.slice = this.cut.join(",");
    if (this.solid.moving && this.time) found.time = short(this.time, 4);
    return found;
  }
}

/** The color behind what is drawn: white in a picture of a given size, else that of the page. */
export function backdrop(stretch: boolean): [number, number, number] {
  if (stretch || !matchMedia("(prefers-color-scheme: dark)").matches) return [1, 1, 1];
  return [0.082, 0.094, 0.11];
}

interface StoredCamera extends Pose {
  lens: Lens;
  time: number | null;
}

/** A scene with its cameras, those for testing first. */
export function sceneView(header: Header, page: Page, modes: string[]): SolidView {
  const { view } = header;
  const cameras: StoredCamera[] = view.cameras;
  const frame: Solid["frame"] = view.frame;
  const [first] = cameras;
  const far = frame.reach * 2;
  return new SolidView(
    {
      modes,
      lens: { ...first.lens, distortion: undefined },
      presets: cameras.map(({ lens, time, ...pose }) => ({ pose, lens, time: time ?? undefined })),
      first,
      frame,
      moving: view.moving,
      sliced: false,
      look: (mode, _cut, time) => ({
        mode: [mode],
        backdrop: view.background,
        depths: [0.3 * frame.reach, far],
        ...(view.moving ? { time: [time] } : {}),
      }),
      value: (...coords) => sceneValue(header, page, coords),
    },
    page,
  );
}

/** Density, and behind it the color along a direction where one is given: coords, perhaps time, perhaps direction. */
function sceneValue(header: Header, page: Page, coords: number[]): number[] {
  const { view } = header;
  const still = view.moving ? 4 : 3;
  const direction = coords.length > still ? coords.slice(still) : [0, 0, -1];
  const inputs = [coords.slice(0, 3)];
  if (view.moving) inputs.push([coords[3] ?? 0]);
  if (view.directional) inputs.push(direction);
  const arrays = inputs.map((values) => Float32Array.from(values));
  const sizes = inputs.map((values) => values.length);
  const feature = page.values("density", arrays, 1, sizes);
  const density = Math.exp(Math.min(feature[0] + view.log_density[0], view.log_density[1]));
  if (coords.length <= still) return [density];
  const color = page.values("color", [feature, Float32Array.from(direction)], 1, [feature.length, 3]);
  return [density, ...color];
}

// Of fields/export/outputs/shape.py and scenes/shape/view.py.
const VIEWS = 8;
const AZIMUTH = 30;
const ELEVATION = 15;
const DISTANCE = 1.9;
const FIELD_OF_VIEW = (35 * Math.PI) / 180;

/** A shape in the unit cube, y up. */
export function shapeView(page: Page, modes: string[], stretch: boolean): SolidView {
  const frame = { up: [0, 1, 0], front: [0, 0, 1], focus: [0.5, 0.5, 0.5], reach: DISTANCE } as Solid["frame"];
  const side = 1000;
  const focal = (0.5 * side) / Math.tan(FIELD_OF_VIEW / 2);
  const solid: Solid = {
    modes,
    // The field of view is that across the shorter side.
    lens: { width: side, height: side, fl_x: focal, fl_y: focal, cx: side / 2, cy: side / 2, whole: true },
    presets: [],
    first: orbitPose(frame, AZIMUTH, ELEVATION, DISTANCE),
    frame,
    moving: false,
    sliced: true,
    look: (mode, cut) => ({ mode: [mode], cut, backdrop: backdrop(stretch) }),
    value: (...coords) => [...page.values("values", [Float32Array.from(coords)], 1, [3])],
  };
  for (let i = 0; i < VIEWS; i++) {
    solid.presets.push({ pose: orbitPose(frame, (360 * i) / VIEWS, ELEVATION, DISTANCE), lens: solid.lens });
  }
  return new SolidView(solid, page);
}
