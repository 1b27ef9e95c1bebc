// Elements from tags, attributes and children. Text is set as text, never as markup.

/** @typedef {Node | string | number | null | undefined | false | Child[]} Child */
/** @typedef {Record<string, any>} Props */

const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {Element} node
 * @param {Props | null | undefined} props
 * @param {Child[]} children
 */
function fill(node, props, children) {
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "selected") Object.assign(node, { [name]: value });
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(.../** @type {(Node | string)[]} */ (flat(children)));
}

/**
 * @param {Child[]} children
 * @returns {(Node | string)[]}
 */
function flat(children) {
  return children
    .flat(9)
    .filter((each) => each !== null && each !== undefined && each !== false)
    .map((each) => (each instanceof Node ? each : String(each)));
}

/**
 * An HTML element: `h("p.note", {id: "a"}, "text")`.
 * @param {string} tag
 * @param {Props | null} [props]
 * @param {...Child} children
 * @returns {HTMLElement}
 */
export function h(tag, props, ...children) {
  const [name, ...classes] = tag.split(".");
  const node = document.createElement(name);
  if (classes.length) node.className = classes.join(" ");
  fill(node, props, children);
  return node;
}

/**
 * What scrolls by itself where it is too wide; the keyboard reaches it, by this name.
 * @param {string} name
 * @param {...Child} children
 */
export function scrolling(name, ...children) {
  return h("div.scroll", { tabindex: "0", role: "region", "aria-label": name }, ...children);
}

/**
 * An SVG element.
 * @param {string} tag
 * @param {Props | null} [props]
 * @param {...Child} children
 * @returns {SVGElement}
 */
export function s(tag, props, ...children) {
  const node = /** @type {SVGElement} */ (document.createElementNS(SVG, tag));
  fill(node, props, children);
  return node;
}

/**
 * What cannot be seen, or turns the direction of what follows, as visible signs.
 * @param {string} text
 */
export function visible(text) {
  return text
    .replace(/[\u0000-\u0008\u000b-\u001f]/g, (sign) => String.fromCharCode(0x2400 + sign.charCodeAt(0)))
    .replace(/[\u007f-\u009f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g, (sign) => {
      return `‹U+${sign.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}›`;
    });
}

/**
 * A text of somebody else's, whole, in a box of its own.
 * @param {string} text
 * @param {string} [label]
 * @param {[string, boolean][] | null} [words] its words: those that are false stand out
 */
export function verbatim(text, label, words) {
  const long = text.length > 800 || text.split("\n").length > 12; // it scrolls: the keyboard must get there
  const content = words
    ? words.map(([word, plain]) => (plain ? visible(word) : h("mark", null, visible(word))))
    : visible(text);
  return h(
    "pre.verbatim",
    { dir: "auto", tabindex: long ? "0" : null, role: "group", "aria-label": label || "text" },
    content,
  );
}
