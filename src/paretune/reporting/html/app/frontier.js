// The frontier on two axes of choice.

import { h } from "./dom.js";
import { counted, percent } from "./numbers.js";
import { byName, facts, number } from "./data.js";
import { drawn, legend } from "./chart.js";
import { address, change, state } from "./state.js";
import { winnerWord, choice, directionOf, openTrial, points, quantities, quantity, tick } from "./parts.js";

/** @typedef {import("./chart.js").Mark} Mark */

export function frontierSection() {
  const now = state();
  const x = quantity(now.x || "") || quantity(facts.axes.x);
  const y = quantity(now.y || "") || quantity(facts.axes.y);
  if (!x || !y) throw new Error("the axes of the frontier are no metrics");
  const log = now.log === undefined ? Boolean(x.log) : now.log === "1";
  const marks = points(x, y).map((mark) => tagged(mark));
  const majority = facts.references[y.name];
  const chart = drawn({
    label: `Trials by ${x.title} and ${y.title}`,
    x: { title: x.title, names: x.names, log },
    y: { title: y.title, names: y.names, log: y.log },
    marks,
    steps: steps(marks, directionOf(x.name), directionOf(y.name)),
    rules: majority === undefined ? [] : [{ y: majority, text: "always the most common answer" }],
    height: 440,
    open: openTrial,
  });
  const faint = facts.trials.some((trial) => trial.drawn === "faint");
  return h(
    "section",
    null,
    h("h2", null, facts.objectives.length > 1 ? "The frontier" : "The trials"),
    h(
      "div.controls",
      null,
      choice("Across", quantities(), x.name, (value) => change({ x: value, log: null })),
      choice("Up", quantities(), y.name, (value) => change({ y: value })),
      x.names ? null : tick("logarithmic", log, (value) => change({ log: value ? "1" : "0" })),
    ),
    chart,
    legend(
      /** @type {[Mark["look"], string][]} */ ([
        ["winner", winnerWord()],
        ["solid", "on the frontier in at least 90 % of draws"],
        ["hollow", "in 10 to 90 %"],
        ...(faint ? [["faint", "in fewer"]] : []),
        ...(facts.trials.some((trial) => trial.status === "COMPLETED" && !trial.feasible)
          ? [["broken", "breaks a constraint"]]
          : []),
        ...(facts.trials.some((trial) => trial.status === "DROPPED") ? [["dropped", "dropped early"]] : []),
      ]),
    ),
    h(
      "p.note",
      null,
      `Bars are ${percent(facts.confidence)} intervals on ${counted(facts.n, "validation example")}. The line joins the trials that no other one beats on these two axes. `,
      facts.constraints.length ? `Constraints: ${facts.constraints.join(", ")}. ` : "",
      "The same numbers are in the table ",
      h("a", { href: address({ view: "trials" }) }, "Trials"),
      ".",
    ),
  );
}

/** @param {Mark} mark @returns {Mark} */
function tagged(mark) {
  const trial = byName.get(mark.id);
  const few = facts.trials.filter((each) => each.frontier).length <= 12;
  const one = facts.hyperparameters.filter((each) => each.varied).length === 1; // its value says it all
  const tag = trial && one && trial.label.length <= 30 ? trial.label : number(mark.id);
  return few && trial && (trial.frontier || trial.winner) ? { ...mark, tag } : mark;
}

/**
 * The line of the points that no other one beats on two axes, in steps.
 * @param {Mark[]} marks
 * @param {string | null} across
 * @param {string | null} up
 * @returns {[number, number][]}
 */
function steps(marks, across, up) {
  if (!across || !up) return [];
  const [a, b] = [across === "max" ? -1 : 1, up === "max" ? -1 : 1];
  const able = marks.filter((mark) => mark.look !== "broken" && mark.look !== "dropped");
  const sorted = able.slice().sort((p, q) => a * (p.x - q.x) || b * (p.y - q.y));
  /** @type {[number, number][]} */
  const found = [];
  for (const mark of sorted) {
    const last = found[found.length - 1];
    if (last && b * (mark.y - last[1]) >= 0) continue;
    if (last) found.push([mark.x, last[1]]);
    found.push([mark.x, mark.y]);
  }
  return found;
}
