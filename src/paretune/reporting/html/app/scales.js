// From values to pixels and back.

import { compact } from "./numbers.js";

/** @typedef {{title: string, log?: boolean, names?: string[], zero?: boolean, from?: number, to?: number}} Axis */

/**
 * @param {number} lo
 * @param {number} hi
 * @param {number} wanted
 */
function linearTicks(lo, hi, wanted) {
  const raw = (hi - lo) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= raw * 0.7) || raw;
  const found = [];
  for (let k = Math.ceil(lo / step - 1e-9); k * step <= hi + step * 1e-9; k++)
    found.push(Number((k * step).toPrecision(12)));
  return found;
}

/**
 * @param {number} lo
 * @param {number} hi
 * @param {number} wanted
 */
function logTicks(lo, hi, wanted) {
  const found = [];
  for (let power = Math.floor(Math.log10(lo)); power <= Math.ceil(Math.log10(hi)); power++)
    for (const digit of [1, 2, 5]) found.push(digit * 10 ** power);
  const inside = found.filter((each) => each >= lo * 0.999 && each <= hi * 1.001);
  if (inside.length < 2) return linearTicks(lo, hi, wanted);
  const tens = inside.filter((each) => Math.abs(Math.log10(each) % 1) < 1e-9);
  return inside.length > wanted && tens.length > 1 ? tens : inside;
}

/**
 * From values to pixels, with ticks.
 * @param {Axis} axis
 * @param {number[]} values
 * @param {[number, number]} range
 * @param {number} wanted
 */
export function scaled(axis, values, range, wanted) {
  if (axis.names) {
    const names = axis.names;
    const step = (range[1] - range[0]) / names.length;
    return {
      at: (/** @type {number} */ value) => range[0] + (value + 0.5) * step,
      ticks: names.map((_, place) => place),
      write: (/** @type {number} */ value) => names[value],
      back: (/** @type {number} */ pixel) => (pixel - range[0]) / step - 0.5,
    };
  }
  const log = Boolean(axis.log) && values.every((each) => each > 0);
  const into = log ? Math.log : (/** @type {number} */ each) => each;
  let [lo, hi] = [Math.min(...values), Math.max(...values)];
  if (axis.zero) [lo, hi] = [Math.min(lo, 0), Math.max(hi, 0)];
  if (!Number.isFinite(lo)) [lo, hi] = [0, 1];
  if (lo === hi) [lo, hi] = log ? [lo / 2, hi * 2] : [lo - (Math.abs(lo) || 1) / 10, hi + (Math.abs(hi) || 1) / 10];
  let [a, b] = [into(lo), into(hi)];
  const pad = (b - a) * 0.05;
  if (!(axis.zero && lo === 0)) a -= pad;
  b += pad;
  if (axis.from !== undefined) a = Math.max(a, into(axis.from));
  if (axis.to !== undefined) b = Math.min(b, into(axis.to) + pad / 3);
  const back = log ? Math.exp : (/** @type {number} */ each) => each;
  return {
    at: (/** @type {number} */ value) => range[0] + ((into(value) - a) / (b - a)) * (range[1] - range[0]),
    ticks: (log ? logTicks : linearTicks)(back(a), back(b), wanted),
    write: compact,
    back: (/** @type {number} */ pixel) => back(a + ((pixel - range[0]) / (range[1] - range[0])) * (b - a)),
  };
}

/** @param {string} text @param {number} most */
export function cut(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}
