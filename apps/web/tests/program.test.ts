import { expect, test } from "vitest";
import { rayLook } from "../src/camera";
import { readFragment, readNumbers, writeFragment } from "../src/fragment";
import { directionsOf } from "../src/kinds/rays";
import { type Program, plan } from "../src/program";
import { tiles } from "../src/stage";
import { makeStore } from "../src/store";
import type { Vec } from "../src/vector";

test("a buffer is used again only when nothing needs it", () => {
  const map = { op: "map", size: 8, function: "relu" };
  const program: Program = {
    inputs: [2],
    // 1 = linear(0); 2 = map(1), in place; 3 = linear(2); 4 = add(3, 2): 2 must live until here.
    steps: [
      { op: "linear", in: [0], size: 8 },
      { ...map, in: [1] },
      { op: "linear", in: [2], size: 8 },
      { op: "add", in: [3, 2], size: 8 },
    ],
    output: 4,
  };
  const { slot, sizes } = plan(program);
  expect(slot).toEqual([-1, 0, 0, 1, 1]);
  expect(sizes).toEqual([8, 8]);
});

test("links", () => {
  const fragment = { at: "0.5,0.25,3", size: "40x30" };
  expect(readFragment(writeFragment(fragment))).toEqual(fragment);
  expect(readNumbers("1,2", 2)).toEqual([1, 2]);
  expect(readNumbers("1,x", 2)).toBeUndefined();
});

test("tiles cover every pixel once", () => {
  const seen = new Uint8Array(37 * 23);
  for (const { x, y, width, height } of tiles({ x: 0, y: 0, width: 37, height: 23 }, () => 100)) {
    for (let j = y; j < y + height; j++) for (let i = x; i < x + width; i++) seen[j * 37 + i]++;
  }
  expect(seen.every((count) => count === 1)).toBe(true);
});

test("cells list all kernels that may be nearest", () => {
  const count = 200;
  let state = 1;
  const random = () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
  const values = Float32Array.from({ length: 2 * count }, (_, i) => random() ** (i % 2 ? 3 : 1));
  const step = { op: "kernels", in: [0], size: 4, centres: "c", neighbours: 5, extents: [1, 1] };
  const program = { inputs: [2], steps: [step], output: 1 };
  const store = makeStore(new Map([["c", { role: "rows" as const, shape: [count, 2], values }]]), [program]);
  const cells = store.cells.c;
  for (let trial = 0; trial < 60; trial++) {
    const point = [random(), random()];
    const distance = (i: number) => Math.hypot(point[0] - values[2 * i], point[1] - values[2 * i + 1]);
    const nearest = Array.from({ length: count }, (_, i) => i).sort((a, b) => distance(a) - distance(b));
    const at = point.map((p, a) =>
      Math.min(cells.counts[a] - 1, Math.floor((p - cells.lower[a]) * cells.inverseSize[a])),
    );
    const cell = cells.start + at[0] + at[1] * cells.counts[0];
    const listed = new Set(store.values.subarray(cells.list + store.values[cell], cells.list + store.values[cell + 1]));
    for (const i of nearest.slice(0, 5)) expect(listed.has(i)).toBe(true);
  }
  expect(cells.candidates).toBeLessThan(40 * cells.counts[0] * cells.counts[1]);
});

test("rays through a lens with distortion bend back onto its image", () => {
  const lens = {
    width: 200,
    height: 100,
    fl_x: 150,
    fl_y: 160,
    cx: 98,
    cy: 52,
    distortion: [0.06, -0.08, 0.001, -0.002],
  };
  const pose = {
    eye: [0, 0, 0] as Vec,
    right: [1, 0, 0] as Vec,
    up: [0, 1, 0] as Vec,
    backward: [0, 0, 1] as Vec,
  };
  const points = Float32Array.from([3, 5, 190, 90, 98, 52]);
  const directions = directionsOf(rayLook(pose, lens), points);
  const [k1, k2, p1, p2] = lens.distortion;
  for (let i = 0; i < 3; i++) {
    const [x, y, z] = directions.subarray(3 * i, 3 * i + 3);
    const [a, b] = [-x / z, y / z];
    const r2 = a * a + b * b;
    const radial = 1 + k1 * r2 + k2 * r2 * r2;
    const u = a * radial + 2 * p1 * a * b + p2 * (r2 + 2 * a * a);
    const v = b * radial + p1 * (r2 + 2 * b * b) + 2 * p2 * a * b;
    expect(u * lens.fl_x + lens.cx).toBeCloseTo(points[2 * i], 3);
    expect(v * lens.fl_y + lens.cy).toBeCloseTo(points[2 * i + 1], 3);
  }
});
