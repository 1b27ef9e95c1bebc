// Texts beside points, where they cover neither each other nor a point.

const [WIDE, TALL] = [7.2, 14]; // pixels a letter takes at most

/**
 * For each text the place of its beginning; null where there is no room. Those that come first have the choice.
 * @param {{x: number, y: number, text: string}[]} wanted
 * @param {[number, number][]} points which are not to be covered
 * @param {[number, number, number, number]} area left, top, right, bottom
 * @returns {([number, number] | null)[]}
 */
export function tagPlaces(wanted, points, area) {
  /** @type {[number, number, number, number][]} */
  const taken = points.map(([x, y]) => [x - 6, y - 6, x + 6, y + 6]);
  return wanted.map(({ x, y, text }) => {
    const wide = text.length * WIDE;
    for (const [dx, dy] of [
      [9, -8],
      [-9 - wide, -8],
      [9, 18],
      [-9 - wide, 18],
      [-wide / 2, -14],
      [-wide / 2, 26],
    ]) {
      /** @type {[number, number, number, number]} */
      const box = [x + dx, y + dy - TALL + 2, x + dx + wide, y + dy + 2];
      const inside = box[0] >= area[0] && box[1] >= area[1] && box[2] <= area[2] && box[3] <= area[3];
      const free = taken.every((each) => box[2] < each[0] || each[2] < box[0] || box[3] < each[1] || each[3] < box[1]);
      if (!inside || !free) continue;
      taken.push(box);
      return [x + dx, y + dy];
    }
    return null;
  });
}
