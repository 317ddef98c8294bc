// Reads the triangles of a GLB file: what this studio writes, which is glTF 2.0, quantized or not, without compression.

const MAGIC = 0x46546c67;
const CHUNK_HEADER = 8;
const FILE_HEADER = 12;
const TRIANGLES = 4;
const TYPES = {
  5120: Int8Array,
  5121: Uint8Array,
  5122: Int16Array,
  5123: Uint16Array,
  5125: Uint32Array,
  5126: Float32Array,
};
// What a normalized integer is divided by.
const LARGEST = { 5120: 127, 5121: 255, 5122: 32767, 5123: 65535 };
const READ_EXTENSIONS = ["KHR_mesh_quantization", "EXT_texture_webp"];
const SIZES = { SCALAR: 1, VEC2: 2, VEC3: 3, VEC4: 4 };
const IDENTITY = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];

/**
 * The parts of the mesh in a file. Each has `positions`, `normals` (or null), `colors` (`{ values, size, normalized }`
 * or null), `coords` (or null), `indices` (or null), `matrix` (column-major) and `image` (a Blob or null).
 */
export function readGlb(buffer) {
  const view = new DataView(buffer);
  if (buffer.byteLength < FILE_HEADER || view.getUint32(0, true) !== MAGIC) throw new Error("this is no GLB file");
  const length = view.getUint32(FILE_HEADER, true);
  const begin = FILE_HEADER + CHUNK_HEADER;
  const asset = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, begin, length)));
  const unknown = (asset.extensionsRequired ?? []).filter((name) => !READ_EXTENSIONS.includes(name));
  if (unknown.length) throw new Error(`this viewer does not read ${unknown.join(", ")}`);
  const reader = new Reader(asset, buffer, begin + length + CHUNK_HEADER);
  const roots = asset.scenes?.[asset.scene ?? 0]?.nodes ?? [];
  return roots.flatMap((node) => reader.node(node, IDENTITY));
}

class Reader {
  constructor(asset, buffer, offset) {
    Object.assign(this, { asset, buffer, offset });
  }

  node(index, parent) {
    const { mesh, matrix, children = [], ...place } = this.asset.nodes[index];
    const own = multiply(parent, matrix ?? placed(place));
    const parts = mesh === undefined ? [] : this.asset.meshes[mesh].primitives.map((part) => this.part(part, own));
    return [...parts.filter(Boolean), ...children.flatMap((child) => this.node(child, own))];
  }

  part({ attributes, indices, material, mode = TRIANGLES }, matrix) {
    if (mode !== TRIANGLES) return null;
    const colors = attributes.COLOR_0 === undefined ? null : this.accessor(attributes.COLOR_0);
    return {
      matrix,
      positions: this.floats(attributes.POSITION),
      normals: attributes.NORMAL === undefined ? null : this.floats(attributes.NORMAL),
      colors,
      coords: attributes.TEXCOORD_0 === undefined ? null : this.floats(attributes.TEXCOORD_0),
      indices: indices === undefined ? null : this.accessor(indices).values,
      image: this.image(material),
    };
  }

  /** The values of an accessor as a Float32Array, whatever they are stored as. */
  floats(index) {
    const { values, normalized, type } = this.accessor(index);
    if (!normalized) return Float32Array.from(values);
    return Float32Array.from(values, (value) => Math.max(value / LARGEST[type], -1));
  }

  accessor(index) {
    const { bufferView, byteOffset = 0, componentType, count, type, normalized = false } = this.asset.accessors[index];
    const Type = TYPES[componentType];
    const { byteOffset: start = 0, byteStride } = this.asset.bufferViews[bufferView];
    const size = SIZES[type];
    const offset = this.offset + start + byteOffset;
    const packed = size * Type.BYTES_PER_ELEMENT;
    if (!byteStride || byteStride === packed) {
      return {
        values: new Type(this.buffer.slice(offset, offset + count * packed)),
        size,
        normalized,
        type: componentType,
      };
    }
    const values = new Type(count * size);
    for (let row = 0; row < count; row += 1) {
      const at = offset + row * byteStride;
      values.set(new Type(this.buffer.slice(at, at + packed)), row * size);
    }
    return { values, size, normalized, type: componentType };
  }

  image(material) {
    const texture = this.asset.materials?.[material]?.pbrMetallicRoughness?.baseColorTexture;
    if (!texture) return null;
    const { source, extensions } = this.asset.textures[texture.index];
    const { bufferView, mimeType } = this.asset.images[source ?? extensions.EXT_texture_webp.source];
    const { byteOffset = 0, byteLength } = this.asset.bufferViews[bufferView];
    return new Blob([new Uint8Array(this.buffer, this.offset + byteOffset, byteLength)], { type: mimeType });
  }
}

/** The matrix of a translation, a rotation (quaternion) and a scale. */
function placed({ translation = [0, 0, 0], rotation = [0, 0, 0, 1], scale = [1, 1, 1] }) {
  const [x, y, z, w] = rotation;
  const axes = [
    [1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)],
    [2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w)],
    [2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)],
  ];
  return [...axes.flatMap((axis, index) => [...axis.map((value) => value * scale[index]), 0]), ...translation, 1];
}

/** Product of two column-major matrices. */
export function multiply(a, b) {
  return Array.from({ length: 16 }, (_, i) => {
    const row = i % 4;
    const column = i - row;
    return [0, 1, 2, 3].reduce((sum, k) => sum + a[row + 4 * k] * b[column + k], 0);
  });
}
