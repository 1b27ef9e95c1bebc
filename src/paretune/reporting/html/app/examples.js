// Examples: what a trial was asked, what it answered, what that was worth; and two trials side by side.

import { h, visible } from "./dom.js";
import { counted, difference, interval, pValue } from "./numbers.js";
import { byName, facts, matrix, number, rewards, STATES } from "./data.js";
import { change, changed, state } from "./state.js";
import { choice, trialOf, trialOptions } from "./parts.js";
import { detail, mark } from "./example.js";

/** @typedef {import("./data.js").Trial} Trial */
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
  const found = a
    .map((_, place) => place)
    .filter((place) => shown.keep(place) && all.excerpts[place].toLowerCase().includes(words));
  const asked = Number(now.example);
  const current =
    now.example !== undefined && Number.isInteger(asked) && asked >= 1 && asked <= a.length ? asked - 1 : found[0];
  return [
    h(
      "h1",
      null,
      second
        ? `Trial ${number(first.trial)} and trial ${number(second.trial)}`
        : `What trial ${number(first.trial)} answered`,
    ),
    h(
      "div.controls",
      null,
      choice("A", trialOptions(), number(first.trial), (value) => change({ trial: value, show: null })),
      choice(
        "B",
        [["", "no other one"], ...trialOptions().filter(([name]) => name !== number(first.trial))],
        second ? number(second.trial) : "",
        (value) => change({ vs: value, show: null }),
      ),
      h(
        "label.choice",
        null,
        h("span", null, "Text"),
        h("input", {
          type: "search",
          value: now.q || "",
          placeholder: "in the inputs' beginnings",
          onchange: (/** @type {Event} */ event) =>
            change({ q: /** @type {HTMLInputElement} */ (event.target).value, example: null }),
        }),
      ),
    ),
    b ? paired(a, b) : null,
    h(
      "div.chips",
      { role: "group", "aria-label": "Which examples" },
      filters.map((each) =>
        h(
          "a.chip",
          {
            href: changed({ show: each.name === filters[0].name ? null : each.name, example: null }),
            "aria-current": each === shown ? "true" : null,
          },
          each.label,
          h("span.count", null, a.filter((_, place) => each.keep(place)).length),
        ),
      ),
    ),
    h(
      "div.reader",
      null,
      list(all, a, b, found, current),
      h(
        "article",
        { id: "example" },
        current === undefined
          ? h("p", null, "No example is like that.")
          : await detail(current, found, first, second, all),
      ),
    ),
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
  if (a.some((each) => each !== null && each !== 0 && each !== 1))
    found.push({ name: "partly", label: "In part", keep: (place) => (a[place] || 0) > 0 && (a[place] || 0) < 1 });
  for (const code of codes)
    found.push({ name: `state-${code}`, label: STATES[code], keep: (place) => at(states, place, n).includes(code) });
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
  const both = (/** @type {number} */ place) =>
    /** @type {[number, number] | null} */ (
      typeof a[place] === "number" && typeof b[place] === "number" ? [a[place], b[place]] : null
    );
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
  return h(
    "p.lead",
    { role: "status" },
    `A − B: ${interval([found.value, found.lo, found.hi], true)} on ${counted(found.n, "example")} that both scored; ${sides}. `,
    `A is better on ${found.more}, B on ${found.less}${Number.isNaN(found.p) ? "" : ` (McNemar ${pValue(found.p)})`}.`,
    " These two were chosen by looking: one comparison among many proves less than its interval says.",
  );
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
  return h(
    "nav.list",
    { "aria-label": "Examples" },
    h(
      "p.note",
      null,
      found.length > LISTED
        ? `${start + 1}–${start + page.length} of ${counted(found.length, "example")}`
        : counted(found.length, "example"),
    ),
    h(
      "ol",
      null,
      page.map((place) =>
        h(
          "li",
          null,
          h(
            "a",
            { href: changed({ example: place + 1 }), "aria-current": place === current ? "true" : null },
            h("span.place", null, place + 1),
            mark(a[place]),
            b ? mark(b[place]) : null,
            h("bdi", null, visible(all.excerpts[place])),
          ),
        ),
      ),
    ),
    h(
      "p.pages",
      null,
      start ? h("a", { href: changed({ example: found[start - LISTED] + 1 }) }, "← before") : null,
      start + LISTED < found.length
        ? h("a", { href: changed({ example: found[start + LISTED] + 1 }) }, "after →")
        : null,
    ),
  );
}
