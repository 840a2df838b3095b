// @ts-check
/**
 * Random numbers from a counter: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), and
 * standard exponential numbers made from it, the same bits as the pipeline's
 * (spikejoule.compiling.streams).
 */

import { fma64 } from "./arithmetic.js";

const MASK = (1n << 64n) - 1n;
const GOLDEN = 0x9e3779b97f4a7c15n;
const ROOT_HALF_BITS = 0x3fe6a09e667f3bcdn; // of 1/sqrt(2)
const ONE_BITS = 1023n << 52n;
const FRACTION = (1n << 52n) - 1n;
const SERIES_TERMS = 10;

const view = new DataView(new ArrayBuffer(8));

/**
 * SplitMix64's output function, a bijection of 64-bit integers.
 * @param {bigint} value
 */
export function mix(value) {
  value = ((value ^ (value >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK;
  value = ((value ^ (value >> 27n)) * 0x94d049bb133111ebn) & MASK;
  return value ^ (value >> 31n);
}

/**
 * -log(u) of a number in (0, 1].
 *
 * u = m 2^e with m in [1/sqrt(2), sqrt(2)], and log m = 2 artanh((m - 1) / (m + 1)).
 * @param {number} u
 */
function minusLog(u) {
  view.setFloat64(0, u);
  // Adding the distance of 1 from 1/sqrt(2) in bits carries into the exponent from
  // sqrt(2)/2 on.
  const shifted = view.getBigUint64(0) + ONE_BITS - ROOT_HALF_BITS;
  const exponent = Number(shifted >> 52n) - 1023;
  view.setBigUint64(0, (shifted & FRACTION) + ROOT_HALF_BITS);
  const m = view.getFloat64(0);
  const s = (m - 1) / (m + 1);
  const square = s * s;
  let series = 2 / (2 * SERIES_TERMS - 1);
  for (let term = SERIES_TERMS - 2; term >= 0; term--) {
    series = fma64(series, square, 2 / (2 * term + 1));
  }
  return -fma64(exponent, Math.LN2, series * s);
}

/** A stream of standard exponential numbers, of one image under one key. */
export class Exponentials {
  #state;

  /**
   * @param {bigint} key of the pass over a data set
   * @param {number} sample index of the image in its data set
   */
  constructor(key, sample) {
    this.#state = mix(key ^ mix((BigInt(sample) + GOLDEN) & MASK));
  }

  next() {
    this.#state = (this.#state + GOLDEN) & MASK;
    const high = mix(this.#state) >> 11n;
    return minusLog(Number(high + 1n) * 2 ** -53);
  }
}
