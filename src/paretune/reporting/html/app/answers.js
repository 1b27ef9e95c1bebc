// Classes: precision, recall, F1 and which is taken for which; and replies that were none.

import { h, scrolling } from "./dom.js";
import { compact, counted } from "./numbers.js";
import { byName, facts, matrix, number, STATES } from "./data.js";
import { address, change, state } from "./state.js";
import { choice, trialLink, trialOf, trialOptions } from "./parts.js";
import { table } from "./table.js";

/** @typedef {import("./data.js").Trial} Trial */

export async function answersView() {
  const all = await matrix();
  const trial = trialOf(state().trial) || byName.get(facts.winner.trial);
  if (!trial) return [h("h1", null, "Answers")];
  return [
    h("h1", null, "Answers"),
    h(
      "div.controls",
      null,
      choice("Trial", trialOptions(), number(trial.trial), (value) => change({ trial: value })),
    ),
    classTables(all, trial) ||
      h("p", null, "The outputs of this task are no classes: there is nothing to count by class."),
    failureTable(),
  ];
}

/**
 * @param {import("./data.js").Matrix} all
 * @param {Trial} trial
 */
export function classTables(all, trial) {
  const { classes } = all;
  const answers = classes?.answers[trial.trial];
  if (!classes || !answers) return null;
  const n = classes.gold.length;
  const pairs = answers.flatMap((answer, place) =>
    "x-".includes(all.states[trial.trial][place])
      ? []
      : [/** @type {[number, number]} */ ([classes.gold[place % n], answer])],
  );
  const rows = classes.labels.map((label, place) => ({ label, ...counts(pairs, place, classes.kind) }));
  return h(
    "section",
    null,
    h("h2", null, "By class, validation"),
    table({
      caption: "Precision, recall and F1 by class",
      rows,
      columns: [
        { name: "label", label: "Class", value: (row) => row.label, cell: (row) => h("bdi", null, row.label) },
        { name: "f1", label: "F1", numeric: true, value: (row) => row.f1, cell: (row) => compact(row.f1) },
        {
          name: "precision",
          label: "Precision",
          numeric: true,
          value: (row) => row.precision,
          cell: (row) => compact(row.precision),
        },
        {
          name: "recall",
          label: "Recall",
          numeric: true,
          value: (row) => row.recall,
          cell: (row) => compact(row.recall),
        },
        { name: "gold", label: "Gold", numeric: true, value: (row) => row.gold },
        { name: "given", label: "Answered", numeric: true, value: (row) => row.given },
      ],
    }),
    classes.kind === "label" ? confusion(classes, pairs) : null,
  );
}

/**
 * @param {[number, number][]} pairs
 * @param {number} place
 * @param {"label" | "flags"} kind
 */
function counts(pairs, place, kind) {
  const is = (/** @type {number} */ value) =>
    kind === "label" ? value === place : value >= 0 && Math.floor(value / 2 ** place) % 2 === 1;
  let [both, gold, given] = [0, 0, 0];
  for (const [truth, answer] of pairs) {
    if (is(truth)) gold += 1;
    if (is(answer)) given += 1;
    if (is(truth) && is(answer)) both += 1;
  }
  const share = (/** @type {number} */ of) => (of ? both / of : 0);
  return {
    gold,
    given,
    precision: share(given),
    recall: share(gold),
    f1: gold + given ? (2 * both) / (gold + given) : 0,
  };
}

/**
 * @param {import("./data.js").Classes} classes
 * @param {[number, number][]} pairs
 */
function confusion(classes, pairs) {
  const size = classes.labels.length;
  const cells = Array.from({ length: size }, () => new Array(size + 1).fill(0));
  for (const [truth, answer] of pairs) if (truth >= 0) cells[truth][answer < 0 ? size : answer] += 1;
  const none = cells.some((row) => row[size] > 0);
  const width = none ? size + 1 : size;
  return [
    h("h3", null, "Which is taken for which"),
    scrolling(
      "Confusion matrix",
      h(
        "table.confusion",
        null,
        h("caption.note", null, "Rows: the gold class; columns: the answer"),
        h(
          "thead",
          null,
          h(
            "tr",
            null,
            h("td"),
            classes.labels.map((label) => h("th", { scope: "col" }, h("bdi", null, label))),
            none ? h("th", { scope: "col" }, "none") : null,
          ),
        ),
        h(
          "tbody",
          null,
          cells.map((row, truth) => {
            const total = row.reduce((sum, count) => sum + count, 0);
            if (!total) return null;
            return h(
              "tr",
              null,
              h("th", { scope: "row" }, h("bdi", null, classes.labels[truth])),
              row.slice(0, width).map((count, answer) => {
                const shade = count ? 1 + Math.min(8, Math.floor((9 * count) / total)) : 0;
                return h(`td.shade-${shade}${answer === truth ? ".right" : ".wrong"}`, null, count || "·");
              }),
            );
          }),
        ),
      ),
    ),
  ];
}

function failureTable() {
  const bad = facts.trials.filter((trial) => Object.keys(trial.invalid).length || trial.error);
  if (!bad.length)
    return h(
      "section",
      null,
      h("h2", null, "Invalid replies and failures"),
      h("p", null, "Every reply of every trial was valid, and every call was answered."),
    );
  const kinds = ["cut_off", "refused", "filtered", "empty", "malformed", "failed"].filter((kind) =>
    bad.some((trial) => trial.invalid[kind]),
  );
  /** @type {Record<string, string>} */
  const shows = Object.fromEntries(Object.entries(STATES).map(([code, text]) => [text.replace(" ", "_"), code]));
  return h(
    "section",
    null,
    h("h2", null, "Invalid replies and failures"),
    h(
      "p.note",
      null,
      `${counted(bad.length, "trial")} of ${facts.trials.length} had some, on the validation examples. A reply that is no valid record counts as wrong; a failed call is not scored.`,
    ),
    table({
      caption: "Invalid replies and failures by trial",
      rows: bad,
      columns: [
        {
          name: "trial",
          label: "Trial",
          value: (trial) => Number(trial.trial),
          cell: (trial) => trialLink(trial.trial),
        },
        ...kinds.map((kind) => ({
          name: kind,
          label: kind.replace("_", " "),
          numeric: true,
          value: (/** @type {Trial} */ trial) => trial.invalid[kind] || 0,
          cell: (/** @type {Trial} */ trial) =>
            trial.invalid[kind]
              ? h(
                  "a",
                  { href: address({ view: "examples", trial: number(trial.trial), show: `state-${shows[kind]}` }) },
                  trial.invalid[kind],
                )
              : "0",
        })),
        {
          name: "label",
          label: "Configuration",
          value: (trial) => trial.label,
          cell: (trial) => h("bdi", null, trial.label),
        },
      ],
      sort: kinds[0],
    }),
  );
}
