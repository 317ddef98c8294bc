/** All tensors of a page in one array, as both back ends read them: every part begins at a multiple of four values. */

import type { Tensor } from "./contents";
import { type Program, padded, type Step } from "./program";

export interface Cells {
  counts: number[];
  lower: number[];
  inverseSize: number[];
  /** Where the numbers of each cell's first candidate and the candidates themselves lie in the store. */
  start: number;
  list: number;
  candidates: number;
}

export interface Store {
  values: Float32Array;
  /** First value of each tensor. */
  offset: Record<string, number>;
  /** Of each tensor of kernels' centres. */
  cells: Record<string, Cells>;
}

export function makeStore(tensors: Map<string, Tensor>, programs: Program[]): Store {
  const offset: Record<string, number> = {};
  const parts: [Float32Array, number][] = [];
  let length = 0;
  const append = (values: Float32Array): number => {
    const at = length;
    parts.push([values, at]);
    length += padded(values.length);
    return at;
  };
  for (const [name, tensor] of tensors) offset[name] = append(arranged(tensor));
  const cells: Record<string, Cells> = {};
  for (const step of programs.flatMap((program) => program.steps)) {
    if (step.op !== "kernels") continue;
    const name = step.centres as string;
    const found = neighbourCells(tensors.get(name) as Tensor, step);
    cells[name] = {
      ...found,
      start: append(found.starts),
      list: append(found.members),
      candidates: found.members.length,
    };
  }
  const values = new Float32Array(length);
  for (const [part, at] of parts) values.set(part, at);
  return { values, offset, cells };
}

/** The values in the order in which they are read: matrices in blocks of four outputs, rows padded to four values. */
function arranged({ role, shape, values }: Tensor): Float32Array {
  if (role === "vector" || role === "table") return values;
  if (role === "rows") {
    const row = values.length / shape[0];
    const stride = padded(row);
    if (stride === row) return values;
    const found = new Float32Array(shape[0] * stride);
    for (let i = 0; i < shape[0]; i++) found.set(values.subarray(i * row, (i + 1) * row), i * stride);
    return found;
  }
  const [out, inputs] = shape;
  const columns = padded(inputs);
  const found = new Float32Array(padded(out) * columns);
  for (let o = 0; o < out; o++) {
    for (let i = 0; i < inputs; i++) found[((o >> 2) * columns + i) * 4 + (o & 3)] = values[o * inputs + i];
  }
  return found;
}

// Kernels for each cell of the lattice that finds neighbours, on average.
const KERNELS_PER_CELL = 2;

/** For each cell of a lattice over the kernels' domain, all that may be among the nearest of a point in it. */
function neighbourCells(tensor: Tensor, step: Step) {
  const [count, dimensions] = tensor.shape;
  const centres = tensor.values;
  const k = step.neighbours as number;
  const lower = Array(dimensions).fill(0);
  const upper = [...(step.extents as number[])];
  for (let i = 0; i < centres.length; i++) {
    lower[i % dimensions] = Math.min(lower[i % dimensions], centres[i]);
    upper[i % dimensions] = Math.max(upper[i % dimensions], centres[i]);
  }
  const extent = lower.map((low, a) => Math.max(upper[a] - low, 1e-6));
  const side = (extent.reduce((a, b) => a * b, 1) / Math.max(1, count / KERNELS_PER_CELL)) ** (1 / dimensions);
  const counts = extent.map((e) => Math.max(1, Math.ceil(e / side)));
  const size = extent.map((e, a) => e / counts[a]);
  const total = counts.reduce((a, b) => a * b, 1);
  const homes: number[][] = Array.from({ length: total }, () => []);
  const cellOf = (point: number[]) => {
    let cell = 0;
    for (let a = dimensions - 1; a >= 0; a--) {
      cell = cell * counts[a] + Math.min(counts[a] - 1, Math.max(0, Math.floor((point[a] - lower[a]) / size[a])));
    }
    return cell;
  };
  for (let i = 0; i < count; i++) homes[cellOf([...centres.subarray(i * dimensions, (i + 1) * dimensions)])].push(i);
  const starts = new Float32Array(total + 1);
  const members: number[] = [];
  const half = Math.hypot(...size) / 2;
  const shortest = Math.min(...size);
  for (let cell = 0; cell < total; cell++) {
    const index: number[] = [];
    for (let a = 0, rest = cell; a < dimensions; a++, rest = Math.floor(rest / counts[a - 1]))
      index.push(rest % counts[a]);
    const middle = index.map((at, a) => lower[a] + (at + 0.5) * size[a]);
    const distance = (i: number) => Math.hypot(...middle.map((m, a) => m - centres[i * dimensions + a]));
    // Rings of cells until no kernel outside of them can be a neighbour of any point of this cell.
    const seen: [number, number][] = [];
    for (let ring = 0; ; ring++) {
      for (const other of ringOf(index, counts, ring)) for (const i of homes[other]) seen.push([distance(i), i]);
      const done = seen.length >= count;
      seen.sort((a, b) => a[0] - b[0]);
      const bound = seen.length >= k ? seen[k - 1][0] + 2 * half : Number.POSITIVE_INFINITY;
      if (done || bound < (ring + 0.5) * shortest) {
        for (const [d, i] of seen) if (d <= bound) members.push(i);
        break;
      }
    }
    starts[cell + 1] = members.length;
  }
  return { counts, lower, inverseSize: size.map((s) => 1 / s), starts, members: Float32Array.from(members) };
}

/** Numbers of the cells whose largest distance along an axis from `index` is `ring`. */
function* ringOf(index: number[], counts: number[], ring: number): Generator<number> {
  const ranges = index.map((at, a) => [Math.max(0, at - ring), Math.min(counts[a] - 1, at + ring)]);
  const walk = function* (axis: number, cell: number, edge: boolean): Generator<number> {
    if (axis < 0) {
      if (edge || ring === 0) yield cell;
      return;
    }
    for (let at = ranges[axis][0]; at <= ranges[axis][1]; at++) {
      yield* walk(axis - 1, cell * counts[axis] + at, edge || Math.abs(at - index[axis]) === ring);
    }
  };
  yield* walk(index.length - 1, 0, false);
}
