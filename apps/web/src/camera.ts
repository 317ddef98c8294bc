/** A camera that goes around a point: its pose, its rays, and what drags do to it. */

import type { Look } from "./painter";
import { add, cross, dot, length, scale, sub, turned, unit, type Vec } from "./vector";

/** Lens of `scenes.posed.camera.Intrinsics`, in pixels of an image of width x height. */
export interface Lens {
  width: number;
  height: number;
  fl_x: number;
  fl_y: number;
  cx: number;
  cy: number;
  /** k1, k2, p1 and p2 of Brown 1966. */
  distortion?: number[];
  /** Whether the image fits into a canvas of other proportions instead of covering it. */
  whole?: boolean;
}

export interface Pose {
  eye: Vec;
  right: Vec;
  up: Vec;
  backward: Vec;
}

/** What is upright, and where azimuth 0 is. */
export interface Frame {
  up: Vec;
  front: Vec;
  /** The point that cameras look at, and their distance from it. */
  focus: Vec;
  reach: number;
}

// Radians a pixel of a canvas of 1,000 pixels.
const TURN = 0.007;
// Elevations beyond this would let the picture flip.
const MAX_ELEVATION = (89 * Math.PI) / 180;

/** The pose at azimuth and elevation in degrees, as `scenes.posed.pose.orbit` has it. */
export function orbitPose(frame: Frame, azimuth: number, elevation: number, distance: number): Pose {
  const [a, e] = [(azimuth * Math.PI) / 180, (elevation * Math.PI) / 180];
  const side = cross(frame.up, frame.front);
  const across = add(scale(frame.front, Math.cos(a)), scale(side, Math.sin(a)));
  const backward = add(scale(frame.up, Math.sin(e)), scale(across, Math.cos(e)));
  const right = unit(cross(frame.up, backward));
  return { eye: add(frame.focus, scale(backward, distance)), right, up: cross(backward, right), backward };
}

/** The lens for a canvas of another size: the image covers it, or fits into it, around the middle of both. */
export function resizedLens(lens: Lens, width: number, height: number): Lens {
  const by = (lens.whole ? Math.min : Math.max)(width / lens.width, height / lens.height);
  const [cx, cy] = [by * lens.cx + (width - by * lens.width) / 2, by * lens.cy + (height - by * lens.height) / 2];
  return { ...lens, width, height, fl_x: by * lens.fl_x, fl_y: by * lens.fl_y, cx, cy };
}

/** What `RAYS_GLSL` and `directionsOf` need. */
export function rayLook(pose: Pose, lens: Lens): Look {
  const { eye, right, up, backward } = pose;
  const distortion = lens.distortion ?? [0, 0, 0, 0];
  return { eye, right, up, backward, lens: [lens.cx, lens.cy, 1 / lens.fl_x, 1 / lens.fl_y], distortion };
}

export class OrbitCamera {
  constructor(
    public pose: Pose,
    private readonly frame: Frame,
    private distance: number,
  ) {}

  set(pose: Pose): void {
    this.pose = pose;
    const ahead = dot(sub(this.frame.focus, pose.eye), scale(pose.backward, -1));
    this.distance = ahead > 0.05 * this.frame.reach ? ahead : length(sub(this.frame.focus, pose.eye));
  }

  private get pivot(): Vec {
    return sub(this.pose.eye, scale(this.pose.backward, this.distance));
  }

  /** Drag by pixels of a canvas whose shorter side is `side`. */
  turn(dx: number, dy: number, side: number): void {
    const { pivot } = this;
    const by = (TURN * 1000) / side;
    const elevation = Math.asin(Math.max(-1, Math.min(1, dot(this.pose.backward, this.frame.up))));
    const pitch = Math.max(-MAX_ELEVATION, Math.min(MAX_ELEVATION, elevation + dy * by)) - elevation;
    const move = (v: Vec) => turned(turned(v, this.pose.right, -pitch), this.frame.up, -dx * by);
    const [right, up, backward] = [move(this.pose.right), move(this.pose.up), move(this.pose.backward)];
    this.pose = { eye: add(pivot, scale(backward, this.distance)), right, up, backward };
  }

  /** Turn around the upright axis by degrees. */
  spin(degrees: number): void {
    const { pivot } = this;
    const move = (v: Vec) => turned(v, this.frame.up, (degrees * Math.PI) / 180);
    const [right, up, backward] = [move(this.pose.right), move(this.pose.up), move(this.pose.backward)];
    this.pose = { eye: add(pivot, scale(backward, this.distance)), right, up, backward };
  }

  pan(dx: number, dy: number, lens: Lens): void {
    const move = add(
      scale(this.pose.right, (-dx / lens.fl_x) * this.distance),
      scale(this.pose.up, (dy / lens.fl_y) * this.distance),
    );
    this.pose = { ...this.pose, eye: add(this.pose.eye, move) };
  }

  /** Closer by a factor, within a hundredth and ten times of the usual distance. */
  zoom(factor: number): void {
    const { pivot } = this;
    this.distance = Math.min(10 * this.frame.reach, Math.max(0.01 * this.frame.reach, this.distance / factor));
    this.pose = { ...this.pose, eye: add(pivot, scale(this.pose.backward, this.distance)) };
  }

  /** Numbers from which `read` makes the same camera. */
  write(): number[] {
    return [...this.pose.eye, ...this.pose.right, ...this.pose.backward, this.distance];
  }

  read(numbers: number[]): void {
    const [eye, right, backward] = [0, 3, 6].map((i) => numbers.slice(i, i + 3) as Vec);
    this.pose = { eye, right: unit(right), backward: unit(backward), up: unit(cross(backward, right)) };
    this.distance = numbers[9];
  }
}
