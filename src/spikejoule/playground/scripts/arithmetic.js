// @ts-check
/**
 * Float arithmetic that rounds exactly as the engine does.
 *
 * The engine fuses a multiplication with the addition after it and rounds once. JavaScript
 * has no such operation, so it is built here from error-free transformations: the exact
 * sum is rounded to odd in double precision, which keeps the next rounding correct
 * (Boldo and Melquiond, IEEE Transactions on Computers 57(4), 2008).
 */

const bits = new DataView(new ArrayBuffer(8));
const SPLITTER = 2 ** 27 + 1;

/**
 * The double that round-to-odd gives for the exact number `sum + error`.
 * @param {number} sum a double, the exact number rounded to nearest
 * @param {number} error what that rounding lost
 */
function roundedToOdd(sum, error) {
  if (error === 0) return sum;
  bits.setFloat64(0, sum);
  const pattern = bits.getBigUint64(0);
  if (pattern & 1n) return sum;
  // An even double is one unit in the last place away from the odd one that brackets the
  // exact number: the next larger magnitude if the rounding was toward zero.
  const roundedTowardZero = error > 0 === sum > 0;
  bits.setBigUint64(0, roundedTowardZero ? pattern + 1n : pattern - 1n);
  return bits.getFloat64(0);
}

/**
 * What rounding lost in `sum = a + b` (Knuth's two-sum).
 * @param {number} a
 * @param {number} b
 * @param {number} sum
 */
function sumError(a, b, sum) {
  const bPart = sum - a;
  return a - (sum - bPart) + (b - bPart);
}

/**
 * What rounding lost in `product = a * b` (Dekker's two-product).
 * @param {number} a
 * @param {number} b
 * @param {number} product
 */
function productError(a, b, product) {
  const aBig = SPLITTER * a;
  const aHigh = aBig - (aBig - a);
  const aLow = a - aHigh;
  const bBig = SPLITTER * b;
  const bHigh = bBig - (bBig - b);
  const bLow = b - bHigh;
  return aLow * bLow - (product - aHigh * bHigh - aLow * bHigh - aHigh * bLow);
}

/**
 * `a * b + c` in float32, rounded once; all three are float32.
 * @param {number} a
 * @param {number} b
 * @param {number} c
 */
export function fma32(a, b, c) {
  const product = a * b; // exact: 24 by 24 bits fit a double
  const sum = product + c;
  return Math.fround(roundedToOdd(sum, sumError(product, c, sum)));
}

/**
 * `a * b + c` in double precision, rounded once.
 * @param {number} a
 * @param {number} b
 * @param {number} c
 */
export function fma64(a, b, c) {
  const product = a * b;
  const low = productError(a, b, product);
  const lowSum = c + low;
  const lowError = sumError(c, low, lowSum);
  const sum = product + lowSum;
  const error = sumError(product, lowSum, sum);
  const rest = error + lowError;
  return sum + roundedToOdd(rest, sumError(error, lowError, rest));
}
