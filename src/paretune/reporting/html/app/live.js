// How a running search goes, and opening the page again while its reader does nothing.

import { h } from "./dom.js";
import { live } from "./data.js";

const IDLE_MS = 3000;
const STALE_S = 90; // whoever draws the page would have done so by now

let touched = 0;

/** How the search goes: above each view in a sentence, or (`whole`) with all that is known. @param {boolean} whole */
export function progressNote(whole) {
  if (!live) return null;
  if (!whole) return h("p.eyebrow", null, live.sentences[0]);
  const old = Date.now() / 1000 - live.at;
  const stale = live.every !== null && old > STALE_S;
  return h(
    "section.live",
    { "aria-label": "The running search" },
    h("p", null, h("strong", null, live.sentences[0])),
    live.sentences.slice(1).map((each) => h("p.note", { dir: "auto" }, each)),
    h(
      "p.note",
      null,
      `Drawn at ${new Date(live.at * 1000).toLocaleTimeString("en-GB")}. `,
      stale
        ? "It was not drawn again since: paretune report --watch draws it."
        : live.every === null
          ? ""
          : "This page opens itself again while you do nothing.",
    ),
  );
}

/**
 * Open the page again every few seconds, where it was: unless somebody reads, types or selects.
 * @param {() => unknown} focus what has the focus
 */
export function keepFresh(focus) {
  const every = live?.every;
  if (!every) return;
  history.scrollRestoration = "manual";
  for (const name of ["pointermove", "pointerdown", "keydown", "wheel", "scroll", "touchmove"])
    addEventListener(name, () => (touched = Date.now()), { passive: true });
  setInterval(() => {
    if (performance.now() < 1000 * every || busy()) return;
    history.replaceState({ scroll: scrollY, focus: focus() }, "");
    location.reload();
  }, 500);
}

function busy() {
  const selected = getSelection();
  return (
    document.hidden ||
    Date.now() - touched < IDLE_MS ||
    (selected !== null && !selected.isCollapsed) ||
    document.activeElement?.matches("input[type=search], input[type=number], select") ||
    document.querySelector("main article details[open], main .prompt details[open]") !== null
  );
}
