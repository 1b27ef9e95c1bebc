// A chart as a file: SVG with its colours inside, or PNG of twice its size.

import { h } from "./dom.js";

const LOOKS = [
  "fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "opacity", "paint-order", "font-family",
  "font-size", "font-weight",
]; // prettier-ignore

/** @param {SVGElement} svg @returns {string} */
function standalone(svg) {
  const copy = /** @type {SVGElement} */ (svg.cloneNode(true));
  const copies = copy.querySelectorAll("*");
  svg.querySelectorAll("*").forEach((node, place) => {
    const looks = getComputedStyle(node);
    if (/brush|grip|halo/.test(node.getAttribute("class") || "")) copies[place].setAttribute("visibility", "hidden");
    for (const name of LOOKS) copies[place].setAttribute(name, looks.getPropertyValue(name));
    copies[place].removeAttribute("class");
  });
  const ground = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [name, value] of [
    ["width", "100%"],
    ["height", "100%"],
    ["fill", getComputedStyle(document.documentElement).backgroundColor],
  ])
    ground.setAttribute(name, value);
  copy.prepend(ground);
  return new XMLSerializer().serializeToString(copy);
}

/** @param {string} name @param {Blob} content */
function save(name, content) {
  const link = h("a", { href: URL.createObjectURL(content), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.getAttribute("href") || ""), 10_000);
}

/**
 * @param {SVGElement} svg
 * @returns {Promise<Blob>}
 */
async function asPng(svg) {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(standalone(svg))}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [2 * image.width, 2 * image.height];
  canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("this browser makes no PNG")))),
  );
}

/**
 * Buttons that save the chart in a place.
 * @param {Element} stage
 * @param {string} label what it shows
 */
export function saving(stage, label) {
  const name = label
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "")
    .slice(0, 60);
  const svg = () => /** @type {SVGElement} */ (stage.querySelector("svg"));
  /** @param {string} kind @param {() => any} onclick */
  const button = (kind, onclick) => h("button.plain", { onclick, "aria-label": `Save as ${kind}: ${label}` }, kind);
  return h(
    "p.saving",
    null,
    "Save as ",
    button("SVG", () => save(`${name}.svg`, new Blob([standalone(svg())], { type: "image/svg+xml" }))),
    " ",
    button("PNG", async () => save(`${name}.png`, await asPng(svg()))),
  );
}
