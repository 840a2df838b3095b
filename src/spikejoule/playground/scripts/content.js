// @ts-check
/**
 * What the pipeline wrote into the page: networks, price lists, test images.
 *
 * Arrays are deflated and written as base64, so that pruned weights take little space.
 */

/** @typedef {{type: keyof typeof ARRAYS, data: string}} PackedArray */

const ARRAYS = { Float32Array, Int8Array, Int16Array, Int32Array, Uint8Array, Uint16Array };

/** @param {string} base64 */
async function inflated(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

/** @param {unknown} value @returns {value is PackedArray} */
function isPacked(value) {
  return typeof value === "object" && value !== null && "data" in value && "type" in value;
}

/**
 * The same value with every packed array as a typed array.
 * @param {any} value
 * @returns {Promise<any>}
 */
export async function unpacked(value) {
  if (isPacked(value)) return new ARRAYS[value.type](await inflated(value.data));
  if (Array.isArray(value)) return Promise.all(value.map(unpacked));
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value).map(async ([name, entry]) => [
      name,
      await unpacked(entry),
    ]);
    return Object.fromEntries(await Promise.all(entries));
  }
  return value;
}

/**
 * @typedef {Object} PriceList
 * @property {string} id
 * @property {string} title
 * @property {boolean} isOfChip whether the hardware runs spiking networks only
 * @property {number[][][]} spiking pJ of one of each count: [layers][low, high][counts]
 * @property {number[][][]} stopping the same where the network may stop early
 * @property {number[][][] | null} conventional null where the list does not compare
 * @property {[number, number]} spikingMean energy per test image, pJ: low and high
 * @property {[number, number]} stoppingMean
 * @property {[number, number] | null} conventionalMean
 * @property {string} note the energy report's comparison; empty without one
 *
 * @typedef {Object} Sample a test image
 * @property {number} index in the test set
 * @property {number} label
 * @property {string} group of the gallery
 *
 * @typedef {Object} ImageData
 * @property {number} height
 * @property {number} width
 * @property {number} inkSide pixels that the ink of a drawing fits
 * @property {string} noun what an image shows
 * @property {string[]} classes
 *
 * @typedef {Object} Accuracies on the test images, percent
 * @property {number} spiking
 * @property {number} stopping of the spiking network where it may stop early
 * @property {number | null} conventional
 *
 * @typedef {Object} Content
 * @property {Accuracies} accuracies
 * @property {ImageData} images
 * @property {import("./run.js").SpikingData} spiking
 * @property {import("./conventional.js").ConventionalData | null} conventional
 * @property {PriceList[]} priceLists the headline's first
 * @property {Sample[]} samples
 * @property {Uint8Array} samplePixels one image after the other
 */

/** Units of each layer, the pixels first. @param {Content} content */
export function layerSizes({ spiking: { layers } }) {
  return [layers[0].nSources, ...layers.map((layer) => layer.nUnits)];
}

/**
 * @param {Content} content
 * @param {number} layer 0 for the input
 */
export function layerName({ spiking: { layers } }, layer) {
  return nameAmong(layers.length, layer);
}

/**
 * The name of a layer in a network whose output is layer `last`.
 * @param {number} last
 * @param {number} layer
 */
export function nameAmong(last, layer) {
  if (layer === 0) return "input";
  if (layer === last) return "output";
  return last === 2 ? "hidden layer" : `hidden layer ${layer}`;
}
