/** Evaluates programs with the module of cuda_ext/csrc/wasm, a block of points at a time. */

import { EPSILON, KERNELS, MAPS, type Plan, type Program, padded, plan, type Step, sizeOf } from "./program";
import type { Store } from "./store";

// Points of a block: its vectors stay in the near caches.
export const BLOCK = 128;
const PAGE = 65536;

type Export = (...values: number[]) => void;
type Action = (n: number) => void;

interface Compiled {
  inputs: number[];
  output: number;
  size: number;
  actions: Action[];
}

export class Evaluator {
  private readonly exports: Record<string, Export>;
  private readonly memory: WebAssembly.Memory;
  private readonly base: number;
  private readonly programs: Record<string, Compiled> = {};
  private end: number;

  /** `module`: compiled from cuda_ext/csrc/wasm/evaluate.cpp. */
  constructor(
    module: WebAssembly.Module,
    private readonly store: Store,
    programs: Record<string, Program>,
  ) {
    const { exports } = new WebAssembly.Instance(module);
    this.exports = exports as unknown as Record<string, Export>;
    this.memory = exports.memory as WebAssembly.Memory;
    this.base = ((exports.__heap_base as WebAssembly.Global).value + 15) & ~15;
    this.end = this.base;
    this.allocate(store.values.length);
    this.floats.set(store.values, this.base / 4);
    for (const [name, program] of Object.entries(programs)) this.programs[name] = this.compile(program);
  }

  /** Size of a program's result. */
  sizeOf(name: string): number {
    return this.programs[name].size;
  }

  /** The result `[count, size]` of a program for inputs `[count, size]`. */
  run(name: string, inputs: Float32Array[], count: number, sizes: number[]): Float32Array {
    const program = this.programs[name];
    const found = new Float32Array(count * program.size);
    for (let first = 0; first < count; first += BLOCK) {
      const points = Math.min(BLOCK, count - first);
      const n = (points + 7) & ~7;
      inputs.forEach((values, i) => {
        const size = sizes[i];
        const floats = this.floats;
        const at = program.inputs[i] / 4;
        for (let k = 0; k < size; k++) {
          for (let p = 0; p < n; p++) floats[at + k * n + p] = values[(first + Math.min(p, points - 1)) * size + k];
        }
      });
      for (const action of program.actions) action(n);
      const floats = this.floats;
      const at = program.output / 4;
      for (let k = 0; k < program.size; k++) {
        for (let p = 0; p < points; p++) found[(first + p) * program.size + k] = floats[at + k * n + p];
      }
    }
    return found;
  }

  // The view is made anew where memory has grown.
  private view?: Float32Array;

  private get floats(): Float32Array {
    if (this.view?.buffer !== this.memory.buffer) this.view = new Float32Array(this.memory.buffer);
    return this.view as Float32Array;
  }

  /** The address of `count` new values of 4 bytes. */
  private allocate(count: number): number {
    const at = this.end;
    this.end += 4 * padded(count);
    const missing = this.end - this.memory.buffer.byteLength;
    if (missing > 0) this.memory.grow(Math.ceil(missing / PAGE));
    return at;
  }

  private integers(values: number[]): number {
    const at = this.allocate(values.length);
    new Int32Array(this.memory.buffer, at, values.length).set(values);
    return at;
  }

  private address(name: unknown): number {
    return typeof name === "string" ? this.base + 4 * this.store.offset[name] : 0;
  }

  private compile(program: Program): Compiled {
    const buffers: Plan = plan(program);
    const inputs = program.inputs.map((size) => this.allocate(padded(size) * BLOCK));
    const slots = buffers.sizes.map((size) => this.allocate(size * BLOCK));
    const place = (vector: number) => (buffers.slot[vector] < 0 ? inputs[vector] : slots[buffers.slot[vector]]);
    const actions = program.steps.map((step, i) => {
      const sizes = step.in.map((vector) => sizeOf(program, vector));
      return this.action(step, step.in.map(place), sizes, place(program.inputs.length + i));
    });
    return { inputs, output: place(program.output), size: sizeOf(program, program.output), actions };
  }

  private action(step: Step, given: number[], sizes: number[], y: number): Action {
    const wasm = this.exports;
    const x = given[0];
    const size = step.size;
    const whole = padded(size);
    switch (step.op) {
      case "linear": {
        const [weight, bias] = [this.address(step.weight), this.address(step.bias)];
        return (n) => wasm.linear(x, y, weight, bias, sizes[0], size, n);
      }
      case "map": {
        const name = MAPS.indexOf(step.function as string);
        return (n) => wasm.map(x, y, name, step.omega as number, step.scale as number, whole * n);
      }
      case "affine":
        return (n) => wasm.affine(x, y, step.mul as number, step.add as number, whole * n);
      case "vector": {
        const [mul, add] = [this.address(step.mul), this.address(step.add)];
        return (n) => wasm.vector(x, y, mul, add, size, n);
      }
      case "add":
      case "multiply":
        return (n) => wasm.combine_values(x, given[1], y, Number(step.op === "multiply"), whole * n);
      case "scale_by":
      case "shift_by": {
        const at = 4 * (step.index as number);
        return (n) => wasm.combine_by(x, given[1] + at * n, y, Number(step.op === "scale_by"), size, n);
      }
      case "standardize":
        return (n) => wasm.standardize(x, y, size, EPSILON, n);
      case "gabor":
        return (n) => wasm.gabor(x, y, step.omega as number, step.scale as number, size / 2, n);
      case "kan_basis":
        return (n) => wasm.kan_basis(x, y, Number(step.basis === "spline"), sizes[0], n);
      case "concat":
        return (n) => {
          let at = y;
          given.forEach((from, i) => {
            this.floats.copyWithin(at / 4, from / 4, from / 4 + sizes[i] * n);
            at += 4 * sizes[i] * n;
          });
        };
      case "slice":
        return (n) => {
          const from = x / 4 + (step.start as number) * n;
          this.floats.copyWithin(y / 4, from, from + size * n);
        };
      case "hash_grid":
        return this.hashGrid(step, x, sizes[0], y);
      case "factor_grid":
        return this.factorGrid(step, x, y);
      case "kernels":
        return this.kernels(step, x, sizes[0], y);
      default:
        return this.byPoint(step, x, sizes[0], y);
    }
  }

  private hashGrid(step: Step, x: number, dimensions: number, y: number): Action {
    const features = step.features as number;
    const table = this.address(step.table);
    const levels = step.levels ?? [];
    return (n) => {
      levels.forEach(([offset, scale, resolution, size, hashed], l) => {
        const from = table + 4 * offset * features;
        const to = y + 4 * l * features * n;
        this.exports.hash_grid(
          x,
          to,
          from,
          dimensions,
          features,
          scale,
          resolution,
          size,
          hashed,
          Number(step.smooth),
          n,
        );
      });
    };
  }

  private factorGrid(step: Step, x: number, y: number): Action {
    const features = step.features as number;
    const table = this.address(step.table);
    const products = (step.slots ?? []).flatMap((slot, s) =>
      slot.map((product) => {
        const record = product.flatMap(([row, axes, nodes]) => {
          let stride = 1;
          const parts = axes.flatMap((axis, i) => {
            const part = [axis, nodes[i], stride];
            stride *= nodes[i];
            return part;
          });
          return [row, axes.length, ...parts];
        });
        return { record: this.integers(record), factors: product.length, to: s * features };
      }),
    );
    return (n) => {
      this.floats.fill(0, y / 4, y / 4 + padded(step.size) * n);
      for (const { record, factors, to } of products) {
        this.exports.factor_product(x, y + 4 * to * n, table, record, factors, features, Number(step.ends), n);
      }
    };
  }

  private kernels(step: Step, x: number, dimensions: number, y: number): Action {
    const cells = this.store.cells[step.centres as string];
    const stored = (at: number, count: number) => this.integers(Array.from(this.store.values.subarray(at, at + count)));
    const total = cells.counts.reduce((a, b) => a * b, 1);
    const [start, list] = [stored(cells.start, total + 1), stored(cells.list, cells.candidates)];
    const call = this.allocate(20);
    const integers = new Int32Array(this.memory.buffer, call, 20);
    const floats = new Float32Array(this.memory.buffer, call, 20);
    const names = [step.centres, step.shapes, step.features, step.frequencies, step.phases];
    const kind = KERNELS.indexOf(step.kernel as string);
    integers.set([
      step.size,
      step.neighbours as number,
      kind,
      Number(step.normalise),
      ...names.map((n) => this.address(n)),
    ]);
    integers.set(cells.counts, 9);
    floats.set(cells.lower, 12);
    floats.set(cells.inverseSize, 15);
    integers.set([start, list], 18);
    return (n) => this.exports.kernels(call, x, y, dimensions, n);
  }

  /** Small encodings, in plain script. */
  private byPoint(step: Step, x: number, inputs: number, y: number): Action {
    const point = new Float32Array(inputs);
    const result = new Float32Array(step.size);
    const encode = { harmonics, angles, smooth_cells: smoothCells }[step.op];
    if (!encode) throw new Error(`no operation ${step.op}`);
    return (n) => {
      const floats = this.floats;
      for (let p = 0; p < n; p++) {
        for (let k = 0; k < inputs; k++) point[k] = floats[x / 4 + k * n + p];
        encode(point, result, step);
        for (let k = 0; k < step.size; k++) floats[y / 4 + k * n + p] = result[k];
      }
    };
  }
}

const root = (value: number) => Math.sqrt(value / Math.PI);
const [H0, H1, H2, H20] = [0.5 * root(1), root(0.75), 0.5 * root(15), 0.25 * root(5)];
const [H3A, H3B, H3C, H3D] = [0.25 * root(17.5), 0.5 * root(105), 0.25 * root(10.5), 0.25 * root(7)];

/** Real spherical harmonics of a unit direction; see fields/encoders/directions.py. */
function harmonics(direction: Float32Array, h: Float32Array, step: Step): void {
  const degree = step.degree as number;
  const x = direction[0];
  const y = direction[1];
  const z = direction[2];
  if (degree > 0) h[0] = H0;
  if (degree > 1) {
    h[1] = H1 * y;
    h[2] = H1 * z;
    h[3] = H1 * x;
  }
  if (degree > 2) {
    h[4] = H2 * x * y;
    h[5] = H2 * y * z;
    h[6] = H20 * (3 * z * z - 1);
    h[7] = H2 * x * z;
    h[8] = 0.5 * H2 * (x * x - y * y);
  }
  if (degree > 3) {
    h[9] = H3A * y * (3 * x * x - y * y);
    h[10] = H3B * x * y * z;
    h[11] = H3C * y * (5 * z * z - 1);
    h[12] = H3D * z * (5 * z * z - 3);
    h[13] = H3C * x * (5 * z * z - 1);
    h[14] = 0.5 * H3B * z * (x * x - y * y);
    h[15] = H3A * x * (x * x - 3 * y * y);
  }
}

function angles([x, y, z]: Float32Array, found: Float32Array): void {
  found[0] = Math.atan2(y, x) / (2 * Math.PI) + 0.5;
  found[1] = 0.5 - Math.atan2(z, Math.hypot(x, y)) / Math.PI;
}

function smoothCells(point: Float32Array, found: Float32Array, step: Step): void {
  point.forEach((x, axis) => {
    const cells = (step.cells as number[])[axis];
    const position = Math.min(1, Math.max(0, x)) * cells;
    const t = position - Math.floor(position);
    found[axis] = (position - t + t * t * (3 - 2 * t)) / cells;
  });
}
