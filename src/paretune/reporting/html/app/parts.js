// What several views show: links to trials, their marks, lists to choose from, axes.

import { h, s } from "./dom.js";
import { compact, counted, interval } from "./numbers.js";
import { byName, facts, live, metric, number } from "./data.js";
import { symbol } from "./chart.js";
import { address, change, state } from "./state.js";

/** Numbers with no more values than this stand side by side, like names. */
const FEW = 6;

/** @typedef {import("./data.js").Trial} Trial */
/** @typedef {import("./chart.js").Mark} Mark */

/** What the winner is called: while the search runs there is none yet. */
export function winnerWord() {
  return live ? "best so far" : "winner";
}

/** @param {Trial} trial @returns {Mark["look"]} */
export function lookOf(trial) {
  if (trial.winner) return "winner";
  if (trial.status === "DROPPED") return "dropped";
  if (!trial.feasible) return "broken";
  return trial.drawn;
}

/** @param {Trial} trial */
export function icon(trial) {
  return s("svg", { class: "icon", width: 22, height: 22, "aria-hidden": "true" }, symbol(lookOf(trial), 11, 11));
}

/** @param {Trial} trial */
export function standing(trial) {
  if (trial.status === "FAILED") return "failed";
  if (trial.status === "DROPPED") return "dropped";
  if (trial.winner) return winnerWord();
  if (!trial.feasible) return "breaks a constraint";
  if (trial.frontier) return "on the frontier";
  return facts.winner.close.includes(trial.trial) ? "may be the best" : "";
}

/** @param {string} name */
export function trialLink(name) {
  return h("a", { href: address({ view: "trial", trial: number(name) }) }, `Trial ${number(name)}`);
}

/** How many of the trials these are. @param {Trial[]} rows */
export function countOf(rows) {
  const all = counted(facts.trials.length, "trial");
  return rows.length === facts.trials.length ? all : `${rows.length} of ${all}`;
}

/** @param {string | undefined} text @returns {Trial | undefined} */
export function trialOf(text) {
  return text === undefined ? undefined : facts.trials.find((each) => number(each.trial) === String(Number(text)));
}

/** @param {unknown} value */
export function shown(value) {
  if (value === undefined) return "–";
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : compact(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  return value === null ? "none" : typeof value === "string" ? value : JSON.stringify(value);
}

/**
 * A labelled list to choose from.
 * @param {string} label
 * @param {[string, string][]} options value and text
 * @param {string} value
 * @param {(value: string) => void} chosen
 */
export function choice(label, options, value, chosen) {
  const list = h(
    "select",
    { onchange: (/** @type {Event} */ event) => chosen(/** @type {HTMLSelectElement} */ (event.target).value) },
    options.map(([each, text]) => h("option", { value: each, selected: each === value }, text)),
  );
  return h("label.choice", null, h("span", null, label), list);
}

/** The objective that a view is about, and the list to choose another one. @returns {[string, HTMLElement]} */
export function pickedObjective() {
  const names = facts.objectives.map((each) => each.name);
  const picked = names.includes(state().objective) ? state().objective : names[0];
  const options = names.map((name) => /** @type {[string, string]} */ ([name, metric(name)?.label || name]));
  return [
    picked,
    h(
      "div.controls",
      null,
      choice("Objective", options, picked, (value) => change({ objective: value })),
    ),
  ];
}

/**
 * @param {string} label
 * @param {boolean} value
 * @param {(value: boolean) => void} chosen
 */
export function tick(label, value, chosen) {
  const box = h("input", {
    type: "checkbox",
    checked: value,
    onchange: (/** @type {Event} */ event) => chosen(/** @type {HTMLInputElement} */ (event.target).checked),
  });
  return h("label.tick", null, box, label);
}

/** @returns {[string, string][]} */
export function trialOptions() {
  return facts.trials
    .filter((trial) => trial.replicates)
    .map((trial) => {
      const marks = trial.winner ? " ★" : trial.frontier ? " ◆" : "";
      return [number(trial.trial), `${number(trial.trial)}${marks} · ${trial.label}`];
    });
}

/**
 * A thing that a chart can have on an axis.
 * @typedef {{name: string, title: string, value: (trial: Trial) => number | null | undefined,
 *   ends?: (trial: Trial) => (number | null)[] | undefined, log?: boolean, names?: string[]}} Quantity
 */

/** @param {string} name */
export function titled(name) {
  const known = metric(name);
  if (!known) return name;
  if (!known.direction) return known.label;
  const better = known.direction === "max" ? "higher is better" : "lower is better";
  return known.label.endsWith(")") ? `${known.label.slice(0, -1)}, ${better})` : `${known.label} (${better})`;
}

/** @param {string} name @returns {Quantity | undefined} */
export function quantity(name) {
  if (name === "trial")
    return { name, title: "trial, in the order of the search", value: (trial) => Number(trial.trial) };
  if (metric(name)) {
    const known = facts.trials.map((trial) => trial.metrics[name]?.[0]).filter((each) => typeof each === "number");
    const [least, most] = [Math.min(...known), Math.max(...known)];
    return {
      name,
      title: titled(name),
      value: (trial) => trial.metrics[name]?.[0],
      ends: (trial) => trial.metrics[name],
      log: /cost|latency|tokens/.test(name) && least > 0 && most / least > 20,
    };
  }
  const known = facts.hyperparameters.find((each) => each.name === name);
  if (!known) return undefined;
  const options = facts.trials.map((trial) => trial.values[name]);
  if (options.every((each) => typeof each === "number") && new Set(options).size > FEW) {
    const [least, most] = [Math.min(...options), Math.max(...options)];
    return { name, title: known.label, value: (trial) => trial.values[name], log: least > 0 && most / least > 50 };
  }
  const names = [...new Set(options.map((each) => (each === undefined ? "absent" : shown(each))))];
  names.sort((a, b) => Number(a === "absent") - Number(b === "absent") || a.localeCompare(b, "en", { numeric: true }));
  return {
    name,
    title: known.label,
    names,
    value: (trial) => names.indexOf(trial.values[name] === undefined ? "absent" : shown(trial.values[name])),
  };
}

/** @returns {[string, string][]} */
export function quantities() {
  const metrics = /** @type {[string, string][]} */ (facts.metrics.map((each) => [each.name, each.label]));
  const varied = facts.hyperparameters.filter((each) => each.varied);
  return [
    ...metrics,
    ["trial", "trial number"],
    ...varied.map((each) => /** @type {[string, string]} */ ([each.name, each.label])),
  ];
}

/**
 * What is said of a trial beside a chart.
 * @param {Trial} trial
 * @param {string[]} [names] further metrics
 */
export function said(trial, names = []) {
  const wanted = [...new Set([...facts.objectives.map((each) => each.name), ...names])].filter(metric);
  const lines = [trial.label];
  for (const name of wanted) lines.push(`${metric(name)?.label}: ${interval(trial.metrics[name])}`);
  if (trial.probability !== null) lines.push(`on the frontier in ${compact(100 * trial.probability)} % of draws`);
  const place = standing(trial);
  if (place) lines.push(place);
  return lines;
}

/**
 * The completed trials as points; those that lack one of the numbers are left out.
 * @param {Quantity} x
 * @param {Quantity} y
 * @returns {Mark[]}
 */
export function points(x, y) {
  const found = [];
  for (const trial of facts.trials) {
    const [a, b] = [x.value(trial), y.value(trial)];
    if (trial.status === "FAILED" || typeof a !== "number" || typeof b !== "number") continue;
    found.push({
      id: trial.trial,
      x: a,
      y: b,
      xs: x.ends?.(trial),
      ys: y.ends?.(trial),
      look: lookOf(trial),
      title: `Trial ${number(trial.trial)}`,
      lines: said(trial, [x.name, y.name]),
    });
  }
  return found;
}

/** @param {string} id */
export function openTrial(id) {
  location.hash = address({ view: "trial", trial: number(id) });
}

/** @param {string} name */
export function directionOf(name) {
  return metric(name)?.direction || (name === "trial" ? "min" : null);
}

/** @param {string} trial */
export function labelOf(trial) {
  return byName.get(trial)?.label || "";
}
