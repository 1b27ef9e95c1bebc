// One example: the input, the gold output, and what one or two trials were asked and answered.

import { h, verbatim, visible } from "./dom.js";
import { compact, counted } from "./numbers.js";
import { block, facts, number, STATES } from "./data.js";
import { address, changed, state } from "./state.js";
import { labelOf, trialLink } from "./parts.js";
import { sharedWords } from "./words.js";
import { promptText } from "./trial.js";

/** @typedef {import("./data.js").Trial} Trial */
/** @typedef {import("./data.js").Example} Example */

/** @param {number | null} reward */
export function mark(reward) {
  if (reward === null || reward === undefined) return h("span.mark-none", { title: "not scored" }, "?");
  if (reward === 1) return h("span.mark-right", { title: "reward 1" }, "✓");
  if (reward === 0) return h("span.mark-wrong", { title: "reward 0" }, "✗");
  return h("span.mark-part", { title: `reward ${compact(reward)}` }, reward.toFixed(2));
}

/**
 * @param {number} place
 * @param {number[]} found
 * @param {Trial} first
 * @param {Trial | undefined} second
 * @param {import("./data.js").Matrix} all
 */
export async function detail(place, found, first, second, all) {
  /** @type {Example} */
  const example = await block(`example-${place}`);
  /** @type {(import("./data.js").Prompt | null)[]} */
  const prompts = await block("prompts");
  const here = found.indexOf(place);
  const [before, after] = [found[here - 1], found[here + 1]];
  return [
    h(
      "p.pages",
      null,
      before === undefined || here < 0
        ? null
        : h("a", { href: changed({ example: before + 1 }), id: "before" }, "← Example ", before + 1),
      after === undefined
        ? null
        : h("a", { href: changed({ example: after + 1 }), id: "after" }, "Example ", after + 1, " →"),
    ),
    h("h2", null, `Example ${place + 1}`),
    h(
      "div.pair",
      null,
      h("section", null, h("h3", null, "Input"), record(example.x, "input")),
      h("section", null, h("h3", null, "Gold output"), record(example.y, "gold output")),
    ),
    h(
      "div.pair",
      null,
      [first, second].map((trial, side) =>
        trial
          ? answer(example, place, trial, all, prompts, side ? first : second, side ? "B: " : second ? "A: " : "")
          : null,
      ),
    ),
    everyTrial(example, place, all),
  ];
}

/** @param {any} value @param {string} label */
function record(value, label) {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return verbatim(shownText(value), label);
  return h(
    "dl.record",
    null,
    Object.entries(value).map(([name, each]) =>
      h("div", null, h("dt", null, name), h("dd", null, verbatim(shownText(each), `${label}: ${name}`))),
    ),
  );
}

/** @param {any} value */
function shownText(value) {
  return typeof value === "string" ? value : JSON.stringify(value, null, 1);
}

/**
 * @param {Example} example
 * @param {number} place
 * @param {Trial} trial
 * @param {import("./data.js").Matrix} all
 * @param {(import("./data.js").Prompt | null)[]} prompts
 * @param {Trial | undefined} other the one that it is compared with
 * @param {string} side
 */
function answer(example, place, trial, all, prompts, other, side) {
  const others = other ? example.runs[other.trial] || [] : [];
  const runs = example.runs[trial.trial] || [];
  const n = all.excerpts.length;
  return h(
    "section.answer",
    null,
    h("h3", null, side, trialLink(trial.trial)),
    h("p.note", { dir: "auto" }, trial.label),
    runs.length ? null : h("p", null, "It did not run this example."),
    runs.map(([output, error, calls], replicate) => {
      const reward = all.rewards[trial.trial][replicate * n + place];
      const code = all.states[trial.trial][replicate * n + place];
      return h(
        "div.run",
        null,
        runs.length > 1 ? h("p.head", null, `Replicate ${replicate + 1}`) : null,
        h(
          "p",
          null,
          mark(reward),
          ` reward ${reward === null ? "none: not scored" : compact(reward)}`,
          code === "o" ? "" : ` · ${STATES[code]}`,
        ),
        error === null ? null : verbatim(example.errors[error], "error"),
        example.answers[output] === null ? null : record(example.answers[output], "answer"),
        calls.length
          ? calls.map((call, step) => asked(example, prompts, call, others[replicate]?.[2][step]))
          : missing(trial, place),
      );
    }),
  );
}

/**
 * @param {Example} example
 * @param {(import("./data.js").Prompt | null)[]} prompts
 * @param {[number, number, number]} call
 * @param {[number, number, number] | undefined} other the same call of the trial that it is compared with
 */
function asked(example, prompts, [prompt, question, reply], other) {
  const shared = prompts[prompt];
  const [role, text] = example.questions[question];
  const [replied, reason] = example.replies[reply];
  return [
    h(
      "p.head",
      null,
      shared ? `Reply of ${shared.model} to ${shared.module}` : "Reply",
      reason && reason !== "stop" ? h("span.note", null, ` ended by: ${reason}`) : null,
    ),
    verbatim(replied, "reply", other ? sharedWords(replied, example.replies[other[2]][0]) : null),
    h(
      "details",
      null,
      h("summary", null, "Prompt"),
      shared ? promptText(shared) : null,
      h("p.head", null, role || "the question, which goes on"),
      verbatim(text, "question"),
    ),
  ];
}

/** @param {Trial} trial @param {number} place */
function missing(trial, place) {
  const { kept, trials, max_mb: limit } = facts.texts;
  if (!kept || trials.includes(trial.trial))
    return h("p.note", null, "Prompt and reply were not kept.");
  return h(
    "p.note",
    null,
    `Prompt and reply are left out, to keep this file below ${limit} MB: report.max_mb sets that. `,
    h("code", null, `paretune show ${number(trial.trial)} --example ${place + 1}`),
    " shows them.",
  );
}

/**
 * The fields of an output that the gold output has too: without a thought.
 * @param {Record<string, any> | null} output
 * @param {Record<string, any>} gold
 */
function likeGold(output, gold) {
  return output === null ? null : Object.fromEntries(Object.entries(output).filter(([name]) => name in gold));
}

/**
 * @param {Example} example
 * @param {number} place
 * @param {import("./data.js").Matrix} all
 */
function everyTrial(example, place, all) {
  const n = all.excerpts.length;
  /** @type {Map<string, {output: any, trials: string[], reward: number | null}>} */
  const groups = new Map();
  for (const [trial, runs] of Object.entries(example.runs))
    runs.forEach(([output], replicate) => {
      const reward = all.rewards[trial][replicate * n + place];
      const bare = likeGold(example.answers[output], example.y);
      const key = JSON.stringify([bare, reward]);
      const group = groups.get(key) || { output: bare, trials: [], reward };
      if (!group.trials.includes(trial)) group.trials.push(trial);
      groups.set(key, group);
    });
  const sorted = [...groups.values()].sort((p, q) => q.trials.length - p.trials.length);
  return h(
    "section",
    null,
    h("h3", null, "What all trials answered"),
    h(
      "ul.groups",
      null,
      sorted.slice(0, 20).map((group) =>
        h(
          "li",
          null,
          mark(group.reward),
          " ",
          h(
            "bdi.given",
            null,
            group.output === null
              ? "no valid answer"
              : visible(Object.values(Object(group.output)).map(shownText).join(" · ")).slice(0, 300),
          ),
          h("span.note", null, ` ${counted(group.trials.length, "trial")}: `),
          group.trials
            .slice(0, 30)
            .map((trial) => [
              h(
                "a",
                { href: changed({ vs: number(trial), show: null, example: place + 1 }), title: labelOf(trial) },
                number(trial),
              ),
              " ",
            ]),
          group.trials.length > 30 ? "…" : "",
        ),
      ),
    ),
    sorted.length > 20 ? h("p.note", null, `and ${sorted.length - 20} other answers`) : null,
    h(
      "p.note",
      null,
      h(
        "a",
        { href: address({ view: "examples", trial: state().trial, vs: state().vs, example: place + 1 }) },
        "A link to this example",
      ),
    ),
  );
}
