// The axes of parallel coordinates, and what of each is brushed.

import { h } from "./dom.js";
import { facts, metric } from "./data.js";
import { cut } from "./scales.js";
import { change, state } from "./state.js";
import { quantity, shown, tick } from "./parts.js";

/** @typedef {import("./data.js").Trial} Trial */
/**
 * @typedef {{name: string, title: string, names: string[] | null, absent: boolean, log: boolean,
 *   value: (trial: Trial) => any, known: number[]}} ParallelAxis names: the options of an axis that has no numbers
 * @typedef {{lo: number, hi: number, names: string[] | null, absent: boolean}} Brush names: of an axis with names
 */

export const ABSENT = "absent";

/** @param {string} name @returns {ParallelAxis} */
export function axisOf(name) {
  const measured = metric(name);
  const raw = (/** @type {Trial} */ trial) => (measured ? (trial.metrics[name]?.[0] ?? undefined) : trial.values[name]);
  const values = facts.trials.map(raw);
  const known = values.filter((each) => each !== undefined);
  const title = measured?.label || facts.hyperparameters.find((each) => each.name === name)?.label || name;
  const absent = known.length < values.length;
  if (known.length && known.every((each) => typeof each === "number")) {
    const [least, most] = [Math.min(...known), Math.max(...known)];
    const log = measured ? Boolean(quantity(name)?.log) : least > 0 && most / least > 50;
    return { name, title, names: null, absent, log, value: raw, known };
  }
  const names = [...new Set(known.map(shown))].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  if (names.some((each) => Number.isNaN(Number(each)))) names.reverse(); // numbers rise, words are read from above
  const value = (/** @type {Trial} */ trial) => (raw(trial) === undefined ? undefined : shown(raw(trial)));
  return { name, title, names, absent, log: false, value, known: [] };
}

/**
 * The brush that the address has on an axis: `0.2..0.7`, of names a list in JSON; `+absent` takes those in that have none.
 * @param {ParallelAxis} axis
 * @returns {Brush | null}
 */
export function brushOf(axis) {
  const text = state()[`in.${axis.name}`];
  if (!text) return null;
  const absent = text.endsWith(`+${ABSENT}`);
  const rest = absent ? text.slice(0, -ABSENT.length - 1) : text;
  if (axis.names) {
    try {
      return { lo: 0, hi: 0, names: [JSON.parse(rest || "[]")].flat().map(String), absent };
    } catch {
      return null;
    }
  }
  const [lo, hi] = rest
    ? rest.split("..").map((each, end) => (each === "" ? (end ? Infinity : -Infinity) : Number(each)))
    : [1, 0];
  return Number.isNaN(lo) || Number.isNaN(hi ?? NaN) ? null : { lo, hi, names: null, absent };
}

/** @param {ParallelAxis} axis @param {Brush | null} brush */
export function setBrush(axis, brush) {
  const ends = (/** @type {number} */ each) => (Number.isFinite(each) ? String(Number(each.toPrecision(6))) : "");
  const range = !brush
    ? ""
    : brush.names
      ? JSON.stringify(brush.names)
      : brush.lo > brush.hi
        ? ""
        : `${ends(brush.lo)}..${ends(brush.hi)}`;
  const whole = range === ".." && brush?.absent === axis.absent;
  change({ [`in.${axis.name}`]: brush && !whole ? `${range}${brush.absent ? `+${ABSENT}` : ""}` : null });
}

/** @param {ParallelAxis} axis @param {Brush} brush @param {Trial} trial */
export function inside(axis, brush, trial) {
  const value = axis.value(trial);
  if (value === undefined) return brush.absent;
  return brush.names ? brush.names.includes(value) : value >= brush.lo && value <= brush.hi;
}

/** The brush of an axis by keyboard. @param {ParallelAxis} axis @param {Brush | null} brush */
export function brushFields(axis, brush) {
  const whole = { lo: -Infinity, hi: Infinity, names: axis.names, absent: axis.absent };
  const current = brush || whole;
  /** @param {Partial<Brush>} part */
  const set = (part) => setBrush(axis, { ...current, ...part });
  /** @param {"lo" | "hi"} end @param {string} text */
  const bound = (end, text) =>
    h(
      "label.choice",
      null,
      h("span", null, text),
      h("input", {
        type: "number",
        step: "any",
        value: Number.isFinite(current[end]) && current.lo <= current.hi ? current[end] : "",
        onchange: (/** @type {Event} */ event) => {
          const typed = /** @type {HTMLInputElement} */ (event.target).value;
          set({ [end]: typed === "" ? whole[end] : Number(typed) });
        },
      }),
    );
  return h(
    "fieldset",
    null,
    h("legend", null, axis.title),
    axis.names
      ? axis.names.map((name) =>
          tick(cut(name, 30), (current.names || []).includes(name), (value) => {
            const others = (current.names || []).filter((each) => each !== name);
            const names = value ? [...others, name] : others;
            setBrush(
              axis,
              names.length === axis.names?.length && current.absent === axis.absent ? null : { ...current, names },
            );
          }),
        )
      : [bound("lo", "from"), bound("hi", "to")],
    axis.absent ? tick(ABSENT, current.absent, (value) => set({ absent: value })) : null,
  );
}
