// @ts-check
/** Why this answer: a neuron's incoming weights, and the neurons that drove it. */

import { layerName } from "./content.js";
import { canvas, choice, created, element, input } from "./elements.js";
import { showWeights } from "./pictures.js";
import { spikeCounts } from "./run.js";
import { count } from "./words.js";

/** @typedef {import("./run.js").Run} Run */
/** @typedef {import("./spiking.js").LayerData} LayerData */

const N_DRIVERS = 5; // neurons shown as the reasons for a spike

export class Why {
  #layer;
  #unit = 0;
  /** Until visitors choose a neuron, it is the output of the answer. */
  #isChosen = false;
  /** @type {Run | null} */
  #run = null;
  /** Steps over which spikes are counted. */
  #nSteps = 0;

  /** @param {import("./content.js").Content} content */
  constructor(content) {
    this.content = content;
    this.layers = content.spiking.layers;
    this.#layer = this.layers.length;
    this.layers.forEach((_, k) => choice("layer").append(created("option", layerName(content, k + 1))));
    choice("layer").addEventListener("change", () => this.#choose(choice("layer").selectedIndex + 1, 0));
    input("unit").addEventListener("input", () => {
      this.#type(input("unit").valueAsNumber);
    });
  }

  /**
   * @param {Run} run
   * @param {number} lastStep
   */
  show(run, lastStep) {
    this.#run = run;
    this.#nSteps = lastStep;
    if (!this.#isChosen) this.#unit = run.moments[lastStep - 1].answer;
    this.#paint();
  }

  /** @param {number} unit as typed: NaN, or beyond the layer, changes nothing */
  #type(unit) {
    const { nUnits } = this.layers[this.#layer - 1];
    if (Number.isInteger(unit) && unit >= 0 && unit < nUnits) {
      this.#choose(this.#layer, unit);
      return;
    }
    const name = layerName(this.content, this.#layer);
    element("why-text").textContent = `The ${name} has neurons 0 to ${nUnits - 1}.`;
    canvas("weights").hidden = true;
    element("drivers").hidden = true;
  }

  /**
   * @param {number} layer
   * @param {number} unit
   */
  #choose(layer, unit) {
    this.#isChosen = true;
    this.#layer = layer;
    this.#unit = unit;
    this.#paint();
  }

  #paint() {
    if (!this.#run) return;
    const layer = this.layers[this.#layer - 1];
    choice("layer").selectedIndex = this.#layer - 1;
    input("unit").max = String(layer.nUnits - 1);
    input("unit").value = String(this.#unit);
    const counts = spikeCounts(this.#run, this.#layer, layer.nUnits, this.#nSteps);
    const spikes = layer.threshold === null
      ? "did not spike: its potential is the answer."
      : `spiked ${spikedTimes(counts[this.#unit])}.`;
    const isFirst = this.#layer === 1;
    canvas("weights").hidden = !isFirst;
    element("drivers").hidden = isFirst;
    if (isFirst) {
      element("why-text").textContent = `${this.#steps()} ${this.#name()} ${spikes} It reads the pixels through these weights:`;
      showWeights(canvas("weights"), incoming(layer, this.#unit), this.content.images.width);
    } else {
      element("why-text").textContent = `${this.#steps()} ${this.#name()} ${spikes} The neurons that contributed most:`;
      this.#showDrivers(layer, spikeCounts(this.#run, this.#layer - 1, layer.nSources, this.#nSteps));
    }
  }

  #steps() {
    const { nSteps } = this.content.spiking;
    return this.#nSteps === nSteps ? `Over all ${nSteps} steps,` : `Until it stops after step ${this.#nSteps},`;
  }

  #name() {
    if (this.#layer < this.layers.length) {
      return `neuron ${this.#unit} of the ${layerName(this.content, this.#layer)}`;
    }
    return `the output for ${this.content.images.classes[this.#unit]}`;
  }

  /**
   * The neurons whose spikes contributed most to the potential of the chosen one.
   * @param {LayerData} layer
   * @param {ArrayLike<number>} spikes of the neurons before it
   */
  #showDrivers(layer, spikes) {
    const added = Array.from(incoming(layer, this.#unit), (weight, source) => ({
      source,
      total: weight * spikes[source],
    }));
    added.sort((a, b) => b.total - a.total);
    const drivers = added.slice(0, N_DRIVERS).filter(({ total }) => total > 0);
    const items = drivers.map(({ source, total }) => {
      const plural = spikes[source] === 1 ? "spike" : "spikes";
      const text = `neuron ${source}: ${spikes[source]} ${plural} added ${Number(total.toPrecision(3))}`;
      const button = created("button", text);
      if (this.#layer === 2) button.prepend(this.#weightsOf(source));
      button.addEventListener("click", () => this.#choose(this.#layer - 1, source));
      const item = created("li");
      item.append(button);
      return item;
    });
    element("drivers").replaceChildren(...items);
  }

  /** @param {number} unit of the first layer */
  #weightsOf(unit) {
    const picture = created("canvas");
    showWeights(picture, incoming(this.layers[0], unit), this.content.images.width);
    return picture;
  }
}

/** @param {number} number */
function spikedTimes(number) {
  if (number === 0) return "never";
  return number === 1 ? "once" : `${count(number)} times`;
}

/**
 * The weights that lead to a neuron, by source.
 * @param {LayerData} layer
 * @param {number} unit
 */
function incoming(layer, unit) {
  return Float64Array.from(
    { length: layer.nSources },
    (_, source) => layer.weights[source * layer.nUnits + unit],
  );
}
