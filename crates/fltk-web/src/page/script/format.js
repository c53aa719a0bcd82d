"use strict";
// Numbers, times and names as people read them.

const NONE = "–";

/** The format of whole numbers, made when it is needed first: that takes longer than thousands of numbers do. */
let wholeFormat = null;

/** Returns a whole number with its digits in groups. */
function whole(value) {
  if (Math.abs(value) < 1000) return String(value);
  wholeFormat ??= new Intl.NumberFormat("en");
  return wholeFormat.format(value);
}

/** Returns a number with at most four significant digits, whole numbers in full. */
function number(value, digits = 4) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  if (Number.isInteger(value)) return whole(value);
  const size = Math.abs(value);
  return size >= 1e6 || size < 1e-4 ? value.toExponential(2) : String(Number(value.toPrecision(digits)));
}

/** Returns a fraction such as an accuracy with four decimals. */
function fraction(value) {
  return value === null || value === undefined ? NONE : value.toFixed(4);
}

/** Returns `0.812 ± 0.010`: a mean and half of its interval. */
function meanWithInterval(of) {
  if (!of) return NONE;
  return of.interval ? `${fraction(of.mean)} ± ${((of.interval[1] - of.interval[0]) / 2).toFixed(4)}` : fraction(of.mean);
}

/** Returns seconds as `1 h 02 min`, `3 min 04 s` or `5.2 s`. */
function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return NONE;
  if (seconds < 60) return `${Number(seconds.toFixed(seconds < 10 ? 2 : 1))} s`;
  const pad = (value) => String(Math.floor(value)).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${pad(seconds % 60)} s`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h ${pad((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} d ${pad((seconds % 86_400) / 3600)} h`;
}

/** Returns bytes in the unit that fits. */
function bytes(count) {
  if (count === null || count === undefined) return NONE;
  const units = ["B", "kB", "MB", "GB", "TB"];
  const unit = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, count)) / 3));
  return `${Number((count / 1000 ** unit).toPrecision(3))} ${units[unit]}`;
}

/** Returns a time of day as the reader's clock shows it. */
function moment(text) {
  const at = new Date(text);
  if (Number.isNaN(at.getTime())) return NONE;
  const pad = (value) => String(value).padStart(2, "0");
  return `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())} ${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
}

/** Returns any value as text. */
function shown(value) {
  if (value === null || value === undefined) return "";
  return typeof value === "number" ? number(value) : String(value);
}

/** Returns `1 run`, `2 runs`. */
function counted(count, noun) {
  return `${whole(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** Returns the last part of a setting's path, unless others end the same way. */
function shortNames(paths) {
  // The type of a strategy is what people call the strategy.
  const ends = (path, parts) => path.replace(/\.(type|name)$/, "").split(".").slice(-parts).join(".");
  /** The number of paths with each end, by the number of its parts. */
  const counts = [];
  const countsOf = (parts) => (counts[parts] ??= paths.reduce((found, path) => found.set(ends(path, parts), (found.get(ends(path, parts)) ?? 0) + 1), new Map()));
  const short = (path) => {
    for (let parts = /\.\d+$/.test(path) ? 2 : 1; parts <= 6; parts += 1) {
      if (countsOf(parts).get(ends(path, parts)) === 1) return ends(path, parts);
    }
    return path;
  };
  return new Map(paths.map((path) => [path, short(path).replaceAll("_", " ")]));
}
