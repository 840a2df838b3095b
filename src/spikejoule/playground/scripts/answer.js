// @ts-check
/** The answer: output potentials and spikes of each class, and the class in the lead. */

import { created, element, setText } from "./elements.js";
import { leader } from "./spiking.js";
import { count } from "./words.js";

const NOTHING = "–"; // the answer to an empty drawing
const LONGEST_BAR = 1.5; // potentials of which a bar is full, in thresholds, or the largest

export class AnswerPanel {
  #rows;

  /** @param {import("./content.js").Content} content */
  constructor({ images, spiking }) {
    this.classes = images.classes;
    this.threshold = spiking.layers[spiking.layers.length - 1].threshold;
    /** The potential of a bar of length 1. */
    this.unit = this.threshold ?? 1;
    this.isEmpty = true;
    this.#rows = this.classes.map((name) => outputRow(name));
    element("outputs").append(...this.#rows.map(({ row }) => row));
  }

  /** @param {import("./run.js").Run} run */
  load({ isEmpty, conventional, moments }) {
    this.isEmpty = isEmpty;
    if (this.threshold === null) {
      const largest = Math.max(...moments.map(({ potentials }) => Math.max(...Array.from(potentials))));
      this.unit = largest > 0 ? largest / LONGEST_BAR : 1;
    }
    const answer = conventional && !isEmpty ? this.classes[leader(conventional.scores)] : NOTHING;
    setText(element("other-answer"), answer);
  }

  /**
   * @param {import("./run.js").Moment | null} moment null before the first step
   * @param {boolean} isLast whether no step follows
   */
  show(moment, isLast) {
    this.#rows.forEach(({ row, bar, score }, unit) => {
      const potential = moment ? moment.potentials[unit] / this.unit : 0;
      const length = Math.min(Math.max(potential, 0), LONGEST_BAR);
      row.classList.toggle("leads", moment?.answer === unit);
      bar.style.transform = `scaleX(${length / LONGEST_BAR})`;
      setText(score, this.#inWords(moment?.scores[unit] ?? 0));
    });
    setText(element("answer"), this.#answer(moment, isLast));
  }

  /**
   * @param {import("./run.js").Moment | null} moment
   * @param {boolean} isLast
   */
  #answer(moment, isLast) {
    if (this.isEmpty) return NOTHING;
    const hasScore = this.threshold === null || moment?.scores.some((spikes) => spikes > 0);
    if (moment && hasScore) return this.classes[moment.answer];
    return isLast ? "no answer" : "no answer yet";
  }

  /** @param {number} score */
  #inWords(score) {
    return this.threshold === null ? String(Number(score.toPrecision(3))) : count(score);
  }
}

/** @param {string} name of the class */
function outputRow(name) {
  const row = created("tr");
  const cell = created("td", "", "bar");
  const bar = created("span");
  const score = created("td");
  cell.append(bar);
  row.append(created("th", name), cell, score);
  return { row, bar, score };
}
