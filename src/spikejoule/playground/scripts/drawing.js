// @ts-check
/**
 * Strokes on a canvas become pixels as MNIST has them: the ink is scaled to fit a
 * box of 20 x 20 pixels, and its centre of mass is put in the middle of the 28 x 28 pixels
 * (LeCun et al. 1998).
 *
 * A mouse, a finger, a pen or the arrow keys draw.
 */

/** @typedef {{x: number, y: number}} Point in widths of the canvas */

/**
 * @typedef {Object} Levels brightness 0 to 255, row by row
 * @property {Float64Array} values
 * @property {number} width
 * @property {number} height
 */

const GRID = 280; // cells a side in which ink is found, ten for a pixel of MNIST
const PEN = 1 / 12; // width of the pen, in widths of the canvas
const KEY_STEP = 1 / 28;

/** @type {Record<string, Point>} */
const DIRECTIONS = {
  ArrowLeft: { x: -KEY_STEP, y: 0 },
  ArrowRight: { x: KEY_STEP, y: 0 },
  ArrowUp: { x: 0, y: -KEY_STEP },
  ArrowDown: { x: 0, y: KEY_STEP },
};

export class Drawing {
  /** @type {Point[][]} */
  #strokes = [];
  /** @type {Point} */
  #keyboardPen = { x: 0.5, y: 0.25 };
  #keyboardPenIsDown = false;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {(isFinished: boolean) => void} changed called whenever there is new ink, and
   *   when a stroke is finished
   */
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    canvas.addEventListener("pointerdown", (event) => this.#beginStroke(event));
    canvas.addEventListener("pointermove", (event) => this.#extendStroke(event));
    canvas.addEventListener("pointerup", (event) => this.#endStroke(event));
    canvas.addEventListener("keydown", (event) => this.#pressKey(event));
    canvas.addEventListener("focus", () => this.paint());
    canvas.addEventListener("blur", () => {
      this.#keyboardPenIsDown = false;
      this.paint();
    });
  }

  clear() {
    this.#strokes = [];
    this.#keyboardPenIsDown = false;
    this.paint();
  }

  /** @param {Point[][]} strokes drawn in place of what is there */
  setStrokes(strokes) {
    this.#strokes = strokes;
    this.paint();
    this.changed(false);
  }

  /** @param {PointerEvent} event @returns {Point} */
  #position(event) {
    const box = this.canvas.getBoundingClientRect();
    return {
      x: (event.clientX - box.left) / box.width,
      y: (event.clientY - box.top) / box.height,
    };
  }

  /** @param {PointerEvent} event */
  #beginStroke(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.#strokes.push([this.#position(event)]);
    this.paint();
    this.changed(false);
  }

  /** @param {PointerEvent} event */
  #extendStroke(event) {
    if (!this.canvas.hasPointerCapture(event.pointerId)) return;
    this.#lastStroke().push(this.#position(event));
    this.paint();
    this.changed(false);
  }

  /** @param {PointerEvent} event */
  #endStroke(event) {
    if (this.canvas.hasPointerCapture(event.pointerId)) this.changed(true);
  }

  /** @param {KeyboardEvent} event */
  #pressKey(event) {
    const direction = DIRECTIONS[event.key];
    if (event.key === " ") {
      this.#keyboardPenIsDown = !this.#keyboardPenIsDown;
      if (this.#keyboardPenIsDown) this.#strokes.push([this.#keyboardPen]);
    } else if (direction) {
      this.#keyboardPen = {
        x: clamp(this.#keyboardPen.x + direction.x, 0, 1),
        y: clamp(this.#keyboardPen.y + direction.y, 0, 1),
      };
      if (this.#keyboardPenIsDown) this.#lastStroke().push(this.#keyboardPen);
    } else {
      return;
    }
    // Keep the page from scrolling, and the player from taking the space bar.
    event.preventDefault();
    event.stopPropagation();
    this.paint();
    if (this.#keyboardPenIsDown) this.changed(false);
  }

  #lastStroke() {
    return this.#strokes[this.#strokes.length - 1];
  }

  /** Show the strokes, or where to draw them, and, while the canvas has the keyboard's focus, its pen. */
  paint() {
    const context = context2d(this.canvas);
    const side = this.canvas.width;
    const ink = getComputedStyle(this.canvas).color;
    context.clearRect(0, 0, side, side);
    strokeAll(context, this.#strokes, side, ink);
    if (this.#strokes.length === 0) sayWhereToDraw(context, side);
    if (this.canvas.matches(":focus-visible")) {
      context.beginPath();
      const { x, y } = this.#keyboardPen;
      context.arc(x * side, y * side, (PEN * side) / 2, 0, 2 * Math.PI);
      context.lineWidth = 2;
      context.stroke();
    }
  }

  /**
   * The drawing as an image; black where nothing is drawn.
   * @param {number} height of the image, pixels
   * @param {number} width
   * @param {number} inkSide pixels that the longer side of the ink takes
   */
  pixels(height, width, inkSide) {
    const ink = inkOf(this.#strokes);
    const box = boundingBox(ink);
    if (!box) return new Uint8Array(height * width);
    const cellsPerPixel = Math.max(box.width, box.height) / inkSide;
    return centred(averaged(cropped(ink, box), cellsPerPixel), height, width);
  }
}

/** @param {HTMLCanvasElement} canvas */
function context2d(canvas) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("this browser cannot draw on a canvas");
  return context;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number} side of the canvas
 */
function sayWhereToDraw(context, side) {
  context.globalAlpha = 0.6;
  context.fillStyle = context.strokeStyle;
  context.font = "20px system-ui, sans-serif";
  context.textAlign = "center";
  context.fillText("draw here", side / 2, side / 2);
  context.globalAlpha = 1;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Point[][]} strokes
 * @param {number} side of the canvas
 * @param {string} ink
 */
function strokeAll(context, strokes, side, ink) {
  context.strokeStyle = ink;
  context.fillStyle = ink;
  context.lineWidth = PEN * side;
  context.lineCap = "round";
  context.lineJoin = "round";
  for (const stroke of strokes) {
    const start = stroke[0];
    context.beginPath();
    if (stroke.every((point) => point.x === start.x && point.y === start.y)) {
      // Browsers draw no line without length: a dot is a filled circle.
      context.arc(start.x * side, start.y * side, context.lineWidth / 2, 0, 2 * Math.PI);
      context.fill();
      continue;
    }
    context.moveTo(start.x * side, start.y * side);
    for (const point of stroke) context.lineTo(point.x * side, point.y * side);
    context.stroke();
  }
}

/** @param {Point[][]} strokes @returns {Levels} */
function inkOf(strokes) {
  const canvas = document.createElement("canvas");
  canvas.width = GRID;
  canvas.height = GRID;
  const context = context2d(canvas);
  strokeAll(context, strokes, GRID, "white");
  const rgba = context.getImageData(0, 0, GRID, GRID).data;
  const values = new Float64Array(GRID * GRID);
  for (let cell = 0; cell < values.length; cell++) values[cell] = rgba[4 * cell + 3];
  return { values, width: GRID, height: GRID };
}

/** @param {Levels} levels */
function boundingBox({ values, width, height }) {
  let left = width;
  let right = -1;
  let top = height;
  let bottom = -1;
  for (let cell = 0; cell < values.length; cell++) {
    if (values[cell] < 128) continue;
    const column = cell % width;
    const row = (cell - column) / width;
    left = Math.min(left, column);
    right = Math.max(right, column);
    top = Math.min(top, row);
    bottom = Math.max(bottom, row);
  }
  if (right < 0) return null;
  return { left, top, width: right - left + 1, height: bottom - top + 1 };
}

/**
 * @param {Levels} levels
 * @param {{left: number, top: number, width: number, height: number}} box
 * @returns {Levels}
 */
function cropped(levels, { left, top, width, height }) {
  const values = new Float64Array(width * height);
  for (let row = 0; row < height; row++) {
    const start = (top + row) * levels.width + left;
    values.set(levels.values.subarray(start, start + width), row * width);
  }
  return { values, width, height };
}

/**
 * Means over squares of cells; a square may cover parts of cells.
 * @param {Levels} levels
 * @param {number} cellsPerPixel
 * @returns {Levels}
 */
function averaged(levels, cellsPerPixel) {
  const width = Math.ceil(levels.width / cellsPerPixel - 1e-9);
  const height = Math.ceil(levels.height / cellsPerPixel - 1e-9);
  const values = new Float64Array(width * height);
  for (let y = 0; y < levels.height; y++) {
    for (let x = 0; x < levels.width; x++) {
      const level = levels.values[y * levels.width + x];
      if (level === 0) continue;
      for (const [row, rowShare] of shares(y, cellsPerPixel, height)) {
        for (const [column, columnShare] of shares(x, cellsPerPixel, width)) {
          values[row * width + column] += level * rowShare * columnShare;
        }
      }
    }
  }
  return { values, width, height };
}

/**
 * The pixels that a cell covers, each with the share of the pixel.
 * @param {number} cell
 * @param {number} cellsPerPixel
 * @param {number} nPixels
 * @returns {[number, number][]}
 */
function shares(cell, cellsPerPixel, nPixels) {
  const first = Math.floor(cell / cellsPerPixel);
  const end = Math.min(Math.ceil((cell + 1) / cellsPerPixel - 1e-9), nPixels);
  /** @type {[number, number][]} */
  const covered = [];
  for (let pixel = first; pixel < end; pixel++) {
    const from = Math.max(cell / cellsPerPixel, pixel);
    const to = Math.min((cell + 1) / cellsPerPixel, pixel + 1);
    covered.push([pixel, to - from]);
  }
  return covered;
}

/**
 * The ink with its centre of mass in the middle of an image, as far as it fits.
 * @param {Levels} ink
 * @param {number} height of the image
 * @param {number} width
 */
function centred(ink, height, width) {
  let mass = 0;
  let xMoment = 0;
  let yMoment = 0;
  ink.values.forEach((level, place) => {
    mass += level;
    xMoment += level * ((place % ink.width) + 0.5);
    yMoment += level * (Math.floor(place / ink.width) + 0.5);
  });
  const left = clamp(Math.round(width / 2 - xMoment / mass), 0, width - ink.width);
  const top = clamp(Math.round(height / 2 - yMoment / mass), 0, height - ink.height);
  const pixels = new Uint8Array(height * width);
  ink.values.forEach((level, place) => {
    const column = left + (place % ink.width);
    const row = top + Math.floor(place / ink.width);
    pixels[row * width + column] = Math.round(Math.min(level, 255));
  });
  return pixels;
}

/**
 * @param {number} value
 * @param {number} lowest
 * @param {number} highest
 */
function clamp(value, lowest, highest) {
  return Math.min(Math.max(value, lowest), highest);
}
