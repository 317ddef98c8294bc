/** Views of flat pictures: pan and zoom, exposure, the pixel grid, time of videos, slices of volumes. */

import type { Header } from "../contents";
import { button, choice, slider } from "../controls";
import { type Fragment, readNumbers, short } from "../fragment";
import type { Look } from "../painter";
import type { Page, View } from "../view";
import { planeLook } from "./plane";

// Canvas pixels a sample from which on values are shown with the grid, at most.
const MAX_SCALE = 1e6;
const AXES = "xyz";

export class FlatView implements View {
  /** Position of the canvas's middle in [0, 1], and how many times larger than the whole the picture is. */
  private centre = [0.5, 0.5];
  private magnification = 1;
  private stops = 0;
  private grid = false;
  private position = 0.5;
  private axis: number;
  private moved = false;
  private playing = 0;
  private positionSlider?: { set(value: number): void };

  constructor(
    private readonly header: Header,
    private readonly page: Page,
    /** Whether the whole picture fills a canvas of other proportions, as `render --size` does. */
    private readonly stretch: boolean,
  ) {
    this.axis = 2;
    if (header.kind === "video") this.position = 0;
  }

  private get dimensions(): number {
    return this.header.domain.axes.length;
  }

  /** The two axes that are across and down. */
  private get shown(): [number, number] {
    const rest = [0, 1, 2].filter((axis) => axis !== this.axis || this.dimensions < 3);
    return [rest[0], rest[1]];
  }

  /** Width and height of the picture in square pixels. */
  private get size(): [number, number] {
    return this.header.view.sizes[this.dimensions < 3 || this.header.kind === "video" ? 0 : this.axis];
  }

  /** Canvas pixels for the whole domain, across and down. */
  private extent(width: number, height: number): [number, number] {
    if (this.stretch) return [width * this.magnification, height * this.magnification];
    const [w, h] = this.size;
    const fit = Math.min(width / w, height / h) * this.magnification;
    return [w * fit, h * fit];
  }

  look(width: number, height: number): Look {
    const [w, h] = this.extent(width, height);
    const [a, b] = this.shown;
    const origin = Array(this.dimensions).fill(this.position);
    const across = Array(this.dimensions).fill(0);
    const down = Array(this.dimensions).fill(0);
    origin[a] = this.centre[0] - width / 2 / w;
    origin[b] = this.centre[1] - height / 2 / h;
    across[a] = 1 / w;
    down[b] = 1 / h;
    const samples = this.shown.map((axis) => this.header.domain.axes[axis].samples ?? 0);
    return planeLook(origin, across, down, {
      exposure: [2 ** this.stops],
      grid: this.grid ? samples : [0, 0],
      axes: this.shown,
    });
  }

  private coordsAt(x: number, y: number): number[] {
    const { origin, across, down } = this.look(this.page.canvas.width, this.page.canvas.height);
    return Array.from({ length: this.dimensions }, (_, k) => origin[k] + x * across[k] + y * down[k]);
  }

  drag(dx: number, dy: number): void {
    const [w, h] = this.extent(this.page.canvas.width, this.page.canvas.height);
    this.centre = [this.centre[0] - dx / w, this.centre[1] - dy / h];
    this.moved = true;
    this.page.redraw();
  }

  zoom(factor: number, x: number, y: number): void {
    const { width, height } = this.page.canvas;
    const before = this.extent(width, height);
    this.magnification = Math.min(MAX_SCALE, Math.max(0.1, this.magnification * factor));
    const after = this.extent(width, height);
    const from = [x - width / 2, y - height / 2];
    this.centre = this.centre.map((c, i) => c + from[i] / before[i] - from[i] / after[i]);
    this.moved = true;
    this.page.redraw();
  }

  describe(x: number, y: number): string {
    const coords = this.coordsAt(x, y);
    if (coords.some((c) => c < 0 || c > 1)) return "";
    const { axes } = this.header.domain;
    const { names, lower, upper } = this.header.channels;
    const at = axes.map((axis, k) => `${axis.name} ${short(axis.lower + coords[k] * (axis.upper - axis.lower), 6)}`);
    const values = this.value(...coords).map((v, i) => `${names[i]} ${short(lower + v * (upper - lower), 4)}`);
    return `${at.join("  ")}   ${values.join("  ")}`;
  }

  value(...coords: number[]): number[] {
    return [...this.page.values("values", [Float32Array.from(coords)], 1, [this.dimensions])];
  }

  key(key: string): boolean {
    if (key === "g") this.grid = !this.grid;
    else if (key === " " && this.header.kind === "video") this.play();
    else return false;
    this.page.redraw(true);
    return true;
  }

  reset(): void {
    this.centre = [0.5, 0.5];
    this.magnification = 1;
    this.moved = false;
    this.page.redraw(true);
  }

  controls(): HTMLElement[] {
    const { kind, channels, domain } = this.header;
    const found: HTMLElement[] = [];
    if (channels.space === "linear") {
      const exposure = slider({
        label: "Exposure",
        min: -8,
        max: 8,
        step: 0.25,
        value: this.stops,
        show: (v) => `${v > 0 ? "+" : ""}${v} EV`,
        change: (v) => {
          this.stops = v;
          this.page.redraw();
        },
      });
      found.push(exposure.root);
    }
    if (this.dimensions > 2) {
      const time = kind === "video";
      const axis = domain.axes[2];
      const show = (v: number) => {
        const { lower, upper, unit } = time ? axis : domain.axes[this.axis];
        return `${short(lower + v * (upper - lower), 4)} ${unit}`;
      };
      const position = slider({
        label: time ? "Time" : "Slice",
        min: 0,
        max: 1,
        step: 0.001,
        value: this.position,
        show,
        change: (v) => {
          this.position = v;
          this.page.redraw();
        },
      });
      this.positionSlider = position;
      if (time) found.push(button("Play", "Play or pause (space)", () => this.play()));
      else {
        found.push(
          choice(
            "Across",
            [...AXES].map((a) => [a, a]),
            AXES[this.axis],
            (a) => {
              this.axis = AXES.indexOf(a);
              this.page.redraw(true);
            },
          ),
        );
      }
      found.push(position.root);
    }
    if (kind === "image") found.push(button("Grid", "Pixels of the source (g)", () => this.key("g")));
    return found;
  }

  private play(): void {
    if (this.playing) {
      cancelAnimationFrame(this.playing);
      this.playing = 0;
      this.page.redraw(true);
      return;
    }
    const axis = this.header.domain.axes[2];
    let last = performance.now();
    const tick = (now: number) => {
      this.position = (this.position + (now - last) / 1000 / (axis.upper - axis.lower)) % 1;
      last = now;
      this.positionSlider?.set(this.position);
      this.page.redraw();
      this.playing = requestAnimationFrame(tick);
    };
    this.playing = requestAnimationFrame(tick);
  }

  read(fragment: Fragment): void {
    const at = readNumbers(fragment.at, 3);
    if (at && at[2] > 0) {
      this.centre = at.slice(0, 2);
      this.magnification = at[2];
      this.moved = true;
    }
    this.stops = readNumbers(fragment.exposure, 1)?.[0] ?? this.stops;
    this.position = readNumbers(fragment.position, 1)?.[0] ?? this.position;
    if (AXES.includes(fragment.axis)) this.axis = AXES.indexOf(fragment.axis);
  }

  write(): Fragment {
    const found: Fragment = {};
    if (this.moved) found.at = [...this.centre.map((c) => short(c, 7)), short(this.magnification)].join(",");
    if (this.stops) found.exposure = String(this.stops);
    if (this.dimensions > 2) found.position = short(this.position, 4);
    if (this.dimensions > 2 && this.header.kind !== "video") found.axis = AXES[this.axis];
    return found;
  }
}
