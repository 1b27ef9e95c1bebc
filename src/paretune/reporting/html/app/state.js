// Which view is shown, in the address: `#view=examples&trial=2&vs=5&example=17`. A view can be sent as a link.

/** @typedef {Record<string, string>} State */

/** @returns {State} */
export function state() {
  return Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
}

/**
 * The address of a view; what is empty is left out.
 * @param {Record<string, string | number | null | undefined>} wanted
 */
export function address(wanted) {
  const known = Object.entries(wanted).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return `#${new URLSearchParams(known.map(([name, value]) => [name, String(value)]))}`;
}

/**
 * The address of this view with some things changed.
 * @param {Record<string, string | number | null | undefined>} changes
 */
export function changed(changes) {
  return address({ ...state(), ...changes });
}

/**
 * Change this view without another step in the history.
 * @param {Record<string, string | number | null | undefined>} changes
 */
export function change(changes) {
  history.replaceState(null, "", changed(changes));
  dispatchEvent(new HashChangeEvent("hashchange"));
}
