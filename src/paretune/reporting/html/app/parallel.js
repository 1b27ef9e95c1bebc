// Parallel coordinates: a line a trial over its hyperparameters and metrics. What is brushed on the axes filters the
// table below.

import { h } from "./dom.js";
import { facts, metric } from "./data.js";
import { axisOf, brushFields, brushOf, inside } from "./brushes.js";
import { parallelPicture } from "./lines.js";
import { address, change, state } from "./state.js";
import { countOf, pickedObjective, tick, winnerWord } from "./parts.js";
import { trialTable } from "./trials.js";

/** @typedef {import("./data.js").Trial} Trial */
/** @typedef {import("./brushes.js").ParallelAxis} ParallelAxis */
/** @typedef {import("./brushes.js").Brush} Brush */

/** @param {string} objective @param {Trial[]} rows @param {number} count */
function bestOf(objective, rows, count) {
  const sign = metric(objective)?.direction === "min" ? 1 : -1;
  const value = (/** @type {Trial} */ trial) => sign * (trial.metrics[objective]?.[0] ?? sign * Infinity);
  return rows
    .filter((trial) => trial.status === "COMPLETED")
    .sort((a, b) => value(a) - value(b))
    .slice(0, count);
}

export function parallelView() {
  const now = state();
  const [objective, control] = pickedObjective();
  const varied = facts.hyperparameters.filter((each) => each.varied).map((each) => each.name);
  const objectives = facts.objectives.map((each) => each.name);
  const usual = [...varied.slice(0, 7), ...objectives];
  const possible = [
    ...varied,
    ...objectives,
    ...facts.metrics.map((each) => each.name).filter((name) => !objectives.includes(name)),
  ];
  const picked = now.axes ? now.axes.split(" ") : usual;
  const axes = possible.filter((name) => picked.includes(name)).map(axisOf);
  const shownTrials = facts.trials.filter((trial) => trial.status !== "FAILED");
  const brushes = axes.map(brushOf);
  const passing = shownTrials.filter((trial) =>
    axes.every((axis, place) => brushes[place] === null || inside(axis, /** @type {Brush} */ (brushes[place]), trial)),
  );
  const top = Math.floor(Number(now.top)) || 0;
  const rows = top > 0 ? bestOf(objective, passing, top) : passing;
  const clear = Object.fromEntries(axes.map((axis) => [`in.${axis.name}`, null]));
  control.append(
    h(
      "label.choice",
      null,
      h("span", null, "Only the top"),
      h("input", {
        type: "number",
        min: 1,
        value: now.top || "",
        placeholder: "all",
        onchange: (/** @type {Event} */ event) => change({ top: /** @type {HTMLInputElement} */ (event.target).value }),
      }),
    ),
    brushes.some(Boolean) || top ? h("button", { onclick: () => change({ ...clear, top: null }) }, "Show all") : "",
  );
  return [
    h("h1", null, "Parallel coordinates"),
    control,
    parallelPicture(axes, brushes, shownTrials, new Set(rows)),
    h(
      "p.note",
      null,
      `A line is a trial: that of the ${winnerWord()} is orange, those on the frontier are blue. Drag along an axis to keep the trials that pass there; a click on the axis ends that.`,
    ),
    opening(
      "axes-open",
      "Axes",
      possible.map((name) =>
        tick(metric(name)?.label || axisOf(name).title, picked.includes(name), (value) => {
          const wanted = value ? [...picked, name] : picked.filter((each) => each !== name);
          change({ axes: wanted.join(" ") || "none", [`in.${name}`]: null });
        }),
      ),
    ),
    opening(
      "brush-open",
      "Brush by values",
      axes.map((axis, place) => brushFields(axis, brushes[place])),
    ),
    h("p.note", { role: "status" }, countOf(rows)),
    trialTable(rows),
  ];
}

/**
 * What can be opened, and stays so when the view is drawn again.
 * @param {string} name
 * @param {string} title
 * @param {HTMLElement[]} content
 */
function opening(name, title, content) {
  const ontoggle = (/** @type {Event} */ event) => {
    const { open } = /** @type {HTMLDetailsElement} */ (event.target);
    history.replaceState(null, "", address({ ...state(), [name]: open ? "1" : null }));
  };
  return h(
    "details",
    { open: state()[name] === "1", ontoggle },
    h("summary", null, title),
    h("div.ticks", null, content),
  );
}
