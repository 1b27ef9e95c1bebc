// The picture of parallel coordinates: a line a trial, from axis to axis, that can be brushed.

import { h, s, scrolling } from "./dom.js";
import { counted } from "./numbers.js";
import { number } from "./data.js";
import { ABSENT, setBrush } from "./brushes.js";
import { cut, scaled } from "./scales.js";
import { saving } from "./download.js";
import { directionOf, lookOf, openTrial, said } from "./parts.js";

/** @typedef {import("./data.js").Trial} Trial */
/** @typedef {import("./brushes.js").ParallelAxis} ParallelAxis */
/** @typedef {import("./brushes.js").Brush} Brush */
/**
 * @typedef {{axis: ParallelAxis, x: number, bottom: number, ticks: [number, string][], at: (trial: Trial) => number,
 *   back: (from: number, to: number) => Brush, pixels: (brush: Brush) => [number, number][]}} Placed
 */

const MARGIN = { top: 64, bottom: 16, side: 70 };
const [HEIGHT, LINE, GAP, STEP] = [400, 16, 34, 124]; // LINE: the least for a name; GAP: between the numbers and "absent"; STEP: the least between two axes

/**
 * Where the values of an axis are.
 * @param {ParallelAxis} axis
 * @param {number} x
 * @param {number} bottom
 * @returns {Placed}
 */
function placed(axis, x, bottom) {
  const end = axis.absent ? bottom - GAP : bottom;
  const scale = scaled({ title: "", log: axis.log, names: axis.names || undefined }, axis.known, [end, MARGIN.top], 6);
  const middle = (/** @type {any} */ value) => scale.at(axis.names ? axis.names.indexOf(value) : value);
  /** @type {[number, string][]} */
  const ticks = scale.ticks.map((each) => [scale.at(each), scale.write(each)]);
  if (axis.absent) ticks.push([bottom, ABSENT]);
  return {
    axis,
    x,
    bottom,
    ticks,
    at: (trial) => (axis.value(trial) === undefined ? bottom : middle(axis.value(trial))),
    back: (from, to) => {
      const hits = (/** @type {number} */ y) => y >= from && y <= to;
      const absent = axis.absent && hits(bottom);
      if (axis.names) return { lo: 0, hi: 0, names: axis.names.filter((name) => hits(middle(name))), absent };
      const found = from >= end ? [1, 0] : [scale.back(Math.min(to, end)), scale.back(Math.max(from, MARGIN.top))];
      return { lo: found[0], hi: found[1], names: null, absent };
    },
    pixels: (brush) => {
      /** @type {[number, number][]} */
      const found = [];
      if (brush.names) for (const name of brush.names) found.push([middle(name) - 9, middle(name) + 9]);
      else if (brush.lo <= brush.hi) {
        const limited = (/** @type {number} */ value, /** @type {number} */ other) =>
          Number.isFinite(value) && !(axis.log && value <= 0)
            ? Math.min(end, Math.max(MARGIN.top, scale.at(value)))
            : other;
        found.push([limited(brush.hi, MARGIN.top) - 2, limited(brush.lo, end) + 2]);
      }
      if (brush.absent) found.push([bottom - 9, bottom + 9]);
      return found;
    },
  };
}

/**
 * The picture, as wide as its place, or as its axes need.
 * @param {ParallelAxis[]} axes
 * @param {(Brush | null)[]} brushes
 * @param {Trial[]} trials
 * @param {Set<Trial>} rows those that stand out
 */
export function parallelPicture(axes, brushes, trials, rows) {
  const tip = h("div.tip", { hidden: true });
  const stage = h("div.stage.parallel", {
    role: "img",
    "aria-label": `Parallel coordinates of ${counted(trials.length, "trial")}; the table below has the same numbers.`,
  });
  const scroll = scrolling("Parallel coordinates", stage);
  const box = h("div.chart", null, scroll, tip, saving(stage, "Parallel coordinates"));
  const most = Math.max(0, ...axes.map((axis) => axis.names?.length || 0));
  const height = Math.max(HEIGHT, MARGIN.top + MARGIN.bottom + GAP + LINE * most);
  let drawnWidth = 0;
  new ResizeObserver(() => {
    const width = Math.max(Math.floor(scroll.clientWidth) - 2, 2 * MARGIN.side + STEP * (axes.length - 1));
    if (!scroll.clientWidth || width === drawnWidth || !axes.length) return;
    drawnWidth = width;
    const step = axes.length > 1 ? (width - 2 * MARGIN.side) / (axes.length - 1) : 0;
    const all = axes.map((axis, place) => placed(axis, MARGIN.side + place * step, height - MARGIN.bottom));
    const svg = s("svg", {
      width,
      height,
      viewBox: `0 0 ${width} ${height}`,
      "aria-hidden": "true",
      focusable: "false",
    });
    const rank = (/** @type {Trial} */ trial) =>
      Number(rows.has(trial)) * 4 + Number(trial.frontier) + 2 * Number(trial.winner);
    const lines = trials.slice().sort((a, b) => rank(a) - rank(b));
    for (const trial of lines) {
      const path = all
        .map((each, place) => `${place ? "L" : "M"}${each.x.toFixed(1)} ${each.at(trial).toFixed(1)}`)
        .join("");
      const kind = trial.winner ? "winner" : trial.frontier ? "frontier" : lookOf(trial);
      svg.append(s("path", { class: `line ${kind}${rows.has(trial) ? "" : " out"}`, d: path }));
    }
    all.forEach((each, place) => svg.append(...axisParts(each, brushes[place], step || width)));
    stage.replaceChildren(svg);
    pointing(
      box,
      scroll,
      svg,
      tip,
      all,
      lines.filter((trial) => rows.has(trial)),
    );
  }).observe(scroll);
  return box;
}

/** @param {Placed} placedAxis @param {Brush | null} brush @param {number} room */
function axisParts({ axis, x, bottom, ticks, pixels }, brush, room) {
  const direction = directionOf(axis.name);
  const longest = Math.min(30, Math.floor(room / 7.5));
  return [
    s("line", { class: "axis-line", x1: x, x2: x, y1: MARGIN.top, y2: bottom }),
    s("text", { class: "axis", x, y: 18, "text-anchor": "middle" }, cut(axis.title, Math.floor(room / 7))),
    s(
      "text",
      { class: "tick", x, y: 36, "text-anchor": "middle" },
      direction ? (direction === "max" ? "higher is better" : "lower is better") : "",
    ),
    ...ticks.map(([y, text]) => s("text", { class: "tag plain", x: x + 7, y: y + 4 }, cut(text, longest))),
    ...(brush ? pixels(brush) : []).map(([from, to]) =>
      s("rect", { class: "brush", x: x - 8, width: 16, y: from, height: Math.max(2, to - from), rx: 3 }),
    ),
  ];
}

/**
 * Brushing along the axes; between them the nearest line is told, and opened by a click.
 * @param {HTMLElement} box
 * @param {HTMLElement} scroll
 * @param {SVGElement} svg
 * @param {HTMLElement} tip
 * @param {Placed[]} all
 * @param {Trial[]} trials
 */
function pointing(box, scroll, svg, tip, all, trials) {
  const place = (/** @type {MouseEvent} */ event) => {
    const area = svg.getBoundingClientRect();
    return [event.clientX - area.left, event.clientY - area.top];
  };
  for (const each of all) {
    const mark = s("rect", { class: "brush", x: each.x - 8, width: 16, rx: 3, visibility: "hidden" });
    const area = s("rect", {
      class: "grip",
      x: each.x - 14,
      width: 28,
      y: MARGIN.top - 8,
      height: each.bottom - MARGIN.top + 16,
    });
    let begun = NaN;
    area.addEventListener("pointerdown", (event) => {
      begun = place(event)[1];
      area.setPointerCapture(event.pointerId);
    });
    area.addEventListener("pointermove", (event) => {
      if (Number.isNaN(begun)) return;
      const ends = [begun, place(event)[1]].sort((a, b) => a - b);
      for (const [name, value] of [
        ["y", ends[0]],
        ["height", ends[1] - ends[0]],
        ["visibility", "visible"],
      ])
        mark.setAttribute(String(name), String(value));
    });
    area.addEventListener("pointerup", (event) => {
      const ends = [begun, place(event)[1]].sort((a, b) => a - b);
      begun = NaN;
      setBrush(each.axis, ends[1] - ends[0] < 4 ? null : each.back(ends[0], ends[1]));
    });
    svg.append(mark, area);
  }
  const nearest = (/** @type {MouseEvent} */ event) => {
    const [x, y] = place(event);
    const right = all.findIndex((each) => each.x > x);
    if (right < 1) return null;
    const [a, b] = [all[right - 1], all[right]];
    const share = (x - a.x) / (b.x - a.x);
    /** @type {[number, Trial | null]} */
    let found = [10, null];
    for (const trial of trials) {
      const distance = Math.abs(a.at(trial) + share * (b.at(trial) - a.at(trial)) - y);
      if (distance < found[0]) found = [distance, trial];
    }
    return found[1];
  };
  svg.addEventListener("pointermove", (event) => {
    const trial = nearest(event);
    tip.hidden = !trial;
    if (!trial) return;
    tip.replaceChildren(
      h("strong", null, `Trial ${number(trial.trial)}`),
      ...said(trial).map((line) => h("div", null, line)),
    );
    const area = box.getBoundingClientRect();
    tip.style.left = `${Math.max(0, Math.min(event.clientX - area.left + 14, box.clientWidth - tip.offsetWidth - 4))}px`;
    tip.style.top = `${event.clientY - area.top + 16}px`;
  });
  svg.addEventListener("pointerleave", () => (tip.hidden = true));
  svg.addEventListener("click", (event) => {
    const trial = /** @type {Element} */ (event.target).classList.contains("grip") ? null : nearest(event);
    if (trial) openTrial(trial.trial);
  });
}
