// Examples: what a trial was asked, what it answered, what that was worth; and two trials side by side.

import { h, verbatim, visible } from "./dom.js";
import { compact, counted, difference, interval, pValue } from "./numbers.js";
import { block, byName, facts, matrix, number, rewards, STATES } from "./data.js";
import { address, change, changed, state } from "./state.js";
import { choice, labelOf, trialLink, trialOf, trialOptions } from "./parts.js";
import { promptText } from "./trials.js";

/** @typedef {import("./data.js").Trial} Trial */
/** @typedef {import("./data.js").Example} Example */
/** @typedef {(number | null)[]} Rewards */
/** @typedef {{name: string, label: string, keep: (place: number) => boolean}} Filter */

const LISTED = 60;

export async function examplesView() {
  const now = state();
  const all = await matrix();
  const first = trialOf(now.trial) || byName.get(facts.winner.trial);
  if (!first) return [h("h1", null, "Examples")];
  const second = now.vs && trialOf(now.vs) !== first ? trialOf(now.vs) : undefined;
  const [a, b] = [rewards(all, first.trial), second ? rewards(all, second.trial) : undefined];
  const filters = b ? pairFilters(a, b) : singleFilters(a, all.states[first.trial] || "");
  const shown = filters.find((each) => each.name === now.show) || filters[0];
  const words = (now.q || "").toLowerCase();
  const found = a.map((_, place) => place).filter((place) => shown.keep(place) && all.excerpts[place].toLowerCase().includes(words));
  const asked = Number(now.example);
  const current = now.example !== undefined && Number.isInteger(asked) && asked >= 1 && asked <= a.length ? asked - 1 : found[0];
  return [
    h("h1", null, second ? `Trial ${number(first.trial)} and trial ${number(second.trial)}` : `What trial ${number(first.trial)} answered`),
    h("div.controls", null,
      choice("A", trialOptions(), number(first.trial), (value) => change({ trial: value, show: null })),
      choice("B", [["", "no other one"], ...trialOptions().filter(([name]) => name !== number(first.trial))], second ? number(second.trial) : "", (value) => change({ vs: value, show: null })),
      h("label.choice", null, h("span", null, "Text"), h("input", {
        type: "search", value: now.q || "", placeholder: "in the inputs' beginnings",
        onchange: (/** @type {Event} */ event) => change({ q: /** @type {HTMLInputElement} */ (event.target).value, example: null }),
      }))),
    b ? paired(a, b) : null,
    h("div.chips", { role: "group", "aria-label": "Which examples" }, filters.map((each) =>
      h("a.chip", { href: changed({ show: each.name === filters[0].name ? null : each.name, example: null }), "aria-current": each === shown ? "true" : null },
        each.label, h("span.count", null, a.filter((_, place) => each.keep(place)).length)))),
    h("div.reader", null,
      list(all, a, b, found, current),
      h("article", { id: "example", "aria-live": "polite" }, current === undefined ? h("p", null, "No example is like that.") : await detail(current, found, first, second, all))),
  ];
}

/** @param {Rewards} a @param {string} states @returns {Filter[]} */
function singleFilters(a, states) {
  const n = a.length;
  const codes = [...new Set(states)].filter((code) => code !== "o" && code !== "-");
  /** @type {Filter[]} */
  const found = [
    { name: "all", label: "All", keep: () => true },
    { name: "right", label: "Right", keep: (place) => a[place] === 1 },
    { name: "wrong", label: "Wrong", keep: (place) => a[place] === 0 },
  ];
  if (a.some((each) => each !== null && each !== 0 && each !== 1)) found.push({ name: "partly", label: "In part", keep: (place) => (a[place] || 0) > 0 && (a[place] || 0) < 1 });
  for (const code of codes) found.push({ name: `state-${code}`, label: STATES[code], keep: (place) => at(states, place, n).includes(code) });
  return found;
}

/** The letters of an example, one a replicate. */
function at(/** @type {string} */ states, /** @type {number} */ place, /** @type {number} */ n) {
  let found = "";
  for (let k = place; k < states.length; k += n) found += states[k];
  return found;
}

/** @param {Rewards} a @param {Rewards} b @returns {Filter[]} */
function pairFilters(a, b) {
  const both = (/** @type {number} */ place) => /** @type {[number, number] | null} */ (typeof a[place] === "number" && typeof b[place] === "number" ? [a[place], b[place]] : null);
  /** @param {(x: number, y: number) => boolean} test */
  const when = (test) => (/** @type {number} */ place) => {
    const pair = both(place);
    return pair !== null && test(...pair);
  };
  const binary = [...a, ...b].every((each) => each === null || each === 0 || each === 1);
  return [
    { name: "all", label: "All", keep: () => true },
    { name: "a", label: binary ? "A right, B wrong" : "A better", keep: when((x, y) => x > y) },
    { name: "b", label: binary ? "B right, A wrong" : "B better", keep: when((x, y) => y > x) },
    { name: "right", label: "Both right", keep: when((x, y) => x === 1 && y === 1) },
    { name: "wrong", label: "Both wrong", keep: when((x, y) => x === 0 && y === 0) },
  ];
}

/** @param {Rewards} a @param {Rewards} b */
function paired(a, b) {
  const found = difference(a, b, facts.z);
  const sides = found.lo > 0 ? "A is better" : found.hi < 0 ? "B is better" : "which one is better is open";
  return h("p.lead", { role: "status" },
    `A − B: ${interval([found.value, found.lo, found.hi], true)} on ${counted(found.n, "example")} that both scored; ${sides}. `,
    `A is better on ${found.more}, B on ${found.less}${Number.isNaN(found.p) ? "" : ` (McNemar ${pValue(found.p)})`}.`,
    " These two were chosen by looking: one comparison among many proves less than its interval says.");
}

/** @param {number | null} reward */
function mark(reward) {
  if (reward === null || reward === undefined) return h("span.mark-none", { title: "not scored" }, "?");
  if (reward === 1) return h("span.mark-right", { title: "reward 1" }, "✓");
  if (reward === 0) return h("span.mark-wrong", { title: "reward 0" }, "✗");
  return h("span.mark-part", { title: `reward ${compact(reward)}` }, compact(reward));
}

/**
 * @param {import("./data.js").Matrix} all
 * @param {Rewards} a
 * @param {Rewards | undefined} b
 * @param {number[]} found
 * @param {number | undefined} current
 */
function list(all, a, b, found, current) {
  const start = Math.max(0, Math.floor(Math.max(0, found.indexOf(current ?? -1)) / LISTED) * LISTED);
  const page = found.slice(start, start + LISTED);
  return h("nav.list", { "aria-label": "Examples" },
    h("p.note", null, found.length > LISTED ? `${start + 1}–${start + page.length} of ${counted(found.length, "example")}` : counted(found.length, "example")),
    h("ol", null, page.map((place) =>
      h("li", null, h("a", { href: changed({ example: place + 1 }), "aria-current": place === current ? "true" : null },
        h("span.place", null, place + 1), mark(a[place]), b ? mark(b[place]) : null, h("bdi", null, visible(all.excerpts[place])))))),
    h("p.pages", null,
      start ? h("a", { href: changed({ example: found[start - LISTED] + 1 }) }, "← before") : null,
      start + LISTED < found.length ? h("a", { href: changed({ example: found[start + LISTED] + 1 }) }, "after →") : null));
}

/**
 * @param {number} place
 * @param {number[]} found
 * @param {Trial} first
 * @param {Trial | undefined} second
 * @param {import("./data.js").Matrix} all
 */
async function detail(place, found, first, second, all) {
  /** @type {Example} */
  const example = await block(`example-${place}`);
  /** @type {(import("./data.js").Prompt | null)[]} */
  const prompts = await block("prompts");
  const here = found.indexOf(place);
  const [before, after] = [found[here - 1], found[here + 1]];
  return [
    h("p.pages", null,
      before === undefined || here < 0 ? null : h("a", { href: changed({ example: before + 1 }), id: "before" }, "← Example ", before + 1),
      after === undefined ? null : h("a", { href: changed({ example: after + 1 }), id: "after" }, "Example ", after + 1, " →")),
    h("h2", null, `Example ${place + 1}`),
    h("div.pair", null,
      h("section", null, h("h3", null, "Input"), record(example.x, "input")),
      h("section", null, h("h3", null, "Gold output"), record(example.y, "gold output"))),
    h("div.pair", null, [first, second].map((trial, side) =>
      trial ? answer(example, place, trial, all, prompts, second ? (side ? "B: " : "A: ") : "") : null)),
    everyTrial(example, place, all),
  ];
}

/** @param {any} value @param {string} label */
function record(value, label) {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return verbatim(shownText(value), label);
  return h("dl.record", null, Object.entries(value).map(([name, each]) => h("div", null, h("dt", null, name), h("dd", null, verbatim(shownText(each), `${label}: ${name}`)))));
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
 * @param {string} side
 */
function answer(example, place, trial, all, prompts, side) {
  const runs = example.runs[trial.trial] || [];
  const n = all.excerpts.length;
  return h("section.answer", null,
    h("h3", null, side, trialLink(trial.trial)),
    h("p.note", { dir: "auto" }, trial.label),
    runs.length ? null : h("p", null, "It did not run this example."),
    runs.map(([output, error, calls], replicate) => {
      const reward = all.rewards[trial.trial][replicate * n + place];
      const code = all.states[trial.trial][replicate * n + place];
      return h("div.run", null,
        runs.length > 1 ? h("p.head", null, `Replicate ${replicate + 1}`) : null,
        h("p", null, mark(reward), ` reward ${reward === null ? "none: not scored" : compact(reward)}`, code === "o" ? "" : ` · ${STATES[code]}`),
        error === null ? null : verbatim(example.errors[error], "error"),
        example.answers[output] === null ? null : record(example.answers[output], "answer"),
        calls.length ? calls.map((call) => asked(example, prompts, call)) : missing(trial));
    }));
}

/**
 * @param {Example} example
 * @param {(import("./data.js").Prompt | null)[]} prompts
 * @param {[number, number, number]} call
 */
function asked(example, prompts, [prompt, question, reply]) {
  const shared = prompts[prompt];
  const [role, text] = example.questions[question];
  const [replied, reason] = example.replies[reply];
  return [
    h("p.head", null, `Reply${shared ? ` of ${shared.model}` : ""}`, reason && reason !== "stop" ? h("span.note", null, ` ended by: ${reason}`) : null),
    verbatim(replied, "reply"),
    h("details", null, h("summary", null, "Prompt"),
      shared ? promptText(shared) : null,
      h("p.head", null, role || "the question, which goes on"),
      verbatim(text, "question")),
  ];
}

/** @param {Trial} trial */
function missing(trial) {
  const { kept, trials, max_mb: limit } = facts.texts;
  if (!kept || trials.includes(trial.trial)) return h("p.note", null, "Prompt and reply were not kept: the ledger no longer had them.");
  return h("p.note", null, `Prompt and reply are left out, to keep this file below ${limit} MB: report.max_mb sets that. `, h("code", null, `paretune calls --trial ${number(trial.trial)}`), " shows them.");
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
      const scored = example.answers[output];
      const bare = scored && typeof scored === "object" ? Object.fromEntries(Object.entries(scored).filter(([name]) => name in Object(example.y) || !Object.keys(Object(example.y)).length)) : scored;
      const key = JSON.stringify([bare, reward]);
      const group = groups.get(key) || { output: bare, trials: [], reward };
      if (!group.trials.includes(trial)) group.trials.push(trial);
      groups.set(key, group);
    });
  const sorted = [...groups.values()].sort((p, q) => q.trials.length - p.trials.length);
  return h("section", null,
    h("h3", null, "What all trials answered"),
    h("ul.groups", null, sorted.slice(0, 20).map((group) =>
      h("li", null, mark(group.reward), " ", h("bdi.given", null, group.output === null ? "no valid answer" : visible(Object.values(Object(group.output)).map(shownText).join(" · ")).slice(0, 300)),
        h("span.note", null, ` ${counted(group.trials.length, "trial")}: `),
        group.trials.slice(0, 30).map((trial) => [h("a", { href: changed({ vs: number(trial), show: null, example: place + 1 }), title: labelOf(trial) }, number(trial)), " "]),
        group.trials.length > 30 ? "…" : ""))),
    sorted.length > 20 ? h("p.note", null, `and ${sorted.length - 20} other answers`) : null,
    h("p.note", null, h("a", { href: address({ view: "examples", trial: state().trial, vs: state().vs, example: place + 1 }) }, "A link to this example")));
}
