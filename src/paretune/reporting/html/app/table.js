// A table of which the headers sort, that shows a hundred rows and more when they are asked for.

import { h, scrolling } from "./dom.js";

/**
 * @template Row
 * @typedef {{name: string, label: string, value: (row: Row) => any, cell?: (row: Row) => import("./dom.js").Child,
 *   numeric?: boolean, least?: boolean, hint?: string}} Column least: the smallest value comes first
 */

const PAGE = 100;

/**
 * Before or after; what is absent comes last, whichever way is sorted.
 * @param {any} a
 * @param {any} b
 * @param {number} sign
 */
function compared(a, b, sign) {
  const [none, other] = [a === null || a === undefined, b === null || b === undefined];
  if (none || other) return Number(none) - Number(other);
  if (typeof a === "number" && typeof b === "number") return sign * (a - b);
  return sign * String(a).localeCompare(String(b), "en", { numeric: true });
}

/**
 * @template Row
 * @param {{caption: string, columns: Column<Row>[], rows: Row[], sort?: string, emphasis?: (row: Row) => string,
 *   sorted?: (sort: string) => void}} options sort: a column's name, with `-` before it for the other way round
 * @returns {HTMLElement}
 */
export function table({ caption, columns, rows, sort = "", emphasis, sorted }) {
  let limit = PAGE;
  let by = sort;
  const head = h("tr");
  const body = h("tbody");
  const more = h("p.more");
  const box = h(
    "div",
    null,
    scrolling(caption, h("table", null, h("caption.hidden", null, caption), h("thead", null, head), body)),
    more,
  );

  const ordered = () => {
    const name = by.replace(/^-/, "");
    const column = columns.find((each) => each.name === name);
    if (!column) return rows;
    const sign = (by.startsWith("-") ? -1 : 1) * (column.numeric && !column.least ? -1 : 1);
    return rows.slice().sort((a, b) => compared(column.value(a), column.value(b), sign));
  };
  const draw = () => {
    head.replaceChildren(
      ...columns.map((column) => {
        const mine = by.replace(/^-/, "") === column.name;
        const falling = mine && by.startsWith("-") !== Boolean(column.numeric && !column.least);
        return h(
          "th",
          {
            scope: "col",
            class: column.numeric ? "numeric" : null,
            "aria-sort": mine ? (falling ? "descending" : "ascending") : null,
          },
          h(
            "button.plain",
            {
              title: column.hint,
              onclick: () => {
                by = by === column.name ? `-${column.name}` : column.name;
                sorted?.(by);
                draw();
                /** @type {HTMLElement[]} */ (Array.from(head.querySelectorAll("button")))[
                  columns.indexOf(column)
                ].focus();
              },
            },
            column.label,
            h("span.arrow", { "aria-hidden": "true" }, mine ? (falling ? " ▼" : " ▲") : ""),
          ),
        );
      }),
    );
    const all = ordered();
    body.replaceChildren(
      ...all.slice(0, limit).map((row) =>
        h(
          "tr",
          { class: emphasis?.(row) || null },
          columns.map((column) =>
            h("td", { class: column.numeric ? "numeric" : null }, column.cell ? column.cell(row) : column.value(row)),
          ),
        ),
      ),
    );
    more.replaceChildren(
      ...(all.length > limit
        ? [
            h(
              "button",
              {
                onclick: () => {
                  limit += PAGE;
                  draw();
                },
              },
              `Show ${Math.min(PAGE, all.length - limit)} more of ${all.length}`,
            ),
          ]
        : []),
    );
  };
  draw();
  return box;
}
