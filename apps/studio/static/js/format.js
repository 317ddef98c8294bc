// Numbers, metrics and states as text.

const DECIBEL_METRICS = ["psnr", "test_psnr", "snr", "psnr_alpha"];
const METRIC_NAMES = {
  psnr: "PSNR",
  ssim: "SSIM",
  ms_ssim: "MS-SSIM",
  psnr_alpha: "PSNR of alpha",
  snr: "SNR",
  iou: "IoU",
  chamfer: "Chamfer distance",
  f_score: "F-score",
  normal_angle: "Normal angle",
  relative_l2: "Relative error",
};

export const STATE_NAMES = {
  queued: "waiting",
  loading: "loading",
  running: "fitting",
  stopping: "stopping",
  paused: "paused",
  stopped: "stopped",
  done: "done",
  failed: "failed",
};

export const metricName = (metric) => METRIC_NAMES[metric] || metric.replaceAll("_", " ");

/** The value of a metric with its unit. */
export function metricValue(metric, value) {
  if (DECIBEL_METRICS.includes(metric)) return `${value.toFixed(2)} dB`;
  if (metric === "normal_angle") return `${value.toFixed(1)}°`;
  return String(Number(value.toPrecision(4)));
}

/** The value of a metric in a sentence: decibels speak for themselves, other metrics are named. */
export function metricPhrase(metric, value) {
  const text = metricValue(metric, value);
  return DECIBEL_METRICS.includes(metric) ? text : `${metricName(metric)} ${text}`;
}

/** Seconds as a rounded duration; empty where they are unknown. */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "";
  const rounded = Math.max(0, Math.round(seconds));
  if (rounded < 90) return `${rounded} s`;
  return rounded < 5400 ? `${Math.round(rounded / 60)} min` : `${(rounded / 3600).toFixed(1)} h`;
}

/** Bytes with a fitting unit. */
export function byteCount(bytes) {
  if (bytes < 1e4) return `${bytes} B`;
  if (bytes < 1e6) return `${Math.round(bytes / 1e3)} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

/** A time in seconds since 1970: of today the hour, else the day too. */
export function timeOfDay(seconds) {
  const time = new Date(1000 * seconds);
  const sameDay = time.toDateString() === new Date().toDateString();
  return sameDay
    ? time.toLocaleTimeString([], { timeStyle: "short" })
    : time.toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
}

/** A whole number with thousands separators. */
export const count = (value) => value.toLocaleString("en");
