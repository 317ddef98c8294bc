/** The data of a page (fields/export/page/contents.py): its header and its tensors. */

import type { Program } from "./program";

export interface Tensor {
  role: "matrix" | "table" | "rows" | "vector";
  shape: number[];
  values: Float32Array;
}

interface Entry {
  name: string;
  role: Tensor["role"];
  shape: number[];
  type: "float32" | "float16" | "int8" | "uint16";
  rows?: number;
  scales?: number;
}

export interface Axis {
  name: string;
  lower: number;
  upper: number;
  unit: string;
  samples: number | null;
}

/** What a page says of its field. `view` differs by kind; see the modules of `kinds`. */
export interface Header {
  format: number;
  kind: string;
  title: string;
  programs: Record<string, Program>;
  domain: { axes: Axis[] };
  channels: { names: string[]; space: string; premultiplied: boolean; lower: number; upper: number };
  // biome-ignore lint/suspicious/noExplicitAny: each kind knows its own
  view: any;
  about: [string, string][];
  bits: number;
  tensors: Entry[];
}

export class PageError extends Error {}

// Newest description that this viewer reads.
const FORMAT = 1;

/** Decodes base64 of zlib's format. Throws PageError, which says what is wrong, for data that are not whole. */
export async function decode(text: string, length: number): Promise<{ header: Header; tensors: Map<string, Tensor> }> {
  const base64 = text.trim();
  if (base64.length !== length) {
    throw new PageError(
      `This file is not whole: ${base64.length.toLocaleString("en")} of ${length.toLocaleString("en")} characters of ` +
        "its data are here. Copy or download it again.",
    );
  }
  let content: ArrayBuffer;
  try {
    const binary = atob(base64);
    const bytes = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
    content = await new Response(
      new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate")),
    ).arrayBuffer();
  } catch {
    throw new PageError("The data in this file are damaged. Copy or download it again.");
  }
  const size = new DataView(content).getUint32(0, true);
  const header: Header = JSON.parse(new TextDecoder().decode(new Uint8Array(content, 4, size)));
  if (header.format > FORMAT) throw new PageError("This page's data are newer than its viewer.");
  const tensors = new Map<string, Tensor>();
  const reader = new Reader(content, 4 + size);
  for (const entry of header.tensors) {
    tensors.set(entry.name, { role: entry.role, shape: entry.shape, values: readTensor(reader, entry) });
  }
  return { header, tensors };
}

class Reader {
  constructor(
    private readonly content: ArrayBuffer,
    private at: number,
  ) {}

  bytes(count: number): Uint8Array {
    const found = new Uint8Array(this.content, this.at, count);
    this.at += count;
    return found;
  }

  /** `count` values of `width` bytes that are stored as planes of bytes. */
  planes(count: number, width: number): ArrayBuffer {
    const stored = this.bytes(count * width);
    const joined = new Uint8Array(count * width);
    for (let b = 0; b < width; b++) {
      for (let i = 0; i < count; i++) joined[i * width + b] = stored[b * count + i];
    }
    return joined.buffer;
  }
}

function readTensor(reader: Reader, entry: Entry): Float32Array {
  const count = entry.shape.reduce((a, b) => a * b, 1);
  if (entry.type === "float32") return new Float32Array(reader.planes(count, 4));
  if (entry.type === "uint16") return Float32Array.from(new Uint16Array(reader.planes(count, 2)));
  const [rows, scales] = [entry.rows as number, entry.scales as number];
  const group = (rows * count) / entry.shape[0];
  const found = new Float32Array(count);
  const levels =
    entry.type === "float16"
      ? new Int16Array(reader.planes(count, 2))
      : new Int8Array(reader.bytes(count).slice().buffer);
  const units =
    entry.type === "float16"
      ? Float32Array.from(new Int8Array(reader.bytes(scales).slice().buffer), (exponent) => 2 ** exponent)
      : new Float32Array(reader.planes(scales, 4));
  for (let g = 0; g < scales; g++) {
    for (let i = g * group; i < Math.min(count, (g + 1) * group); i++) found[i] = levels[i] * units[g];
  }
  return found;
}
