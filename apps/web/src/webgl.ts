/** Draws with fragment shaders of WebGL 2. */

import type { Backend, Rect } from "./backend";
import type { Header } from "./contents";
import { PRELUDE, Shared, TEXTURE_WIDTH, texels, writeProgram } from "./glsl";
import { declarations, type Look, type Painter } from "./painter";
import { type Program, sizeOf } from "./program";
import type { Store } from "./store";

const VERTEX = `#version 300 es
void main() { gl_Position = vec4(vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0, 0.0, 1.0); }`;

// Points whose values are computed in one call, and the width of the texture that holds them.
const VALUES_WIDTH = 1024;
// Milliseconds that a tile should take: longer ones make the browser stutter, or end the context.
const TILE_MS = 40;

export class WebglBackend implements Backend {
  readonly name = "webgl2";
  readonly detail: string;
  /** Whether the processor is a program: no GPU. */
  readonly software: boolean;
  tile = 64 * 64;

  private readonly canvas = document.createElement("canvas");
  private readonly gl: WebGL2RenderingContext;
  private readonly programs = new Map<string, WebGLProgram>();
  /** Programs' own blocks of uniforms. */
  private readonly blocks = new Map<WebGLProgram, WebGLBuffer>();

  /** Throws an Error that says what the browser lacks. */
  constructor(
    private readonly header: Header,
    private readonly store: Store,
    private readonly painter: Painter,
  ) {
    const gl = this.canvas.getContext("webgl2", {
      antialias: false,
      depth: false,
      powerPreference: "high-performance",
    });
    if (!gl) throw new Error("this browser has no WebGL 2");
    this.gl = gl;
    const rows = Math.ceil(store.values.length / 4 / TEXTURE_WIDTH);
    if (Math.max(rows, TEXTURE_WIDTH) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) {
      throw new Error("the field does not fit into a texture of this GPU");
    }
    const texels = new Float32Array(rows * TEXTURE_WIDTH * 4);
    texels.set(store.values);
    this.floatTexture(TEXTURE_WIDTH, rows, texels);
    const info = gl.getExtension("WEBGL_debug_renderer_info");
    this.detail = String(gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
    this.software = /swiftshader|llvmpipe|softpipe|software|basic render/i.test(this.detail);
  }

  private floatTexture(width: number, height: number, values: Float32Array): WebGLTexture {
    const gl = this.gl;
    const texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA32F, width, height, 0, gl.RGBA, gl.FLOAT, values);
    for (const side of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER])
      gl.texParameteri(gl.TEXTURE_2D, side, gl.NEAREST);
    if (gl.getError() !== gl.NO_ERROR) throw new Error("this browser's WebGL has no float textures");
    return texture;
  }

  async draw(target: CanvasRenderingContext2D, look: Look, rect: Rect, step: number): Promise<void> {
    const gl = this.gl;
    const started = performance.now();
    const { x, y, width, height } = rect;
    const [columns, rows] = [Math.ceil(width / step), Math.ceil(height / step)];
    if (this.canvas.width < columns || this.canvas.height < rows) {
      this.canvas.width = Math.max(this.canvas.width, columns);
      this.canvas.height = Math.max(this.canvas.height, rows);
    }
    const { painter } = this;
    const program = this.program(painter.glsl(look), (shared) => this.pixelSource(painter, look, shared));
    this.use(program);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    const top = this.canvas.height - rows;
    gl.viewport(0, top, columns, rows);
    for (const [name, values] of Object.entries(look)) {
      const at = gl.getUniformLocation(program, name);
      if (at) [gl.uniform1fv, gl.uniform2fv, gl.uniform3fv, gl.uniform4fv][values.length - 1].call(gl, at, values);
    }
    gl.uniform4f(gl.getUniformLocation(program, "tile"), x, y, step, this.canvas.height);
    gl.disable(gl.BLEND);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    // Waits for the GPU, which the time of a tile is measured by.
    gl.readPixels(0, top, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
    this.paced(columns * rows, performance.now() - started);
    target.clearRect(x, y, width, height);
    target.imageSmoothingEnabled = step > 1;
    target.drawImage(this.canvas, 0, 0, columns, rows, x, y, columns * step, rows * step);
    if (gl.isContextLost()) throw new Error("the GPU has given up");
  }

  private paced(pixels: number, ms: number): void {
    if (pixels < this.tile / 2) return;
    this.tile = Math.min(1 << 20, Math.max(1 << 8, this.tile * Math.min(4, Math.max(0.25, TILE_MS / ms))));
  }

  private pixelSource(painter: Painter, look: Look, shared: Shared): string {
    const functions = painter.programs.map((name) =>
      writeProgram(name, this.header.programs[name], this.store, shared),
    );
    return `${PRELUDE}${shared.declaration()}
${declarations(look)}
uniform vec4 tile;
out vec4 result_color;
${functions.join("\n")}
${painter.glsl(look)}
void main() {
  vec2 p = tile.xy + vec2(gl_FragCoord.x, tile.w - gl_FragCoord.y) * tile.z;
  vec4 c = pixel(p);
  result_color = vec4(clamp(c.rgb, 0.0, 1.0) * c.a, c.a);
}`;
  }

  private program(key: string, source: (shared: Shared) => string): WebGLProgram {
    const known = this.programs.get(key);
    if (known) return known;
    const gl = this.gl;
    const program = gl.createProgram();
    const shared = new Shared(this.store, gl.getParameter(gl.MAX_UNIFORM_BLOCK_SIZE) / 16);
    const text = source(shared);
    for (const [type, content] of [[gl.VERTEX_SHADER, VERTEX] as const, [gl.FRAGMENT_SHADER, text] as const]) {
      const shader = gl.createShader(type) as WebGLShader;
      gl.shaderSource(shader, content);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) {
        throw new Error(`this GPU's compiler refuses the shader: ${gl.getShaderInfoLog(shader)}`);
      }
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
      throw new Error(`this GPU's compiler refuses the shader: ${gl.getProgramInfoLog(program)}`);
    }
    gl.useProgram(program);
    gl.uniform1i(gl.getUniformLocation(program, "weights"), 0);
    gl.uniform1i(gl.getUniformLocation(program, "zero"), 0);
    if (shared.texels.length) {
      const block = gl.createBuffer();
      gl.bindBuffer(gl.UNIFORM_BUFFER, block);
      gl.bufferData(gl.UNIFORM_BUFFER, Float32Array.from(shared.texels), gl.STATIC_DRAW);
      gl.uniformBlockBinding(program, gl.getUniformBlockIndex(program, "Fast"), 0);
      this.blocks.set(program, block);
    }
    this.programs.set(key, program);
    return program;
  }

  private use(program: WebGLProgram): void {
    this.gl.useProgram(program);
    const block = this.blocks.get(program);
    if (block) this.gl.bindBufferBase(this.gl.UNIFORM_BUFFER, 0, block);
  }

  values(name: string, inputs: Float32Array[], count: number, sizes: number[]): Float32Array {
    const size = sizeOf(this.header.programs[name], this.header.programs[name].output);
    const found = new Float32Array(count * size);
    for (let first = 0; first < count; first += VALUES_WIDTH) {
      const n = Math.min(VALUES_WIDTH, count - first);
      const parts = inputs.map((values, i) => values.subarray(first * sizes[i], (first + n) * sizes[i]));
      found.set(this.someValues(name, parts, n, sizes, size), first * size);
    }
    return found;
  }

  /** Values of at most `VALUES_WIDTH` points. Results leave as the bits of floats, which every WebGL 2 can draw. */
  private someValues(name: string, inputs: Float32Array[], n: number, sizes: number[], size: number): Float32Array {
    const gl = this.gl;
    const program = this.program(`values of ${name}`, (shared) =>
      valuesSource(name, this.header.programs[name], this.store, shared),
    );
    const rows = sizes.reduce((total, s) => total + texels(s), 0);
    const packed = new Float32Array(rows * VALUES_WIDTH * 4);
    let row = 0;
    inputs.forEach((values, i) => {
      for (let p = 0; p < n; p++) {
        for (let k = 0; k < sizes[i]; k++)
          packed[((row + (k >> 2)) * VALUES_WIDTH + p) * 4 + (k & 3)] = values[p * sizes[i] + k];
      }
      row += texels(sizes[i]);
    });
    gl.activeTexture(gl.TEXTURE1);
    const given = this.floatTexture(VALUES_WIDTH, rows, packed);
    const results = gl.createTexture();
    gl.activeTexture(gl.TEXTURE2);
    gl.bindTexture(gl.TEXTURE_2D, results);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA32UI, VALUES_WIDTH, texels(size), 0, gl.RGBA_INTEGER, gl.UNSIGNED_INT, null);
    const frame = gl.createFramebuffer();
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, results, 0);
    this.use(program);
    gl.uniform1i(gl.getUniformLocation(program, "given"), 1);
    gl.viewport(0, 0, VALUES_WIDTH, texels(size));
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    const bits = new Uint32Array(VALUES_WIDTH * texels(size) * 4);
    gl.readPixels(0, 0, VALUES_WIDTH, texels(size), gl.RGBA_INTEGER, gl.UNSIGNED_INT, bits);
    const floats = new Float32Array(bits.buffer);
    const found = new Float32Array(n * size);
    for (let p = 0; p < n; p++) {
      for (let k = 0; k < size; k++) found[p * size + k] = floats[((k >> 2) * VALUES_WIDTH + p) * 4 + (k & 3)];
    }
    gl.deleteFramebuffer(frame);
    gl.deleteTexture(results);
    gl.deleteTexture(given);
    gl.activeTexture(gl.TEXTURE0);
    return found;
  }
}

function valuesSource(name: string, program: Program, store: Store, shared: Shared): string {
  let row = 0;
  const inputs = program.inputs.map((size, i) => {
    const parts = Array.from(
      { length: texels(size) },
      (_, k) => `i${i}[${k}] = texelFetch(given, ivec2(x, ${row + k}), 0);`,
    );
    row += texels(size);
    return `vec4 i${i}[${texels(size)}]; ${parts.join(" ")}`;
  });
  const size = texels(sizeOf(program, program.output));
  const names = program.inputs.map((_, i) => `i${i}`);
  const text = writeProgram(name, program, store, shared);
  return `${PRELUDE}${shared.declaration()}
uniform sampler2D given;
out uvec4 result_bits;
${text}
void main() {
  int x = int(gl_FragCoord.x);
  ${inputs.join("\n  ")}
  vec4 found[${size}];
  ${name}(${[...names, "found"].join(", ")});
  result_bits = floatBitsToUint(found[int(gl_FragCoord.y)]);
}`;
}
