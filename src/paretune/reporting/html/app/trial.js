// The page of one trial: its values, its numbers, and what stands before each question.

import { h, verbatim } from "./dom.js";
import { compact, interval } from "./numbers.js";
import { block, facts, matrix, number, rewards, tokensOf } from "./data.js";
import { address } from "./state.js";
import { winnerWord, icon, shown, standing } from "./parts.js";
import { classTables } from "./answers.js";

/** @typedef {import("./data.js").Trial} Trial */

/** @param {Trial} trial */
export async function trialView(trial) {
  const all = await matrix();
  const mine = rewards(all, trial.trial);
  const right = mine.filter((each) => each === 1).length;
  const place = standing(trial);
  const it = number(trial.trial);
  const winner = number(facts.winner.trial);
  return [
    h("p.eyebrow", null, place || (trial.status === "COMPLETED" ? "dominated" : "")),
    h("h1", null, icon(trial), ` Trial ${it}`),
    h("p.lead", { dir: "auto" }, trial.label),
    trial.error ? h("div.warning", null, verbatim(trial.error, "why it failed")) : null,
    h(
      "p.actions",
      null,
      mine.length ? h("a.button", { href: address({ view: "examples", trial: it }) }, "Read its replies") : null,
      mine.length && it !== winner
        ? h(
            "a.button.quiet",
            { href: address({ view: "examples", trial: it, vs: winner }) },
            `Compare with the ${winnerWord()}`,
          )
        : null,
    ),
    h(
      "div.columns",
      null,
      h(
        "section",
        null,
        h("h2", null, "Hyperparameters"),
        h(
          "table.facts",
          null,
          h(
            "tbody",
            null,
            facts.hyperparameters.map((each) =>
              h(
                "tr",
                null,
                h("th", { scope: "row" }, each.label),
                h("td", { dir: "auto" }, shown(trial.values[each.name])),
              ),
            ),
          ),
        ),
      ),
      h(
        "section",
        null,
        h("h2", null, "Validation"),
        h(
          "table.facts",
          null,
          h(
            "tbody",
            null,
            facts.metrics.map((each) =>
              h(
                "tr",
                null,
                h("th", { scope: "row" }, each.label),
                h(
                  "td.numeric",
                  null,
                  interval(trial.metrics[each.name]),
                  trial.errors[each.name] === undefined
                    ? null
                    : h("span.note", null, ` ± ${compact(trial.errors[each.name])} s.e.`),
                ),
              ),
            ),
            trial.probability === null
              ? null
              : h(
                  "tr",
                  null,
                  h("th", { scope: "row" }, "on the frontier in"),
                  h("td.numeric", null, `${compact(100 * trial.probability)} % of draws`),
                ),
            right
              ? h(
                  "tr",
                  null,
                  h("th", { scope: "row" }, "fully rewarded"),
                  h("td.numeric", null, `${right} of ${mine.length}`),
                )
              : null,
            trial.replicates > 1
              ? h("tr", null, h("th", { scope: "row" }, "replicates"), h("td.numeric", null, trial.replicates))
              : null,
            h(
              "tr",
              null,
              h("th", { scope: "row" }, "calls, with training"),
              h("td.numeric", null, trial.calls.toLocaleString("en-US")),
            ),
            h(
              "tr",
              null,
              h("th", { scope: "row" }, "tokens in and out"),
              h(
                "td.numeric",
                null,
                tokensOf(trial) === null
                  ? "–"
                  : `${trial.prompt_tokens?.toLocaleString("en-US")} + ${trial.completion_tokens?.toLocaleString("en-US")}`,
              ),
            ),
            h("tr", null, h("th", { scope: "row" }, "cost (USD)"), h("td.numeric", null, compact(trial.cost_usd))),
          ),
        ),
      ),
    ),
    await promptSection(trial),
    mine.length ? classTables(all, trial) : null,
  ];
}

/** @param {Trial} trial */
async function promptSection(trial) {
  if (!facts.texts.trials.includes(trial.trial)) return null;
  /** @type {(import("./data.js").Prompt | null)[]} */
  const prompts = await block("prompts");
  /** @type {import("./data.js").Example} */
  const first = await block("example-0");
  const used = [...new Set((first.runs[trial.trial] || []).flatMap((run) => run[2].map((call) => call[0])))];
  if (!used.length) return null;
  return h(
    "section",
    null,
    h("h2", null, "What stands before each question"),
    used.map((place) => {
      const prompt = prompts[place];
      return prompt ? promptText(prompt) : null;
    }),
  );
}

/** @param {import("./data.js").Prompt} prompt */
export function promptText(prompt) {
  return h(
    "div.prompt",
    null,
    h("p.note", null, `${prompt.module} → ${prompt.model}`),
    prompt.messages.map(([role, text]) => [h("p.head", null, role), verbatim(text, role)]),
    h(
      "details",
      null,
      h("summary", null, "Schema and options"),
      verbatim(JSON.stringify(prompt.request, null, 2), "schema and options"),
    ),
  );
}
