// The winner in a sentence, what cannot be told from it, the test, and the frontier.

import { h } from "./dom.js";
import { compact, counted, interval, percent, pValue } from "./numbers.js";
import { byName, facts, metric, number } from "./data.js";
import { drawn, legend } from "./chart.js";
import { address, change, state } from "./state.js";
import { choice, directionOf, openTrial, points, quantities, quantity, shown, tick, trialLink } from "./parts.js";

/** @typedef {import("./chart.js").Mark} Mark */

export function overview() {
  const winner = byName.get(facts.winner.trial);
  if (!winner) throw new Error("the winner is no trial");
  const rival = facts.winner.runner_up === null ? "" : number(facts.winner.runner_up);
  return [
    h("section.hero", null,
      h("p.eyebrow", null, `Winner: trial ${number(winner.trial)}, by the rule “${facts.winner.rule.name.replaceAll("_", " ")}”`),
      h("h1", null, capital(facts.winner.why)),
      h("p.lead", null, capital(facts.winner.doubt), facts.winner.unsettled ? ` ${facts.winner.unsettled}` : ""),
      facts.winner.stopped ? h("p.warning", null, `The search ended before all its trials: ${facts.winner.stopped}`) : null,
      h("dl.values", null, facts.hyperparameters.map((each) =>
        h("div", null, h("dt", null, each.label), h("dd", { dir: "auto" }, shown(winner.values[each.name]))))),
      h("p.actions", null,
        h("a.button", { href: address({ view: "trial", trial: number(winner.trial) }) }, "Look at the winner"),
        h("a.button.quiet", { href: address({ view: "examples", trial: number(winner.trial), vs: rival }) },
          rival ? `Compare it with trial ${rival}` : "Read its replies"))),
    tiles(),
    frontier(),
    comparison(),
  ];
}

/** @param {string} text */
export function capital(text) {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

/**
 * @param {string} label
 * @param {string} value
 * @param {...string} notes
 */
function tile(label, value, ...notes) {
  return h("div.tile", null, h("h2", null, label), h("p.figure", null, value), notes.filter(Boolean).map((each) => h("p", null, each)));
}

/** @param {Record<string, any> | undefined} part @param {string} name */
function ends(part, name) {
  return part && part[name] !== undefined ? [part[name], part[`${name}_lo`] ?? null, part[`${name}_hi`] ?? null] : undefined;
}

function tiles() {
  const all = facts.numbers || {};
  const { test, val, gain, optimism, search } = all;
  const sure = percent(facts.confidence);
  const found = [];
  if (test)
    found.push(tile("Test reward", interval(ends(test, "reward")),
      `${counted(test.n, "held-out example")}, ${sure} interval`,
      test.looks === 1 ? "looked at once" : `look ${test.looks} at this split${test.looks > 3 ? ": the intervals allow for it" : ""}`));
  if (gain)
    found.push(tile("Gain over the baseline", interval(ends(gain, "reward"), true),
      `on the same ${counted(gain.n, "test example")}, in pairs`, gain.p_mcnemar === undefined ? "" : `McNemar ${pValue(gain.p_mcnemar)}`));
  const own = byName.get(facts.winner.trial)?.metrics.val_reward;
  found.push(tile("Validation reward", interval(own), `${counted(facts.n, "example")}, which chose the winner`,
    val?.corrected === undefined ? "" : `corrected for the choice: ${interval(ends(val, "corrected"))}`));
  if (optimism) found.push(tile("Validation minus test", interval(ends(optimism, "reward"), true), "how far the search flattered itself"));
  const detectable = facts.winner.detectable;
  if (detectable)
    found.push(tile("Smallest difference shown", compact(Number(detectable.validation.toPrecision(2))), `by ${counted(facts.n, "validation example")} with a power of 80 %`,
      detectable.test === undefined ? "" : `${compact(Number(detectable.test.toPrecision(2)))} by the ${test?.n} test examples`));
  const cost = search?.cost_usd ?? sum("cost_usd");
  const calls = facts.trials.reduce((total, trial) => total + trial.calls, 0);
  found.push(tile("The search", counted(facts.trials.length, "trial"), `${counted(calls, "call")}, ${cost === null ? "cost unknown" : `$${compact(cost)}`}`,
    failures()));
  return h("section.tiles", { "aria-label": "Results in numbers" }, found);
}

function failures() {
  const failed = facts.trials.filter((trial) => trial.status === "FAILED").length;
  const dropped = facts.trials.filter((trial) => trial.status === "DROPPED").length;
  return [failed ? `${failed} failed` : "", dropped ? `${dropped} dropped early` : ""].filter(Boolean).join(", ");
}

/** @param {"cost_usd"} name @returns {number | null} */
function sum(name) {
  return facts.trials.reduce((/** @type {number | null} */ total, trial) => {
    const value = trial[name];
    return total === null || value === null ? null : total + value;
  }, 0);
}

function frontier() {
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
  return h("section", null,
    h("h2", null, facts.objectives.length > 1 ? "The frontier" : "The trials"),
    h("div.controls", null,
      choice("Across", quantities(), x.name, (value) => change({ x: value, log: null })),
      choice("Up", quantities(), y.name, (value) => change({ y: value })),
      x.names ? null : tick("logarithmic", log, (value) => change({ log: value ? "1" : "0" }))),
    chart,
    legend(/** @type {[Mark["look"], string][]} */ ([
      ["winner", "winner"],
      ["solid", "on the frontier in at least 90 % of draws"],
      ["hollow", "in 10 to 90 %"],
      ...(faint ? [["faint", "in fewer"]] : []),
      ...(facts.trials.some((trial) => trial.status === "COMPLETED" && !trial.feasible) ? [["broken", "breaks a constraint"]] : []),
      ...(facts.trials.some((trial) => trial.status === "DROPPED") ? [["dropped", "dropped early"]] : []),
    ])),
    h("p.note", null, `Bars are ${percent(facts.confidence)} intervals on ${counted(facts.n, "validation example")}. The line joins the trials that no other one beats on these two axes. `,
      facts.constraints.length ? `Constraints: ${facts.constraints.join(", ")}. ` : "", "The same numbers are in the table ",
      h("a", { href: address({ view: "trials" }) }, "Trials"), "."));
}

/** @param {Mark} mark @returns {Mark} */
function tagged(mark) {
  const trial = byName.get(mark.id);
  const few = facts.trials.filter((each) => each.frontier).length <= 12;
  return few && trial && (trial.frontier || trial.winner) ? { ...mark, tag: number(mark.id) } : mark;
}

/**
 * The line of the points that no other one beats on two axes, in steps.
 * @param {Mark[]} marks
 * @param {string | null} across
 * @param {string | null} up
 * @returns {[number, number][]}
 */
export function steps(marks, across, up) {
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

/** What the test, the validation, the baseline and the most common answer are worth, side by side. */
function comparison() {
  const all = facts.numbers;
  if (!all?.test) return h("section", null, h("h2", null, "The held-out test"), h("p", null, "No test split was evaluated: the rewards above are those of the examples that chose the winner."));
  const columns = [["test", "Winner, test"], ["val", "Winner, validation"], ["baseline", "Baseline, test"], ["majority", "Most common answer, test"]].filter(([name]) => all[name]);
  const names = Object.keys(all.test).filter((name) => !/_(lo|hi)$/.test(name) && !["n", "failures", "looks"].includes(name));
  const rows = names.map((name) => {
    const scale = name === "cost" ? 1000 : 1;
    return h("tr", null, h("th", { scope: "row" }, metric(`val_${name}`)?.label || name),
      columns.map(([column]) => h("td.numeric", null, interval(ends(all[column], name)?.map((each) => (each === null ? null : each * scale))))));
  });
  return h("section", null,
    h("h2", null, "The held-out test"),
    h("div.scroll", { tabindex: "0", role: "region", "aria-label": "Test, validation and baseline" },
      h("table", null, h("thead", null, h("tr", null, h("td"), columns.map(([, text]) => h("th.numeric", { scope: "col" }, text)))), h("tbody", null, rows,
        h("tr", null, h("th", { scope: "row" }, "examples"), columns.map(([column]) => h("td.numeric", null, all[column].n ?? "")))))),
    h("p.note", null, "The test examples themselves are not in this page, so that nobody tunes by them. ", trialLink(facts.winner.trial), " shows the validation examples."));
}
