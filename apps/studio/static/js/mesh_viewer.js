// Viewer of the mesh in a GLB file, in WebGL: turned with the mouse, fingers or keys; colors, shape, matcap, normals and
// edges; a section plane, distances between points, the axis that is up, and the background.

import { button, element, onKeys, onPointers, onResize } from "./dom.js";
import { count } from "./format.js";
import { multiply, readGlb } from "./glb.js";
import { backgroundControl, KeyViews, viewAt } from "./key_views.js";
import { hitOf, placed } from "./mesh_hit.js";
import { filmType, record } from "./recording.js";

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
uniform vec4 plane;
uniform mat4 view;
uniform vec3 eye;
uniform sampler2D image;
in vec3 place, direction;
in vec4 tint;
in vec2 texel;
out vec4 result;
void main() {
  if (dot(plane.xyz, place) > plane.w) discard;
  if (mode == 3) { result = vec4(0.71, 0.31, 0.11, 1.0); return; }
  vec3 flat_normal = normalize(cross(dFdx(place), dFdy(place)));
  vec3 n = smoothed && length(direction) > 0.1 ? normalize(direction) : flat_normal;
  vec3 to_eye = normalize(eye - place);
  if (mode == 2) { result = vec4(0.5 + 0.5 * n, 1.0); return; }
  // The inside, which only a section shows.
  if (plane.w < 1e30 && dot(flat_normal, to_eye) > 0.0 && !gl_FrontFacing) { result = vec4(0.75, 0.42, 0.25, 1.0); return; }
  if (mode == 4) {
    vec3 seen = mat3(view) * (dot(n, to_eye) < 0.0 ? -n : n);
    float soft = smoothstep(-0.7, 1.0, dot(seen, normalize(vec3(0.35, 0.65, 0.65))));
    float glint = pow(max(dot(seen, normalize(vec3(-0.45, 0.5, 0.75))), 0.0), 24.0);
    float rim = 1.0 - 0.35 * pow(1.0 - abs(seen.z), 3.0);
    result = vec4((mix(vec3(0.16, 0.13, 0.14), vec3(0.93, 0.83, 0.74), soft) + 0.3 * glint) * rim, 1.0);
    return;
  }
  vec3 base = mode == 1 ? vec3(0.78) : textured ? texture(image, texel).rgb : tint.rgb;
  float light = 0.35 + 0.65 * abs(dot(n, normalize(to_eye + vec3(0.3, 0.6, 0.1))));
  // A texture shows photographs, which have their light in them.
  result = vec4(textured && mode == 0 ? base : base * light, 1.0);
}`;
// In the order of the numbers in the shader.
const MODES = { color: "Colors", shape: "Shape", normals: "Normals", edges: "Edges", matcap: "Matcap" };
const AXES = { y: "height", x: "width", z: "depth" };
const BACKGROUNDS = { page: "Page", white: "White", grey: "Grey", black: "Black" };
// Rotations that put an axis up, as column-major matrices.
const UPRIGHT = {
  y: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1],
  z: [1, 0, 0, 0, 0, 0, -1, 0, 0, 1, 0, 0, 0, 0, 0, 1],
  x: [0, 1, 0, 0, -1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1],
  "-y": [1, 0, 0, 0, 0, -1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1],
  "-z": [1, 0, 0, 0, 0, 0, 1, 0, 0, -1, 0, 0, 0, 0, 0, 1],
  "-x": [0, -1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1],
};
// A press that moves less is a click, in pixels.
const CLICK_PIXELS = 4;
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
    this.marks = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    this.marks.setAttribute("class", "marks");
    this.marks.setAttribute("aria-hidden", "true");
    this.root.replaceChildren(
      element("div", { class: "mesh-frame" }, this.canvas, this.marks),
      element("div", { class: "buttons" }, ...this.modes),
      this.status,
      this.buildMeasures(),
      ...(filmType() ? [this.buildFilm()] : []),
    );
  }

  /** Key views, and the film along them, which the browser makes of what it draws. */
  buildFilm() {
    this.behind = backgroundControl();
    this.recording = element("progress", { max: 1, value: 0, hidden: true, "aria-label": "Progress of the film" });
    this.stop = button("Cancel", () => {
      this.cancelled = true;
    });
    this.stop.hidden = true;
    this.made = element("div", { class: "made" });
    const { view } = this;
    this.path = new KeyViews({
      current: () => ({ ...view }),
      show: (known) => {
        Object.assign(view, known);
        this.draw();
      },
      about: () => `of what is shown (${MODES[this.mode]}). It takes as long to make as to watch`,
      make: (film) => this.makeFilm(film),
      extra: [element("label", {}, "Background", this.behind)],
    });
    this.path.root.append(element("div", { class: "buttons" }, this.recording, this.stop), this.made);
    return this.path.root;
  }

  async makeFilm({ views, seconds, closed }) {
    if (!(seconds >= 1 && seconds <= 60)) throw new Error("A film lasts 1 to 60 seconds.");
    this.cancelled = false;
    this.recording.hidden = this.stop.hidden = false;
    const before = { ...this.view };
    // Distances are ratios: half-way from 1 to 4 is 2.
    const keys = views.map(({ azimuth, elevation, distance }) => [azimuth, elevation, Math.log(distance)]);
    const film = await record(this.canvas, {
      seconds,
      background: this.behind.value,
      draw: (fraction) => {
        const [azimuth, elevation, distance] = viewAt(keys, fraction, closed);
        Object.assign(this.view, { azimuth, elevation, distance: Math.exp(distance) });
        this.draw();
      },
      told: (fraction) => {
        this.recording.value = fraction;
        return !this.cancelled && this.root.isConnected;
      },
    });
    this.recording.hidden = this.stop.hidden = true;
    Object.assign(this.view, before);
    this.draw();
    if (!film) return "The film was cancelled.";
    const ending = film.type.includes("mp4") ? ".mp4" : ".webm";
    const name = this.root.dataset.name.replace(/\.[^.]*$/, "") + ending;
    const old = this.made.querySelector("video")?.src;
    if (old) URL.revokeObjectURL(old);
    const address = URL.createObjectURL(film);
    this.made.replaceChildren(
      element("video", { src: address, controls: true, loop: true, muted: true }),
      element(
        "div",
        { class: "buttons" },
        element("a", { class: "button primary", href: address, download: name }, `Download ${name}`),
      ),
    );
    return "The film is ready. It is only on this page: download it before you leave.";
  }

  /** Section, distances, orientation and background. */
  buildMeasures() {
    const draw = () => this.draw();
    const select = (label, entries, onchange) =>
      element(
        "select",
        { "aria-label": label, onchange },
        ...Object.entries(entries).map(([value, text]) => element("option", { value }, text)),
      );
    this.sectionAxis = select("Across which axis the section lies", AXES, draw);
    this.section = element("input", {
      type: "range",
      min: 0,
      max: 1,
      step: 0.01,
      value: 1,
      "aria-label": "Where the section lies",
      oninput: draw,
    });
    this.flipped = element("input", { type: "checkbox", onchange: draw });
    this.points = [];
    this.measuring = button("Measure", () => this.toggleMeasuring(), { "aria-pressed": "false" });
    this.scale = element("input", { type: "number", min: 0, step: "any", value: 1, "aria-label": "What one unit is" });
    this.unit = element("input", { value: "units", size: 6, "aria-label": "Name of the unit" });
    for (const input of [this.scale, this.unit]) input.addEventListener("input", () => this.tell());
    const axes = Object.fromEntries(Object.keys(UPRIGHT).map((axis) => [axis, `${axis} up`]));
    this.up = select("Which axis of the file is up", axes, () => this.stand());
    const behind = () => {
      this.canvas.dataset.background = this.background.value;
    };
    this.background = select("Background", BACKGROUNDS, behind);
    this.distance = element("p", { class: "muted", role: "status" });
    return element(
      "details",
      { class: "measures" },
      element("summary", {}, "Section, measure, up, background"),
      element(
        "div",
        { class: "buttons" },
        element("label", {}, "Section", this.sectionAxis, this.section),
        element("label", {}, this.flipped, "Other side"),
        element("label", {}, "Up", this.up),
        element("label", {}, "Background", this.background),
      ),
      element("div", { class: "buttons" }, this.measuring, element("label", {}, "One unit is", this.scale, this.unit)),
      this.distance,
    );
  }

  toggleMeasuring() {
    const on = this.measuring.getAttribute("aria-pressed") !== "true";
    this.measuring.setAttribute("aria-pressed", String(on));
    this.canvas.classList.toggle("measuring", on);
    this.points = [];
    this.distance.textContent = on ? "Click on two points of the mesh." : "";
    this.draw();
  }

  /** Mark the point of the mesh at a pixel of the window; two of them have a distance. */
  mark({ clientX, clientY }) {
    if (this.measuring.getAttribute("aria-pressed") !== "true" || !this.parts) return;
    const box = this.canvas.getBoundingClientRect();
    const x = (2 * (clientX - box.left)) / box.width - 1;
    const y = 1 - (2 * (clientY - box.top)) / box.height;
    const found = hitOf(this.parts, this.ray(x, y), this.plane());
    if (!found) return;
    this.points = this.points.length === 1 ? [...this.points, found] : [found];
    this.tell();
    this.draw();
  }

  /** Tell the size, and the distance of the marked points. */
  tell() {
    if (!this.parts) return;
    const triangles = this.parts.reduce((sum, part) => sum + part.count / 3, 0);
    const scale = Number(this.scale.value) || 1;
    const unit = this.unit.value || "units";
    const size = this.upper.map((value, axis) => (scale * (value - this.lower[axis])).toPrecision(3)).join(" × ");
    const units = scale === 1 && unit === "units" ? "in the units of the file" : unit;
    this.status.textContent = `${count(triangles)} triangles, ${size} ${units}`;
    if (this.points.length < 2) return;
    const [a, b] = this.points;
    const distance = scale * Math.hypot(...a.map((value, axis) => value - b[axis]));
    this.distance.textContent = `Distance: ${distance.toPrecision(4)} ${unit}`;
    this.root.dataset.distance = String(distance);
  }

  /** Put an axis of the file up. */
  stand() {
    for (const part of this.parts ?? []) {
      part.matrix = multiply(UPRIGHT[this.up.value], part.own);
      part.placed = null;
    }
    this.points = [];
    this.measure(this.parts ?? []);
    this.tell();
    this.draw();
  }

  /** The section as a normal and an offset: what lies beyond is not drawn. */
  plane() {
    const at = Number(this.section.value);
    const axis = { x: 0, y: 1, z: 2 }[this.sectionAxis.value];
    const side = this.flipped.checked ? -1 : 1;
    const normal = [0, 1, 2].map((known) => (known === axis ? side : 0));
    if (at >= 1) return [...normal, 1e38];
    const fraction = this.flipped.checked ? 1 - at : at;
    return [...normal, side * (this.lower[axis] + fraction * (this.upper[axis] - this.lower[axis]))];
  }

  /** The ray of a point of the canvas, both coordinates in [-1, 1]: its origin and its direction. */
  ray(x, y) {
    const { eye, matrix } = this.camera();
    const tangent = Math.tan(FIELD_OF_VIEW / 2);
    const [right, up, back] = [0, 1, 2].map((row) => [0, 1, 2].map((column) => matrix[row + 4 * column]));
    const across = x * tangent * Math.max(this.canvas.width / this.canvas.height, 0.01);
    const direction = [0, 1, 2].map((axis) => across * right[axis] + y * tangent * up[axis] - back[axis]);
    return { origin: eye, direction };
  }

  /** Where a point lies on the canvas, in CSS pixels. */
  pixel(point) {
    const { eye, matrix } = this.camera();
    const from = point.map((value, axis) => value - eye[axis]);
    const [x, y, z] = [0, 1, 2].map((row) =>
      from.reduce((sum, value, axis) => sum + matrix[row + 4 * axis] * value, 0),
    );
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const scale = height / 2 / Math.tan(FIELD_OF_VIEW / 2) / -z;
    return [width / 2 + scale * x, height / 2 - scale * y];
  }

  camera() {
    const middle = this.lower.map((value, axis) => (value + this.upper[axis]) / 2);
    return look(middle, { ...this.view, distance: this.view.distance * this.size * 0.6 });
  }

  drawMarks() {
    const pixels = this.points.map((point) => this.pixel(point));
    const line =
      pixels.length > 1
        ? `<line x1="${pixels[0][0]}" y1="${pixels[0][1]}" x2="${pixels[1][0]}" y2="${pixels[1][1]}"/>`
        : "";
    this.marks.innerHTML = line + pixels.map(([x, y]) => `<circle cx="${x}" cy="${y}" r="4"/>`).join("");
  }

  listen() {
    const { canvas } = this;
    onPointers(
      canvas,
      (dx, dy) => this.turn(-dx / 150, dy / 150),
      (factor) => this.approach(1 / factor),
    );
    let pressed = null;
    canvas.addEventListener("pointerdown", (event) => {
      pressed = event;
    });
    canvas.addEventListener("pointerup", (event) => {
      const moved = pressed ? Math.hypot(event.clientX - pressed.clientX, event.clientY - pressed.clientY) : Infinity;
      if (moved < CLICK_PIXELS) this.mark(event);
    });
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
    this.path?.draw();
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
      this.tell();
      this.draw();
      this.root.dataset.drawn = String(this.parts.reduce((sum, part) => sum + part.count / 3, 0));
    } catch (error) {
      this.status.textContent = `The mesh cannot be shown: ${error.message}`;
      this.status.classList.add("problem");
    }
  }

  measure(parts) {
    this.lower = [Infinity, Infinity, Infinity];
    this.upper = [-Infinity, -Infinity, -Infinity];
    for (const part of parts) {
      const points = placed(part);
      for (let i = 0; i < points.length; i += 1) {
        const axis = i % 3;
        if (points[i] < this.lower[axis]) this.lower[axis] = points[i];
        if (points[i] > this.upper[axis]) this.upper[axis] = points[i];
      }
    }
    this.size = Math.hypot(...this.lower.map((value, axis) => this.upper[axis] - value)) || 1;
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
    const { size } = this;
    const { eye, matrix } = this.camera();
    const uniform = (name) => gl.getUniformLocation(this.program, name);
    gl.uniformMatrix4fv(uniform("view"), false, matrix);
    gl.uniformMatrix4fv(uniform("projection"), false, perspective(canvas.width / canvas.height, size / 100, size * 12));
    gl.uniform3fv(uniform("eye"), eye);
    gl.uniform4fv(uniform("plane"), this.plane());
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
    this.drawMarks();
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
  const own = part.matrix;
  const known = { own, corners: indices, smoothed: !!part.normals, count: indices.length };
  return { ...part, ...known, vertices, triangles, edges, texture };
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
