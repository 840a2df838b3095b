// @ts-check
/** The answer: output potentials and spikes of each class, and the class in the lead. */

import { created, element, setText } from "./elements.js";
import { leader } from "./spiking.js";
import { count } from "./words.js";

const NOTHING = "–"; // the answer to an empty drawing
const LONGEST_BAR = 1.5; // potentials of which a bar is full, in thresholds

export class AnswerPanel {
  #rows;

  /** @param {import("./content.js").Content} content */
  constructor({ images, spiking }) {
    this.classes = images.classes;
    this.threshold = spiking.layers[spiking.layers.length - 1].threshold;
    this.isEmpty = true;
    this.#rows = this.classes.map((name) => outputRow(name));
    element("outputs").append(...this.#rows.map(({ row }) => row));
  }

  /** @param {import("./run.js").Run} run */
  load({ isEmpty, conventional }) {
    this.isEmpty = isEmpty;
    const answer = conventional && !isEmpty ? this.classes[leader(conventional.scores)] : NOTHING;
    setText(element("other-answer"), answer);
  }

  /**
   * @param {import("./run.js").Moment | null} moment null before the first step
   * @param {boolean} isLast whether no step follows
   */
  show(moment, isLast) {
    this.#rows.forEach(({ row, bar, spikes }, unit) => {
      const potential = moment ? moment.potentials[unit] / this.threshold : 0;
      const length = Math.min(Math.max(potential, 0), LONGEST_BAR);
      row.classList.toggle("leads", moment?.answer === unit);
      bar.style.transform = `scaleX(${length / LONGEST_BAR})`;
      setText(spikes, count(moment?.counts[unit] ?? 0));
    });
    setText(element("answer"), this.#answer(moment, isLast));
  }

  /**
   * @param {import("./run.js").Moment | null} moment
   * @param {boolean} isLast
   */
  #answer(moment, isLast) {
    if (this.isEmpty) return NOTHING;
    const hasSpiked = moment?.counts.some((spikes) => spikes > 0);
    if (moment && hasSpiked) return this.classes[moment.answer];
    return isLast ? "no answer" : "no answer yet";
  }
}

/** @param {string} name of the class */
function outputRow(name) {
  const row = created("tr");
  const cell = created("td", "", "bar");
  const bar = created("span");
  const spikes = created("td");
  cell.append(bar);
  row.append(created("th", name), cell, spikes);
  return { row, bar, spikes };
}
