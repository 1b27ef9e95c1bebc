// What the file holds. Blocks are deflated JSON in base64, and decoded when they are asked for.

/**
 * @typedef {(number | null)[]} Ends value, lower and upper end
 * @typedef {{trial: string, status: string, label: string, values: Record<string, any>, metrics: Record<string, Ends>,
 *   errors: Record<string, number>, probability: number | null, drawn: "solid" | "hollow" | "faint", frontier: boolean,
 *   feasible: boolean, winner: boolean, score: number | null, n: number, replicates: number, calls: number,
 *   retries: number, prompt_tokens: number | null, completion_tokens: number | null, cost_usd: number | null,
 *   error: string | null,
 *   dropped: {by: string, why: string, saved: number} | null,
 *   invalid: Record<string, number>}} Trial
 * @typedef {{name: string, label: string, direction: "min" | "max" | null}} Metric
 * @typedef {{name: string, label: string, varied: boolean}} Hyperparameter
 * @typedef {{title: string, confidence: number, z: number, n: number, axes: {x: string, y: string},
 *   objectives: {name: string, direction: "min" | "max", unit: number}[], constraints: string[], metrics: Metric[],
 *   hyperparameters: Hyperparameter[],
 *   winner: {trial: string, rule: Record<string, any>, why: string, doubt: string, stopped: string | null,
 *     unsettled: string, runner_up: string | null, close: string[], detectable: Record<string, number> | null},
 *   numbers: Record<string, Record<string, any>> | null, references: Record<string, number>,
 *   importance: Record<string, {name: string, share: number | null, groups: number}[]>, trials: Trial[],
 *   texts: {kept: boolean, trials: string[], max_mb: number}}} Facts
 * @typedef {{sentences: string[], every: number | null, at: number}} Live every: seconds until it is opened again
 * @typedef {{kind: "label" | "flags", labels: string[], gold: number[], answers: Record<string, number[]>}} Classes
 * @typedef {{excerpts: string[], rewards: Record<string, (number | null)[]>, states: Record<string, string>,
 *   classes: Classes | null}} Matrix
 * @typedef {{module: string, model: string, messages: [string, string][], request: Record<string, any>}} Prompt
 * @typedef {{x: any, y: any, answers: any[], errors: string[], questions: [string, string][],
 *   replies: [string, string | null][], runs: Record<string, [number, number | null, [number, number, number][]][]>}}
 *   Example
 */

/**
 * All tokens of a trial; null where they are not known.
 * @param {Trial} trial
 */
export function tokensOf(trial) {
  const { prompt_tokens, completion_tokens } = trial;
  return prompt_tokens === null || completion_tokens === null ? null : prompt_tokens + completion_tokens;
}

/** @type {Map<string, Promise<any>>} */
const opened = new Map();

const parsed = new Promise((resolve) => {
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", () => resolve(null));
  else resolve(null);
});

/**
 * @param {string} name
 * @returns {Promise<any>}
 */
export function block(name) {
  const known = opened.get(name);
  if (known) return known;
  const found = decoded(name);
  opened.set(name, found);
  return found;
}

/** @param {string} name */
async function decoded(name) {
  let node = document.getElementById(name);
  if (!node) {
    await parsed;
    node = document.getElementById(name);
  }
  if (!node) throw new Error(`this file has no part ${name}`);
  const text = atob(node.textContent || "");
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return JSON.parse(await new Response(stream).text());
}

/** @returns {Promise<Matrix>} */
export function matrix() {
  return block("matrix");
}

/** @type {Facts} */
export let facts;
/** How a search goes that has not ended; null in the page of one that has. @type {Live | null} */
export let live = null;
/** @type {Map<string, Trial>} */
export const byName = new Map();

export async function readFacts() {
  if (document.getElementById("live")) live = await block("live");
  facts = await block("facts");
  for (const trial of facts.trials) byName.set(trial.trial, trial);
}

/**
 * A trial's reward of each example, its mean over the replicates; null where one was not scored.
 * @param {Matrix} all
 * @param {string} trial
 * @returns {(number | null)[]}
 */
export function rewards(all, trial) {
  const found = all.rewards[trial] || [];
  const n = all.excerpts.length;
  const replicates = Math.max(1, Math.round(found.length / n));
  return Array.from({ length: n }, (_, i) => {
    let sum = 0;
    for (let k = 0; k < replicates; k++) {
      const reward = found[k * n + i];
      if (reward === null || reward === undefined) return null;
      sum += reward;
    }
    return sum / replicates;
  });
}

/** @type {Record<string, string>} */
export const STATES = {
  o: "answered",
  c: "cut off",
  r: "refused",
  f: "filtered",
  e: "empty",
  m: "malformed",
  x: "failed",
  "-": "not run",
};

/** @param {string} name */
export function metric(name) {
  return facts.metrics.find((each) => each.name === name);
}

/** @param {string} trial */
export function number(trial) {
  return String(Number(trial));
}
