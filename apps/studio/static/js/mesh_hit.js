// Where a ray meets a mesh.

/** The vertices of a part in the viewer's coordinates, `[x, y, z, x, …]`; computed once for each matrix. */
export function placed(part) {
  if (part.placed) return part.placed;
  const { positions, matrix } = part;
  const points = new Float32Array(positions.length);
  for (let i = 0; i < positions.length; i += 3) {
    for (let axis = 0; axis < 3; axis += 1) {
      let value = matrix[12 + axis];
      for (let k = 0; k < 3; k += 1) value += matrix[axis + 4 * k] * positions[i + k];
      points[i + axis] = value;
    }
  }
  part.placed = points;
  return points;
}

/**
 * The first point in which a ray meets triangles of some parts, or null (Möller and Trumbore 1997). What lies beyond
 * the section, a normal and an offset, is not there.
 */
export function hitOf(parts, { origin, direction }, section) {
  let nearest = Infinity;
  const at = (t) => origin.map((value, axis) => value + t * direction[axis]);
  for (const part of parts) {
    const points = placed(part);
    const { corners } = part;
    const corner = (index) => [points[3 * index], points[3 * index + 1], points[3 * index + 2]];
    for (let i = 0; i < corners.length; i += 3) {
      const t = meets(origin, direction, corner(corners[i]), corner(corners[i + 1]), corner(corners[i + 2]));
      if (t > 0 && t < nearest && dot(section, at(t)) <= section[3]) nearest = t;
    }
  }
  return nearest < Infinity ? at(nearest) : null;
}

/** How far along a ray it meets a triangle; NaN where it does not. */
function meets(origin, direction, a, b, c) {
  const [one, two] = [minus(b, a), minus(c, a)];
  const across = cross(direction, two);
  const volume = dot(one, across);
  const from = minus(origin, a);
  const u = dot(from, across) / volume;
  if (!(u >= 0 && u <= 1)) return Number.NaN;
  const beside = cross(from, one);
  const v = dot(direction, beside) / volume;
  return v >= 0 && u + v <= 1 ? dot(two, beside) / volume : Number.NaN;
}

const minus = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
