// @ts-check
/**
 * The conventional network: ReLU units in integers, or in floating point.
 *
 * Integers are exact (spikejoule.baselines.quantised): pixels are rounded to levels, sums
 * saturate, and a hidden sum becomes (sum * multiplier + half) >> shift, clipped.
 */

/**
 * @typedef {Object} DenseData
 * @property {Int8Array | Int16Array | Float32Array} weights row by source, [nSources * nUnits]
 * @property {ArrayLike<number> | null} biases
 * @property {Uint16Array | null} fanOut weights of each source that are not 0; null if
 *   zero weights are multiplied, too
 * @property {number} nSources
 * @property {number} nUnits
 * @property {number} nSynapses weights that are left
 * @property {[number, number] | null} requantisation multiplier and shift
 *
 * @typedef {Object} ConventionalData
 * @property {DenseData[]} layers
 * @property {{largestActivation: number, halfOfSums: number} | null} integers
 * @property {boolean} skipsZeros whether products with zeros are not computed
 */

/**
 * @typedef {Object} Answer
 * @property {number[]} scores of the classes
 * @property {number[][]} activations of each layer, the pixels first
 * @property {number[]} products of each matrix: multiply-accumulates that it computes
 * @property {number[]} denseProducts of each matrix, all zeros included
 */

/**
 * @param {ConventionalData} network
 * @param {Uint8Array} pixels
 * @returns {Answer}
 */
export function classify(network, pixels) {
  const { layers, integers } = network;
  let values = Array.from(pixels, (level) =>
    integers
      ? Math.floor((level * integers.largestActivation + 127) / 255)
      : Math.fround(level / 255),
  );
  const activations = [values];
  /** @type {number[]} */
  const products = [];
  /** @type {number[]} */
  const denseProducts = [];
  layers.forEach((layer, number) => {
    products.push(network.skipsZeros ? nonzeroProducts(layer, values) : layer.nSynapses);
    denseProducts.push(layer.nSources * layer.nUnits);
    const sums = weightedSums(layer, values);
    const isLast = number === layers.length - 1;
    values = Array.from(sums, (sum) => {
      if (!integers) return isLast ? sum : Math.max(sum, 0);
      const half = integers.halfOfSums;
      const saturated = Math.min(Math.max(sum, -half), half - 1);
      return isLast ? saturated : requantised(saturated, layer, integers.largestActivation);
    });
    if (!isLast) activations.push(values);
  });
  return { scores: values, activations, products, denseProducts };
}

/**
 * @param {DenseData} layer
 * @param {number[]} values
 */
function weightedSums(layer, values) {
  const sums = Float64Array.from(layer.biases ?? new Float64Array(layer.nUnits));
  for (let source = 0; source < layer.nSources; source++) {
    const value = values[source];
    if (value === 0) continue;
    const row = source * layer.nUnits;
    for (let unit = 0; unit < layer.nUnits; unit++) {
      sums[unit] += value * layer.weights[row + unit];
    }
  }
  return sums;
}

/**
 * @param {number} sum
 * @param {DenseData} layer
 * @param {number} largest
 */
function requantised(sum, layer, largest) {
  const [multiplier, shift] = /** @type {[number, number]} */ (layer.requantisation);
  // Below 2^53, where doubles are exact: sums have up to 32 bits, multipliers 24 - so only
  // BigInt is safe.
  const scaled = BigInt(sum) * BigInt(multiplier) + (1n << BigInt(shift - 1));
  return Math.min(Math.max(Number(scaled >> BigInt(shift)), 0), largest);
}

/**
 * @param {DenseData} layer
 * @param {number[]} values
 */
function nonzeroProducts(layer, values) {
  return values.reduce(
    (total, value, source) =>
      value === 0 ? total : total + (layer.fanOut ? layer.fanOut[source] : layer.nUnits),
    0,
  );
}
