/** Flat pictures: images, frames of videos, and slices through volumes and distances. */

import type { Header } from "../contents";
import type { Evaluator } from "../evaluator";
import type { Look, Painter } from "../painter";

/**
 * `origin`, `across`, `down`: coords of the canvas's corner, and their change from pixel to pixel.
 * `exposure`: factor on linear light. `grid`: samples along both axes, or zeros for no grid. `axes`: the two axes.
 */
export function planeLook(origin: number[], across: number[], down: number[], rest: Look): Look {
  const four = (v: number[]) => [...v, 0, 0, 0, 0].slice(0, 4);
  return {
    origin: four(origin),
    across: four(across),
    down: four(down),
    exposure: [1],
    grid: [0, 0],
    axes: [0, 1],
    ...rest,
  };
}

// Blue outside, orange inside, lines at equal distances: as distances are usually drawn.
const OUTSIDE = [0.65, 0.85, 1.0];
const INSIDE = [0.9, 0.6, 0.3];
const LINES = 150;

export class PlanePainter implements Painter {
  readonly programs = ["values"];
  private readonly dimensions: number;
  private readonly alpha: boolean;
  private readonly colors: number;

  constructor(private readonly header: Header) {
    const { names } = header.channels;
    this.dimensions = header.domain.axes.length;
    this.alpha = names[names.length - 1] === "alpha";
    this.colors = names.length - Number(this.alpha);
  }

  private get surface(): boolean {
    return this.header.kind === "shape";
  }

  glsl(): string {
    const { channels } = this.header;
    const c = (i: number) => `v[${i >> 2}].${"xyzw"[i & 3]}`;
    const volume = channels.space === "scalar" || channels.space === "amplitude";
    const mean = `(${Array.from({ length: this.colors }, (_, i) => c(i)).join(" + ")}) / ${this.colors}.0`;
    const color = this.colors === 3 ? "v[0].rgb" : volume ? `vec3(${mean})` : "vec3(v[0].x)";
    const alpha = this.alpha ? `clamp(${c(this.colors)}, 0.0, 1.0)` : "1.0";
    const straight =
      this.alpha && channels.premultiplied ? `color = a > 0.0 ? color / ${c(this.colors)} : vec3(0.0);` : "";
    const shown =
      channels.space === "linear"
        ? "color = max(color * exposure, 0.0); color = pow(color / (1.0 + color), vec3(1.0 / 2.2));"
        : "color = clamp(color, 0.0, 1.0);";
    return `
vec4 pixel(vec2 p) {
  vec4 x = origin + p.x * across + p.y * down;
  vec4 outside = max(-x, x - 1.0);
  if (max(max(outside.x, outside.y), ${this.dimensions > 2 ? "outside.z" : "outside.x"}) > 0.0) return vec4(0.0);
  vec4 i[1], v[${Math.ceil(channels.names.length / 4)}];
  i[0] = x;
  values(i, v);
  ${this.surface ? DISTANCE_GLSL : `vec3 color = ${color}; float a = ${alpha}; ${straight} ${shown}`}
  vec4 samples = vec4(grid, 0.0, 0.0);
  if (grid.x > 0.0) {
    vec2 at = vec2(x[int(axes.x)], x[int(axes.y)]) * grid;
    vec2 size = vec2(abs(across[int(axes.x)]), abs(down[int(axes.y)])) * grid;
    if (size.x < 0.25 && any(lessThan(fract(at), size))) color = mix(color, vec3(0.5), 0.5);
  }
  return vec4(color, a);
}`;
  }

  paint(evaluator: Evaluator, look: Look, points: Float32Array): Float32Array {
    const D = this.dimensions;
    const count = points.length / 2;
    const coords = new Float32Array(count * D);
    const inside = new Uint8Array(count).fill(1);
    for (let i = 0; i < count; i++) {
      for (let k = 0; k < D; k++) {
        const x = Math.fround(look.origin[k] + points[2 * i] * look.across[k] + points[2 * i + 1] * look.down[k]);
        coords[i * D + k] = x;
        if (x < 0 || x > 1) inside[i] = 0;
      }
    }
    const values = evaluator.run("values", [coords], count, [D]);
    const found = new Float32Array(count * 4);
    const C = this.header.channels.names.length;
    for (let i = 0; i < count; i++) {
      if (!inside[i]) continue;
      const color = this.surface ? distanceColor(values[i * C]) : this.display(values, i * C, look.exposure[0]);
      this.drawGrid(look, coords, i * D, color);
      found.set(color, 4 * i);
    }
    return found;
  }

  private display(values: Float32Array, at: number, exposure: number): number[] {
    const { channels } = this.header;
    const color = [0, 1, 2].map((k) => values[at + (this.colors === 3 ? k : 0)]);
    if (this.colors !== 3 && (channels.space === "scalar" || channels.space === "amplitude")) {
      let mean = 0;
      for (let k = 0; k < this.colors; k++) mean += values[at + k] / this.colors;
      color.fill(mean);
    }
    const alpha = this.alpha ? values[at + this.colors] : 1;
    const opacity = Math.min(1, Math.max(0, alpha));
    for (let k = 0; k < 3; k++) {
      if (this.alpha && channels.premultiplied) color[k] = opacity > 0 ? color[k] / alpha : 0;
      if (channels.space === "linear") {
        const light = Math.max(0, color[k] * exposure);
        color[k] = (light / (1 + light)) ** (1 / 2.2);
      }
      color[k] = Math.min(1, Math.max(0, color[k]));
    }
    return [...color, opacity];
  }

  private drawGrid(look: Look, coords: Float32Array, at: number, color: number[]): void {
    const [columns, rows] = look.grid;
    if (!columns) return;
    const [a, b] = look.axes;
    const size = [Math.abs(look.across[a]) * columns, Math.abs(look.down[b]) * rows];
    const near = (x: number, width: number) => x - Math.floor(x) < width;
    if (size[0] < 0.25 && (near(coords[at + a] * columns, size[0]) || near(coords[at + b] * rows, size[1]))) {
      for (let k = 0; k < 3; k++) color[k] = (color[k] + 0.5) / 2;
    }
  }
}

const DISTANCE_GLSL = `float d = v[0].x, a = 1.0;
  vec3 color = d > 0.0 ? vec3(${OUTSIDE}) : vec3(${INSIDE});
  color *= (1.0 - exp(-12.0 * abs(d))) * (0.8 + 0.2 * cos(${LINES}.0 * d));
  color = mix(vec3(1.0), color, smoothstep(0.0, 0.004, abs(d)));`;

function distanceColor(d: number): number[] {
  const base = d > 0 ? OUTSIDE : INSIDE;
  const shade = (1 - Math.exp(-12 * Math.abs(d))) * (0.8 + 0.2 * Math.cos(LINES * d));
  const t = Math.min(1, Math.abs(d) / 0.004);
  const line = t * t * (3 - 2 * t);
  return [...base.map((c) => 1 + (c * shade - 1) * line), 1];
}
