// The table of trials.

import { h } from "./dom.js";
import { compact, interval } from "./numbers.js";
import { facts, metric, number, tokensOf } from "./data.js";
import { address, change, state } from "./state.js";
import { countOf, icon, shown, standing, tick, trialLink } from "./parts.js";
import { table } from "./table.js";

/** @typedef {import("./data.js").Trial} Trial */
/** @typedef {import("./table.js").Column<Trial>} TrialColumn */

/** Before the name of a hyperparameter, which may be called like another column. */
const OWN = "hp.";

/** @returns {TrialColumn[]} */
function columns() {
  const objectives = facts.objectives.map((each) => each.name);
  const several = facts.objectives.length > 1;
  /** @type {TrialColumn[]} */
  const found = [
    {
      name: "trial",
      label: "Trial",
      value: (trial) => Number(trial.trial),
      cell: (trial) => h("span.nowrap", null, icon(trial), trialLink(trial.trial)),
    },
    { name: "standing", label: "Standing", value: (trial) => standing(trial) || null, cell: standing },
  ];
  /** @param {string} name */
  const measured = (name) =>
    found.push({
      name,
      label: metric(name)?.label || name,
      numeric: true,
      least: metric(name)?.direction === "min",
      value: (trial) => trial.metrics[name]?.[0],
      cell: (trial) => h("span.nowrap", null, interval(trial.metrics[name])),
    });
  objectives.forEach(measured);
  if (several)
    found.push({
      name: "probability",
      label: "On the frontier",
      numeric: true,
      hint: "Share of draws in which it is on the frontier",
      value: (trial) => trial.probability,
      cell: (trial) => (trial.probability === null ? "–" : `${compact(100 * trial.probability)} %`),
    });
  for (const each of facts.hyperparameters)
    found.push({
      name: `${OWN}${each.name}`,
      label: each.label,
      value: (trial) => trial.values[each.name],
      cell: (trial) => h("bdi.cell", null, shown(trial.values[each.name])),
    });
  facts.metrics
    .map((each) => each.name)
    .filter((name) => !objectives.includes(name))
    .forEach(measured);
  found.push(
    {
      name: "calls",
      label: "Calls",
      numeric: true,
      value: (trial) => trial.calls,
      cell: (trial) => trial.calls.toLocaleString("en-US"),
    },
    {
      name: "tokens",
      label: "Tokens",
      numeric: true,
      value: tokensOf,
      cell: (trial) => tokensOf(trial)?.toLocaleString("en-US") ?? "–",
    },
    {
      name: "cost_usd",
      label: "Cost (USD)",
      numeric: true,
      value: (trial) => trial.cost_usd,
      cell: (trial) => compact(trial.cost_usd),
    },
    {
      name: "bad",
      label: "No valid reply",
      numeric: true,
      value: bad,
      cell: (trial) => bad(trial).toLocaleString("en-US"),
    },
  );
  return found;
}

/** @param {Trial} trial */
function bad(trial) {
  return Object.values(trial.invalid).reduce((total, count) => total + count, 0);
}

/** Shown unless others are chosen: what varies, the objectives, and what it took. */
function usual() {
  const names = new Set([
    "trial",
    "standing",
    "calls",
    "cost_usd",
    "probability",
    ...facts.objectives.map((each) => each.name),
  ]);
  facts.hyperparameters
    .filter((each) => each.varied)
    .slice(0, 6)
    .forEach((each) => names.add(`${OWN}${each.name}`));
  if (facts.trials.some((trial) => bad(trial))) names.add("bad");
  return names;
}

export function trialsView() {
  const now = state();
  const all = columns();
  const picked = now.columns ? new Set(["trial", ...now.columns.split(" ")]) : usual();
  const wanted = (now.q || "").toLowerCase().split(/\s+/).filter(Boolean);
  const rows = facts.trials.filter((trial) => {
    if (now.only === "frontier" && !trial.frontier && !trial.winner) return false;
    if (now.only === "feasible" && !trial.feasible) return false;
    const text = `trial ${number(trial.trial)} ${trial.label} ${standing(trial)} ${Object.entries(trial.values)
      .map(([name, value]) => `${name}=${shown(value)}`)
      .join(" ")}`.toLowerCase();
    return wanted.every((word) => text.includes(word));
  });
  const filter = h("input", {
    type: "search",
    value: now.q || "",
    placeholder: "few_shot=6 native",
    id: "filter",
    onchange: (/** @type {Event} */ event) => change({ q: /** @type {HTMLInputElement} */ (event.target).value }),
  });
  return [
    h("h1", null, "Trials"),
    h(
      "div.controls",
      null,
      h("label.choice", null, h("span", null, "Filter"), filter),
      tick("only the frontier", now.only === "frontier", (value) => change({ only: value ? "frontier" : null })),
      facts.constraints.length
        ? tick("only those that keep the constraints", now.only === "feasible", (value) =>
            change({ only: value ? "feasible" : null }),
          )
        : null,
      h(
        "details",
        {
          open: now.choose === "1",
          ontoggle: (/** @type {Event} */ event) =>
            history.replaceState(
              null,
              "",
              address({ ...state(), choose: /** @type {HTMLDetailsElement} */ (event.target).open ? "1" : null }),
            ),
        },
        h("summary", null, "Columns"),
        h(
          "div.ticks",
          null,
          all.slice(1).map((column) =>
            tick(column.label, picked.has(column.name), (value) => {
              value ? picked.add(column.name) : picked.delete(column.name);
              change({ columns: [...picked].filter((each) => each !== "trial").join(" ") || "none" });
            }),
          ),
        ),
      ),
    ),
    h(
      "p.note",
      { role: "status" },
      countOf(rows),
      `. Intervals in brackets.${facts.constraints.length ? ` Constraints: ${facts.constraints.join(", ")}.` : ""}`,
    ),
    trialTable(rows, picked),
  ];
}

/**
 * Some trials as a table, sorted as the address says.
 * @param {Trial[]} rows
 * @param {Set<string>} [picked] the names of its columns
 */
export function trialTable(rows, picked = usual()) {
  return table({
    caption: "Trials",
    columns: columns().filter((column) => picked.has(column.name)),
    rows,
    sort: state().sort || "",
    emphasis: (trial) => (trial.winner ? "winner" : trial.frontier ? "frontier" : ""),
    sorted: (sort) => history.replaceState(null, "", address({ ...state(), sort })),
  });
}
