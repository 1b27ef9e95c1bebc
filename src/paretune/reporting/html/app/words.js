// Which words of a text another one does not have in the same place.

const LONGEST = 600; // words: the comparison takes their product

/**
 * The words of a text (with what stands between them), each with whether it is in the longest common sequence of words
 * of both; null where they are too long to compare.
 * @param {string} text
 * @param {string} other
 * @returns {[string, boolean][] | null}
 */
export function sharedWords(text, other) {
  const [a, b] = [text.split(/(\s+)/), other.split(/(\s+)/)];
  const [mine, theirs] = [a.filter((_, place) => place % 2 === 0), b.filter((_, place) => place % 2 === 0)];
  if (mine.length > LONGEST || theirs.length > LONGEST) return null;
  const width = theirs.length + 1;
  const longest = new Uint16Array((mine.length + 1) * width);
  for (let i = mine.length - 1; i >= 0; i--)
    for (let j = theirs.length - 1; j >= 0; j--)
      longest[i * width + j] =
        mine[i] === theirs[j]
          ? longest[(i + 1) * width + j + 1] + 1
          : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
  const shared = new Array(mine.length).fill(false);
  for (let i = 0, j = 0; i < mine.length && j < theirs.length;)
    if (mine[i] === theirs[j]) [shared[i], i, j] = [true, i + 1, j + 1];
    else if (longest[(i + 1) * width + j] >= longest[i * width + j + 1]) i += 1;
    else j += 1;
  return a.map((part, place) => [part, place % 2 === 1 || part === "" || shared[place / 2]]);
}
