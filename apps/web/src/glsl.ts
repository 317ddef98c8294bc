/** Writes a program as a function of GLSL, for fragment shaders. */

import { EPSILON, type Program, padded, plan, type Step, sizeOf } from "./program";
import type { Store } from "./store";

// Texels of a row of the texture that holds the store.
export const TEXTURE_WIDTH = 4096;
// Loops over more texels of matrices than this are not unrolled, which compilers take long for.
const UNROLLED = 1 << 12;

/** What every shader begins with. `weights` is the store; `zero` is 0, which compilers do not know. */
export const PRELUDE = `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
uniform sampler2D weights;
uniform int zero;
vec4 W(int i) { return texelFetch(weights, ivec2(i & ${TEXTURE_WIDTH - 1}, i >> ${Math.log2(TEXTURE_WIDTH)}), 0); }
float W1(int i) { return W(i >> 2)[i & 3]; }
// As cuda_ext/csrc/cpu/sincos.h: processors' own sines are too coarse for large arguments.
vec4 sine(vec4 x) {
  vec4 k = round(x * 0.318309886);
  vec4 r = ((x - k * 3.140625) - k * 9.67502593994140625e-4) - k * 1.509957990978376e-7;
  vec4 s = r * r;
  vec4 y = r + r * s * (((2.6000548e-6 * s - 1.9806615e-4) * s + 8.3330173e-3) * s - 1.6666657e-1);
  return y * (1.0 - 2.0 * mod(k, 2.0));
}
vec4 cosine(vec4 x) {
  vec4 k = round(x * 0.318309886);
  vec4 r = ((x - k * 3.140625) - k * 9.67502593994140625e-4) - k * 1.509957990978376e-7;
  vec4 s = r * r;
  vec4 y = 1.0 + s * ((((-2.6051615e-7 * s + 2.4760495e-5) * s - 1.3888378e-3) * s + 4.1666638e-2) * s - 0.5);
  return y * (1.0 - 2.0 * mod(k, 2.0));
}
vec4 sigmoid(vec4 x) { return 1.0 / (1.0 + exp(-x)); }
vec4 softplus(vec4 z) { return max(z, 0.0) + log(1.0 + exp(-abs(z))); }
`;

const FUNCTIONS: Record<string, (v: string, step: Step) => string> = {
  relu: (v) => `max(${v}, 0.0)`,
  sine: (v, s) => `sine(${float(s.omega)} * ${v})`,
  cosine: (v, s) => `cosine(${float(s.omega)} * ${v})`,
  finer: (v, s) => `sine(${float(s.omega)} * (abs(${v}) + 1.0) * ${v})`,
  softplus: (v, s) => `softplus(${float(s.scale)} * ${v}) / ${float(s.scale)}`,
  gaussian: (v, s) => `exp(-(${float(s.scale)} * ${v}) * (${float(s.scale)} * ${v}))`,
  sigmoid: (v) => `sigmoid(${v})`,
  silu: (v) => `${v} * sigmoid(${v})`,
  square: (v) => `${v} * ${v}`,
  unit: (v) => `clamp(${v}, 0.0, 1.0)`,
  nonnegative: (v) => `max(${v}, 0.0)`,
  exp_half: (v) => `exp(-0.5 * ${v})`,
  multiquadric: (v) => `sqrt(${v} + 1.0)`,
  inverse_multiquadric: (v) => `inversesqrt(${v} + 1.0)`,
  cubic: (v) => `(${v} + 1e-9) * sqrt(${v} + 1e-9)`,
  thin_plate: (v) => `0.5 * ${v} * log(${v} + 1e-9)`,
  wendland: (v) => `pow(max(1.0 - sqrt(${v} + 1e-9), 0.0), vec4(9.0)) * (9.0 * sqrt(${v} + 1e-9) + 1.0)`,
};

/** Length of a vector in texels. */
export function texels(size: number): number {
  return padded(size) / 4;
}

function float(value: unknown): string {
  const text = String(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

/** Value `i` of an array of vec4. */
function item(array: string, i: number): string {
  return `${array}[${i >> 2}].${"xyzw"[i & 3]}`;
}

/** The function `void NAME(vec4 i0[..], .., out vec4 result[..])`. */
export function writeProgram(name: string, program: Program, store: Store, shared: Shared): string {
  return new Writer(name, program, store, shared).text();
}

/**
 * What the programs of one shader share: the functions that they call, and the matrices and vectors that lie in a block
 * of uniforms, which is read faster than textures.
 */
export class Shared {
  readonly helpers = new Map<string, string>();
  readonly texels: number[] = [];
  private readonly places = new Map<string, number>();

  constructor(
    private readonly store: Store,
    private readonly room: number,
  ) {}

  /** First texel of a tensor of `count` texels; undefined where there is no room for it. */
  place(name: string, count: number): number | undefined {
    const known = this.places.get(name);
    if (known !== undefined) return known;
    const at = this.texels.length / 4;
    if (at + count > this.room) return undefined;
    const from = this.store.offset[name];
    for (let i = 0; i < 4 * count; i++) this.texels.push(this.store.values[from + i]);
    this.places.set(name, at);
    return at;
  }

  declaration(): string {
    const block = this.texels.length ? `layout(std140) uniform Fast { vec4 U[${this.texels.length / 4}]; };` : "";
    return [block, ...this.helpers.values()].join("\n");
  }
}

class Writer {
  private readonly lines: string[] = [];
  private count = 0;

  constructor(
    private readonly name: string,
    private readonly program: Program,
    private readonly store: Store,
    private readonly shared: Shared,
  ) {}

  text(): string {
    const { program } = this;
    const buffers = plan(program);
    const place = (vector: number) => (buffers.slot[vector] < 0 ? `i${vector}` : `b${buffers.slot[vector]}`);
    buffers.sizes.forEach((size, slot) => {
      this.lines.push(`vec4 b${slot}[${size / 4}];`);
      // Padding that no step writes must be finite, as it meets weights of zero.
      this.lines.push(`for (int k = 0; k < ${size / 4}; k++) b${slot}[k] = vec4(0.0);`);
    });
    program.steps.forEach((step, i) => {
      const sizes = step.in.map((vector) => sizeOf(program, vector));
      this.step(step, step.in.map(place), sizes, place(program.inputs.length + i));
    });
    this.lines.push(`result = ${place(program.output)};`);
    const inputs = program.inputs.map((size, i) => `vec4 i${i}[${texels(size)}]`);
    const size = sizeOf(program, program.output);
    const head = `void ${this.name}(${[...inputs, `out vec4 result[${texels(size)}]`].join(", ")}) {`;
    return [head, ...this.lines, "}", ""].join("\n");
  }

  /** First texel of a tensor. */
  private at(name: unknown): number {
    return this.store.offset[name as string] / 4;
  }

  /** Reads texel `k` behind the beginning of a tensor of `count` texels. */
  private reader(name: unknown, count: number): (k: string) => string {
    const fast = this.shared.place(name as string, count);
    return fast === undefined ? (k) => `W(${this.at(name)} + ${k})` : (k) => `U[${fast} + ${k}]`;
  }

  private each(size: number, expression: (k: string) => string): void {
    this.lines.push(`for (int k = 0; k < ${texels(size)}; k++) ${expression("[k]")};`);
  }

  private step(step: Step, [x, b]: string[], sizes: number[], y: string): void {
    const size = step.size;
    switch (step.op) {
      case "linear":
        this.linear(step, x, sizes[0], y);
        break;
      case "map":
        this.each(size, (k) => `${y}${k} = ${FUNCTIONS[step.function as string](`${x}${k}`, step)}`);
        break;
      case "affine":
        this.each(size, (k) => `${y}${k} = ${x}${k} * ${float(step.mul)} + ${float(step.add)}`);
        break;
      case "vector": {
        const mul = step.mul === undefined ? "" : ` * ${this.reader(step.mul, texels(size))("k")}`;
        const add = step.add === undefined ? "" : ` + ${this.reader(step.add, texels(size))("k")}`;
        this.each(size, (k) => `${y}${k} = ${x}${k}${mul}${add}`);
        break;
      }
      case "add":
      case "multiply":
        this.each(size, (k) => `${y}${k} = ${x}${k} ${step.op === "add" ? "+" : "*"} ${b}${k}`);
        break;
      case "scale_by":
      case "shift_by": {
        const by = item(b, step.index as number);
        this.each(size, (k) => `${y}${k} = ${x}${k} ${step.op === "scale_by" ? "*" : "+"} ${by}`);
        break;
      }
      case "concat":
        this.concat(step, sizes, y);
        break;
      case "slice":
        this.gather(y, size, (i) => item(x, i + (step.start as number)));
        break;
      case "standardize":
        this.standardize(x, size, y);
        break;
      case "gabor":
        this.gabor(step, x, size, y);
        break;
      case "kan_basis":
        this.kanBasis(step, x, sizes[0], y);
        break;
      case "hash_grid":
        this.hashGrid(step, x, sizes[0], y);
        break;
      case "factor_grid":
        this.factorGrid(step, x, y);
        break;
      case "kernels":
        this.kernels(step, x, sizes[0], y);
        break;
      case "harmonics":
        this.harmonics(step, x, y);
        break;
      case "angles":
        this.lines.push(
          `${y}[0].x = atan(${x}[0].y, ${x}[0].x) / 6.283185307 + 0.5;`,
          `${y}[0].y = 0.5 - atan(${x}[0].z, length(${x}[0].xy)) / 3.141592654;`,
        );
        break;
      case "smooth_cells":
        this.gather(y, size, (i) => {
          this.shared.helpers.set(
            "smooth",
            `float smooth_cell(float x, float cells) {
  float p = clamp(x, 0.0, 1.0) * cells, t = fract(p);
  return (p - t + t * t * (3.0 - 2.0 * t)) / cells;
}`,
          );
          return `smooth_cell(${item(x, i)}, ${float((step.cells as number[])[i])})`;
        });
        break;
      default:
        throw new Error(`no operation ${step.op}`);
    }
  }

  private linear(step: Step, x: string, inputs: number, y: string): void {
    const [rows, columns] = [texels(step.size), texels(inputs)];
    const bound = rows * columns > UNROLLED ? " + zero" : "";
    const bias = step.bias === undefined ? "vec4(0.0)" : this.reader(step.bias, rows)("o");
    const weight = this.reader(step.weight, rows * columns * 4);
    const parts = ["k", "k + 1", "k + 2", "k + 3"].map(weight).join(", ");
    this.lines.push(`for (int o = 0; o < ${rows}${bound}; o++) {
  vec4 s = ${bias};
  for (int i = 0; i < ${columns}${bound}; i++) {
    int k = (o * ${columns} + i) * 4;
    s += mat4(${parts}) * ${x}[i];
  }
  ${y}[o] = s;
}`);
  }

  private gather(y: string, size: number, value: (i: number) => string): void {
    for (let k = 0; k < texels(size); k++) {
      const parts = [0, 1, 2, 3].map((i) => (4 * k + i < size ? value(4 * k + i) : "0.0"));
      this.lines.push(`${y}[${k}] = vec4(${parts.join(", ")});`);
    }
  }

  private concat(step: Step, sizes: number[], y: string): void {
    const { program } = this;
    const buffers = plan(program);
    const names = step.in.map((vector) => (buffers.slot[vector] < 0 ? `i${vector}` : `b${buffers.slot[vector]}`));
    const values = names.flatMap((name, v) => Array.from({ length: sizes[v] }, (_, i) => item(name, i)));
    this.gather(y, step.size, (i) => values[i]);
  }

  private standardize(x: string, size: number, y: string): void {
    const n = texels(size);
    const mask = [0, 1, 2, 3].map((i) => (4 * (n - 1) + i < size ? "1.0" : "0.0")).join(", ");
    this.lines.push(`{
  vec4 ones = vec4(1.0), last = vec4(${mask}), squares = vec4(0.0);
  float mean = 0.0;
  for (int k = 0; k < ${n}; k++) mean += dot(${x}[k], k == ${n - 1} ? last : ones);
  mean /= ${float(size)};
  for (int k = 0; k < ${n}; k++) {
    ${y}[k] = (${x}[k] - mean) * (k == ${n - 1} ? last : ones);
    squares += ${y}[k] * ${y}[k];
  }
  float inverse = inversesqrt(dot(squares, ones) / ${float(size)} + ${float(EPSILON)});
  for (int k = 0; k < ${n}; k++) ${y}[k] *= inverse;
}`);
  }

  private gabor(step: Step, x: string, size: number, y: string): void {
    const half = size / 8;
    const [omega, scale] = [float(step.omega), float((step.scale as number) ** 2)];
    this.lines.push(`for (int k = 0; k < ${half}; k++) {
  vec4 re = ${x}[k], im = ${x}[k + ${half}];
  vec4 a = exp(-${omega} * im - ${scale} * (re * re + im * im));
  ${y}[k] = a * cosine(${omega} * re);
  ${y}[k + ${half}] = a * sine(${omega} * re);
}`);
  }

  private kanBasis(step: Step, x: string, inputs: number, y: string): void {
    const width = step.basis === "spline" ? 0.8 : 4 / 7;
    this.shared.helpers.set(
      "kan",
      step.basis === "spline"
        ? `vec4 kan(vec4 d) {
  vec4 a = abs(d), r = max(2.0 - a, 0.0);
  return mix(r * r * r / 6.0, 2.0 / 3.0 - a * a + a * a * a / 2.0, lessThan(a, vec4(1.0)));
}`
        : "vec4 kan(vec4 d) { return exp(-d * d); }",
    );
    this.lines.push(`for (int i = 0; i < ${inputs}; i++) {
  float v = ${x}[i >> 2][i & 3];
  ${y}[2 * i] = kan((v - (vec4(0.0, 1.0, 2.0, 3.0) - 3.5) * ${float(width)}) / ${float(width)});
  ${y}[2 * i + 1] = kan((v - (vec4(4.0, 5.0, 6.0, 7.0) - 3.5) * ${float(width)}) / ${float(width)});
}`);
  }

  private hashGrid(step: Step, x: string, dimensions: number, y: string): void {
    const features = step.features as number;
    const level = this.hashHelper(dimensions, features, Boolean(step.smooth));
    const point = `${x}[0].${"xyzw".slice(0, dimensions)}`;
    (step.levels ?? []).forEach(([offset, scale, resolution, size, hashed], l) => {
      const base = this.at(step.table) + (offset * features) / 4;
      const strides = [1];
      for (let axis = 1; axis < dimensions; axis++) strides.push(strides[axis - 1] * resolution);
      const kept = strides.map((stride) => `${stride <= size ? stride : 0}u`);
      const multipliers = hashed ? ["1u", "2654435761u", "805459861u", "3674653429u"].slice(0, dimensions) : kept;
      const args = [point, base, float(scale), integers(multipliers), `${size}u`, Boolean(hashed)].join(", ");
      if (features === 8) {
        this.lines.push(`${level}(${args}, ${y}[${2 * l}], ${y}[${2 * l + 1}]);`);
        return;
      }
      const first = l * features;
      const to = `${y}[${first >> 2}]${features < 4 ? `.${"xyzw".slice(first & 3, (first & 3) + features)}` : ""}`;
      this.lines.push(`${to} = ${level}(${args});`);
    });
  }

  private hashHelper(D: number, F: number, smooth: boolean): string {
    const name = `hash_${D}_${F}${smooth ? "_smooth" : ""}`;
    const [point, index] = D > 1 ? [`vec${D}`, `uvec${D}`] : ["float", "uint"];
    const type = F === 1 ? "float" : `vec${Math.min(F, 4)}`;
    const axis = (v: string, a: number) => (D > 1 ? `${v}.${"xyzw"[a]}` : v);
    const row = {
      1: ["int(e >> 2)", "q[int(e & 3u)]"],
      2: ["int(e >> 1)", "((e & 1u) == 0u ? q.xy : q.zw)"],
      4: ["int(e)", "q"],
      8: ["2 * int(e)", "q"],
    }[F] as [string, string];
    const corners = Array.from({ length: 1 << D }, (_, corner) => {
      const axes = Array.from({ length: D }, (_, a) => a);
      const terms = axes.map((a) => axis((corner >> a) & 1 ? "high" : "low", a));
      const weight = axes.map((a) => ((corner >> a) & 1 ? axis("t", a) : `(1.0 - ${axis("t", a)})`)).join(" * ");
      const e = `e = hashed ? (${terms.join(" ^ ")}) & (size - 1u) : (${terms.join(" + ")}) % size;`;
      const second = F === 8 ? ` second += (${weight}) * W(base + 2 * int(e) + 1);` : "";
      return `  ${e} q = W(base + ${row[0]}); sum += (${weight}) * ${row[1]};${second}`;
    });
    const result = F === 8 ? `void ${name}` : `${type} ${name}`;
    const outputs = F === 8 ? ", out vec4 sum, out vec4 second" : "";
    const start = F === 8 ? "sum = second = vec4(0.0);" : `${type} sum = ${type}(0.0);`;
    this.shared.helpers.set(
      name,
      `${result}(${point} x, int base, float scale, ${index} stride, uint size, bool hashed${outputs}) {
  ${point} p = clamp(x, 0.0, 1.0) * scale + 0.5, cell = floor(p), t = p - cell;
  ${smooth ? "t = t * t * (3.0 - 2.0 * t);" : ""}
  ${index} low = ${index}(cell) * stride, high = low + stride;
  uint e;
  vec4 q;
  ${start}
${corners.join("\n")}
  ${F === 8 ? "" : "return sum;"}
}`,
    );
    return name;
  }

  private factorGrid(step: Step, x: string, y: string): void {
    const features = step.features as number;
    const row = texels(features);
    const base = this.at(step.table);
    const positions = new Map<string, string>();
    const position = (axis: number, nodes: number) => {
      const key = `${axis} ${nodes}`;
      const known = positions.get(key);
      if (known) return known;
      const v = `p${this.count++}`;
      const place = step.ends ? `${item(x, axis)} * ${float(nodes - 1)}` : `${item(x, axis)} * ${float(nodes)} - 0.5`;
      this.lines.push(`float ${v} = clamp(${place}, 0.0, ${float(nodes - 1)});`);
      this.lines.push(`int ${v}c = min(int(${v}), ${Math.max(nodes - 2, 0)});`, `float ${v}t = ${v} - float(${v}c);`);
      positions.set(key, v);
      return v;
    };
    (step.slots ?? []).forEach((slot, s) => {
      const products = slot.map((product) =>
        product.map(([first, axes, nodes]) => {
          const at = axes.map((axis, i) => position(axis, nodes[i]));
          const corners = Array.from({ length: 1 << axes.length }, (_, corner) => {
            let stride = 1;
            const terms: string[] = [];
            const weights: string[] = [];
            at.forEach((v, i) => {
              const upper = (corner >> i) & 1;
              terms.push(`(${v}c + ${upper && nodes[i] > 1 ? 1 : 0}) * ${stride}`);
              weights.push(upper ? `${v}t` : `(1.0 - ${v}t)`);
              stride *= nodes[i];
            });
            const e = `e${this.count++}`;
            this.lines.push(`int ${e} = ${base} + (${first} + ${terms.join(" + ")}) * ${row};`);
            return `(${weights.join(" * ")}) * W(${e} + f)`;
          });
          return `(${corners.join(" + ")})`;
        }),
      );
      const value = products.map((factors) => factors.join(" * ")).join(" + ");
      if (features % 4 === 0) {
        this.lines.push(`for (int f = 0; f < ${row}; f++) ${y}[${(s * features) / 4} + f] = ${value};`);
        return;
      }
      for (let f = 0; f < row; f++) {
        const v = `v${this.count++}`;
        this.lines.push(`vec4 ${v}; { const int f = ${f}; ${v} = ${value}; }`);
        for (let i = 0; i < Math.min(4, features - 4 * f); i++) {
          this.lines.push(`${item(y, s * features + 4 * f + i)} = ${v}.${"xyzw"[i]};`);
        }
      }
    });
  }

  private kernels(step: Step, x: string, D: number, y: string): void {
    const cells = this.store.cells[step.centres as string];
    const k = step.neighbours as number;
    const vec = `vec${D}`;
    const swizzle = "xyz".slice(0, D);
    const point = `${x}[0].${swizzle}`;
    const packed = (D * (D + 1)) / 2;
    const shape = Array.from({ length: packed }, (_, j) => `s${j >> 2}.${"xyzw"[j & 3]}`);
    const matrix =
      D === 2
        ? `mat2(${[0, 1, 1, 2].map((j) => shape[j]).join(", ")})`
        : `mat3(${[0, 1, 2, 1, 3, 4, 2, 4, 5].map((j) => shape[j]).join(", ")})`;
    const value = {
      inverse_quadratic: "1.0 / (1.0 + q)",
      inverse_multiquadric: "inversesqrt(1.0 + q)",
      gaussian: "exp(-0.5 * q)",
      markov: "exp(-sqrt(q))",
      hat: Array.from(swizzle, (a) => `max(0.0, 1.0 - abs(ko.${a}))`).join(" * "),
    }[step.kernel as string];
    const second = packed > 4 ? `vec4 s1 = W(${this.at(step.shapes)} + 2 * found[i] + 1);` : "";
    const axes = Array.from({ length: D }, (_, a) => a);
    let stride = 1;
    const cell = axes.map((a) => {
      const term = `at.${"xyz"[a]} * ${stride}`;
      stride *= cells.counts[a];
      return term;
    });
    const phase = step.phases === undefined ? "" : ` + W(${this.at(step.phases)} + f)`;
    const wave = step.frequencies === undefined ? "v[i]" : `sine(v[i] * W(${this.at(step.frequencies)} + f)${phase})`;
    this.lines.push(`{
  ${vec} p = ${point};
  i${vec} at = clamp(i${vec}((p - ${vec}(${cells.lower.map(float)})) * ${vec}(${cells.inverseSize.map(float)})), i${vec}(0),
    i${vec}(${cells.counts.map((n) => n - 1)}));
  int cell = ${cells.start} + ${cell.join(" + ")}, count = 0, found[${k}];
  int first = int(W1(cell)), last = int(W1(cell + 1));
  float best[${k}], v[${k}], total = 1e-8;
  for (int c = first; c < last; c++) {
    int candidate = int(W1(${cells.list} + c));
    ${vec} o = p - W(${this.at(step.centres)} + candidate).${swizzle};
    float d = dot(o, o);
    if (count == ${k} && d >= best[${k - 1}]) continue;
    int to = min(count, ${k - 1});
    count = min(count + 1, ${k});
    for (; to > 0 && best[to - 1] > d; to--) { best[to] = best[to - 1]; found[to] = found[to - 1]; }
    best[to] = d;
    found[to] = candidate;
  }
  for (int i = 0; i < count; i++) {
    ${vec} o = p - W(${this.at(step.centres)} + found[i]).${swizzle};
    vec4 s0 = W(${this.at(step.shapes)} + ${packed > 4 ? "2 * " : ""}found[i]);
    ${second}
    ${vec} ko = ${matrix} * o;
    float q = max(dot(o, ko), 0.0);
    v[i] = ${value};
    total += v[i];
  }
  ${step.normalise ? "for (int i = 0; i < count; i++) v[i] /= total;" : ""}
  for (int f = 0; f < ${texels(step.size)}; f++) {
    ${y}[f] = vec4(0.0);
    for (int i = 0; i < count; i++)
      ${y}[f] += ${wave} * W(${this.at(step.features)} + found[i] * ${texels(step.size)} + f);
  }
}`);
  }

  private harmonics(step: Step, x: string, y: string): void {
    const degree = step.degree as number;
    const [c1, c2, c3] = [Math.sqrt(0.75 / Math.PI), 0.5 * Math.sqrt(15 / Math.PI), 0.25 * Math.sqrt(5 / Math.PI)];
    const [a, b, c, d] = [17.5, 105, 10.5, 7].map((v, i) => (i === 1 ? 0.5 : 0.25) * Math.sqrt(v / Math.PI));
    const terms = [
      `${0.5 / Math.sqrt(Math.PI)}`,
      ...["d.y", "d.z", "d.x"].map((v) => `${c1} * ${v}`),
      `${c2} * d.x * d.y`,
      `${c2} * d.y * d.z`,
      `${c3} * (3.0 * d.z * d.z - 1.0)`,
      `${c2} * d.x * d.z`,
      `${0.5 * c2} * (d.x * d.x - d.y * d.y)`,
      `${a} * d.y * (3.0 * d.x * d.x - d.y * d.y)`,
      `${b} * d.x * d.y * d.z`,
      `${c} * d.y * (5.0 * d.z * d.z - 1.0)`,
      `${d} * d.z * (5.0 * d.z * d.z - 3.0)`,
      `${c} * d.x * (5.0 * d.z * d.z - 1.0)`,
      `${0.5 * b} * d.z * (d.x * d.x - d.y * d.y)`,
      `${a} * d.x * (d.x * d.x - 3.0 * d.y * d.y)`,
    ];
    this.gather(y, degree * degree, (i) => terms[i].replaceAll("d.", `${x}[0].`));
  }
}

function integers(values: string[]): string {
  return values.length > 1 ? `uvec${values.length}(${values.join(", ")})` : values[0];
}
