// Charts as SVG: points with error bars, steps and bars, on linear, logarithmic or named axes.

import { h, s } from "./dom.js";
import { saving } from "./download.js";
import { cut, scaled } from "./scales.js";
import { tagPlaces } from "./tags.js";

/** @typedef {import("./scales.js").Axis} Axis */
/**
 * @typedef {{id: string, x: number, y: number, xs?: (number | null)[], ys?: (number | null)[],
 *   look: "winner" | "solid" | "hollow" | "faint" | "broken" | "dropped", title: string, lines: string[], tag?: string}}
 *   Mark
 * @typedef {{label: string, x: Axis, y: Axis, marks: Mark[], steps?: [number, number][],
 *   rules?: {y: number, text: string}[], height?: number, open?: (id: string) => void}} Chart
 */

const ROOM = { left: 58, right: 16, top: 14, bottom: 46 };
const LETTER = 6.6; // pixels of a tick's letter
const NAMES = 34; // letters of a name on the left, at most
const BARS = 80; // more points than this have error bars only where they count

/**
 * A chart as wide as its place. The arrow keys go from point to point, Enter opens one; what is pointed at is said below.
 * @param {Chart} chart
 * @returns {HTMLElement}
 */
export function drawn(chart) {
  const tip = h("div.tip", { hidden: true });
  const spoken = h("p.hidden", { role: "status" });
  const stage = h("div.stage", {
    tabindex: "0",
    role: "group",
    "aria-label": `${chart.label}. ${chart.marks.length} points; the arrow keys go from one to the next, Enter opens it.`,
  });
  const box = h("div.chart", null, stage, tip, spoken, saving(stage, chart.label));
  const order = chart.marks.map((_, place) => place).sort((a, b) => chart.marks[a].x - chart.marks[b].x);
  /** @type {[number, number][]} */
  let places = [];
  let current = -1;
  let width = 0;

  /** @param {number} place */
  const show = (place) => {
    stage.querySelector(".halo")?.remove();
    current = place;
    if (place < 0) {
      tip.hidden = true;
      return;
    }
    const mark = chart.marks[place];
    const [x, y] = places[place];
    stage.querySelector("svg")?.append(s("circle", { class: "halo", cx: x, cy: y, r: 11 }));
    tip.replaceChildren(h("strong", null, mark.title), ...mark.lines.map((line) => h("div", null, line)));
    tip.hidden = false;
    tip.style.left = `${Math.max(0, Math.min(x + 14, width - tip.offsetWidth - 4))}px`;
    tip.style.top = `${y + 16}px`;
  };
  /** @param {PointerEvent} event */
  const nearest = (event) => {
    const area = stage.getBoundingClientRect();
    let [found, least] = [-1, 30 ** 2];
    places.forEach(([x, y], place) => {
      const distance = (event.clientX - area.left - x) ** 2 + (event.clientY - area.top - y) ** 2;
      if (distance < least) [found, least] = [place, distance];
    });
    return found;
  };
  stage.addEventListener("pointermove", (event) => show(nearest(event)));
  stage.addEventListener("pointerleave", () => show(-1));
  stage.addEventListener("blur", () => show(-1));
  stage.addEventListener("click", (event) => {
    const found = nearest(/** @type {PointerEvent} */ (event));
    if (found >= 0) chart.open?.(chart.marks[found].id);
  });
  stage.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step && order.length) {
      event.preventDefault();
      const next = current < 0 ? 0 : (order.indexOf(current) + step + order.length) % order.length;
      show(order[next]);
      const mark = chart.marks[order[next]];
      spoken.textContent = [mark.title, ...mark.lines].join(", ");
    }
    if (event.key === "Enter" && current >= 0) chart.open?.(chart.marks[current].id);
    if (event.key === "Escape") show(-1);
  });
  new ResizeObserver(() => {
    const now = Math.floor(stage.clientWidth);
    if (!now || now === width) return;
    width = now;
    const made = picture(chart, width, chart.height || 400);
    places = made.places;
    stage.replaceChildren(made.svg);
  }).observe(stage);
  return box;
}

/**
 * @param {Chart} chart
 * @param {number} width
 * @param {number} height
 * @returns {{svg: SVGElement, places: [number, number][]}}
 */
function picture(chart, width, height) {
  const { marks } = chart;
  const few = marks.length <= BARS;
  /** @param {Mark} mark */
  const counts = (mark) => few || (mark.look !== "faint" && mark.look !== "broken" && mark.look !== "dropped");
  /** @param {"x" | "y"} way @param {"xs" | "ys"} ends */
  const values = (way, ends) =>
    marks.flatMap((mark) => [mark[way], ...(counts(mark) ? (mark[ends] || []).slice(1) : [])]).filter(isNumber);
  const down = [...values("y", "ys"), ...(chart.rules || []).map((rule) => rule.y)];
  const y = scaled(chart.y, down, [height - ROOM.bottom, ROOM.top], 6);
  const letters = Math.max(...y.ticks.map((each) => y.write(each).length), 0);
  const left = Math.max(ROOM.left, Math.min(width * 0.42, 34 + LETTER * Math.min(NAMES, letters)));
  const x = scaled(chart.x, values("x", "xs"), [left, width - ROOM.right], width / 110);
  const svg = s("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true", focusable: "false" });
  svg.append(...axisLines(chart, x, y, left, width, height));
  for (const rule of chart.rules || [])
    svg.append(
      s("line", { class: "rule", x1: left, x2: width - ROOM.right, y1: y.at(rule.y), y2: y.at(rule.y) }),
      s("text", { class: "rule-text", x: left + 6, y: y.at(rule.y) - 5 }, rule.text),
    );
  if (chart.steps?.length) {
    const path = chart.steps.map(([a, b], place) => `${place ? "L" : "M"}${x.at(a).toFixed(1)} ${y.at(b).toFixed(1)}`);
    svg.append(s("path", { class: "steps", d: path.join("") }));
  }
  const rank = { broken: 0, dropped: 0, faint: 0, hollow: 1, solid: 2, winner: 3 };
  const sorted = marks.slice().sort((a, b) => rank[a.look] - rank[b.look]);
  for (const mark of sorted) if (counts(mark)) svg.append(...errorBars(mark, x, y));
  for (const mark of sorted) svg.append(symbol(mark.look, x.at(mark.x), y.at(mark.y)));
  /** @type {[number, number][]} */
  const places = marks.map((mark) => [x.at(mark.x), y.at(mark.y)]);
  const wanted = sorted
    .reverse()
    .filter((mark) => mark.tag)
    .map((mark) => ({ x: x.at(mark.x), y: y.at(mark.y), text: mark.tag || "" }));
  tagPlaces(wanted, places, [left, 0, width, height - ROOM.bottom]).forEach((place, number) => {
    if (place) svg.append(s("text", { class: "tag", x: place[0], y: place[1] }, wanted[number].text));
  });
  return { svg, places };
}

/** @param {unknown} value @returns {value is number} */
function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/** @typedef {{at: (value: number) => number, ticks: number[], write: (value: number) => string}} Scale */

/**
 * @param {Chart} chart
 * @param {Scale} x
 * @param {Scale} y
 * @param {number} left
 * @param {number} width
 * @param {number} height
 */
function axisLines(chart, x, y, left, width, height) {
  const [bottom, right] = [height - ROOM.bottom, width - ROOM.right];
  const found = y.ticks.flatMap((tick) => [
    s("line", { class: "grid", x1: left, x2: right, y1: y.at(tick), y2: y.at(tick) }),
    s(
      "text",
      { class: "tick", x: left - 8, y: y.at(tick) + 4, "text-anchor": "end" },
      cut(y.write(tick), Math.floor((left - 34) / LETTER)),
    ),
  ]);
  const most = Math.max(6, Math.floor((right - left) / Math.max(1, x.ticks.length) / 6.5));
  for (const tick of x.ticks) {
    found.push(
      s("line", { class: "domain", x1: x.at(tick), x2: x.at(tick), y1: bottom, y2: bottom + 5 }),
      s("text", { class: "tick", x: x.at(tick), y: bottom + 19, "text-anchor": "middle" }, cut(x.write(tick), most)),
    );
  }
  found.push(
    s("line", { class: "domain", x1: left, x2: right, y1: bottom, y2: bottom }),
    s("text", { class: "axis", x: (left + right) / 2, y: height - 6, "text-anchor": "middle" }, chart.x.title),
    s(
      "text",
      {
        class: "axis",
        transform: `translate(14 ${(ROOM.top + bottom) / 2}) rotate(-90)`,
        "text-anchor": "middle",
      },
      chart.y.title,
    ),
  );
  return found;
}

/**
 * @param {Mark} mark
 * @param {Scale} x
 * @param {Scale} y
 */
function errorBars(mark, x, y) {
  const found = [];
  const [, near, far] = mark.xs || [];
  const [, low, high] = mark.ys || [];
  const [cx, cy] = [x.at(mark.x), y.at(mark.y)];
  if (isNumber(near) && isNumber(far))
    found.push(s("line", { class: `bar ${mark.look}`, x1: x.at(near), x2: x.at(far), y1: cy, y2: cy }));
  if (isNumber(low) && isNumber(high))
    found.push(s("line", { class: `bar ${mark.look}`, x1: cx, x2: cx, y1: y.at(low), y2: y.at(high) }));
  return found;
}

/**
 * The symbol of a point.
 * @param {Mark["look"]} look
 * @param {number} x
 * @param {number} y
 */
export function symbol(look, x, y) {
  if (look === "winner")
    return s("path", { class: "mark winner", d: `M${x} ${y - 9}L${x + 9} ${y}L${x} ${y + 9}L${x - 9} ${y}Z` });
  if (look === "broken" || look === "dropped")
    return s("path", {
      class: `mark ${look}`,
      d: `M${x - 4} ${y - 4}L${x + 4} ${y + 4}M${x - 4} ${y + 4}L${x + 4} ${y - 4}`,
    });
  return s("circle", { class: `mark ${look}`, cx: x, cy: y, r: look === "faint" ? 4 : 5.5 });
}

/**
 * What the symbols mean.
 * @param {[Mark["look"], string][]} entries
 */
export function legend(entries) {
  const items = entries.map(([look, text]) =>
    h("li", null, s("svg", { width: 22, height: 22, "aria-hidden": "true" }, symbol(look, 11, 11)), text),
  );
  return h("ul.legend", null, items);
}
