// @ts-check
/** Which of two networks needs less energy, as a sentence. */

import { energyRange, times } from "./words.js";

/**
 * @param {string} where such as "For this digit"
 * @param {[number, number]} spiking pJ, under the lower and the upper ends of prices
 * @param {[number, number]} conventional
 */
export function comparison(where, spiking, conventional) {
  const energies = `${energyRange(spiking)} against ${energyRange(conventional)}`;
  if (spiking[1] < conventional[0]) {
    const [low, high] = [conventional[0] / spiking[1], conventional[1] / spiking[0]];
    return `${where}, the spiking network needs less energy: ${energies}, ${range(low, high)} less.`;
  }
  if (conventional[1] < spiking[0]) {
    const [low, high] = [spiking[0] / conventional[1], spiking[1] / conventional[0]];
    return `${where}, the conventional network needs less energy: ${energies}, ${range(low, high)} less.`;
  }
  return `${where}, these prices do not decide: ${energies}.`;
}

/** @param {number} low @param {number} high */
function range(low, high) {
  const [first, second] = [times(low), times(high)];
  return first === second ? first : `${first.replace(" times", "")} to ${second}`;
}
