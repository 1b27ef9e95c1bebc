// How much each hyperparameter matters, and each one against an objective.

import { h, s, scrolling } from "./dom.js";
import { compact } from "./numbers.js";
import { facts, metric } from "./data.js";
import { drawn } from "./chart.js";
import { openTrial, pickedObjective, points, quantity } from "./parts.js";

/** More names than this are not written across. */
const MANY = 8;

export function hyperparametersView() {
  const [objective, control] = pickedObjective();
  const rows = facts.importance[objective] || [];
  const y = quantity(objective);
  const title = metric(objective)?.label || objective;
  if (!rows.length) return [h("h1", null, "Hyperparameters"), h("p", null, "No hyperparameter was varied.")];
  return [
    h("h1", null, "Hyperparameters"),
    control,
    h(
      "section",
      null,
      h("h2", null, `What moves the ${title}`),
      scrolling(
        "Importance",
        h(
          "table.importance",
          null,
          h(
            "thead",
            null,
            h(
              "tr",
              null,
              h("th", { scope: "col" }, "Hyperparameter"),
              h("th", { scope: "col" }, "Share of the variance"),
              h("th.numeric", { scope: "col" }, "Groups"),
            ),
          ),
          h(
            "tbody",
            null,
            rows.map((row) =>
              h(
                "tr",
                null,
                h("th", { scope: "row" }, facts.hyperparameters.find((each) => each.name === row.name)?.label),
                h(
                  "td",
                  null,
                  row.share === null
                    ? `not known: ${row.groups > 2 ? "no value was tried twice" : "too few trials"}`
                    : [bar(row.share), ` ${compact(100 * row.share)} %`],
                ),
                h("td.numeric", null, row.groups),
              ),
            ),
          ),
        ),
      ),
      h(
        "p.note",
        null,
        "Kelley's ε², the adjusted R² of one hyperparameter: 1 − (SSW / (t − k)) / (SST / (t − 1)), at least 0, of t trials in k groups of equal values ",
        "(numbers with more than four values are cut at their quartiles; absent is a group; a trial that was dropped early counts by the examples that it ran). It says what went together in these trials: where a tuner did not vary them independently, shares overlap.",
      ),
    ),
    h(
      "section",
      null,
      h("h2", null, `Each against the ${title}`),
      h(
        "div.grid-charts",
        null,
        rows.map((row) => {
          const x = quantity(row.name);
          return x && y ? h("figure", null, against(x, y, title)) : null;
        }),
      ),
    ),
  ];
}

/**
 * A hyperparameter across and the objective up; where there are many names to read, the other way round.
 * @param {import("./parts.js").Quantity} x
 * @param {import("./parts.js").Quantity} y
 * @param {string} title
 */
function against(x, y, title) {
  const marks = points(x, y);
  const shared = { label: `${title} by ${x.title}`, open: openTrial };
  if (!x.names || x.names.length <= MANY)
    return drawn({
      ...shared,
      x: { title: x.title, names: x.names, log: x.log },
      y: { title, log: y.log },
      marks: spread(marks, Boolean(x.names)),
      height: 280,
    });
  const { names } = x;
  const turned = spread(marks, true).map((mark) => ({
    ...mark,
    x: mark.y,
    xs: mark.ys,
    y: names.length - 1 - mark.x,
    ys: undefined,
  }));
  return drawn({
    ...shared,
    x: { title, log: y.log },
    y: { title: "", names: names.slice().reverse() },
    marks: turned,
    height: 60 + 22 * names.length,
  });
}

/** @param {number} share */
function bar(share) {
  return s(
    "svg",
    { class: "share", width: 160, height: 14, "aria-hidden": "true" },
    s("rect", { class: "share-room", width: 160, height: 14, rx: 3 }),
    s("rect", { class: "share-bar", width: Math.max(1, 160 * Math.min(1, share)), height: 14, rx: 3 }),
  );
}

/**
 * Points on a named axis side by side, so that those of equal values can be told apart.
 * @param {import("./chart.js").Mark[]} marks
 * @param {boolean} named
 */
function spread(marks, named) {
  if (!named) return marks;
  const alone = new Set(marks.map((mark) => mark.x)).size === marks.length;
  const aside = (/** @type {number} */ place) => (alone ? 0 : (((place * 0.618034) % 1) - 0.5) * 0.6);
  return marks.map((mark, place) => ({ ...mark, xs: undefined, x: mark.x + aside(place) }));
}
