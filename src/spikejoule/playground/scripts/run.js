// @ts-check
/**
 * One image through both networks: everything that the page shows, computed at once.
 *
 * A run takes about 2 ms, so playing only moves a cursor over its steps.
 */

import { classify } from "./conventional.js";
import { encode } from "./encoders.js";
import { leader, mayStop, SpikingNetwork } from "./spiking.js";

/**
 * @typedef {Object} SpikingData
 * @property {string} name
 * @property {import("./spiking.js").LayerData[]} layers
 * @property {import("./encoders.js").EncoderTable} encoder
 * @property {string} key of the random streams of the test set
 * @property {number} firstLevel the lowest level of a pixel that may fire
 * @property {number} nSteps
 * @property {number} stepMs
 * @property {number} nTest test images; a drawing's stream begins after theirs
 * @property {import("./spiking.js").ExitRule} exit
 * @property {"potential" | "max_potential"} [readout] absent where spikes are the answer
 */

/**
 * @typedef {Object} Moment the state after a step
 * @property {number[][]} spikes of each layer in this step, the input first
 * @property {number[]} spikeTotals of each layer so far
 * @property {number[]} eventTotals of each connection so far
 * @property {ArrayLike<number>} potentials of the output, before the reset
 * @property {number[]} scores of the classes: output spikes so far, or potentials
 * @property {number} answer the class in the lead
 */

/**
 * @typedef {Object} Run
 * @property {Uint8Array} pixels
 * @property {boolean} isEmpty whether nothing is drawn
 * @property {Moment[]} moments
 * @property {number} exitStep steps after which the network may stop
 * @property {number} litPixels pixels that may fire
 * @property {import("./conventional.js").Answer | null} conventional
 */

/**
 * @param {import("./content.js").Content} content
 * @param {SpikingNetwork} network
 * @param {Uint8Array} pixels
 * @param {number} stream index of the image in the test set, or beyond for a drawing
 * @returns {Run}
 */
export function runImage(content, network, pixels, stream) {
  const { encoder, key, nSteps, exit, firstLevel } = content.spiking;
  const input = encode(encoder, pixels, nSteps, BigInt(key), stream);
  const spikeTotals = [0, ...network.layers.map(() => 0)];
  const eventTotals = network.layers.map(() => 0);
  /** @type {Moment[]} */
  const moments = [];
  let exitStep = nSteps;

  network.reset();
  for (const spiking of input) {
    const { spikes, events } = network.step(spiking);
    spikes.forEach((fired, layer) => {
      spikeTotals[layer] += fired.length;
    });
    events.forEach((number, layer) => (eventTotals[layer] += number));
    moments.push({
      spikes,
      spikeTotals: [...spikeTotals],
      eventTotals: [...eventTotals],
      potentials: network.output.potentials.slice(),
      scores: [...network.scores],
      answer: leader(network.scores),
    });
    if (exitStep === nSteps && mayStop(network.scores, exit)) exitStep = moments.length;
  }
  return {
    pixels,
    isEmpty: pixels.every((level) => level === 0),
    moments,
    exitStep,
    litPixels: pixels.filter((level) => level >= firstLevel).length,
    conventional: content.conventional && classify(content.conventional, pixels),
  };
}

/**
 * Spikes of each neuron of a layer in the first steps.
 * @param {Run} run
 * @param {number} layer 0 for the input
 * @param {number} nUnits
 * @param {number} nSteps
 */
export function spikeCounts(run, layer, nUnits, nSteps) {
  const counts = new Uint16Array(nUnits);
  for (const { spikes } of run.moments.slice(0, nSteps)) {
    for (const unit of spikes[layer]) counts[unit] += 1;
  }
  return counts;
}

/**
 * The counts that the price of a spiking inference is linear in, after some steps.
 * @param {Run} run
 * @param {number} nSteps
 */
export function spikingFeatures(run, nSteps) {
  const { spikeTotals, eventTotals } = run.moments[nSteps - 1];
  return [1, nSteps, run.litPixels, run.litPixels * nSteps, ...spikeTotals, ...eventTotals];
}

/**
 * The same of a conventional inference.
 * @param {import("./conventional.js").Answer} answer
 */
export function conventionalFeatures(answer) {
  return [1, ...answer.products];
}

/**
 * The energy of each layer in pJ, under the lower and the upper ends of prices.
 * @param {number[][][]} prices of one of each count, [layers][2][counts]
 * @param {number[]} features
 * @returns {[number, number][]}
 */
export function energiesPj(prices, features) {
  const total = (/** @type {number[]} */ row) =>
    row.reduce((sum, price, k) => sum + price * features[k], 0);
  return prices.map(([low, high]) => [total(low), total(high)]);
}

/**
 * @param {[number, number][]} energies
 * @returns {[number, number]}
 */
export function sumPj(energies) {
  const sum = (/** @type {0 | 1} */ end) =>
    energies.reduce((total, energy) => total + energy[end], 0);
  return [sum(0), sum(1)];
}
