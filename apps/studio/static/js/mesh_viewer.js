// Viewer of the mesh in a GLB file, in WebGL: turned with the mouse, fingers or keys; texture, shape, normals, edges, cut.

import { button, element, onKeys, onPointers, onResize } from "./dom.js";
import { count } from "./format.js";
import { readGlb } from "./glb.js";

const VERTEX = `#version 300 es
uniform mat4 model, view, projection;
in vec3 position, normal;
in vec4 color;
in vec2 coords;
out vec3 place, direction;
out vec4 tint;
out vec2 texel;
void main() {
  vec4 world = model * vec4(position, 1.0);
  place = world.xyz;
  direction = mat3(model) * normal;
  tint = color;
  texel = coords;
  gl_Position = projection * view * world;
}`;
const FRAGMENT = `#version 300 es
precision highp float;
uniform int mode;
uniform bool textured, smoothed;
uniform float cut;
uniform vec3 eye;
uniform sampler2D image;
in vec3 place, direction;
in vec4 tint;
in vec2 texel;
out vec4 result;
void main() {
  if (place.y > cut) discard;
  if (mode == 3) { result = vec4(0.71, 0.31, 0.11, 1.0); return; }
  vec3 flat_normal = normalize(cross(dFdx(place), dFdy(place)));
  vec3 n = smoothed && length(direction) > 0.1 ? normalize(direction) : flat_normal;
  vec3 to_eye = normalize(eye - place);
  if (mode == 2) { result = vec4(0.5 + 0.5 * n, 1.0); return; }
  vec3 base = mode == 1 ? vec3(0.78) : textured ? texture(image, texel).rgb : tint.rgb;
  float light = 0.35 + 0.65 * abs(dot(n, normalize(to_eye + vec3(0.3, 0.6, 0.1))));
  // A texture shows photographs, which have their light in them.
  result = vec4(textured && mode == 0 ? base : base * light, 1.0);
}`;
const MODES = { color: "Colors", shape: "Shape", normals: "Normals", edges: "Edges" };
const FIELD_OF_VIEW = 0.7;
const MAX_ELEVATION = 1.5;

export class MeshViewer {
  constructor(root) {
    this.root = root;
    this.view = { azimuth: 0.6, elevation: 0.3, distance: 2.6 };
    this.mode = "color";
    this.build();
    this.listen();
    let begun = false;
    onResize(this.canvas, () => {
      if (begun) this.draw();
      else this.load();
      begun = true;
    });
  }

  build() {
    const { name } = this.root.dataset;
    this.canvas = element("canvas", {
      class: "mesh",
      tabindex: "0",
      role: "img",
      "aria-label": `The mesh ${name}; arrows turn it, plus and minus zoom`,
    });
    this.status = element("p", { class: "muted", role: "status" }, "Loading the mesh …");
    this.modes = Object.entries(MODES).map(([mode, label]) =>
      button(label, () => this.choose(mode), { "aria-pressed": String(mode === this.mode) }),
    );
    const cut = (event) => {
      this.cut = Number(event.target.value);
      this.draw();
    };
    this.cut = 1;
    const slider = element("input", { type: "range", min: 0, max: 1, step: 0.01, value: 1, oninput: cut });
    this.root.replaceChildren(
      this.canvas,
      element("div", { class: "buttons" }, ...this.modes, element("label", {}, "Cut at ", slider)),
      this.status,
    );
  }

  listen() {
    const { canvas } = this;
    onPointers(
      canvas,
      (dx, dy) => this.turn(-dx / 150, dy / 150),
      (factor) => this.approach(1 / factor),
    );
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.approach(Math.exp(event.deltaY / 800));
      },
      { passive: false },
    );
    onKeys(canvas, {
      ArrowLeft: () => this.turn(-0.2, 0),
      ArrowRight: () => this.turn(0.2, 0),
      ArrowUp: () => this.turn(0, 0.15),
      ArrowDown: () => this.turn(0, -0.15),
      "+": () => this.approach(1 / 1.2),
      "=": () => this.approach(1 / 1.2),
      "-": () => this.approach(1.2),
    });
  }

  turn(azimuth, elevation) {
    this.view.azimuth += azimuth;
    this.view.elevation = Math.max(-MAX_ELEVATION, Math.min(MAX_ELEVATION, this.view.elevation + elevation));
    this.draw();
  }

  approach(factor) {
    this.view.distance = Math.max(0.3, Math.min(12, this.view.distance * factor));
    this.draw();
  }

  choose(mode) {
    this.mode = mode;
    for (const [index, known] of Object.keys(MODES).entries()) {
      this.modes[index].setAttribute("aria-pressed", String(known === mode));
    }
    this.draw();
  }

  async load() {
    try {
      const response = await fetch(this.root.dataset.source);
      if (!response.ok) throw new Error("the file is not there any more");
      const parts = readGlb(await response.arrayBuffer());
      this.gl = this.canvas.getContext("webgl2", { antialias: true, preserveDrawingBuffer: true });
      if (!this.gl) throw new Error("this browser draws no 3-D (WebGL 2); the file can be downloaded all the same");
      this.measure(parts);
      this.program = program(this.gl);
      this.parts = await Promise.all(parts.map((part) => uploadPart(this.gl, this.program, part)));
      const triangles = this.parts.reduce((sum, part) => sum + part.count / 3, 0);
      const size = this.upper.map((value, axis) => (value - this.lower[axis]).toPrecision(3)).join(" × ");
      this.status.textContent = `${count(triangles)} triangles, ${size} in the units of the file`;
      this.draw();
      this.root.dataset.drawn = String(triangles);
    } catch (error) {
      this.status.textContent = `The mesh cannot be shown: ${error.message}`;
      this.status.classList.add("problem");
    }
  }

  measure(parts) {
    this.lower = [Infinity, Infinity, Infinity];
    this.upper = [-Infinity, -Infinity, -Infinity];
    for (const { positions, matrix } of parts) {
      for (let i = 0; i < positions.length; i += 3) {
        for (let axis = 0; axis < 3; axis += 1) {
          let value = matrix[12 + axis];
          for (let k = 0; k < 3; k += 1) value += matrix[axis + 4 * k] * positions[i + k];
          this.lower[axis] = Math.min(this.lower[axis], value);
          this.upper[axis] = Math.max(this.upper[axis], value);
        }
      }
    }
  }

  draw() {
    const { gl, canvas } = this;
    if (!gl || !this.parts) return;
    const ratio = Math.min(2, devicePixelRatio || 1);
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio));
    canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio));
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    gl.useProgram(this.program);
    const middle = this.lower.map((value, axis) => (value + this.upper[axis]) / 2);
    const size = Math.hypot(...this.lower.map((value, axis) => this.upper[axis] - value)) || 1;
    const { eye, matrix } = look(middle, { ...this.view, distance: this.view.distance * size * 0.6 });
    const uniform = (name) => gl.getUniformLocation(this.program, name);
    gl.uniformMatrix4fv(uniform("view"), false, matrix);
    gl.uniformMatrix4fv(uniform("projection"), false, perspective(canvas.width / canvas.height, size / 100, size * 12));
    gl.uniform3fv(uniform("eye"), eye);
    const [low, high] = [this.lower[1], this.upper[1]];
    gl.uniform1f(uniform("cut"), this.cut >= 1 ? Infinity : low + this.cut * (high - low));
    for (const part of this.parts) {
      gl.bindVertexArray(part.vertices);
      gl.uniformMatrix4fv(uniform("model"), false, part.matrix);
      gl.uniform1i(uniform("textured"), part.texture ? 1 : 0);
      gl.uniform1i(uniform("smoothed"), part.smoothed ? 1 : 0);
      gl.bindTexture(gl.TEXTURE_2D, part.texture);
      gl.uniform1i(uniform("mode"), Object.keys(MODES).indexOf(this.mode));
      if (this.mode === "edges") {
        gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, part.edges());
        gl.drawElements(gl.LINES, 2 * part.count, gl.UNSIGNED_INT, 0);
      } else {
        gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, part.triangles);
        gl.drawElements(gl.TRIANGLES, part.count, gl.UNSIGNED_INT, 0);
      }
    }
  }
}

function program(gl) {
  const made = gl.createProgram();
  for (const [type, text] of [
    [gl.VERTEX_SHADER, VERTEX],
    [gl.FRAGMENT_SHADER, FRAGMENT],
  ]) {
    const shader = gl.createShader(type);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
    gl.attachShader(made, shader);
  }
  gl.linkProgram(made);
  return made;
}

async function uploadPart(gl, made, part) {
  const vertices = gl.createVertexArray();
  gl.bindVertexArray(vertices);
  const attribute = (name, values, size, type, normalized) => {
    const place = gl.getAttribLocation(made, name);
    if (place < 0) return;
    if (!values) {
      gl.vertexAttrib4f(place, 0.8, 0.8, 0.8, 1);
      return;
    }
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, size, type, normalized, 0, 0);
  };
  attribute("position", part.positions, 3, gl.FLOAT, false);
  attribute("normal", part.normals, 3, gl.FLOAT, false);
  attribute("coords", part.coords, 2, gl.FLOAT, false);
  const { colors } = part;
  attribute("color", colors?.values, colors?.size, colors?.type, colors?.normalized);
  const indices = Uint32Array.from(part.indices ?? { length: part.positions.length / 3 }, (value, i) => value ?? i);
  const triangles = elementBuffer(gl, indices);
  let lines = null;
  const edges = () => {
    lines ??= elementBuffer(gl, edgesOf(indices));
    return lines;
  };
  const texture = part.image ? await imageTexture(gl, part.image) : null;
  return { ...part, vertices, triangles, edges, texture, smoothed: !!part.normals, count: indices.length };
}

function elementBuffer(gl, indices) {
  const buffer = gl.createBuffer();
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, buffer);
  gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, indices, gl.STATIC_DRAW);
  return buffer;
}

function edgesOf(indices) {
  const lines = new Uint32Array(2 * indices.length);
  for (let i = 0; i < indices.length; i += 3) {
    const [a, b, c] = indices.subarray(i, i + 3);
    lines.set([a, b, b, c, c, a], 2 * i);
  }
  return lines;
}

async function imageTexture(gl, blob) {
  const bitmap = await createImageBitmap(blob);
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
  gl.generateMipmap(gl.TEXTURE_2D);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
  return texture;
}

/** The camera that looks at a point: its position and its column-major matrix. Y is up. */
function look(middle, { azimuth, elevation, distance }) {
  const back = [Math.cos(elevation) * Math.sin(azimuth), Math.sin(elevation), Math.cos(elevation) * Math.cos(azimuth)];
  const right = [Math.cos(azimuth), 0, -Math.sin(azimuth)];
  const up = [
    back[1] * right[2] - back[2] * right[1],
    back[2] * right[0] - back[0] * right[2],
    back[0] * right[1] - back[1] * right[0],
  ];
  const eye = middle.map((value, axis) => value + distance * back[axis]);
  const dot = (axis) => -axis.reduce((sum, value, i) => sum + value * eye[i], 0);
  const turned = [0, 1, 2].flatMap((i) => [right[i], up[i], back[i], 0]);
  return { eye, matrix: [...turned, dot(right), dot(up), dot(back), 1] };
}

function perspective(ratio, near, far) {
  const scale = 1 / Math.tan(FIELD_OF_VIEW / 2);
  const depth = 1 / (near - far);
  return [
    scale / Math.max(ratio, 0.01),
    0,
    0,
    0,
    0,
    scale,
    0,
    0,
    0,
    0,
    (far + near) * depth,
    -1,
    0,
    0,
    2 * far * near * depth,
    0,
  ];
}
