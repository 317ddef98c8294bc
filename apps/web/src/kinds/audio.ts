/** Audio: waveform and spectrogram of any part, played at any speed, all computed from the field. */

import type { Header } from "../contents";
import { button, choice } from "../controls";
import { type Fragment, readNumbers, short } from "../fragment";
import type { Look } from "../painter";
import type { Page, View } from "../view";

// Of fields/export/viewers.py.
const SAMPLES_PER_COLUMN = 8;
const WAVE = "rgb(47, 134, 173)";
// Samples of a spectrum, a power of two, and decibels below the loudest that are shown.
const WINDOW = 1024;
const DECIBELS = 80;
// Samples that are computed before the browser may draw again.
const CHUNK = 1 << 14;
const SPEEDS = ["0.25", "0.5", "1", "2", "4"];

export class AudioView implements View {
  /** The part that is shown, in [0, 1]. */
  private start = 0;
  private span = 1;
  private speed = 1;
  private loop = false;
  private playing?: { context: AudioContext; source: AudioBufferSourceNode };
  private readonly rate: number;
  private readonly seconds: number;

  constructor(
    private readonly header: Header,
    private readonly page: Page,
  ) {
    const [axis] = header.domain.axes;
    this.seconds = axis.upper - axis.lower;
    this.rate = (axis.samples ?? 1) / this.seconds;
  }

  private get channels(): number {
    return this.header.channels.names.length;
  }

  /** Values `[count, channels]` at coordinates `from + i * step`. */
  private samples(from: number, step: number, count: number): Float32Array {
    const coords = Float32Array.from({ length: count }, (_, i) => Math.min(1, Math.max(0, from + i * step)));
    return this.page.values("values", [coords], count, [1]);
  }

  look(): Look {
    return {};
  }

  draw(context: CanvasRenderingContext2D, width: number, height: number): void {
    context.clearRect(0, 0, width, height);
    const half = Math.round(height / 2);
    this.drawWave(context, width, half);
    this.drawSpectrogram(context, width, half, height - half);
  }

  private drawWave(context: CanvasRenderingContext2D, width: number, height: number): void {
    const step = this.span / (width * SAMPLES_PER_COLUMN);
    const values = this.samples(this.start + step / 2, step, width * SAMPLES_PER_COLUMN);
    const C = this.channels;
    const band = height / C;
    context.fillStyle = WAVE;
    for (let c = 0; c < C; c++) {
      let last = values[c];
      const row = (v: number) => c * band + Math.min(band, Math.max(0, (0.5 - 0.5 * v) * band));
      for (let x = 0; x < width; x++) {
        let [low, high] = [last, last];
        for (let s = 0; s < SAMPLES_PER_COLUMN; s++) {
          last = values[(x * SAMPLES_PER_COLUMN + s) * C + c];
          low = Math.min(low, last);
          high = Math.max(high, last);
        }
        context.fillRect(x, row(high), 1, Math.max(1, row(low) - row(high)));
      }
    }
  }

  private drawSpectrogram(context: CanvasRenderingContext2D, width: number, top: number, height: number): void {
    const columns = Math.min(width, 400);
    const image = new ImageData(columns, WINDOW / 2);
    const powers = new Float32Array(columns * (WINDOW / 2));
    const step = 1 / (this.rate * this.seconds);
    let loudest = 1e-12;
    for (let x = 0; x < columns; x++) {
      const middle = this.start + ((x + 0.5) / columns) * this.span;
      const values = this.samples(middle - (WINDOW / 2) * step, step, WINDOW);
      const power = spectrum(Float32Array.from({ length: WINDOW }, (_, i) => values[i * this.channels]));
      powers.set(power, x * (WINDOW / 2));
      for (const p of power) loudest = Math.max(loudest, p);
    }
    for (let x = 0; x < columns; x++) {
      for (let k = 0; k < WINDOW / 2; k++) {
        const decibels = 10 * Math.log10(powers[x * (WINDOW / 2) + k] / loudest + 1e-12);
        const shade = Math.max(0, 1 + decibels / DECIBELS);
        const color = [shade ** 2 * 255, shade * 190, 60 + shade * 140, 255];
        image.data.set(color, ((WINDOW / 2 - 1 - k) * columns + x) * 4);
      }
    }
    const scratch = new OffscreenCanvas(columns, WINDOW / 2);
    (scratch.getContext("2d") as OffscreenCanvasRenderingContext2D).putImageData(image, 0, 0);
    context.imageSmoothingEnabled = true;
    context.drawImage(scratch, 0, top, width, height);
  }

  drag(dx: number): void {
    this.start -= (dx / this.page.canvas.width) * this.span;
    this.moved();
  }

  zoom(factor: number, x: number): void {
    const at = x / this.page.canvas.width;
    const before = this.span;
    this.span = Math.min(1, Math.max(1e-5, this.span / factor));
    this.start += at * (before - this.span);
    this.moved();
  }

  private moved(): void {
    this.start = Math.min(1 - this.span, Math.max(0, this.start));
    this.page.redraw();
  }

  describe(x: number): string {
    const t = this.start + (x / this.page.canvas.width) * this.span;
    return `${short(t * this.seconds, 6)} s   ${this.value(t)
      .map((v) => short(v, 3))
      .join("  ")}`;
  }

  value(...coords: number[]): number[] {
    return [...this.page.values("values", [Float32Array.from(coords)], 1, [1])];
  }

  key(key: string): boolean {
    if (key !== " ") return false;
    void this.play();
    return true;
  }

  reset(): void {
    this.start = 0;
    this.span = 1;
    this.page.redraw(true);
  }

  controls(): HTMLElement[] {
    const loop = button("Loop", "Repeat what is shown", () => {
      this.loop = !this.loop;
      loop.setAttribute("aria-pressed", String(this.loop));
      if (this.playing) this.playing.source.loop = this.loop;
    });
    loop.setAttribute("aria-pressed", "false");
    return [
      button("Play", "Play or stop what is shown (space)", () => void this.play()),
      loop,
      choice(
        "Speed",
        SPEEDS.map((s) => [s, `${s} x`]),
        "1",
        (value) => {
          this.speed = Number(value);
        },
      ),
    ];
  }

  /** Plays what is shown: samples of the field itself at the speaker's rate, however fast it goes. */
  private async play(): Promise<void> {
    if (this.playing) {
      void this.playing.context.close();
      this.playing = undefined;
      return;
    }
    const context = new AudioContext();
    const count = Math.max(1, Math.round((this.span * this.seconds * context.sampleRate) / this.speed));
    const buffer = context.createBuffer(this.channels, count, context.sampleRate);
    const step = this.span / count;
    for (let first = 0; first < count; first += CHUNK) {
      const n = Math.min(CHUNK, count - first);
      const values = this.samples(this.start + (first + 0.5) * step, step, n);
      for (let c = 0; c < this.channels; c++) {
        const data = buffer.getChannelData(c);
        for (let i = 0; i < n; i++) data[first + i] = values[i * this.channels + c];
      }
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    const source = context.createBufferSource();
    source.buffer = buffer;
    source.loop = this.loop;
    source.connect(context.destination);
    source.onended = () => {
      void context.close();
      this.playing = undefined;
    };
    this.playing = { context, source };
    source.start();
  }

  read(fragment: Fragment): void {
    const at = readNumbers(fragment.at, 2);
    if (at && at[1] > 0) [this.start, this.span] = at;
  }

  write(): Fragment {
    return this.span < 1 ? { at: `${short(this.start, 7)},${short(this.span)}` } : {};
  }
}

/** Power of each frequency of a window that fades out at both ends: half as many values. */
export function spectrum(samples: Float32Array): Float32Array {
  const n = samples.length;
  const re = new Float64Array(n);
  const im = new Float64Array(n);
  const bits = Math.log2(n);
  for (let i = 0; i < n; i++) {
    let reversed = 0;
    for (let b = 0; b < bits; b++) reversed |= ((i >> b) & 1) << (bits - 1 - b);
    re[reversed] = samples[i] * (0.5 - 0.5 * Math.cos((2 * Math.PI * i) / n));
  }
  for (let size = 2; size <= n; size *= 2) {
    for (let k = 0; k < size / 2; k++) {
      const angle = (-2 * Math.PI * k) / size;
      const [c, s] = [Math.cos(angle), Math.sin(angle)];
      for (let i = k; i < n; i += size) {
        const j = i + size / 2;
        const [x, y] = [re[j] * c - im[j] * s, re[j] * s + im[j] * c];
        re[j] = re[i] - x;
        im[j] = im[i] - y;
        re[i] += x;
        im[i] += y;
      }
    }
  }
  return Float32Array.from({ length: n / 2 }, (_, k) => re[k] ** 2 + im[k] ** 2);
}
