// Numbers for people, and the statistics of two trials on the same examples.

/**
 * Three significant digits, no exponent, thousands with a comma.
 * @param {number | null | undefined} value
 */
export function compact(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const decimals = 2 - Math.floor(Math.log10(Math.abs(value)));
  const sign = value < 0 ? "−" : "";
  const amount = Math.abs(value);
  if (decimals <= 0) return sign + Math.round(amount).toLocaleString("en-US");
  const text = amount.toFixed(Math.min(decimals, 20));
  return sign + (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
}

/** @param {number | null | undefined} value */
export function signed(value) {
  const text = compact(value);
  return value && value > 0 ? `+${text}` : text;
}

/** @param {number} share */
export function percent(share) {
  return `${compact(100 * share)} %`;
}

/**
 * `0.66 (0.59–0.72)`: two digits of the interval's width are written, of a difference (`plus`) with its sign.
 * @param {(number | null)[] | undefined} ends
 * @param {boolean} [plus]
 */
export function interval(ends, plus = false) {
  if (!ends || ends[0] === null || ends[0] === undefined) return "–";
  const [value, lo, hi] = ends;
  const known = typeof lo === "number" && typeof hi === "number" && !Number.isNaN(lo) && !Number.isNaN(hi);
  if (!known) return plus ? signed(value) : compact(value);
  const decimals = hi > lo ? Math.min(20, Math.max(0, 1 - Math.floor(Math.log10(hi - lo)))) : null;
  const write = (/** @type {number} */ each) =>
    decimals === null || each === 0 ? compact(each) : fixed(each, decimals);
  const middle = plus || lo < 0 ? " to " : "–";
  return `${plus && value > 0 ? "+" : ""}${write(value)} (${write(lo)}${middle}${write(hi)})`;
}

/** @param {number} value @param {number} decimals */
function fixed(value, decimals) {
  const text = Math.abs(value).toLocaleString("en-US", {
    minimumFractionDigits: decimals,
    maximumFractionDigits: decimals,
  });
  return (value < 0 && /[1-9]/.test(text) ? "−" : "") + text;
}

/**
 * @param {number} count
 * @param {string} noun
 * @param {string} [plural]
 */
export function counted(count, noun, plural) {
  return `${count.toLocaleString("en-US")} ${count === 1 ? noun : plural || `${noun}s`}`;
}

/**
 * @typedef {{value: number, lo: number, hi: number, n: number, p: number, more: number, less: number,
 *   binary: boolean}} Difference
 */

/**
 * The mean of `first - second` over the examples that both scored, with its interval: Agresti and Min's of answers that
 * are right or wrong (with McNemar's mid-p), else the normal one of the differences.
 * @param {(number | null)[]} first
 * @param {(number | null)[]} second
 * @param {number} z
 * @returns {Difference}
 */
export function difference(first, second, z) {
  let [n, more, less, sum, squares, binary] = [0, 0, 0, 0, 0, true];
  for (let i = 0; i < first.length; i++) {
    const [a, b] = [first[i], second[i]];
    if (a === null || b === null || a === undefined || b === undefined) continue;
    n += 1;
    if (a > b) more += 1;
    if (a < b) less += 1;
    sum += a - b;
    squares += (a - b) ** 2;
    binary &&= (a === 0 || a === 1) && (b === 0 || b === 1);
  }
  const value = sum / n;
  if (!n) return { value: NaN, lo: NaN, hi: NaN, n, p: NaN, more, less, binary };
  if (binary) {
    const [b, c, total] = [more + 0.5, less + 0.5, n + 2];
    const half = (z * Math.sqrt(b + c - (b - c) ** 2 / total)) / total;
    const centre = (b - c) / total;
    const [lo, hi] = [Math.max(-1, Math.min(centre - half, value)), Math.min(1, Math.max(centre + half, value))];
    return { value, lo, hi, n, p: mcnemar(more, less), more, less, binary };
  }
  const error = n > 1 ? Math.sqrt(Math.max(0, squares / n - value ** 2) / (n - 1)) : NaN;
  return { value, lo: value - z * error, hi: value + z * error, n, p: NaN, more, less, binary };
}

/**
 * The mid-p value of McNemar's test.
 * @param {number} first
 * @param {number} second
 */
export function mcnemar(first, second) {
  const n = first + second;
  const fewer = Math.min(first, second);
  if (!n) return 1;
  let [log, below, term] = [-n * Math.LN2, 0, 0];
  for (let k = 0; k <= fewer; k++) {
    if (k) log += Math.log(n - k + 1) - Math.log(k);
    term = Math.exp(log);
    below += term;
  }
  return first === second ? 1 - term / 2 : 2 * below - term;
}

/** @param {number} p */
export function pValue(p) {
  return p < 0.001 ? "p < 0.001" : `p = ${p.toFixed(3)}`;
}
