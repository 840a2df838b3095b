// @ts-check
/** Which of two networks needs less energy, and how accurate they are, in sentences. */

import { energyRange, percent, times } from "./words.js";

/**
 * @param {string} where such as "For this digit"
 * @param {[number, number]} spiking pJ, under the lower and the upper ends of prices
 * @param {[number, number]} conventional
 */
export function comparison(where, spiking, conventional) {
  const networks = [
    { name: "the spiking network", range: spiking },
    { name: "the conventional network", range: conventional },
  ];
  const [less, more] = networks.sort((a, b) => a.range[0] - b.range[0]);
  const energies =
    `${where} ${less.name} needs ${energyRange(less.range)}, ` +
    `${more.name} ${energyRange(more.range)}`;
  const isDecided = less.range[1] < more.range[0];
  if (!isDecided) return `${energies}: the comparison is inconclusive at these prices.`;
  return `${energies}, ${ratio(more.range, less.range)} as much.`;
}

/**
 * How many times the smaller energy fits into the larger one.
 * @param {[number, number]} larger
 * @param {[number, number]} smaller
 */
function ratio(larger, smaller) {
  const low = times(larger[0] / smaller[1]);
  const high = times(larger[1] / smaller[0]);
  return low === high ? low : `${low.replace(" times", "")} to ${high}`;
}

/**
 * @param {import("./content.js").Accuracies} accuracies
 * @param {boolean} stopsEarly
 */
export function accuracySentence({ spiking, stopping, conventional }, stopsEarly) {
  const where = stopsEarly ? "Stopping early, the" : "The";
  const own = percent(stopsEarly ? stopping : spiking);
  const sentence = `${where} spiking network classifies ${own} of the test images correctly`;
  if (conventional === null) return `${sentence}.`;
  const other = percent(conventional);
  return own === other
    ? `${sentence}, as does the conventional network.`
    : `${sentence}, the conventional network ${other}: the accuracies differ.`;
}
