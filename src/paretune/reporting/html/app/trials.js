// The table of trials, and the page of one.

import { h, verbatim } from "./dom.js";
import { compact, counted, interval } from "./numbers.js";
import { block, facts, matrix, metric, number, rewards } from "./data.js";
import { address, change, state } from "./state.js";
import { icon, shown, standing, tick, trialLink } from "./parts.js";
import { table } from "./table.js";
import { classTables } from "./answers.js";

/** @typedef {import("./data.js").Trial} Trial */
/** @typedef {import("./table.js").Column<Trial>} TrialColumn */

/** @returns {TrialColumn[]} */
function columns() {
  const objectives = facts.objectives.map((each) => each.name);
  const metrics = [...new Set([...objectives, ...facts.metrics.map((each) => each.name)])];
  const several = facts.objectives.length > 1;
  /** @type {TrialColumn[]} */
  const found = [
    { name: "trial", label: "Trial", value: (trial) => Number(trial.trial), cell: (trial) => h("span.nowrap", null, icon(trial), trialLink(trial.trial)) },
    { name: "standing", label: "Standing", value: (trial) => standing(trial) || null, cell: standing },
  ];
  for (const each of facts.hyperparameters)
    found.push({ name: each.name, label: each.label, value: (trial) => trial.values[each.name], cell: (trial) => h("bdi.cell", null, shown(trial.values[each.name])) });
  for (const name of metrics)
    found.push({
      name,
      label: metric(name)?.label || name,
      numeric: true,
      least: metric(name)?.direction === "min",
      value: (trial) => trial.metrics[name]?.[0],
      cell: (trial) => h("span.nowrap", null, interval(trial.metrics[name])),
    });
  if (several)
    found.push({ name: "probability", label: "On the frontier", numeric: true, hint: "Share of draws in which it is on the frontier", value: (trial) => trial.probability, cell: (trial) => (trial.probability === null ? "–" : `${compact(100 * trial.probability)} %`) });
  found.push(
    { name: "calls", label: "Calls", numeric: true, value: (trial) => trial.calls, cell: (trial) => trial.calls.toLocaleString("en-US") },
    { name: "tokens", label: "Tokens", numeric: true, value: (trial) => trial.prompt_tokens + trial.completion_tokens, cell: (trial) => (trial.prompt_tokens + trial.completion_tokens).toLocaleString("en-US") },
    { name: "cost_usd", label: "Cost (USD)", numeric: true, value: (trial) => trial.cost_usd, cell: (trial) => compact(trial.cost_usd) },
    { name: "bad", label: "No valid reply", numeric: true, value: bad, cell: (trial) => bad(trial).toLocaleString("en-US") },
  );
  return found;
}

/** @param {Trial} trial */
function bad(trial) {
  return Object.values(trial.invalid).reduce((total, count) => total + count, 0);
}

/** Shown unless others are chosen: what varies, the objectives, and what it took. */
function usual() {
  const names = new Set(["trial", "standing", "calls", "cost_usd", "probability", ...facts.objectives.map((each) => each.name)]);
  facts.hyperparameters.filter((each) => each.varied).slice(0, 6).forEach((each) => names.add(each.name));
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
    const text = `trial ${number(trial.trial)} ${trial.label} ${standing(trial)} ${Object.entries(trial.values).map(([name, value]) => `${name}=${shown(value)}`).join(" ")}`.toLowerCase();
    return wanted.every((word) => text.includes(word));
  });
  const visibleColumns = all.filter((column) => picked.has(column.name));
  const filter = h("input", {
    type: "search", value: now.q || "", placeholder: "few_shot=6 native", id: "filter",
    onchange: (/** @type {Event} */ event) => change({ q: /** @type {HTMLInputElement} */ (event.target).value }),
  });
  return [
    h("h1", null, "Trials"),
    h("div.controls", null,
      h("label.choice", null, h("span", null, "Filter"), filter),
      tick("only the frontier", now.only === "frontier", (value) => change({ only: value ? "frontier" : null })),
      facts.constraints.length ? tick("only those that keep the constraints", now.only === "feasible", (value) => change({ only: value ? "feasible" : null })) : null,
      h("details", { open: now.choose === "1", ontoggle: (/** @type {Event} */ event) => history.replaceState(null, "", address({ ...state(), choose: /** @type {HTMLDetailsElement} */ (event.target).open ? "1" : null })) },
        h("summary", null, "Columns"),
        h("div.ticks", null, all.slice(1).map((column) =>
          tick(column.label, picked.has(column.name), (value) => {
            value ? picked.add(column.name) : picked.delete(column.name);
            change({ columns: [...picked].filter((each) => each !== "trial").join(" ") || "none" });
          }))))),
    h("p.note", { role: "status" }, rows.length === facts.trials.length ? counted(rows.length, "trial") : `${rows.length} of ${counted(facts.trials.length, "trial")}`,
      `. Intervals in brackets.${facts.constraints.length ? ` Constraints: ${facts.constraints.join(", ")}.` : ""}`),
    table({
      caption: "Trials",
      columns: visibleColumns,
      rows,
      sort: now.sort || "",
      emphasis: (trial) => (trial.winner ? "winner" : trial.frontier ? "frontier" : ""),
      sorted: (sort) => history.replaceState(null, "", address({ ...state(), sort })),
    }),
  ];
}

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
    h("p.actions", null,
      mine.length ? h("a.button", { href: address({ view: "examples", trial: it }) }, "Read its replies") : null,
      mine.length && it !== winner ? h("a.button.quiet", { href: address({ view: "examples", trial: it, vs: winner }) }, "Compare with the winner") : null),
    h("div.columns", null,
      h("section", null, h("h2", null, "Hyperparameters"),
        h("table.facts", null, h("tbody", null, facts.hyperparameters.map((each) =>
          h("tr", null, h("th", { scope: "row" }, each.label), h("td", { dir: "auto" }, shown(trial.values[each.name]))))))),
      h("section", null, h("h2", null, "Validation"),
        h("table.facts", null, h("tbody", null,
          facts.metrics.map((each) => h("tr", null, h("th", { scope: "row" }, each.label), h("td.numeric", null, interval(trial.metrics[each.name]),
            trial.errors[each.name] === undefined ? null : h("span.note", null, ` ± ${compact(trial.errors[each.name])} s.e.`)))),
          trial.probability === null ? null : h("tr", null, h("th", { scope: "row" }, "on the frontier in"), h("td.numeric", null, `${compact(100 * trial.probability)} % of draws`)),
          right ? h("tr", null, h("th", { scope: "row" }, "fully rewarded"), h("td.numeric", null, `${right} of ${mine.length}`)) : null,
          trial.replicates > 1 ? h("tr", null, h("th", { scope: "row" }, "replicates"), h("td.numeric", null, trial.replicates)) : null,
          h("tr", null, h("th", { scope: "row" }, "calls, with training"), h("td.numeric", null, trial.calls.toLocaleString("en-US"))),
          h("tr", null, h("th", { scope: "row" }, "tokens in and out"), h("td.numeric", null, `${trial.prompt_tokens.toLocaleString("en-US")} + ${trial.completion_tokens.toLocaleString("en-US")}`)),
          h("tr", null, h("th", { scope: "row" }, "cost (USD)"), h("td.numeric", null, compact(trial.cost_usd))))))),
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
  return h("section", null, h("h2", null, "What stands before each question"),
    used.map((place) => {
      const prompt = prompts[place];
      return prompt ? promptText(prompt) : null;
    }));
}

/** @param {import("./data.js").Prompt} prompt */
export function promptText(prompt) {
  return h("div.prompt", null,
    h("p.note", null, `${prompt.module} → ${prompt.model}`),
    prompt.messages.map(([role, text]) => [h("p.head", null, role), verbatim(text, role)]),
    h("details", null, h("summary", null, "Schema and options"), verbatim(JSON.stringify(prompt.request, null, 2), "schema and options")));
}
