/** A field's programs, as `fields/export/page/program.py` describes them, and where their vectors lie. */

export type Level = [offset: number, scale: number, resolution: number, size: number, hashed: number];
export type Factor = [row: number, axes: number[], nodes: number[]];

export interface Step {
  op: string;
  in: number[];
  size: number;
  // Names of tensors.
  weight?: string;
  bias?: string;
  table?: string;
  centres?: string;
  shapes?: string;
  frequencies?: string;
  phases?: string;
  // Of `vector` they are names of tensors, of `affine` numbers; `features` of kernels is a tensor, else a count.
  mul?: number | string;
  add?: number | string;
  features?: number | string;
  start?: number;
  index?: number;
  function?: string;
  omega?: number;
  scale?: number;
  basis?: string;
  degree?: number;
  cells?: number[];
  levels?: Level[];
  smooth?: boolean;
  slots?: Factor[][][];
  ends?: boolean;
  neighbours?: number;
  extents?: number[];
  kernel?: string;
  normalise?: boolean;
}

export interface Program {
  inputs: number[];
  steps: Step[];
  output: number;
}

/** Functions of `map`, in the order of `Map` in cuda_ext/csrc/wasm/evaluate.cpp. */
export const MAPS = [
  "relu",
  "sine",
  "cosine",
  "finer",
  "softplus",
  "gaussian",
  "sigmoid",
  "silu",
  "square",
  "unit",
  "nonnegative",
  "exp_half",
  "multiquadric",
  "inverse_multiquadric",
  "cubic",
  "thin_plate",
  "wendland",
];

/** Kernels in the order of cuda_ext/csrc/common/rbf_gather.h. */
export const KERNELS = ["inverse_quadratic", "inverse_multiquadric", "gaussian", "hat", "markov"];

// Added to variances before their inverse root is taken, as in torch.
export const EPSILON = 1e-5;

const IN_PLACE = new Set(["map", "affine", "vector", "add", "multiply", "scale_by", "shift_by"]);

/** Buffers of a program: `slot[i]` is that of vector i, -1 for inputs; `sizes` are their lengths, multiples of 4. */
export interface Plan {
  slot: number[];
  sizes: number[];
}

/** Gives each result a buffer; a buffer is used again once nothing needs what it holds. */
export function plan(program: Program): Plan {
  const inputs = program.inputs.length;
  const last: number[] = [];
  program.steps.forEach((step, i) => {
    for (const vector of step.in) last[vector] = i;
  });
  last[program.output] = program.steps.length;
  const slot: number[] = program.inputs.map(() => -1);
  const sizes: number[] = [];
  const free: number[] = [];
  program.steps.forEach((step, i) => {
    const size = padded(step.size);
    const dying = [...new Set(step.in)].filter((v) => v >= inputs && last[v] === i).map((v) => slot[v]);
    const own = slot[step.in[0]];
    let chosen = IN_PLACE.has(step.op) && dying.includes(own) ? own : -1;
    if (chosen < 0) {
      const at = free.findIndex((s) => sizes[s] === size);
      chosen = at >= 0 ? free.splice(at, 1)[0] : sizes.push(size) - 1;
    }
    slot[inputs + i] = chosen;
    free.push(...dying.filter((s) => s !== chosen));
    if (last[inputs + i] === undefined) free.push(chosen);
  });
  return { slot, sizes };
}

export function padded(size: number): number {
  return (size + 3) & ~3;
}

/** Size of vector `index`. */
export function sizeOf(program: Program, index: number): number {
  const inputs = program.inputs.length;
  return index < inputs ? program.inputs[index] : program.steps[index - inputs].size;
}
