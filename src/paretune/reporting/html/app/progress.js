// The search as it went: the best so far, what was spent, and which trials were dropped.

import { h } from "./dom.js";
import { compact, counted } from "./numbers.js";
import { facts, metric, number, tokensOf } from "./data.js";
import { drawn, legend } from "./chart.js";
import { change, state } from "./state.js";
import { winnerWord, choice, lookOf, openTrial, pickedObjective, points, quantity, said, trialLink } from "./parts.js";
import { table } from "./table.js";

/** @typedef {import("./chart.js").Mark} Mark */

/** @type {[string, string, (trial: import("./data.js").Trial) => number | null][]} */
const SPENT = [
  ["cost", "cost (USD)", (trial) => trial.cost_usd],
  ["calls", "calls", (trial) => trial.calls],
  ["tokens", "tokens", tokensOf],
];

export function progressView() {
  const [objective, control] = pickedObjective();
  const [x, y] = [quantity("trial"), quantity(objective)];
  if (!x || !y) throw new Error("the objective is no metric");
  const title = metric(objective)?.label || objective;
  const marks = points(x, y);
  const best = bestSoFar(marks, metric(objective)?.direction || "max");
  return [
    h("h1", null, "Progress"),
    control,
    h(
      "section",
      null,
      h("h2", null, `The best ${title} so far`),
      drawn({
        label: `${title} by trial`,
        x: { title: x.title },
        y: { title: y.title, log: y.log },
        marks,
        steps: best,
        height: 340,
        open: openTrial,
      }),
      legend(
        /** @type {[Mark["look"], string][]} */ ([
          ["winner", winnerWord()],
          ["solid", "likely on the frontier"],
          ["hollow", "perhaps"],
          ["faint", "hardly"],
          ...(facts.trials.some((trial) => trial.dropped) ? [["dropped", "dropped early, on fewer examples"]] : []),
        ]),
      ),
      h("p.note", null, improvements(best)),
    ),
    racing(),
    spending(),
  ];
}

/** @param {Mark[]} marks @param {"min" | "max"} direction @returns {[number, number][]} */
function bestSoFar(marks, direction) {
  const sign = direction === "max" ? 1 : -1;
  /** @type {[number, number][]} */
  const found = [];
  for (const mark of marks
    .filter((each) => each.look !== "broken" && each.look !== "dropped")
    .sort((a, b) => a.x - b.x)) {
    const last = found[found.length - 1];
    if (last && sign * (mark.y - last[1]) <= 0) continue;
    if (last) found.push([mark.x, last[1]]);
    found.push([mark.x, mark.y]);
  }
  const last = found[found.length - 1];
  if (last) found.push([Math.max(...marks.map((mark) => mark.x)), last[1]]);
  return found;
}

/** @param {[number, number][]} best */
function improvements(best) {
  if (best.length < 2) return "";
  const last = best[best.length - 2];
  const after = Math.max(0, best[best.length - 1][0] - last[0]);
  return `The last improvement came with trial ${last[0]}${after ? `; ${counted(after, "trial")} after it brought none` : ""}. Differences within the intervals are no improvements for sure.`;
}

function racing() {
  const rows = facts.trials.filter((trial) => trial.dropped !== null);
  if (!rows.length) return null;
  const saved = rows.reduce((total, trial) => total + (trial.dropped?.saved || 0), 0);
  return h(
    "section",
    null,
    h("h2", null, "The race"),
    h(
      "p",
      null,
      `${counted(rows.length, "trial")} of ${facts.trials.length} ${rows.length === 1 ? "was" : "were"} dropped once another one was shown to be better on the same examples; that saved ${counted(saved, "call")}.`,
    ),
    table({
      caption: "Trials that the race has dropped",
      rows,
      columns: [
        {
          name: "trial",
          label: "Trial",
          value: (trial) => Number(trial.trial),
          cell: (trial) => trialLink(trial.trial),
        },
        { name: "n", label: `Examples of ${facts.n}`, numeric: true, value: (trial) => trial.n },
        {
          name: "by",
          label: "Worse than",
          value: (trial) => Number(trial.dropped?.by),
          cell: (trial) => (trial.dropped ? trialLink(trial.dropped.by) : ""),
        },
        { name: "saved", label: "Calls saved", numeric: true, value: (trial) => trial.dropped?.saved },
        { name: "why", label: "Why", value: (trial) => trial.dropped?.why },
        {
          name: "label",
          label: "Configuration",
          value: (trial) => trial.label,
          cell: (trial) => h("bdi", null, trial.label),
        },
      ],
    }),
  );
}

function spending() {
  const known = SPENT.filter(([, , of]) => facts.trials.some((trial) => of(trial)));
  if (!known.length) return null;
  const [name, title, of] = known.find(([each]) => each === state().spent) || known[0];
  let total = 0;
  /** @type {Mark[]} */
  const marks = [];
  /** @type {[number, number][]} */
  const line = [];
  for (const trial of facts.trials) {
    const before = total;
    total += of(trial) || 0;
    const at = Number(trial.trial);
    line.push([at, before], [at, total]);
    marks.push({
      id: trial.trial,
      x: at,
      y: total,
      look: lookOf(trial),
      title: `Trial ${number(trial.trial)}`,
      lines: [`${title}: ${compact(of(trial))}`, `in all: ${compact(total)}`, ...said(trial).slice(0, 2)],
    });
  }
  return h(
    "section",
    null,
    h("h2", null, "What was spent"),
    h(
      "div.controls",
      null,
      choice(
        "In",
        known.map(([each, text]) => /** @type {[string, string]} */ ([each, text])),
        name,
        (value) => change({ spent: value }),
      ),
    ),
    drawn({
      label: `${title} in all, by trial`,
      x: { title: "trial, in the order of the search" },
      y: { title: `${title} in all`, zero: true },
      marks,
      steps: line,
      height: 300,
      open: openTrial,
    }),
    h("p.note", null, "As if nothing had been served from the ledger: what the search costs anew."),
  );
}
