// @ts-check
/** Play, pause, step and speed: a cursor over the steps of a run. */

/** Steps per second at each position of the speed slider. */
const SPEEDS = [2, 5, 10, 20, 50, 100];

export class Player {
  cursor = 0;
  nSteps = 1;
  #playing = false;
  #stepsPerSecond = SPEEDS[2];
  #lastTime = 0;
  #remainder = 0;

  /**
   * @param {() => void} moved called when the cursor or the button's state changes
   */
  constructor(moved) {
    this.moved = moved;
  }

  get isPlaying() {
    return this.#playing;
  }

  static get nSpeeds() {
    return SPEEDS.length;
  }

  /** @param {number} position of the slider, from 0 */
  setSpeed(position) {
    this.#stepsPerSecond = SPEEDS[position];
    return this.#stepsPerSecond;
  }

  /**
   * Begin a new run, at its start or, without animation, at its end.
   * @param {number} nSteps
   * @param {boolean} animate
   */
  load(nSteps, animate) {
    this.nSteps = nSteps;
    this.#playing = false;
    this.cursor = animate ? 0 : nSteps;
    if (animate) this.play();
    else this.moved();
  }

  play() {
    if (this.#playing) return;
    if (this.cursor === this.nSteps) this.cursor = 0;
    this.#playing = true;
    this.#remainder = 0;
    this.#lastTime = performance.now();
    requestAnimationFrame((time) => this.#frame(time));
    this.moved();
  }

  pause() {
    this.#playing = false;
    this.moved();
  }

  toggle() {
    if (this.#playing) this.pause();
    else this.play();
  }

  /** @param {number} cursor */
  moveTo(cursor) {
    this.#playing = false;
    this.cursor = Math.min(Math.max(cursor, 0), this.nSteps);
    this.moved();
  }

  /** @param {number} time of the frame, ms */
  #frame(time) {
    if (!this.#playing) return;
    this.#remainder += ((time - this.#lastTime) * this.#stepsPerSecond) / 1000;
    this.#lastTime = time;
    const steps = Math.floor(this.#remainder);
    if (steps > 0) {
      this.#remainder -= steps;
      this.cursor = Math.min(this.cursor + steps, this.nSteps);
      if (this.cursor === this.nSteps) this.#playing = false;
      this.moved();
    }
    requestAnimationFrame((next) => this.#frame(next));
  }
}
