// @ts-check
/**
 * Pixels to spikes: the pipeline's encoders (spikejoule.encoding.encoders).
 *
 * Each looks a pixel's level, 0 to 255, up in a table that the pipeline computed. The
 * spikes of a step are in ascending order of their pixels.
 */

import { Exponentials } from "./random.js";

/**
 * @typedef {Object} PoissonTable
 * @property {"poisson"} type
 * @property {number[]} gapScale -1 / log(1 - p) of each level; negative where p = 0
 *
 * @typedef {Object} OnceTable
 * @property {"latency" | "binary"} type
 * @property {number[]} stepOfLevel step in which a level fires; T where it never does
 *
 * @typedef {Object} RegularTable
 * @property {"regular"} type
 * @property {number[]} increments of an accumulator of 32 bits, by level
 *
 * @typedef {PoissonTable | OnceTable | RegularTable} EncoderTable
 */

/**
 * @param {EncoderTable} table
 * @param {Uint8Array} pixels levels, row by row
 * @param {number} nSteps
 * @param {bigint} key of the random stream; only `poisson` draws
 * @param {number} sample index of the image in its data set
 * @returns {number[][]} the pixels that fire in each step
 */
export function encode(table, pixels, nSteps, key, sample) {
  switch (table.type) {
    case "poisson":
      return poisson(table.gapScale, pixels, nSteps, new Exponentials(key, sample));
    case "binary":
    case "latency":
      return oncePerPixel(table.stepOfLevel, pixels, nSteps);
    case "regular":
      return regular(table.increments, pixels, nSteps);
  }
}

/**
 * A pixel fires in each step with probability p. The gap to its next spike is geometric:
 * the whole part of an exponential number times -1 / log(1 - p) (Devroye 1986, X.2).
 * @param {number[]} gapScale
 * @param {Uint8Array} pixels
 * @param {number} nSteps
 * @param {Exponentials} exponentials
 */
function poisson(gapScale, pixels, nSteps, exponentials) {
  const steps = emptySteps(nSteps);
  // The stream is spent from the last pixel to the first, as in the pipeline.
  for (let pixel = pixels.length - 1; pixel >= 0; pixel--) {
    const scale = gapScale[pixels[pixel]];
    if (scale < 0) continue;
    let step = -1;
    // A spike in the last step needs no further number.
    while (step < nSteps - 1) {
      const gap = Math.floor(Math.min(exponentials.next() * scale, nSteps));
      step += 1 + gap;
      if (step < nSteps) steps[step].push(pixel);
    }
  }
  for (const spikes of steps) spikes.reverse();
  return steps;
}

/**
 * One spike a pixel, in the step of its level.
 * @param {number[]} stepOfLevel
 * @param {Uint8Array} pixels
 * @param {number} nSteps
 */
function oncePerPixel(stepOfLevel, pixels, nSteps) {
  const steps = emptySteps(nSteps);
  pixels.forEach((level, pixel) => {
    const step = stepOfLevel[level];
    if (step < nSteps) steps[step].push(pixel);
  });
  return steps;
}

const FULL = 2 ** 32;
// From a pixel's phase to the next pixel's: 2^32 divided by the golden ratio.
const PHASE_STEP = 0x9e3779b9;

/**
 * Evenly spaced spikes: an accumulator grows by the level's increment in every step, and
 * the pixel fires where it overflows.
 * @param {number[]} increments
 * @param {Uint8Array} pixels
 * @param {number} nSteps
 */
function regular(increments, pixels, nSteps) {
  const steps = emptySteps(nSteps);
  pixels.forEach((level, pixel) => {
    let accumulator = (pixel * PHASE_STEP) % FULL;
    for (let step = 0; step < nSteps; step++) {
      accumulator += increments[level];
      if (accumulator >= FULL) {
        accumulator -= FULL;
        steps[step].push(pixel);
      }
    }
  });
  return steps;
}

/** @param {number} nSteps @returns {number[][]} */
function emptySteps(nSteps) {
  return Array.from({ length: nSteps }, () => []);
}
