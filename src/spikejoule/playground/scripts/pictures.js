// @ts-check
/** Canvas pictures: an image, a raster of spikes, incoming weights. */

/** @param {string} name of a CSS variable */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** @param {string} text such as `#12ab9f` @returns {[number, number, number]} */
function rgb(text) {
  const number = Number.parseInt(text.slice(1), 16);
  return [(number >> 16) & 255, (number >> 8) & 255, number & 255];
}

/**
 * Show an array of colours, a pixel each; CSS scales the canvas.
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 * @param {(place: number) => [number, number, number, number]} rgbaAt
 */
function showPixels(canvas, width, height, rgbaAt) {
  canvas.width = width;
  canvas.height = height;
  const context = contextOf(canvas);
  const image = context.createImageData(width, height);
  for (let place = 0; place < width * height; place++) {
    image.data.set(rgbaAt(place), 4 * place);
  }
  context.putImageData(image, 0, 0);
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Uint8Array} pixels
 * @param {number} width
 */
export function showImage(canvas, pixels, width) {
  const ink = rgb(colour("--ink"));
  showPixels(canvas, width, pixels.length / width, (place) => [...ink, pixels[place]]);
}

/**
 * Weights of a neuron by the pixel that they come from: one colour for positive ones, one
 * for negative ones, the largest magnitude opaque.
 * @param {HTMLCanvasElement} canvas
 * @param {Float64Array} weights
 * @param {number} width
 */
export function showWeights(canvas, weights, width) {
  const positive = rgb(colour("--positive"));
  const negative = rgb(colour("--negative"));
  const largest = weights.reduce((most, weight) => Math.max(most, Math.abs(weight)), 0) || 1;
  showPixels(canvas, width, weights.length / width, (place) => {
    const weight = weights[place];
    const opacity = (255 * Math.abs(weight)) / largest;
    return [...(weight < 0 ? negative : positive), opacity];
  });
}

/**
 * The spikes of a layer over the window, a dot each; what lies after the cursor is faint.
 *
 * The dots of a run are drawn once: playing copies them, which takes no time.
 */
export class Raster {
  #dots = document.createElement("canvas");
  #nSteps = 1;
  #exitStep = 1;
  #colours = { cursor: "", exit: "" };

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
  }

  /**
   * @param {number[][]} steps units that fire in each step
   * @param {number} nUnits
   * @param {number} exitStep
   */
  load(steps, nUnits, exitStep) {
    this.#nSteps = steps.length;
    this.#exitStep = exitStep;
    this.#colours = { cursor: colour("--accent"), exit: colour("--exit") };
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(this.canvas.clientWidth * ratio);
    const height = Math.round(this.canvas.clientHeight * ratio);
    for (const canvas of [this.canvas, this.#dots]) {
      canvas.width = width;
      canvas.height = height;
    }
    const context = contextOf(this.#dots);
    const stepWidth = width / steps.length;
    const unitHeight = height / nUnits;
    const dotHeight = Math.max(unitHeight * 0.8, ratio);
    context.fillStyle = colour("--spike");
    steps.forEach((units, step) => {
      for (const unit of units) {
        context.fillRect(step * stepWidth, unit * unitHeight, stepWidth * 0.8, dotHeight);
      }
    });
  }

  /** @param {number} cursor steps that have passed */
  show(cursor) {
    const { width, height } = this.canvas;
    const context = contextOf(this.canvas);
    context.clearRect(0, 0, width, height);
    if (width * height === 0) return;
    context.globalAlpha = 0.15;
    context.drawImage(this.#dots, 0, 0);
    context.globalAlpha = 1;
    const passed = (cursor * width) / this.#nSteps;
    if (passed > 0) context.drawImage(this.#dots, 0, 0, passed, height, 0, 0, passed, height);
    verticalLine(context, (this.#exitStep * width) / this.#nSteps, this.#colours.exit, [6, 5]);
    verticalLine(context, passed, this.#colours.cursor, []);
  }
}

/** @param {HTMLCanvasElement} canvas */
function contextOf(canvas) {
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number} x
 * @param {string} style
 * @param {number[]} dashes
 */
function verticalLine(context, x, style, dashes) {
  context.strokeStyle = style;
  context.lineWidth = 2;
  context.setLineDash(dashes);
  context.beginPath();
  context.moveTo(x, 0);
  context.lineTo(x, context.canvas.height);
  context.stroke();
}
