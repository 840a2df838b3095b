// @ts-check
/** Numbers in words: energies with their unit, large counts with commas. */

// Made once: making one takes longer than all else that a step of a run shows.
const ROUNDED = new Intl.NumberFormat("en", { maximumFractionDigits: 6 });
const WHOLE = new Intl.NumberFormat("en");

/** @param {number} value three significant digits */
function digits(value) {
  return ROUNDED.format(Number(value.toPrecision(3)));
}

/** @type {[number, string][]} */
const UNITS = [
  [1e9, "mJ"],
  [1e6, "µJ"],
  [1e3, "nJ"],
  [1, "pJ"],
];

/** @param {number} pj */
export function energy(pj) {
  const [size, unit] = UNITS.find(([unitPj]) => pj >= unitPj) ?? [1, "pJ"];
  return `${digits(pj / size)}\u00a0${unit}`; // on one line
}

/** @param {[number, number]} range lowest and highest, pJ */
export function energyRange([low, high]) {
  const [first, second] = [energy(low), energy(high)];
  return first === second ? first : `${first} to ${second}`;
}

/** @param {number} number */
export function count(number) {
  return WHOLE.format(number);
}

/** @param {number} value */
export function percent(value) {
  return `${value.toFixed(2)}\u00a0%`;
}

/** @param {number} ratio at least 1 */
export function times(ratio) {
  return `${digits(ratio)} times`;
}
