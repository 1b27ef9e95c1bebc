// The winner in a sentence, what cannot be told from it, the test, and the frontier.

import { h, scrolling } from "./dom.js";
import { compact, counted, interval, percent, pValue } from "./numbers.js";
import { byName, facts, live, metric, number } from "./data.js";
import { address } from "./state.js";
import { winnerWord, shown, trialLink } from "./parts.js";
import { frontierSection } from "./frontier.js";

/** @type {Record<string, string>} */
const JUDGE = {
  judgements: "judgements an example",
  judge_sd: "standard deviation of one judgement",
  variance_share: "the judge's share of the rewards' variance",
  labelled: "answers that people scored",
  agreement: "agreement with people",
  absolute_difference: "mean distance from people's scores",
  bias: "how much higher the judge scores",
  reward: "test reward, corrected by people's scores",
};

export function overview() {
  const winner = byName.get(facts.winner.trial);
  if (!winner) throw new Error("the winner is no trial");
  const rival = facts.winner.runner_up === null ? "" : number(facts.winner.runner_up);
  return [
    h(
      "section.hero",
      null,
      h(
        "p.eyebrow",
        null,
        `${capital(winnerWord())}: trial ${number(winner.trial)}, by the rule “${facts.winner.rule.name.replaceAll("_", " ")}”`,
      ),
      h("h1", null, capital(facts.winner.why)),
      h("p.lead", null, capital(facts.winner.doubt), facts.winner.unsettled ? ` ${facts.winner.unsettled}` : ""),
      facts.winner.stopped
        ? h("p.warning", null, `The search ended before all its trials: ${facts.winner.stopped}`)
        : null,
      h(
        "dl.values",
        null,
        facts.hyperparameters.map((each) =>
          h("div", null, h("dt", null, each.label), h("dd", { dir: "auto" }, shown(winner.values[each.name]))),
        ),
      ),
      h(
        "p.actions",
        null,
        h("a.button", { href: address({ view: "trial", trial: number(winner.trial) }) }, `Look at the ${winnerWord()}`),
        h(
          "a.button.quiet",
          { href: address({ view: "examples", trial: number(winner.trial), vs: rival }) },
          rival ? `Compare it with trial ${rival}` : "Read its replies",
        ),
      ),
    ),
    tiles(),
    frontierSection(),
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
  return h(
    "div.tile",
    null,
    h("h2", null, label),
    h("p.figure", null, value),
    notes.filter(Boolean).map((each) => h("p", null, each)),
  );
}

/** @param {Record<string, any> | undefined} part @param {string} name */
function ends(part, name) {
  return part && part[name] !== undefined
    ? [part[name], part[`${name}_lo`] ?? null, part[`${name}_hi`] ?? null]
    : undefined;
}

function tiles() {
  const all = facts.numbers || {};
  const { test, val, gain, optimism, search } = all;
  const sure = percent(facts.confidence);
  const found = [];
  if (test)
    found.push(
      tile(
        "Test reward",
        interval(ends(test, "reward")),
        `${counted(test.n, "held-out example")}, ${sure} interval`,
        test.looks === 1
          ? "looked at once"
          : `look ${test.looks} at this split${test.looks > 3 ? ": the intervals allow for it" : ""}`,
      ),
    );
  if (gain)
    found.push(
      tile(
        "Gain over the baseline",
        interval(ends(gain, "reward"), true),
        `on the same ${counted(gain.n, "test example")}, in pairs`,
        gain.p_mcnemar === undefined ? "" : `McNemar ${pValue(gain.p_mcnemar)}`,
      ),
    );
  const own = byName.get(facts.winner.trial)?.metrics.val_reward;
  found.push(
    tile(
      "Validation reward",
      interval(own),
      `${counted(facts.n, "example")}, which ${live ? "choose" : "chose"} the winner`,
      val?.corrected === undefined ? "" : `corrected for the choice: ${interval(ends(val, "corrected"))}`,
    ),
  );
  if (optimism)
    found.push(
      tile("Validation minus test", interval(ends(optimism, "reward"), true), "how far the search flattered itself"),
    );
  const detectable = facts.winner.detectable;
  if (detectable)
    found.push(
      tile(
        "Smallest difference shown",
        compact(Number(detectable.validation.toPrecision(2))),
        `by ${counted(facts.n, "validation example")} with a power of 80 %`,
        detectable.test === undefined
          ? ""
          : `${compact(Number(detectable.test.toPrecision(2)))} by the ${test?.n} test examples`,
      ),
    );
  const cost = search?.cost_usd ?? sum("cost_usd");
  const calls = facts.trials.reduce((total, trial) => total + trial.calls, 0);
  found.push(
    tile(
      "The search",
      counted(facts.trials.length, "trial"),
      `${counted(calls, "call")}, ${cost === null ? "cost unknown" : `$${compact(cost)}`}`,
      failures(),
    ),
  );
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

/** What the test, the validation, the baseline and the most common answer are worth, side by side. */
function comparison() {
  const all = facts.numbers;
  if (!all?.test)
    return h(
      "section",
      null,
      h("h2", null, "The held-out test"),
      h(
        "p",
        null,
        live
          ? "There is none yet: the held-out examples are looked at once, after the search."
          : "No test split was evaluated: the rewards above are those of the examples that chose the winner.",
      ),
    );
  const columns = [
    ["test", "Winner, test"],
    ["val", "Winner, validation"],
    ...Object.keys(all)
      .filter((name) => name.startsWith("frontier_"))
      .map((name) => [name, `Trial ${number(name.slice(9))}, test`]),
    ["baseline", "Baseline, test"],
    ["majority", "Most common answer, test"],
  ].filter(([name]) => all[name]);
  const names = Object.keys(all.test).filter(
    (name) =>
      typeof all.test[name] === "number" && !/_(lo|hi)$/.test(name) && !["n", "failures", "looks"].includes(name),
  );
  /** @param {string} column */
  const gain = (column) => all[column === "test" ? "gain" : `gain_${column.replace("frontier_", "")}`];
  const rows = names.map((name) => {
    const scale = name === "cost" ? 1000 : 1;
    return h(
      "tr",
      null,
      h("th", { scope: "row" }, metric(`val_${name}`)?.label || name),
      columns.map(([column]) =>
        h("td.numeric", null, interval(ends(all[column], name)?.map((each) => (each === null ? null : each * scale)))),
      ),
    );
  });
  return h(
    "section",
    null,
    h("h2", null, "The held-out test"),
    scrolling(
      "Test, validation and baseline",
      h(
        "table",
        null,
        h(
          "thead",
          null,
          h(
            "tr",
            null,
            h("td"),
            columns.map(([, text]) => h("th.numeric", { scope: "col" }, text)),
          ),
        ),
        h(
          "tbody",
          null,
          rows,
          all.gain
            ? h(
                "tr",
                null,
                h("th", { scope: "row" }, "reward gained over the baseline"),
                columns.map(([column]) => h("td.numeric", null, interval(ends(gain(column), "reward"), true))),
              )
            : null,
          h(
            "tr",
            null,
            h("th", { scope: "row" }, "examples"),
            columns.map(([column]) => h("td.numeric", null, all[column].n ?? "")),
          ),
        ),
      ),
    ),
    h(
      "p.note",
      null,
      "The test examples themselves are not in this page, so that nobody tunes by them. ",
      trialLink(facts.winner.trial),
      " shows the validation examples.",
    ),
    all.judge ? judgeTable(all.judge) : null,
  );
}

/**
 * How much the judge wavers, and how far people agree with it.
 * @param {Record<string, number>} judge
 */
function judgeTable(judge) {
  const names = Object.keys(judge).filter((name) => !/_(lo|hi)$/.test(name));
  return [
    h("h3", null, "The judge of the test examples"),
    h(
      "table.facts",
      null,
      h(
        "tbody",
        null,
        names.map((name) =>
          h(
            "tr",
            null,
            h("th", { scope: "row" }, JUDGE[name] || name),
            h("td.numeric", null, interval(ends(judge, name))),
          ),
        ),
      ),
    ),
  ];
}
