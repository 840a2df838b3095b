// @ts-check
/** Elements of the page: find them, and create new ones. */

/** @param {string} id */
export function element(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element ${id}`);
  return found;
}

/** @param {string} id */
export function canvas(id) {
  return /** @type {HTMLCanvasElement} */ (element(id));
}

/** @param {string} id */
export function input(id) {
  return /** @type {HTMLInputElement} */ (element(id));
}

/** @param {string} id */
export function choice(id) {
  return /** @type {HTMLSelectElement} */ (element(id));
}

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} [text]
 * @param {string} [className]
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function created(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}

/**
 * Set a text where it differs: an equal one would be laid out, and read out, again.
 * @param {Node} node
 * @param {string} text
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * @param {string} name
 * @param {string[]} cells
 */
export function tableRow(name, ...cells) {
  const row = created("tr");
  row.append(created("th", name), ...cells.map((cell) => created("td", cell)));
  return row;
}
