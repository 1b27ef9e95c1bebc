// The views and the way between them.

import { h } from "./dom.js";
import { facts, readFacts } from "./data.js";
import { address, state } from "./state.js";
import { trialOf } from "./parts.js";
import { overview } from "./overview.js";
import { trialsView } from "./trials.js";
import { trialView } from "./trial.js";
import { hyperparametersView } from "./hyperparameters.js";
import { parallelView } from "./parallel.js";
import { progressView } from "./progress.js";
import { answersView } from "./answers.js";
import { examplesView } from "./examples.js";
import { keepFresh, progressNote } from "./live.js";

/** @type {[string, string, () => any][]} */
const VIEWS = [
  ["overview", "Overview", overview],
  ["trials", "Trials", trialsView],
  ["hyperparameters", "Hyperparameters", hyperparametersView],
  ["parallel", "Parallel", parallelView],
  ["progress", "Progress", progressView],
  ["answers", "Answers", answersView],
  ["examples", "Examples", examplesView],
];

let drawnLast = "";
let turn = 0;

/** The view that the address names; `#trial=2` alone is that trial's page, with an example it is among the examples. */
function wanted() {
  const now = state();
  if (now.view) return now.view;
  if (now.vs || now.example) return "examples";
  return now.trial ? "trial" : "overview";
}

async function draw() {
  const name = wanted();
  const mine = ++turn;
  const trial = trialOf(state().trial);
  const view = VIEWS.find(([each]) => each === name);
  /** @type {any} */
  let content;
  try {
    if (name === "trial" && trial) content = await trialView(trial);
    else
      content = view
        ? await view[2]()
        : [
            h("h1", null, "There is no such view"),
            h("p", null, "The link may be of another report. ", h("a", { href: "#" }, "Go to the overview"), "."),
          ];
  } catch (error) {
    content = [h("h1", null, "This view cannot be shown"), h("p.warning", null, String(error))];
  }
  if (mine !== turn) return; // another view was asked for meanwhile
  navigation(name === "trial" ? "trials" : name);
  const main = /** @type {HTMLElement} */ (document.getElementById("main"));
  const key = focusKey();
  const scrolled = main.querySelector(".list")?.scrollTop || 0;
  const body = h("div", null, progressNote(name === "overview" || name === "progress"), content);
  main.replaceChildren(body);
  const title = body.querySelector("h1")?.textContent || "";
  document.title = `${title.slice(0, 80)} · ${facts.title} · paretune`;
  const page = `${name} ${name === "trial" ? state().trial : ""}`;
  if (drawnLast && drawnLast !== page) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  } else if (key) restoreFocus(main, key);
  else if (!drawnLast && history.state) resume(main, history.state);
  const list = /** @type {HTMLElement | null} */ (main.querySelector(".list"));
  if (list) scrollList(list, drawnLast === page ? scrolled : 0);
  drawnLast = page;
}

/**
 * Where a list was scrolled to before it was drawn anew, unless its current entry would be out of sight.
 * @param {HTMLElement} list
 * @param {number} before
 */
function scrollList(list, before) {
  list.scrollTop = before;
  const current = /** @type {HTMLElement | null} */ (list.querySelector("[aria-current]"));
  if (!current) return;
  const [top, seen] = [current.offsetTop, list.scrollTop];
  if (top < seen || top + current.offsetHeight > seen + list.clientHeight) list.scrollTop = top - list.clientHeight / 2;
}

/** Which control has the focus, so that drawing anew does not take it away. */
function focusKey() {
  const node = document.activeElement;
  const main = document.getElementById("main");
  if (!node || !main?.contains(node) || node === main) return null;
  const all = Array.from(main.querySelectorAll(node.tagName));
  return { tag: node.tagName, text: node.textContent?.slice(0, 40) || "", place: all.indexOf(node) };
}

/**
 * Go on where the page was before it opened itself again, once its charts are drawn.
 * @param {HTMLElement} main
 * @param {{scroll: number, focus: any}} before
 */
function resume(main, before) {
  if (before.focus) restoreFocus(main, before.focus);
  requestAnimationFrame(() => requestAnimationFrame(() => scrollTo(0, before.scroll)));
}

/** @param {HTMLElement} main @param {{tag: string, text: string, place: number}} key */
function restoreFocus(main, key) {
  const all = /** @type {HTMLElement[]} */ (Array.from(main.querySelectorAll(key.tag)));
  const same = all.find(
    (node, place) => node.textContent?.slice(0, 40) === key.text && Math.abs(place - key.place) < 3,
  );
  (same || all[key.place])?.focus({ preventScroll: true });
}

/** @param {string} current */
function navigation(current) {
  const header = /** @type {HTMLElement} */ (document.getElementById("header"));
  header.querySelector("nav")?.remove();
  header.append(
    h(
      "nav",
      { "aria-label": "Views" },
      h(
        "ul",
        null,
        VIEWS.map(([name, label]) =>
          h(
            "li",
            null,
            h("a", { href: address({ view: name }), "aria-current": name === current ? "page" : null }, label),
          ),
        ),
      ),
    ),
  );
}

addEventListener("hashchange", draw);
readFacts().then(() => {
  keepFresh(focusKey);
  return draw();
});
